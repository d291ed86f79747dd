local duration = require "moonwatch.duration"
local promises = require "promises"

return function(text)
    local value, err = duration.parse(text)
    if not value then
        return promises.complaint(err, "duration: ")
    end
    assert(value >= 0 and value <= duration.longest)
    local again = assert(duration.parse(duration.format(value)))
    local rounded = value < 1 and 1e-6 or value < 60 and 1e-3 or 1
    assert(math.abs(again - value) <= rounded, "format and parse differ")
end
