-- Memory: a server and its clients in one virtual world.

local core = require "moonwatch.core"
local mw = require "moonwatch"
local Room = require "support.harness.room"
local wire = require "support.harness.wire"

local Process = {}
Process.__index = Process

local Call = {}
Call.__index = Call

function Process:send(chunk, ...)
  local call = setmetatable({ process = self }, Call)
  local packed = wire.pack(chunk, ...)
  self.host:spawn(function()
    call.answer = self.room:run(packed)
  end)
  return call
end

function Call:done()
  return self.answer ~= nil
end

function Call:result()
  self.process.harness:wait("an answer of the other process", function()
    return self:done() or self.process.killed and error("the other process has ended", 0)
  end)
  local function unwrap(ok, ...)
    if not ok then
      error((...), 0)
    end
    return ...
  end
  return unwrap(wire.unpack(self.answer))
end

function Process:eval(chunk, ...)
  return self:send(chunk, ...):result()
end

function Process:kill()
  self.host:kill()
  self.killed = true
end

function Process:stop() self.host:pause() end
function Process:cont() self.host:resume() end

function Process:close(problems)
  if self.killed then
    return
  end
  self:cont()
  local left
  self.host:spawn(function() left = self.room:close() end)
  self.harness:wait("the end of the other process", function() return left end)
  for _, problem in ipairs(left) do
    table.insert(problems, problem)
  end
end

local Memory = { short = "1500ms", patience = 120, slice = 0.01, rounds = 30 }
Memory.__index = Memory

--- Messages take time, or what answers itself would never let any pass.
function Memory:start(options)
  self.world = core.world(options.seed or 1)
  self.server = self.world:memory_server { seed = options.seed or 1 }
  self.faults = { latency_min = "0.1ms", latency_max = "1ms", weak = self.weak or false }
  self.server:faults(nil, self.faults)
  self.sessions, self.processes = {}, {}
end

function Memory:options()
  return { server = self.server, session_timeout = "10s" }
end

function Memory:process(harness)
  local process = setmetatable({ harness = harness, host = self.world:host() }, Process)
  table.insert(self.processes, process)
  process.room = Room.new(function(more) return harness:options(more) end)
  return process
end

function Memory.look() end

function Memory:cut(client)
  self.sessions[client] = assert(client:session())
  assert(self.server:disconnect(self.sessions[client]))
end

function Memory:mend(client)
  assert(self.server:disconnect(self.sessions[client], 0))
end

function Memory:expire(client)
  assert(self.server:expire(assert(client:session())))
end

function Memory:lose_next_reply(client)
  assert(self.server:lose_next_reply(assert(client:session())))
end

function Memory:chaos(on)
  local faults = {}
  for name, value in pairs(self.faults) do
    faults[name] = value
  end
  if on then
    faults.latency_max, faults.lose_request, faults.lose_reply, faults.forget = "40ms", 0.02, 0.05, 0.3
  end
  self.server:faults(nil, faults)
end

function Memory:forget_changes()
  self.server:compact()
end

function Memory:backup()
  self.server:backup()
end

function Memory:restore()
  assert(self.server:restore())
end

function Memory:drop_lock(path)
  assert(self.server:drop_lock(path))
end

function Memory:outage(on)
  self.server:freeze(nil, on)
end

--- What a killed process had armed stays so for ever; the server ends its sessions in time.
function Memory:finish(problems)
  mw.sleep(self.slice) -- what is deferred runs
  local killed = 0
  for _, process in ipairs(self.processes) do
    killed = killed + (process.killed and process.host:pending() or 0)
  end
  if killed > 0 then
    mw.sleep(120)
  end
  local pending = self.world:pending() - killed
  if pending ~= 0 then
    table.insert(problems, ("%d timers, deferred calls or holds are left"):format(pending))
  end
  self.world:close()
end

return function(driver)
  return setmetatable(driver, Memory)
end
