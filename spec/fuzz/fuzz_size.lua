local size = require "moonwatch.size"
local promises = require "promises"

return function(text)
    local value, err = size.parse(text)
    if not value then
        return promises.complaint(err, "size: ")
    end
    assert(math.type(value) == "integer" and value >= 0 and value <= size.largest)
    assert(#size.format(value) > 0)
end
