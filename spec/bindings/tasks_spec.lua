local mw = require "moonwatch"
local core = require "moonwatch.core"

describe("a task", function()
    local world

    before_each(function()
        world = core.world(7)
    end)

    after_each(function()
        assert.equal(0, core.tasks())
        world:close()
    end)

    local function closing(on_close)
        return setmetatable({}, { __close = on_close })
    end

    it("gives its results to whoever joins it, as often as they ask", function()
        local task = mw.spawn(function(a, b)
            mw.sleep(1)
            return a + b, nil, "c"
        end, 1, 2)
        assert.same({ true, 3, nil, "c", n = 4 }, table.pack(task:join()))
        assert.same({ true, 3, nil, "c", n = 4 }, table.pack(task:join()))
        assert.equal("done", task.status)
    end)

    it("that fails gives its error, with the place", function()
        local task = mw.spawn(function()
            error("boom")
        end)
        local ok, err = task:join()
        assert.is_nil(ok)
        assert.matches("tasks_spec.lua:%d+: boom", err)
        assert.equal("failed", task.status)
    end)

    it("prints its state, and where it was started", function()
        local function line() return debug.getinfo(2, "l").currentline end
        local task, at = mw.spawn(function() mw.sleep(1) end), line()
        assert.matches(("^moonwatch.Task: waiting, started at [^ ]*tasks_spec.lua:%d$"):format(at), tostring(task))
        task:join()
        assert.matches("^moonwatch.Task: done, started at ", tostring(task))
        local every = mw.every("1s", function() end)
        assert.matches(("tasks_spec.lua:%d$"):format(line() - 1), tostring(every))
        every:cancel()
        local failing = mw.spawn(function() error "boom" end)
        failing:join()
        assert.matches("^moonwatch.Task: failed, started at [^ ]+: [^ ]*tasks_spec.lua:%d+: boom", tostring(failing))
    end)

    it("sleeps in virtual time, and outside a task the same call runs the world", function()
        local start = mw.now()
        mw.sleep "2h"
        assert.equal(7200, mw.now() - start)
        mw.run(function()
            mw.sleep(0.5)
        end)
        assert.equal(7200.5, mw.now() - start)
    end)

    it("runs beside others", function()
        local order = {}
        for i = 3, 1, -1 do
            mw.spawn(function()
                mw.sleep(i)
                table.insert(order, i)
            end)
        end
        mw.sleep(10)
        assert.same({ 1, 2, 3 }, order)
    end)

    it("that yields by itself lets the others run", function()
        local order = {}
        local function body(name)
            for _ = 1, 2 do
                table.insert(order, name)
                coroutine.yield()
            end
        end
        local a, b = mw.spawn(body, "a"), mw.spawn(body, "b")
        a:join()
        b:join()
        assert.same({ "a", "b", "a", "b" }, order)
    end)

    it("that is cancelled hears it where it waits, and its to-be-closed variables may wait", function()
        local seen
        local task = mw.spawn(function()
            local _ <close> = closing(function(_, err)
                mw.sleep(1)
                seen = err
            end)
            mw.sleep(100)
        end)
        mw.sleep(1)
        task:cancel()
        task:cancel()
        local ok, err = task:join()
        assert.is_nil(ok)
        assert.equal("cancelled", err.code)
        assert.equal("cancelled", seen.code)
        assert.equal("cancelled", task.status)
    end)

    it("that is cancelled before it began never runs", function()
        local ran = false
        local task = mw.spawn(function()
            ran = true
        end)
        task:cancel()
        local _, err = task:join()
        assert.equal("cancelled", err.code)
        mw.sleep(1)
        assert.is_false(ran)
    end)

    it("that cancels itself hears it at its next wait", function()
        local task, reached
        task = mw.spawn(function()
            task:cancel()
            reached = true
            mw.sleep(1)
            reached = false
        end)
        task:join()
        assert.is_true(reached)
        assert.equal("cancelled", task.status)
    end)

    it("ends its children before it ends itself", function()
        local order = {}
        local parent = mw.spawn(function()
            mw.spawn(function()
                local _ <close> = closing(function()
                    mw.sleep(5)
                    table.insert(order, "child")
                end)
                mw.sleep(100)
            end)
            mw.sleep(1)
            return "result"
        end)
        local start = mw.now()
        assert.same({ true, "result" }, { parent:join() })
        table.insert(order, "parent")
        assert.same({ "child", "parent" }, order)
        assert.equal(6, mw.now() - start)
    end)

    it("that is a to-be-closed variable is cancelled and awaited", function()
        local ended = false
        mw.run(function()
            local _ <close> = mw.spawn(function()
                local _ <close> = closing(function()
                    mw.sleep(1)
                    ended = true
                end)
                mw.sleep(100)
            end)
            mw.sleep(1)
        end)
        assert.is_true(ended)
    end)

    it("cannot join itself", function()
        local task
        task = mw.spawn(function()
            task:join()
        end)
        local _, err = task:join()
        assert.matches("a task cannot join itself", err)
    end)

    it("refuses to wait inside a coroutine of the script's own", function()
        local _, err = mw.spawn(function()
            return coroutine.wrap(function()
                mw.sleep(1)
            end)()
        end):join()
        assert.matches("'sleep' cannot wait inside a coroutine of your own; use mw.spawn", err)
    end)

    it("refuses to wait through a C function", function()
        local _, err = mw.spawn(function()
            table.sort({ 3, 2, 1 }, function(a, b)
                mw.sleep(1)
                return a < b
            end)
        end):join()
        assert.matches("'sleep' cannot wait here", err)
    end)

    it("is said to wait in vain when nothing is left that could wake it", function()
        local task = mw.spawn(function()
            mw.sleep(math.huge)
        end)
        assert.has_error(function()
            task:join()
        end, "nothing is left that could end this wait")
        task:cancel()
        task:join()
    end)

    it("can be one of very many", function()
        local count = 0
        mw.run(function()
            for _ = 1, 20000 do
                mw.spawn(function()
                    mw.sleep(1)
                    count = count + 1
                end)
            end
            mw.sleep(2)
        end)
        assert.equal(20000, count)
    end)
end)

