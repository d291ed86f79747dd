-- What one subscription delivers, kept in order.

local expect = require "support.expect"

---@class support.Events
---@field list moonwatch.Event[]
local Events = {}
Events.__index = Events

---@param harness support.Harness
---@param client moonwatch.Registry
---@param path string
---@param options moonwatch.SubscribeOptions?
---@param also (fun(event: moonwatch.Event))?  called with each
---@return support.Events
function Events.of(harness, client, path, options, also)
  local self = setmetatable({ harness = harness, list = {} }, Events)
  self.subscription = expect.ok(client:subscribe(path, options, function(event)
    table.insert(self.list, event)
    if also then
      also(event)
    end
  end))
  return self
end

--- The first event of this kind and path after the ones that were taken before, or nil.
function Events:find(kind, path, from)
  for i = from or 1, #self.list do
    local event = self.list[i]
    if event.type == kind and (path == nil or event.path == path) then
      return event, i
    end
  end
end

--- Waits for an event of this kind and path, after `from`. Returns it and its place.
function Events:await(kind, path, from)
  local event, place
  self.harness:wait(("%s %s"):format(kind, path or ""), function()
    event, place = self:find(kind, path, from)
    return event
  end)
  return event, place
end

function Events:synced()
  return self:await "synced"
end

--- Kinds of the events of one path, in order.
---@return string[]
function Events:kinds(path)
  local kinds = {}
  for _, event in ipairs(self.list) do
    if event.path == path and event.type ~= "synced" then
      table.insert(kinds, event.type)
    end
  end
  return kinds
end

--- How many events of this kind came.
function Events:count(kind)
  local count = 0
  for _, event in ipairs(self.list) do
    count = count + (event.type == kind and 1 or 0)
  end
  return count
end

function Events:close()
  self.subscription:close()
end

Events.__close = Events.close

return Events
