local selector = require "moonwatch.selector"
local promises = require "promises"

local node = { id = "02:00", status = "normal", weight = 2, load = { cpu = 0.5 }, meta = { zone = "a", list = { 1 } } }
local scopes = { {}, { dead = { meta = { zone = "a" }, weight = "text" } }, { dead = "no table" } }

return function(text)
    for _, fields in ipairs { false, selector.fields } do
        local evaluate, err = selector.compile(text, { names = { "dead" }, fields = fields })
        if not evaluate then
            promises.complaint(err, "selector: ")
        else
            for _, scope in ipairs(scopes) do -- evaluating never raises, and is the same twice
                local first, second = evaluate(node, scope), evaluate(node, scope)
                assert(rawequal(first, second) or first ~= first)
                evaluate({}, scope)
            end
        end
    end
end
