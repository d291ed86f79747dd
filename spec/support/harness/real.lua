-- Processes of lua5.4 for the backends that run in real time. They are driven over pipes: a request is `length\n` and a
-- packed chunk with its arguments, an answer the same (see child.lua).

local mw = require "moonwatch"
local uv = require "luv"
local wire = require "support.harness.wire"

---@class support.harness.Process
local Process = {}
Process.__index = Process

local Call = {}
Call.__index = Call

local function on_output(process)
  return function(err, data)
    if err or not data then
      return
    end
    process.buffer = process.buffer .. data
    while true do
      local length, rest = process.buffer:match("^(%d+)\n()")
      if not length or #process.buffer < rest + length - 1 then
        return
      end
      local answer = process.buffer:sub(rest, rest + length - 1)
      process.buffer = process.buffer:sub(rest + length)
      local number, text = answer:match("^(%d+) (.*)$")
      process.answers[tonumber(number)] = text
    end
  end
end

--- `harness.driver.before`: words that the command begins with.
---@param harness support.Harness
function Process.start(harness)
  local self = setmetatable({ harness = harness, buffer = "", answers = {}, calls = 0 }, Process)
  self.stdin, self.stdout = uv.new_pipe(false), uv.new_pipe(false)
  local words = { table.unpack(harness.driver.before or {}) }
  table.insert(words, "lua5.4")
  table.insert(words, os.getenv "MOONWATCH_SOURCE" .. "/spec/support/harness/child.lua")
  local handle, pid = uv.spawn(table.remove(words, 1), {
    args = words,
    stdio = { self.stdin, self.stdout, 2 },
  }, function(code, signal)
    self.ended = { code = code, signal = signal }
    self.handle:close()
  end)
  self.handle, self.pid = assert(handle, pid), pid
  self.stdout:read_start(on_output(self))
  self:eval([[base = ...]], harness:options())
  return self
end

function Process:send(chunk, ...)
  self.calls = self.calls + 1
  local request = self.calls .. " " .. wire.pack(chunk, ...)
  self.stdin:write(#request .. "\n" .. request)
  uv.run "nowait"
  return setmetatable({ process = self, number = self.calls }, Call)
end

function Call:done()
  uv.run "nowait"
  return self.process.answers[self.number] ~= nil
end

function Call:result()
  local process = self.process
  process.harness:wait("an answer of the other process", function()
    return self:done() or process.ended and error("the other process has ended", 0)
  end)
  local function unwrap(ok, ...)
    if not ok then
      error((...), 0)
    end
    return ...
  end
  return unwrap(wire.unpack(process.answers[self.number]))
end

function Process:eval(chunk, ...)
  return self:send(chunk, ...):result()
end

function Process:kill()
  self.handle:kill "sigkill"
  self.killed = true
  self:await_end()
end

function Process:stop() self.handle:kill "sigstop" end
function Process:cont() self.handle:kill "sigcont" end

function Process:await_end()
  self.harness:wait("the end of the other process", function()
    uv.run "nowait"
    return self.ended
  end)
end

--- Ends it in good order, unless it was killed, and complains about what it left open.
---@param problems string[]
function Process:close(problems)
  if not self.ended then
    self:cont()
    local ok, left = pcall(self.eval, self, "return room:close()")
    for _, problem in ipairs(ok and left or { left }) do
      table.insert(problems, problem)
    end
    self.stdin:shutdown()
    if not pcall(self.await_end, self) then
      table.insert(problems, "a process did not end")
      self:kill()
    elseif self.ended.code ~= 0 or self.ended.signal ~= 0 then
      table.insert(problems, ("a process ended with code %d, signal %d"):format(self.ended.code, self.ended.signal))
    end
  end
  self.stdin:close()
  self.stdout:close()
  uv.run "nowait"
end

--- The part that all drivers in real time share.
local Real = { short = "1500ms", patience = 30, slice = 0.003, rounds = 12, mw = mw }
Real.__index = Real

function Real.process(_, harness)
  return Process.start(harness)
end

function Real.look()
  uv.run "nowait"
end

return Real
