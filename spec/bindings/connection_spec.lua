local mw = require "moonwatch"
local core = require "moonwatch.core"

describe("a stalled process", function()
    local world, server, host, reg

    before_each(function()
        world = core.world(9)
        server = world:memory_server { session_timeout = 6 }
        host = world:host()
        reg = assert(mw.open { backend = server, host = host })
    end)

    after_each(function()
        reg:close()
        assert.equal(0, core.tasks())
        world:close()
    end)

    it("finds a closed registry in its reaction to closed", function()
        local answers, heard = {}, 0
        reg:on_connection(function(event)
            if event.state ~= "closed" then
                return
            end
            for _, call in ipairs {
                { "on_connection", function() heard = heard + 1 end }, { "subscribe", "/a" }, { "lock", "/a" },
                { "get", "/a" }, { "register", "/a", "" }, { "elect", "/a" },
            } do
                local done, err = reg[call[1]](reg, table.unpack(call, 2))
                table.insert(answers, done or err.code)
            end
        end)
        reg:close()
        world:advance(1)
        assert.same({ "closed", "closed", "closed", "closed", "closed", "closed" }, answers)
        assert.equal(0, heard)
    end)

    it("may be closed again, while it closes, by who cannot wait for the end", function()
        host:spawn(function() reg:close() end)
        host:spawn(function()
            assert.equal("through", coroutine.wrap(function()
                reg:close()
                return "through"
            end)())
            table.sort({ 1, 2 }, function() reg:close() end)
        end)
        world:advance(1)
        assert.equal("closed", reg:state())
    end)

    it("hears lost before any of its tasks runs another line", function()
        local order = {}
        reg:on_connection(function(event)
            table.insert(order, event.state)
        end)
        local lock = reg:lock("/l", {
            on_lost = function()
                table.insert(order, "on_lost")
            end,
        })
        local task = host:spawn(function()
            assert(lock:acquire())
            while lock.held do
                mw.sleep(1)
            end
            table.insert(order, "task")
        end)
        world:advance(3)
        host:pause()
        world:advance(60)
        host:resume()
        task:join()
        local at = {}
        for i, what in ipairs(order) do
            at[what] = at[what] or i
        end
        assert.is_true(at.lost < at.task and at.on_lost < at.task, table.concat(order, ", "))
    end)

    it("hears lost first even when a task was about to go on as it stalled", function()
        local order = {}
        reg:on_connection(function(event)
            table.insert(order, event.state)
        end)
        local wake
        local task = host:spawn(function()
            wake = mw.now() + 1.2345
            mw.sleep(1.2345)
            table.insert(order, "task")
        end)
        repeat
            world:step()
        until wake and world:now() >= wake
        host:pause()
        world:advance(60)
        host:resume()
        task:join()
        assert.same({ "connected", "lost", "task" }, { table.unpack(order, 1, 3) })
    end)

    it("finds its guarded txn refused", function()
        local outcome
        local task = host:spawn(function()
            local lock = reg:lock("/l")
            assert(lock:acquire())
            mw.sleep(1)
            local _, err = reg:txn():check(lock):put("/x", "late"):commit()
            outcome = err and err.code
        end)
        world:advance(0.5)
        host:pause()
        world:advance(60)
        host:resume()
        task:join()
        assert.equal("fenced", outcome)
    end)

    it("hears with each state that is no good one why it is", function()
        local errors = {}
        reg:on_connection(function(event)
            table.insert(errors, event.state .. (event.error and "=" .. event.error.code or ""))
        end)
        host:pause()
        world:advance(60)
        host:resume()
        world:advance(10)
        reg:close()
        assert.same({ "connected", "lost=session_lost", "connected", "closed" }, errors)
    end)

    it("that is killed never runs again, and its session ends", function()
        local other = assert(mw.open { backend = server, host = world:host() })
        assert(reg:put("/eph", "v", { ephemeral = true }))
        local lines = 0
        host:spawn(function()
            while true do
                mw.sleep(0.1)
                lines = lines + 1
            end
        end)
        world:advance(1)
        local before = lines
        host:kill()
        world:advance(60)
        assert.equal(before, lines)
        local _, err = other:get("/eph", { fresh = true })
        assert.equal("not_found", err.code)
        assert.has_error(function()
            reg:get("/x")
        end, "this wait cannot end: its host is killed")
        assert.has_error(function()
            host:resume()
        end)
        other:close()
        world:close()
    end)
end)

describe("open", function()
    local world
    before_each(function()
        world = core.world(9)
    end)
    after_each(function()
        assert.equal(0, core.tasks())
        world:close()
    end)

    it("waits until it is connected, and says why not", function()
        local server = world:memory_server {}
        server:restart(60)
        local reg, err = mw.open { backend = server, wait = 5 }
        assert.is_nil(reg)
        assert.equal("timeout", err.code)
        assert.equal("memory", err.backend)
    end)

    it("with wait = 0 gives a registry that connects meanwhile", function()
        local reg = assert(mw.open { backend = world:memory_server {}, wait = 0 })
        assert.equal("connecting", reg:state())
        assert(reg:put("/a", "v"))
        assert.equal("connected", reg:state())
        reg:close()
        assert.equal("closed", reg:state())
    end)
end)

describe("register", function()
    it("below an ephemeral waits until that goes, without asking all the time", function()
        local world <close> = core.world(9)
        local server = world:memory_server {}
        server:faults(nil, { latency_min = 0.001, latency_max = 0.001 })
        local one = assert(mw.open { backend = server, host = world:host() })
        local two = assert(mw.open { backend = server, host = world:host() })
        local above = assert(one:register("/a", "x"))
        local below = mw.spawn(function() return two:register("/a/b", "y", { timeout = 60 }) end)
        world:advance(10)
        assert.is_true(two:stats().round_trips < 300, two:stats().round_trips) -- of 5,000 that would fit
        above:close()
        assert.is_true(below:join())
        one:close()
        two:close()
    end)
end)

describe("elect", function()
    it("below an ephemeral says why it was not elected in time", function()
        local world <close> = core.world(9)
        local server = world:memory_server {}
        local one = assert(mw.open { backend = server, host = world:host() })
        local above = assert(one:register("/a", "x"))
        local election = assert(one:elect("/a/b"))
        local token, err = election:wait { timeout = 5 }
        assert.is_nil(token)
        assert.equal("timeout", err.code)
        assert.matches("not elected in time: .*/a: an ephemeral entry has no children", err.message)
        above:close()
        assert.equal("integer", math.type(election:wait()))
        election:close()
        one:close()
    end)
end)
