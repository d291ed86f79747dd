-- meta/moonwatch.lua describes what the library exports, and nothing else.
local mw = require "moonwatch"
local core = require "moonwatch.core"

local source = os.getenv "MOONWATCH_SOURCE" .. "/scripts/moonwatch/meta/moonwatch.lua"

--- What only scripts of `moonwatch run` and of an embedding host have.
local engine_only = {
    backend = true, registry = true, on = true, on_connection = true, guard = true, elect = true, node = true,
    nodes = true, stop = true, config = true, NodeRegistration = true,
}

--- { Class = { method = true } } of the stubs.
local function documented()
    local classes = { mw = {} }
    for line in io.lines(source) do
        local class, method = line:match "^function ([%w_.]+)[.:]([%w_]+)%("
        if class then
            classes[class] = classes[class] or {}
            classes[class][method] = true
        end
        local field = line:match "^mw%.([%w_]+) ="
        if field then
            classes.mw[field] = true
        end
    end
    return classes
end

local function names(map, keep)
    local list = {}
    for name in pairs(map) do
        if type(name) == "string" and (not keep or keep(name)) then
            list[#list + 1] = name
        end
    end
    table.sort(list)
    return list
end

describe("the stubs", function()
    local stubs = documented()

    for _, name in ipairs {
        "Registry", "Txn", "Subscription", "Lock", "Election", "Registration", "Task", "Listener",
    } do
        it(("have the methods of %s"):format(name), function()
            assert.same(names(core.classes["moonwatch." .. name]), names(stubs[name] or {}))
        end)
    end

    it("have what the module exports", function()
        local _ = mw.json
        local exported = names(mw, function(name)
            return not name:find("^_") and name ~= "duration" and name ~= "size"
        end)
        assert.same(exported, names(stubs.mw, function(name)
            return not engine_only[name]
        end))
    end)

    it("have the functions of log and json", function()
        assert.same(names(mw.log), names(stubs["mw.log"]))
        assert.same({ "decode", "encode" }, names(stubs["mw.json"]))
    end)
end)