describe("every", function()
    local world
    before_each(function()
        world = core.world(7)
    end)
    after_each(function()
        assert.equal(0, core.tasks())
        world:close()
    end)

    it("runs once per period, never overlapping itself, until it is cancelled", function()
        local running, most, count = 0, 0, 0
        local task = mw.every(1, function()
            running = running + 1
            most = math.max(most, running)
            mw.sleep(count == 2 and 2.5 or 0.5)
            running = running - 1
            count = count + 1
        end)
        mw.sleep(10.2)
        task:cancel()
        task:join()
        assert.equal(1, most)
        assert.equal(8, count)
    end)

    it("goes on after a run that failed", function()
        local count = 0
        local task <close> = mw.every(1, function() -- luacheck: ignore 211
            count = count + 1
            error("no", 0)
        end)
        mw.sleep(3.5)
        assert.equal(3, count)
    end)
end)

describe("timeout", function()
    local world
    before_each(function()
        world = core.world(7)
    end)
    after_each(function()
        assert.equal(0, core.tasks())
        world:close()
    end)

    it("returns what the body returned in time", function()
        assert.same({ 1, nil, 3, n = 3 }, table.pack(mw.timeout(5, function(...)
            mw.sleep(4)
            return ...
        end, 1, nil, 3)))
    end)

    it("cancels what is late, and waits for its end", function()
        local cleaned = false
        local start = mw.now()
        local result, err = mw.timeout(5, function()
            local _ <close> = setmetatable({}, {
                __close = function()
                    mw.sleep(1)
                    cleaned = true
                end,
            })
            mw.sleep(100)
        end)
        assert.is_nil(result)
        assert.equal("timeout", err.code)
        assert.is_true(cleaned)
        assert.equal(6, mw.now() - start)
    end)

    it("raises what the body raised", function()
        assert.has_error(function()
            mw.timeout(5, function()
                error({ 1 })
            end)
        end, { 1 })
    end)

    -- On the real host: both timers are due when the loop comes round to them.
    it("gives what the body returned just in time, though its time was up before anybody could look", function()
        world:close()
        assert.same({ true, "done" }, mw.run(function()
            mw.spawn(function()
                coroutine.yield() -- until the body sleeps
                local late = mw.now() + 0.005
                while mw.now() < late do end
            end)
            return { pcall(mw.timeout, 0.002, function()
                mw.sleep(0.001)
                return "done"
            end) }
        end))
    end)
end)
