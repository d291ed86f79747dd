-- A number of clients at work, faults among them, and the judgement at the end. One seed is one run.

local mw = require "moonwatch"
local History = require "support.history"
local wire = require "support.harness.wire"

---@class support.Swarm
local Swarm = {}
Swarm.__index = Swarm

local work = [[
  local details = ...
  worker = require "support.workload".start(open, details)
]]

--- `faults`: names of the methods below that are drawn from.
---@param harness support.Harness
---@param options {seed: integer, clients: integer, rounds: integer, faults: string[], file: string}
function Swarm.new(harness, options)
  local self = setmetatable({ harness = harness, options = options, workers = {}, started = 0, files = {} }, Swarm)
  self.random = setmetatable({}, { __call = function(_, limit) return math.random(limit) end })
  math.randomseed(options.seed)
  self.history = History.new { clock = mw.now }
  self.own = harness:open()
  for i = 1, 3 do
    assert(self.own:create("/h/words/" .. i, ""))
  end
  for i = 1, options.clients do
    self:start(i)
  end
  return self
end

function Swarm:start(place)
  self.started = self.started + 1
  local name = "c" .. self.started
  local file = ("%s.%d"):format(self.options.file, self.started)
  table.insert(self.files, file)
  local process = self.harness:process()
  self.workers[place] = { name = name, process = process, stopped = false }
  process:eval(work, {
    name = name, seed = self.options.seed * 100 + self.started, file = file, session_timeout = self.harness.short,
  })
end

local function pick(self)
  local place = math.random(#self.workers)
  return self.workers[place], place
end

--- SIGKILL, and another one takes its place.
function Swarm:kill()
  local worker, place = pick(self)
  worker.process:kill()
  self.history:gone(worker.name)
  self:start(place)
end

--- SIGSTOP, for less or more than a session lasts.
function Swarm:stall()
  local worker = pick(self)
  if not worker.stopped then
    worker.stopped = true
    self.history:stalled(worker.name)
    worker.process:stop()
  end
end

function Swarm:resume()
  for _, worker in ipairs(self.workers) do
    if worker.stopped then
      worker.stopped = false
      worker.process:cont()
    end
  end
end

--- Lost messages and connections.
function Swarm:storm() self.harness:chaos(true) end
function Swarm:calm() self.harness:chaos(false) end

--- Who is behind gets no more than the present state.
function Swarm:forget() self.harness:forget_changes(self.own) end

function Swarm:nothing() end -- luacheck: ignore 212

--- Faults at random moments, then peace: all go on, finish what they do, and must come to one view.
function Swarm:run()
  for _ = 1, self.options.rounds do
    mw.sleep(math.random(1000) / 1000)
    self[self.options.faults[math.random(#self.options.faults)]](self)
  end
  self:resume()
  if self.options.chaos then
    self:calm()
  end
  for _, worker in ipairs(self.workers) do
    worker.ending = worker.process:send "return worker:stop()"
  end
  for _, worker in ipairs(self.workers) do
    assert(worker.ending:result())
  end
end

-- The entries, once all see them and nothing is left to happen: what the dead owned goes when their sessions end.
local function all_there(self)
  local entries = assert(self.own:list("/h", { fresh = true }))
  local revisions, living = {}, {}
  for _, entry in ipairs(entries) do
    revisions[entry.path] = entry.revision
  end
  for _, worker in ipairs(self.workers) do
    local shows, session = worker.process:eval("return worker:shows(...)", revisions)
    if not shows then
      return false
    end
    living[session or 0] = true
  end
  for _, entry in ipairs(entries) do
    if entry.owner and not living[entry.owner] then
      return false
    end
  end
  return entries
end

function Swarm:collect(entries)
  for _, file in ipairs(self.files) do
    for line in io.lines(file) do
      local ok, record = pcall(wire.unpack, line)
      -- The last line of a killed process may be cut.
      if ok then
        self.history:add(record)
      end
    end
    os.remove(file)
  end
  for _, entry in ipairs(entries) do
    local id = entry.path:match "^/h/log/(.*)$"
    if id then
      self.history:present(id, entry.revision)
    elseif entry.path:find "^/h/words/" then
      for word in entry.value:gmatch "%S+" do
        self.history:present(word)
      end
    end
  end
  self.history:final(entries)
end

--- The broken promises.
---@return string[] problems, integer writes
function Swarm:judge()
  local entries
  local converged = pcall(self.harness.wait, self.harness, "views that agree", function()
    entries = all_there(self)
    return entries
  end)
  entries = entries or assert(self.own:list("/h", { fresh = true }))
  for _, worker in ipairs(self.workers) do
    worker.process:eval "worker:close()"
  end
  self:collect(entries)
  local problems = self.history:check()
  if not converged and #problems == 0 then
    table.insert(problems, "view: the views never agreed with a fresh read")
  end
  return problems, #(self.history.found or {})
end

return Swarm
