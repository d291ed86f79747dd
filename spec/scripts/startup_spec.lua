-- What scripts do wrong, and what is said of it.
local core = require "moonwatch.core"
local support = require "support.engine"

local with, call, eventually = support.with, support.call, support.eventually

describe("scripts", function()
    it("takes a function's choice, with probe and options", function()
        with({ ["a.lua"] = [[
            mw.backend(function(config, probe)
                assert(config.registry.type == "memory")
                assert(probe "memory")
                local ok, err = probe "nosuch"
                assert(not ok and err.code)
                return "memory", { namespace = "/chosen" }
            end)
            function get() return assert(mw.registry:put("/a", "1")) end
        ]] }, function(_, ok, err)
            assert(ok, err)
            assert.is_table(call "get")
        end)
    end)

    it("refuses a late, a second or a senseless choice of backend", function()
        for source, complaint in pairs {
            ["mw.backend(5)"] = "a list of names or a function expected, got number",
            ["mw.backend {}"] = "a list of names or a function expected",
            ["mw.backend { 5 }"] = "a name is a string, got number",
            ["mw.backend 'memory' mw.backend 'memory'"] = "another script has chosen already",
            ["mw.backend { 'nosuch' }"] = "none of the backends that the script names: nosuch: ",
            ["mw.backend(function() end)"] = "returned no name",
            ["\nmw.backend(function() error 'boom' end)"] = "invalid: a.lua:2: boom",
            ["mw.backend(function() error() end)"] = "invalid: (error object is a nil value)",
            ["mw.backend(function() error {} end)"] = "invalid: (error object is a table value)",
            ["mw.backend(function() mw.registry:get '/a' end)"] = "a.lua:1: there is no registry yet",
            ["mw.backend(function() return 'memory', 5 end)"] = "returned options that are no table",
            ["mw.backend(function() return 'memory', { nosuch = 1 } end)"] = "'open': unknown option 'nosuch'",
            ["mw.backend(function(_, probe) probe(5) end)"] = "'name' to 'probe': string expected, got number",
        } do
            with({ ["a.lua"] = source }, function(_, ok, err)
                assert.is_nil(ok)
                assert.truthy(tostring(err):find(complaint, 1, true), tostring(err))
            end)
        end
        with({ ["a.lua"] = "mw.sleep '1ms' ok, err = pcall(mw.backend, 'memory') function get() return ok, err end" },
            function()
                eventually(function() return support.engine:find "get" end)
                assert.matches("chosen already", select(2, call "get"))
            end)
    end)

    it("stops the start when a script fails, with file and line, or skips it where so configured", function()
        for source, complaint in pairs {
            ["x = = 1"] = "a.lua:1: unexpected symbol",
            ["\nerror 'boom'"] = "a.lua:2: boom",
            ["\n\nmw.nosuch()"] = "a.lua:3: attempt to call a nil value (field 'nosuch')",
            ["error()"] = "a.lua: (error object is a nil value)",
            ["error {}"] = "a.lua: (error object is a table value)",
            ["error(setmetatable({}, { __tostring = function() return 'mine' end }))"] = "a.lua: mine",
            ["error(setmetatable({}, { __tostring = error }))"] = "a.lua: (error object is a table value)",
        } do
            with({ ["a.lua"] = source }, function(_, ok, err)
                assert.is_nil(ok)
                assert.truthy(tostring(err):find(complaint, 1, true), tostring(err))
            end)
            with({ ["a.lua"] = source, ["b.lua"] = "function good() return 1 end" }, function(_, ok, err)
                assert(ok, err)
                assert.equal(1, call "good")
            end, "registry: {type: memory}\non_script_error: skip\nlog_level: error")
        end
    end)

    it("leaves nothing of a script that failed and is skipped", function()
        with({
            ["a.lua"] = [[
                mw.backend "nosuch"
                mw.on("added", "/seen", function() mw.seen = "by mw.on" end)
                function kept() end
                error "boom"
            ]],
            ["b.lua"] = [[
                mw.on_connection(function() mw.seen = "by mw.on_connection" end)
                mw.elect("/leader", function() mw.sleep(math.huge) end)
                assert(mw.node { role = "half" })
                mw.registry:subscribe("/seen", { depth = "self" }, function() mw.seen = "by subscribe" end)
                assert(mw.registry:register("/half", ""))
                local lock = mw.registry:lock "/lock"
                held = assert(lock:acquire()) and lock
                mw.seen = nil
                mw.registry:txn():put("/a", ""):nosuch()
            ]],
            ["c.lua"] = [[
                function look()
                    assert(mw.registry:put("/seen", ""))
                    local sync <close> = mw.registry:subscribe("/seen", { depth = "self" })
                    assert(sync:synced())
                    return mw.seen, #mw.nodes(), #mw.registry:queue("/lock"), #mw.registry:queue("/leader"),
                        (mw.registry:get "/half")
                end
            ]],
        }, function(_, ok, err)
            assert(ok, err)
            eventually(function() return support.engine.scripts[2].state == "failed" end)
            assert.same({ nil, 0, 0, 0 }, { call "look" })
            assert.is_nil(support.engine:find "kept")
        end, "registry: {type: memory}\non_script_error: skip\nlog_level: error")
    end)

    it("counts a script that catches its being killed as one that failed", function()
        local stuck = "while true do pcall(function() while true do end end) end"
        with({ ["a.lua"] = stuck }, function(_, ok, err)
            assert.is_nil(ok)
            assert.matches("a.lua:1: killed: ran for 0.05 s without waiting", tostring(err), 1, true)
        end, "registry: {type: memory}\ntask_budget: 50ms")
        with({ ["a.lua"] = stuck, ["b.lua"] = "function good() return 1 end" }, function(_, ok, err)
            assert(ok, err)
            assert.equal(1, call "good")
        end, "registry: {type: memory}\ntask_budget: 50ms\non_script_error: skip")
        core.limits { budget = 5 }
    end)

    it("names the line of the script where an argument is wrong, and none of the library's", function()
        for source, complaint in pairs {
            ["mw.registry:get(5)"] = "'path' to 'get'",
            ["mw.registry:put('/a', '', { ephemral = true })"] = "did you mean 'ephemeral'?",
            ["mw.registry:nosuch()"] = "a registry has no method 'nosuch'",
            ["mw.every('soon', print)"] = "'period' to 'every'",
            ["mw.timeout('soon', print)"] = "'duration' to 'timeout'",
            ["mw.on('added', '/a', { limt = 1 }, print)"] = "'options' to 'on'",
            ["mw.on('added', 'a', print)"] = "'pattern' to 'on'",
            ["mw.on_connection(5)"] = "'reaction' to 'on_connection'",
            ["mw.guard('l', print)"] = "'path' to 'guard'",
            ["mw.elect('/e', { record = 5 }, print)"] = "'record' to 'elect'",
            ["mw.node { rol = 'x' }"] = "'options' to 'node'",
            ["mw.node { role = 'a/b' }"] = "'role' to 'node'",
            ["mw.nodes(5)"] = "'role' to 'nodes'",
            ["mw.open { backend = 'memory', nosuch = 1 }"] = "'options' to 'open'",
            ["require 'nosuch'"] = "module 'nosuch' not found",
        } do
            with({ ["a.lua"] = "function wrong()\n" .. source .. " -- no tail call\nend\n"
                .. "function tail()\nreturn " .. source .. "\nend" }, function()
                local _, err = pcall(call, "wrong")
                assert.equal("a.lua:2: ", err:match "^%S+ ", err)
                assert.truthy(err:find(complaint, 1, true), err)
                _, err = pcall(call, "tail")
                assert.is_nil(err:find("^[^ ]*/moonwatch/"), err)
            end)
        end
    end)

    it("speaks of guard and elect where their arguments are wrong", function()
        with({ ["a.lua"] = "function try(name, ...) return pcall(mw[name], ...) end" }, function()
            for _, case in ipairs {
                { "guard", "l", {}, print, "bad argument 'path' to 'guard': path: must start with '/'" },
                { "guard", 5, {}, print, "bad argument 'path' to 'guard': string expected, got number" },
                { "guard", "/l", { try = 1 }, print, "bad argument 'try' to 'guard': boolean expected, got number" },
                { "guard", "/l", {}, nil, "bad argument 'body' to 'guard': function expected, got nil" },
                { "elect", "l", {}, print, "bad argument 'path' to 'elect': path: must start with '/'" },
                { "elect", "/l", { record = 1 }, print, "'record' to 'elect': string expected, got number" },
                { "elect", "/l", {}, 5, "bad argument 'lead' to 'elect': function expected, got number" },
            } do
                local ok, err = call("try", table.unpack(case, 1, 4))
                assert.is_false(ok)
                assert.truthy(err:find(case[5], 1, true), err)
                assert.is_nil(err:find("registry.lua", 1, true), err)
            end
        end)
    end)

    it("says what is wrong with a reaction before anything is subscribed", function()
        with({ ["a.lua"] = "function try(...) return pcall(mw.on, ...) end" }, function()
            for _, case in ipairs {
                { "remved", "/a", print, "synced, change expected, got 'remved'; did you mean 'removed'?" },
                { "added", "a", print, "pattern: 'a' at byte 1: it starts with '/'" },
                { "added", "/a", nil, "bad argument 'reaction' to 'on': function expected, got nil" },
                { "added", "/a", print, "'options' to 'on': table expected, got number", 5 },
                { "added", "/a", print, "'overlap' to 'on': one of 'queue', 'latest'", { overlap = "lates" } },
                { "added", "/a", print, "'options' to 'on': unknown option 'limt'; did", { limt = 1 } },
                { "added", "/a", print, "'limit' to 'on': 1 or more expected", { limit = 0 } },
            } do
                local arguments = case[5] and { case[2], case[5], case[3] } or { case[2], case[3] }
                local ok, err = call("try", case[1], table.unpack(arguments))
                assert.is_false(ok)
                assert.truthy(err:find(case[4], 1, true), err)
            end
        end)
    end)

    it("tells who asks a closed reaction whether it is synced", function()
        with({ ["a.lua"] = [[
            early = mw.on("added", "/a", print)
            early:close()
            function ask(which)
                local late = mw.on("added", "/a", print)
                assert(late:synced())
                late:close()
                return (which == "early" and early or late):synced()
            end
        ]] }, function()
            for _, which in ipairs { "early", "late" } do
                local synced, err = call("ask", which)
                assert.is_nil(synced)
                assert.equal("closed", err.code)
            end
        end)
    end)

    it("says that a reaction cannot begin", function()
        local deep = ("x"):rep(1000)
        with({ ["a.lua"] = "mw.backend(function() return 'memory', { namespace = '/" .. ("n"):rep(100) .. "' } end)\n"
            .. "function ask() return mw.on('added', '/" .. deep .. "', print):synced() end" }, function()
            local synced, err = call "ask"
            assert.is_nil(synced)
            assert.equal("invalid", err.code)
        end)
    end)

    it("says what of a node no record can hold, and changes nothing", function()
        with({ ["a.lua"] = [[
            function try(options)
                options.role = "x"
                local fine, err = pcall(mw.node, options)
                return fine or err, #mw.nodes()
            end
            function update(fields)
                local node <close> = mw.node { role = "x", weight = 2 }
                local fine, err = pcall(node.update, node, fields)
                return fine or err, node.node.weight
            end
        ]] }, function()
            for _, case in ipairs {
                { "'weight' to 'node': 0 or more expected, ", weight = -1 },
                { "'weight' to 'node': 0 or more expected, ", weight = math.huge },
                { "'weight' to 'node': 0 or more expected, ", weight = 0 / 0 },
                { "'meta' to 'node': Cannot serialise function", meta = { print } },
                { "'load' of mw.node returned a number; a table was expected", load = function() return 5 end },
                { "'load' of mw.node: 'a' is a function", load = function() return { a = print } end },
                { "'load' of mw.node: 'a' is inf", load = function() return { a = math.huge } end },
            } do
                local complaint = table.remove(case)
                local err, count = call("try", case)
                assert.truthy(err:find(complaint, 1, true), err)
                assert.equal(0, count)
            end
            local err, weight = call("update", { weight = 5, meta = { print } })
            assert.matches("'meta' to 'update': Cannot serialise function", err)
            assert.equal(2, weight)
        end)
    end)
end)
