-- A proxy of spec/support/tcp_proxy.c in front of a server, one per client, by which that client can be cut off.

local uv = require "luv"

---@class support.Proxy
---@field port string
local Proxy = {}
Proxy.__index = Proxy

--- Runs luv's loop until `done()`; the proxy answers within milliseconds.
local function await(what, done)
  local deadline = uv.hrtime() + 10e9
  while not done() do
    assert(uv.hrtime() < deadline, "waited in vain: " .. what)
    uv.run "nowait"
    uv.sleep(1)
  end
end

---@param target integer  the server's port
---@return support.Proxy
function Proxy.start(target)
  local self = setmetatable({ buffer = "" }, Proxy)
  self.stdin, self.stdout = uv.new_pipe(false), uv.new_pipe(false)
  self.handle = assert(uv.spawn(os.getenv "MOONWATCH_BUILD" .. "/spec/tcp_proxy", {
    args = { tostring(target) }, stdio = { self.stdin, self.stdout, 2 },
  }, function()
    self.ended = true
    self.handle:close()
  end))
  self.stdout:read_start(function(_, data) self.buffer = self.buffer .. (data or "") end)
  self.port = self:line()
  return self
end

function Proxy:line()
  local line
  await("the proxy", function()
    line = self.buffer:match "^[^\n]*\n"
    return line
  end)
  self.buffer = self.buffer:sub(#line + 1)
  return line:sub(1, -2)
end

---@return string answer
function Proxy:tell(command)
  self.stdin:write(command .. "\n")
  return assert(self:line():match "^ok ?(.*)$", command)
end

function Proxy:stop()
  self.stdin:close()
  await("the end of the proxy", function() return self.ended end)
  self.stdout:close()
  uv.run "nowait"
end

Proxy.await = await

return Proxy
