local yaml = require "moonwatch.yaml"
local promises = require "promises"

local function check_places(value, where, depth)
    if type(value) ~= "table" then
        return
    end
    assert(depth <= 64 and where[value].here:find "^%d+:%d+$")
    for key, item in pairs(value) do
        assert(where[value].values[key]:find "^%d+:%d+$", "a value without a place")
        check_places(item, where, depth + 1)
    end
end

return function(text)
    local value, where = yaml.parse(text, "f.yaml")
    if value == nil then
        promises.complaint(where, "f.yaml:")
        assert(where:find "^f%.yaml:%d+:%d+: ")
    else
        check_places(value, where, 1)
    end
end
