-- Every public function called wrongly: the error names the argument, and nothing is lost.
local mw = require "moonwatch"
local core = require "moonwatch.core"

local wrong_strings = { 5, true, {}, print }
local wrong_functions = { 5, true, {}, "text" }
local wrong_tables = { 5, true, print, "text" }
local wrong_durations = { true, {}, print, "soon", "", "5 parsecs", -1, 0 / 0, "1h\0", "\xff\xfe", ("9"):rep(60) }
local bad_paths = {
    "", "a", "/a/", "//", "/./a", "/a/../b", "/a\0b", "/\xff\xfe", "/\xed\xa0\x80", "/\x01", "/zookeeper",
    "/" .. ("x"):rep(2000),
}

describe("misuse", function()
    local world, reg

    before_each(function()
        world = core.world(2)
        reg = assert(mw.open { backend = world:memory_server {} })
        assert(reg:put("/a", "v"))
    end)

    after_each(function()
        assert.equal("v", assert(reg:get("/a")).value)
        assert.equal(0, reg:handles())
        reg:close()
        assert.equal(0, core.tasks())
        world:close()
    end)

    --- `call` raises an error that names `argument`.
    local function raises(argument, call, ...)
        local ok, err = pcall(call, ...)
        assert.is_false(ok)
        assert.matches("bad argument '" .. argument .. "' to '", tostring(err), 1, true)
    end

    local on_path = {
        get = {}, stat = {}, children = {}, list = {}, create = { "v" }, put = { "v" }, set = { "v" }, delete = {},
        queue = {},
    }

    for name, more in pairs(on_path) do
        it(("of '%s' names the argument"):format(name), function()
            for _, path in ipairs(wrong_strings) do
                raises("path", reg[name], reg, path, table.unpack(more))
            end
            raises("path", reg[name], reg)
            raises("self", reg[name], nil, "/a", table.unpack(more))
            raises("self", reg[name], mw, "/a", table.unpack(more))
            for _, options in ipairs(wrong_tables) do
                raises("options", reg[name], reg, "/a", more[1] or options, more[1] and options or nil)
            end
            local at = more[1] and { "v" } or {}
            table.insert(at, { timout = 5 })
            raises("options", reg[name], reg, "/a", table.unpack(at))
            for _, duration in ipairs(wrong_durations) do
                at[#at] = { timeout = duration }
                raises("timeout", reg[name], reg, "/a", table.unpack(at))
            end
            at[#at] = { [5] = 5 }
            raises("options", reg[name], reg, "/a", table.unpack(at))
        end)

        it(("of '%s' by a path that breaks the rule is an outcome that says so"):format(name), function()
            for _, path in ipairs(bad_paths) do
                local result, err = reg[name](reg, path, table.unpack(more))
                assert.is_nil(result)
                assert.equal("invalid", err.code)
                assert.matches("path", err.message)
                assert.is_nil(tostring(err):find("[%c]"))
            end
        end)
    end

    it("of a value names it", function()
        for _, value in ipairs(wrong_strings) do
            raises("value", reg.put, reg, "/a", value)
            raises("value", reg.set, reg, "/a", value)
            raises("value", reg.create, reg, "/b", value)
            raises("value", reg.register, reg, "/b", value)
        end
        raises("value", reg.put, reg, "/a")
    end)

    it("is not what any bytes in a value are", function()
        local bytes = ("\0\xff\n"):rep(1000)
        assert(reg:put("/bytes", bytes))
        assert.equal(bytes, reg:get("/bytes").value)
        local _, err = reg:put("/bytes", ("x"):rep(5000000))
        assert.equal("too_large", err.code)
    end)

    it("of lock, guard, elect, subscribe and register names the argument", function()
        for _, path in ipairs(wrong_strings) do
            raises("path", reg.lock, reg, path)
            raises("path", reg.guard, reg, path, nil, print)
            raises("path", reg.elect, reg, path)
            raises("path", reg.subscribe, reg, path)
            raises("path", reg.register, reg, path, "v")
        end
        for _, path in ipairs(bad_paths) do
            raises("path", reg.lock, reg, path)
            raises("path", reg.elect, reg, path)
            raises("path", reg.subscribe, reg, path)
        end
        for _, wrong in ipairs(wrong_functions) do
            raises("body", reg.guard, reg, "/l", nil, wrong)
            raises("lead", reg.elect, reg, "/e", nil, wrong)
            raises("reaction", reg.subscribe, reg, "/s", nil, wrong)
            raises("reaction", reg.on_connection, reg, wrong)
            raises("on_lost", reg.lock, reg, "/l", { on_lost = wrong })
            raises("on_lost", reg.guard, reg, "/l", { on_lost = wrong }, print)
        end
        raises("options", reg.lock, reg, "/l", { valu = "x" })
        raises("options", reg.guard, reg, "/l", { tri = true }, print)
        raises("options", reg.elect, reg, "/e", { recrd = "x" })
        raises("options", reg.subscribe, reg, "/s", { dept = "self" })
        raises("depth", reg.subscribe, reg, "/s", { depth = "all" })
        raises("overlap", reg.subscribe, reg, "/s", { overlap = 5 })
        raises("limit", reg.subscribe, reg, "/s", { limit = 0 })
        raises("record", reg.elect, reg, "/e", { record = 5 })
        local lock <close> = reg:lock("/l")
        raises("timeout", lock.acquire, lock, { timeout = "soon" })
        raises("try", lock.acquire, lock, { try = "yes" })
        raises("self", lock.acquire, reg)
        raises("self", lock.release)
    end)

    it("of a txn names the argument", function()
        for _, wrong in ipairs(wrong_strings) do
            raises("path", function() reg:txn():create(wrong, "v") end)
            raises("value", function() reg:txn():put("/a", wrong) end)
            raises("what", function() reg:txn():check(wrong) end)
        end
        raises("version", function() reg:txn():set("/a", "v", { version = -1 }) end)
        raises("options", function() reg:txn():put("/a", "v", { version = 1 }) end)
        raises("options", function() reg:txn():check("/a", { version = 1, absent = true }) end)
        raises("self", function()
            local txn = reg:txn():check("/a")
            txn:commit()
            txn:commit()
        end)
        local _, none = reg:txn():commit()
        assert.equal("invalid", none.code)
        local _, refused = reg:txn():check("/a"):create("bad", "v"):commit()
        assert.equal("invalid", refused.code)
        assert.equal(2, refused.step)
    end)

    it("of open names the option, and what may have been meant", function()
        raises("options", mw.open)
        raises("options", mw.open, "memory")
        raises("backend", mw.open, {})
        raises("backend", mw.open, { backend = 5 })
        raises("wait", mw.open, { backend = "memory", wait = "soon" })
        raises("namespace", mw.open, { backend = "memory", namespace = 5 })
        raises("session_timeout", mw.open, { backend = "memory", session_timeout = {} })
        raises("server", mw.open, { backend = "memory", server = reg })
        raises("host", mw.open, { backend = "memory", host = {} })
        assert.error_matches(function()
            mw.open { backend = "memory", sesion_timeout = 5 }
        end, "unknown option 'sesion_timeout'; did you mean 'session_timeout'?", 1, true)
        for _, name in ipairs { "nope", "", "../x", "a\0b", ("x"):rep(5000) } do
            local got, err = mw.open { backend = name }
            assert.is_nil(got)
            assert.equal("unsupported", err.code)
        end
        local got, err = mw.open { backend = "memory", namespace = "bad" }
        assert.is_nil(got)
        assert.equal("invalid", err.code)
    end)

    it("of tasks names the argument", function()
        for _, wrong in ipairs(wrong_durations) do
            raises("duration", mw.sleep, wrong)
            raises("duration", mw.timeout, wrong, print)
            raises("period", mw.every, wrong, print)
        end
        for _, wrong in ipairs(wrong_functions) do
            raises("body", mw.spawn, wrong)
            raises("body", mw.run, wrong)
            raises("body", mw.every, 1, wrong)
            raises("body", mw.timeout, 1, wrong)
        end
        raises("period", mw.every, 0, print)
        raises("format", mw.log.info, 5)
        raises("format", mw.log.info, "%d", "x")
        raises("value", mw.json.encode, print)
        raises("text", mw.json.decode, 5)
    end)

    it("does not let scripts reach the insides of an object", function()
        assert.equal("protected", getmetatable(reg))
        assert.has_error(function()
            setmetatable(reg, {})
        end)
        assert.has_error(function()
            reg.get = print
        end)
    end)
end)

describe("a closed registry", function()
    it("answers every call with closed", function()
        local world <close> = core.world(2)
        local reg = assert(mw.open { backend = world:memory_server {} })
        local lock, sub = reg:lock("/l"), reg:subscribe("/s")
        local txn = reg:txn():put("/a", "v")
        reg:close()
        reg:close()
        for _, call in ipairs {
            function() return reg:get("/a") end,
            function() return reg:put("/a", "v") end,
            function() return reg:list("/") end,
            function() return reg:register("/r", "v") end,
            function() return reg:lock("/l") end,
            function() return reg:elect("/e") end,
            function() return reg:subscribe("/s") end,
            function() return reg:on_connection(print) end,
            function() return reg:sessions() end,
            function() return lock:acquire() end,
            function() return lock:release() end,
            function() return txn:commit() end,
            function() return sub:synced() end,
        } do
            local result, err = call()
            assert.is_nil(result)
            assert.equal("closed", err.code)
        end
        assert.is_nil(reg:session())
        assert.equal(0, reg:handles())
    end)
end)
