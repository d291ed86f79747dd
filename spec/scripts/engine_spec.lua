-- The engine in this process, on the memory backend.
local config = require "moonwatch.config"
local core = require "moonwatch.core"
local Engine = require "moonwatch.engine"
local mw = require "moonwatch"

local engine

-- An engine with scripts { name = source }, in the order of names; `body(engine)` runs as a task.
local function with(scripts, body, text)
    return mw.run(function()
        engine = Engine.new(assert(config.parse(text or "registry: {type: memory}\nlog_level: error", "spec.yaml")))
        local names = {}
        for name in pairs(scripts) do
            names[#names + 1] = name
        end
        table.sort(names)
        for _, name in ipairs(names) do
            engine:run_script(scripts[name], name, function(err, script)
                if err then
                    engine:script_failed(name, err, script)
                end
            end)
        end
        local ok, err = engine:start {}
        local failed, why = true, nil
        if body then
            failed, why = pcall(body, engine, ok, err)
        end
        engine:close()
        engine = nil
        assert(failed, why)
    end)
end

local function call(name, ...)
    return assert(engine:find(name))(...)
end

local function eventually(condition)
    local late = core.now() + 10
    while not condition() do
        assert(core.now() < late, "not within 10 s")
        core.sleep(0.001)
    end
end

describe("engine", function()
    it("takes the wait that a script chose as any duration", function()
        with({ ["1.lua"] = "mw.backend(function() return 'memory', { wait = '1s' } end)" }, function(_, ok, err)
            assert(ok, err)
            assert.equal("connected", engine.registry:state())
        end)
    end)

    it("lets a script wait for the registry at its top level while a later one chooses the backend", function()
        with({
            ["1.lua"] = "assert(mw.registry:put('/a', 'b')) seen = mw.registry:get('/a').value "
                .. "function get() return seen end",
            ["2.lua"] = "mw.backend { 'memory' }",
        }, function(_, ok, err)
            assert(ok, err)
            eventually(function() return engine:find "get" and call "get" == "b" end)
            assert.equal("memory", engine.backend)
        end)
    end)

    it("attaches reactions made before there is a registry, and matches patterns", function()
        with({ ["a.lua"] = [[
            heard = {}
            for _, kind in ipairs { "added", "updated", "removed", "change", "synced" } do
                mw.on(kind, "/jobs/*", function(event) heard[#heard + 1] = kind .. " " .. event.path end)
            end
            mw.on("added", "/x/*/up", function(event) heard[#heard + 1] = "pattern " .. event.path end)
            function work()
                assert(mw.registry:put("/jobs/1", "a"))
                assert(mw.registry:put("/jobs/1", "b"))
                assert(mw.registry:delete("/jobs/1"))
                assert(mw.registry:put("/x/1/up", ""))
                assert(mw.registry:put("/x/1/down", ""))
                assert(mw.registry:put("/x/2/up", ""))
            end
            function count() return #heard end
            function list() table.sort(heard) return heard end
        ]] }, function(_, ok, err)
            assert(ok, err)
            eventually(function() return engine:find "count" and call "count" >= 1 end)
            call "work"
            eventually(function() return call "count" == 9 end)
            assert.same({
                "added /jobs/1", "change /jobs/1", "change /jobs/1", "change /jobs/1", "pattern /x/1/up",
                "pattern /x/2/up", "removed /jobs/1", "synced /jobs", "updated /jobs/1",
            }, call "list")
        end)
    end)

    it("decodes nodes in events, of one that is gone too", function()
        with({ ["a.lua"] = [[
            function gone()
                local seen
                local sub <close> = mw.on("removed", "/nodes/web/*", function(event) seen = event.node end)
                local node = assert(mw.node { role = "web", address = "h:1", meta = { zone = "a" } })
                assert(sub:synced())
                assert(#mw.nodes "web" == 1 and #mw.nodes() == 1 and #mw.nodes "console" == 0)
                assert(#sub:entries() == 1)
                node:close()
                while not seen do mw.sleep "1ms" end
                return seen.address, seen.meta.zone, seen.key == node.node.key
            end
        ]] }, function()
            assert.same({ "h:1", "a", true }, { call "gone" })
        end)
    end)

    it("gives the decoded node to reactions of mw.on only", function()
        with({ ["a.lua"] = [[
            function nodes()
                local plain
                mw.registry:subscribe("/nodes/web", function(event)
                    plain = event.type == "added" and event or plain
                end)
                local seen
                mw.on("added", "/nodes/*/*", function(event) seen = event end)
                local node <close> = assert(mw.node { role = "web", address = "h:1" })
                while not (seen and plain) do mw.sleep "1ms" end
                return seen.node.address, seen.path == plain.path, plain.node
            end
        ]] }, function()
            assert.same({ "h:1", true, nil }, { call "nodes" })
        end)
    end)

    it("takes a damaged identity file for none", function()
        local path, system = os.tmpname(), require "moonwatch.system"
        os.remove(path)
        for _, text in ipairs { "", "12 ", "12 abcdef\n", "9999999999999999999999 " .. ("a"):rep(32) .. "\n" } do
            local file = assert(system.lock_file(path))
            file:write(text)
            file:close()
            with({ ["a.lua"] = "function enrol() return mw.node { role = 'x', address = 'h:1' } end" }, function()
                assert(call "enrol")
            end, "registry: {type: memory}\nlog_level: error\nnode: {identity: " .. path .. "}")
        end
        os.remove(path)
    end)

    it("guards and elects on its registry, and runs what connection listeners there are", function()
        with({ ["a.lua"] = [[
            states = {}
            mw.on_connection(function(event) states[#states + 1] = event.state end)
            function go()
                local token = mw.guard("/l", {}, function(lock) return lock.token end)
                local led
                local election <close> = mw.elect("/e", { record = "me" }, function(e) led = e.token end)
                while not led do mw.sleep "1ms" end
                return math.type(token), math.type(led), states[#states]
            end
        ]] }, function()
            assert.same({ "integer", "integer", "connected" }, { call "go" })
        end)
    end)

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
                eventually(function() return engine:find "get" end)
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
            eventually(function() return engine.scripts[2].state == "failed" end)
            assert.same({ nil, 0, 0, 0 }, { call "look" })
            assert.is_nil(engine:find "kept")
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

    it("ends what scripts spawned, and withdraws, when it closes", function()
        local before = core.tasks()
        with({ ["a.lua"] = "mw.every('1ms', function() end) mw.spawn(mw.sleep, math.huge) mw.node { role = 'x' }" })
        assert.is_true(core.tasks() <= before + 3, core.tasks())
    end)

    it("lets those who hold a lock or lead end before it gives that up", function()
        local seen = {}
        with({ ["a.lua"] = [[
            function ready() return guarding and leading end
            local function note(name, value)
                return setmetatable({}, { __close = function()
                    mw.sleep "5ms"
                    mw.seen[name] = value()
                end })
            end
            mw.on("added", "/go", function()
                mw.guard("/lock", {}, function(lock)
                    local _ <close> = note("reaction", function() return lock.held end)
                    guarding = true
                    mw.sleep(math.huge)
                end)
            end)
            mw.elect("/leader", {}, function(election)
                local _ <close> = note("leader", function() return election.leading end)
                leading = true
                mw.sleep(math.huge)
            end)
            mw.registry:put("/go", "")
        ]] }, function()
            engine.api.seen = seen
            eventually(function() return call "ready" end)
        end)
        assert.same({ reaction = true, leader = true }, seen)
    end)

    it("finds functions of scripts, the last one first", function()
        with({
            ["a.lua"] = "function f() return 1 end function g() return 1 end",
            ["b.lua"] = "function f() return 2 end",
        }, function()
            assert.equal(2, call "f")
            assert.equal(1, call "g")
            local found, err = engine:find "h"
            assert.is_nil(found)
            assert.equal("not_found", err.code)
        end)
    end)
end)
