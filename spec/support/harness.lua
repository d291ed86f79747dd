-- One backend under test behind one interface, so that a contract spec never asks which it is.
--
-- MOONWATCH_SPEC_BACKEND chooses one of `drivers`. A harness is a fresh, empty registry with any number of clients in
-- this process and in others. Where a backend cannot suffer a fault, the spec files about it are not in its list
-- (spec/contract/CMakeLists.txt); nothing is skipped at run time.
--
-- Waiting calls in a spec run the loop until they are done. `mw.spawn` and `mw.sleep` run in the world of the harness:
-- on memory, time is virtual.

local core = require "moonwatch.core"
local mw = require "moonwatch"

---@class support.Harness
---@field short string       a session timeout for specs that let one pass
---@field patience number    seconds after which a condition that still does not hold fails its spec
---@field slice number       seconds between two looks at a condition
---@field rounds integer     faults in one run of a swarm
---@field driver table       the backend's part: see support/harness/memory.lua and real.lua
local Harness = {}
Harness.__index = Harness

local drivers = {
  ["memory"] = function() return require "support.harness.memory" {} end,
  ["memory-weak"] = function() return require "support.harness.memory" { weak = true } end,
  ["sqlite"] = function() return require "support.harness.sqlite" {} end,
  ["sqlite-faulty"] = function() return require "support.harness.sqlite" { faulty = true } end,
  ["mysql"] = function() return require "support.harness.mysql"() end,
  ["zookeeper"] = function() return require "support.harness.zookeeper"() end,
  ["zookeeper-tls"] = function() return require "support.harness.zookeeper_tls"() end,
}

--- A fresh, empty registry. End it with `finish`.
---@param options table?  for the server: `seed` and what the backend's driver knows
---@return support.Harness
function Harness.start(options)
  local name = os.getenv "MOONWATCH_SPEC_BACKEND" or "memory"
  local make = drivers[name] or error("no harness for backend " .. name)
  local driver = make()
  driver:start(options or {})
  return setmetatable({
    driver = driver, short = driver.short, patience = driver.patience, slice = driver.slice, rounds = driver.rounds,
    clients = {}, processes = {}, tasks = core.tasks(),
  }, Harness)
end

--- What `mw.open` needs to reach this registry.
function Harness:options(options)
  local all = self.driver:options()
  for key, value in pairs(options or {}) do
    all[key] = value
  end
  return all
end

--- A client in this process, connected; `finish` closes it.
---@param options table?  more for mw.open: namespace, session_timeout ...
---@return moonwatch.Registry
function Harness:open(options)
  local client = assert(mw.open(self:options(options)))
  table.insert(self.clients, client)
  return client
end

--- A separate process, which can be killed (SIGKILL) and stopped (SIGSTOP). On memory it is another host of the world.
--- `process:eval(chunk, ...)` runs Lua source there and returns its results; `process:send(chunk, ...)` does not wait:
--- it returns a call, with `call:done()` and `call:result()`. In the chunk `...` are the arguments, `open(options)`
--- opens a client, `background(body)` starts a task that outlives the chunk, and globals stay for the next one.
--- Arguments and results are plain data.
function Harness:process()
  local process = self.driver:process(self)
  table.insert(self.processes, process)
  return process
end

--- Runs the loop until `predicate()` is true, and returns what it returned; fails with `what` after `patience` seconds.
---@param what string
---@param predicate fun(): any
---@param patience number?
function Harness:wait(what, predicate, patience)
  local deadline = mw.now() + (patience or self.patience)
  while true do
    local result = predicate()
    if result then
      return result
    end
    if mw.now() > deadline then
      error("waited in vain: " .. what, 2)
    end
    self.driver:look()
    mw.sleep(self.slice)
  end
end

--- The client has no connection until `mend`; its session lives on as long as the server lets it.
function Harness:cut(client) self.driver:cut(client) end
function Harness:mend(client) self.driver:mend(client) end

--- The server ends the client's session now, as if its lease had passed.
function Harness:expire(client) self.driver:expire(client) end

--- An operator drops a lock: nobody holds it or waits for it any more. Who held it may not be told.
---@param path string
function Harness:drop_lock(path) self.driver:drop_lock(path) end

--- The next write of this client is applied, and its answer does not arrive.
function Harness:lose_next_reply(client) self.driver:lose_next_reply(client) end

--- Nobody can reach the server, and it forgets nothing, until `outage(false)`.
---@param on boolean
function Harness:outage(on) self.driver:outage(on) end

--- Messages and connections get lost at random, until `chaos(false)`.
---@param on boolean
function Harness:chaos(on) self.driver:chaos(on) end

--- Makes the server forget the changes so far: who was away gets no more than the present state.
function Harness:forget_changes(client) self.driver:forget_changes(client) end

--- A copy of all there is, and going back to it: what was acknowledged since is gone.
function Harness:backup() self.driver:backup() end
function Harness:restore() self.driver:restore() end

local function close_clients(self, problems)
  for _, client in ipairs(self.clients) do
    if client:state() ~= "closed" then
      -- What was released may still be on its way.
      if not pcall(self.wait, self, "zero handles", function() return client:handles() == 0 end, 5) then
        table.insert(problems, ("a client ends with %d open handles"):format(client:handles()))
      end
      client:close()
    end
  end
end

--- Closes all, and fails when anything was left: handles, processes, tasks, timers, files.
function Harness:finish()
  local problems = {}
  close_clients(self, problems)
  for _, process in ipairs(self.processes) do
    process:close(problems)
  end
  self.driver:finish(problems)
  collectgarbage()
  local tasks = core.tasks() - self.tasks
  if tasks ~= 0 then
    table.insert(problems, ("%d tasks are left"):format(tasks))
  end
  if #problems > 0 then
    error(table.concat(problems, "\n"), 2)
  end
end

return Harness
