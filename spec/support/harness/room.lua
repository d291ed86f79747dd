-- Where the chunks of one process run: globals of its own, `open`, and `background` for tasks that outlive their chunk.

local core = require "moonwatch.core"
local mw = require "moonwatch"
local wire = require "support.harness.wire"

---@class support.harness.Room
local Room = {}
Room.__index = Room

---@param options fun(more: table?): table  what mw.open needs
function Room.new(options)
  local self = setmetatable({ clients = {} }, Room)
  self.env = setmetatable({
    mw = mw,
    background = core.spawn_apart,
    open = function(more)
      local client = assert(mw.open(options(more)))
      table.insert(self.clients, client)
      return client
    end,
  }, { __index = _G })
  return self
end

--- Runs in a task. `packed` is `chunk, ...`; returns the packed `true, results...` or `false, message`.
---@param packed string
---@return string
function Room:run(packed)
  local function call(chunk, ...)
    return assert(load(chunk, "=chunk", "t", self.env))(...)
  end
  local function protect(ok, ...)
    return wire.pack(ok, ...)
  end
  local ran, result = pcall(function()
    return protect(pcall(call, wire.unpack(packed)))
  end)
  return ran and result or wire.pack(false, "the results cannot be sent: " .. tostring(result))
end

--- Closes what the chunks opened; returns complaints about what they left open.
---@return string[]
function Room:close()
  local problems = {}
  for _, client in ipairs(self.clients) do
    if client:state() ~= "closed" then
      if client:handles() ~= 0 then
        table.insert(problems, ("a client of another process ends with %d open handles"):format(client:handles()))
      end
      client:close()
    end
  end
  return problems
end

return Room
