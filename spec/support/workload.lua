-- What the clients of a swarm do, each in a process of its own, and the record of it in a file (support/history.lua).
-- The same on every backend: with real processes, or simulated ones.

local core = require "moonwatch.core"
local mw = require "moonwatch"
local History = require "support.history"
local wire = require "support.harness.wire"

local workload = {}

--- A small generator, so that each client draws from its own seed whatever the others do.
local function generator(seed)
  local state = seed * 2654435761 % 4294967296 + 1
  return function(limit)
    state = (state ~ state << 13) & 0xffffffff
    state = state ~ state >> 17
    state = (state ~ state << 5) & 0xffffffff
    return state % limit + 1
  end
end

---@class support.workload.Client
local Client = {}
Client.__index = Client

function Client:next_id()
  self.count = self.count + 1
  return ("%s.%d"):format(self.name, self.count)
end

--- An entry of its own.
function Client:create()
  local id = self:next_id()
  local write = self.history:write { id = id, client = self.name }
  write:returned(self.registry:create("/h/log/" .. id, "by " .. self.name))
end

--- One more word in a value that all clients append to.
function Client:append()
  local path = "/h/words/" .. self.random(3)
  local entry = self:read(path)
  if entry then
    local id = self:next_id()
    local write = self.history:write { id = id, client = self.name, path = path }
    write:returned(self.registry:set(path, entry.value .. " " .. id, { version = entry.version }))
  end
end

function Client:read(path)
  path = path or "/h/words/" .. self.random(3)
  local fresh = self.random(2) == 1
  local done = self.history:read {
    client = self.name, session = self.registry:session(), path = path, fresh = fresh,
  }
  local session = self.registry:session()
  local entry, err = self.registry:get(path, { fresh = fresh })
  if entry and session == self.registry:session() then
    done(entry)
  elseif not entry and err.code == "not_found" then
    done(nil)
  end
  return entry
end

--- Both in one txn: an entry, and a word.
function Client:txn()
  local path = "/h/words/" .. self.random(3)
  local entry = self:read(path)
  if entry then
    local one, two = self:next_id(), self:next_id()
    local first = self.history:write { id = one, client = self.name, txn = one }
    local second = self.history:write { id = two, client = self.name, txn = one, path = path }
    local result, err = self.registry:txn():create("/h/log/" .. one, "by " .. self.name)
      :set(path, entry.value .. " " .. two, { version = entry.version }):commit()
    first:returned(result, err)
    second:returned(result, err)
  end
end

--- Some guarded writes under a lock.
function Client:guarded()
  local path = "/h-locks/" .. self.random(2)
  local ended
  local function finish()
    if ended then
      ended()
      ended = nil
    end
  end
  local lock <close> = self.registry:lock(path, { value = self.name, on_lost = finish })
  local token = lock:acquire { timeout = self.random(5000) / 1000 }
  if not token then
    return
  end
  ended = self.history:hold { client = self.name, lock = path, token = token }
  for _ = 1, self.random(4) do
    local id = self:next_id()
    local write = self.history:write { id = id, client = self.name, lock = path, token = token }
    write:returned(self.registry:txn():check(lock):create("/h/log/" .. id, path):commit())
    if not lock.held then
      break
    end
    mw.sleep(self.random(100) / 1000)
  end
  finish()
end

--- Entries that come and go, for those who watch.
function Client:churn()
  local path = "/h/churn/" .. self.random(6)
  local what = self.random(4)
  if what == 1 then
    self.registry:delete(path)
  elseif what == 2 then
    self.registry:create(path, self:next_id(), { ephemeral = true })
  elseif what == 3 then
    self.registry:create(path, self:next_id())
  else
    self.registry:set(path, self:next_id())
  end
end

local mix = { "create", "append", "append", "txn", "guarded", "guarded", "churn", "churn", "churn", "read", "read" }

--- Begins to work as `name`, in the background, until `stop`.
---@param open fun(options: table): moonwatch.Registry
---@param details {name: string, seed: integer, file: string, session_timeout: string}
---@return support.workload.Client
function workload.start(open, details)
  local file = assert(io.open(details.file, "a"))
  file:setvbuf "no"
  local self = setmetatable({ name = details.name, count = 0, random = generator(details.seed), file = file }, Client)
  self.history = History.new {
    clock = mw.now,
    sink = function(record) file:write(wire.pack(record), "\n") end,
  }
  self.registry = open { session_timeout = details.session_timeout, op_timeout = "4s", wait = 0 }
  self.view = self.registry:subscribe("/h", { depth = "subtree" },
    self.history:observer(self.name, { client = self.name }))
  self.task = core.spawn_apart(function()
    while not self.stopping do
      self[mix[self.random(#mix)]](self)
      mw.sleep(self.random(60) / 1000)
    end
  end)
  return self
end

--- Comes to the end of what it is doing; the subscription goes on.
function Client:stop()
  self.stopping = true
  return self.task:join()
end

--- Whether its view has come to where the registry is: `revisions` of all entries by path. And its session.
function Client:shows(revisions)
  local count = 0
  for _, entry in ipairs(self.view:entries()) do
    if revisions[entry.path] ~= entry.revision then
      return false
    end
    count = count + 1
  end
  for _ in pairs(revisions) do
    count = count - 1
  end
  return count == 0, self.registry:session()
end

function Client:close()
  self.view:close()
  self.file:close()
end

return workload
