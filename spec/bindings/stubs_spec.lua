-- meta/moonwatch.lua describes what the library exports, meta/scripts.lua what scripts see beside it; nothing else.
local mw = require "moonwatch"
local core = require "moonwatch.core"

local folder = os.getenv "MOONWATCH_SOURCE" .. "/scripts/moonwatch/meta/"

--- { Class = { method = true } } of the stubs in `file`.
local function documented(file)
    local classes = { mw = {} }
    for line in io.lines(folder .. file) do
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
    local stubs, of_scripts = documented "moonwatch.lua", documented "scripts.lua"

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
        assert.same(exported, names(stubs.mw))
    end)

    it("have what scripts of the engine see beside it, and nothing else", function()
        mw.run(function()
            local engine = require("moonwatch.engine").new(assert(require("moonwatch.config").parse("", "defaults")))
            assert.same(names(engine.api), names(of_scripts.mw))
            engine:close()
        end)
    end)

    it("have the functions of log and json", function()
        assert.same(names(mw.log), names(stubs["mw.log"]))
        assert.same({ "decode", "encode" }, names(stubs["mw.json"]))
    end)
end)
