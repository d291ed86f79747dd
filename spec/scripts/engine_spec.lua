-- The engine in this process, on the memory backend.
local core = require "moonwatch.core"
local support = require "support.engine"

local with, call, eventually = support.with, support.call, support.eventually

describe("engine", function()
    it("takes the wait that a script chose as any duration", function()
        with({ ["1.lua"] = "mw.backend(function() return 'memory', { wait = '1s' } end)" }, function(_, ok, err)
            assert(ok, err)
            assert.equal("connected", support.engine.registry:state())
        end)
    end)

    it("lets a script wait for the registry at its top level while a later one chooses the backend", function()
        with({
            ["1.lua"] = "assert(mw.registry:put('/a', 'b')) seen = mw.registry:get('/a').value "
                .. "function get() return seen end",
            ["2.lua"] = "mw.backend { 'memory' }",
        }, function(_, ok, err)
            assert(ok, err)
            eventually(function() return support.engine:find "get" and call "get" == "b" end)
            assert.equal("memory", support.engine.backend)
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
            eventually(function() return support.engine:find "count" and call "count" >= 1 end)
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

    it("keeps nothing of a node that was closed", function()
        with({ ["a.lua"] = [[
            kept = mw.node { role = "kept" }
            function come_and_go() mw.node { role = "x" }:close() end
        ]] }, function()
            eventually(function() return support.engine.scripts[1].state == "done" end)
            local before = #support.engine.closers
            for _ = 1, 3 do
                call "come_and_go"
            end
            assert.equal(before, #support.engine.closers)
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
            support.engine.api.seen = seen
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
            local found, err = support.engine:find "h"
            assert.is_nil(found)
            assert.equal("not_found", err.code)
        end)
    end)

    it("takes the options of a function for a backend that the configuration does not name", function()
        local path = os.tmpname()
        os.remove(path)
        local choice = "mw.backend(function() return 'sqlite', { path = '" .. path .. "', op_timeout = '3s' } end)"
        with({ ["a.lua"] = choice }, function(_, ok, err)
            assert(ok, err)
            assert.equal("sqlite", support.engine.backend)
        end)
        os.remove(path)
        os.remove(path .. "-journal")
        with({ ["a.lua"] = "mw.backend(function() return 'sqlite', { wait = '1s' } end)" }, function(_, ok, err)
            assert.is_nil(ok)
            assert.matches("'path' to 'open': 'path' is required", tostring(err))
        end)
    end)

    it("gives scripts what app has for them, and hides the other secrets from all", function()
        with({ ["a.lua"] = [[
            mw.backend(function(config) chosen_by = config.app.hook.token return "memory" end)
            function look() return chosen_by, mw.config.app.hook.token, mw.config.registry.mysql.password end
        ]] }, function(_, ok, err)
            assert(ok, err)
            assert.same({ "abc", "abc", "***" }, { call "look" })
            assert.equal("***", support.engine.api.config.app.hook.token)
            assert.is_nil(support.engine.config:print():find("abc", 1, true))
        end, "registry: {type: memory, mysql: {url: 'mysql://h/d', password: hush}}\nlog_level: error\n"
            .. "app: {hook: {token: abc}}")
    end)
end)
