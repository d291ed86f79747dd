local mw = require "moonwatch"
local core = require "moonwatch.core"

describe("a reaction", function()
    local world, server, writer, reader

    before_each(function()
        world = core.world(3)
        server = world:memory_server {}
        writer = assert(mw.open { backend = server, host = world:host() })
        reader = assert(mw.open { backend = server, host = world:host() })
    end)

    after_each(function()
        writer:close()
        reader:close()
        assert.equal(0, core.tasks())
        world:close()
    end)

    local function write(from, to, path)
        for i = from, to do
            assert(writer:put(path or "/d/a", tostring(i)))
        end
    end

    --- Collects "type value"; `work` is done for each.
    local function collect(options, work)
        local seen = {}
        local sub = reader:subscribe("/d", options, function(event)
            table.insert(seen, event.type .. (event.value and " " .. event.value or ""))
            if work then
                work(event, seen)
            end
        end)
        assert(sub:synced())
        return seen, sub
    end

    it("runs one after another per path, and beside those of other paths", function()
        local running, most, most_at = {}, {}, 0
        local _, sub = collect({}, function(event)
            local now = 0
            running[event.path] = (running[event.path] or 0) + 1
            most[event.path] = math.max(most[event.path] or 0, running[event.path])
            for _, n in pairs(running) do
                now = now + n
            end
            most_at = math.max(most_at, now)
            mw.sleep(1)
            running[event.path] = running[event.path] - 1
        end)
        write(1, 5, "/d/a")
        write(1, 5, "/d/b")
        mw.sleep(20)
        assert.same({ ["/d"] = 1, ["/d/a"] = 1, ["/d/b"] = 1 }, most)
        assert.is_true(most_at >= 2)
        sub:close()
    end)

    it("with overlap queue gets every event, in order", function()
        local seen = collect({ overlap = "queue" }, function()
            mw.sleep(1)
        end)
        write(1, 5)
        mw.sleep(20)
        assert.same({ "synced", "added 1", "updated 2", "updated 3", "updated 4", "updated 5" }, seen)
    end)

    it("with overlap latest gets what is true when it has time again", function()
        local seen = collect({ overlap = "latest" }, function()
            mw.sleep(1)
        end)
        write(1, 5)
        mw.sleep(20)
        assert.same({ "synced", "added 1", "updated 5" }, seen)
    end)

    it("with overlap latest is told of nothing that came and went meanwhile", function()
        local seen = collect({ overlap = "latest" }, function()
            mw.sleep(1)
        end)
        write(1, 1)
        mw.sleep(0.5)
        assert(writer:put("/d/b", "x"))
        mw.sleep(0.1)
        assert(writer:delete("/d/a"))
        write(2, 3)
        assert(writer:delete("/d/a"))
        mw.sleep(20)
        assert.same({ "synced", "added 1", "added x", "removed 1" }, seen)
    end)

    it("with overlap cancel is ended by the next event of its path", function()
        local done = {}
        local seen = collect({ overlap = "cancel" }, function(event)
            mw.sleep(1)
            table.insert(done, event.value)
        end)
        write(1, 3)
        mw.sleep(0.5)
        write(4, 4)
        mw.sleep(20)
        assert.equal("updated 4", seen[#seen])
        assert.same({ "4" }, { done[#done] })
        assert.is_true(#done < #seen)
    end)

    it("that falls behind by 16 MiB sees the last state all the same, told of no more than it was", function()
        local count, last, broken = 0, nil, nil
        local sub = reader:subscribe("/d", function(event)
            count = count + 1
            broken = broken or event.type == "updated" and event.previous ~= last
            last = event.value or last
            mw.sleep(1)
        end)
        local large = ("x"):rep(1 << 18)
        for i = 1, 200 do
            assert(writer:put("/d/a", large .. i))
        end
        mw.sleep(300)
        assert.equal(large .. 200, last)
        assert.is_true(count < 80, count) -- 64 of them, with what was there before, are 32 MiB
        assert.is_false(broken)
        sub:close()
    end)

    it("that falls behind its limit sees the last state of each path all the same", function()
        local seen = collect({ limit = 10 }, function()
            mw.sleep(1)
        end)
        write(1, 200)
        mw.sleep(300)
        assert.equal("updated 200", seen[#seen])
        assert.is_true(#seen < 20, "only " .. #seen .. " expected")
    end)

    it("of more paths than may run at once reaches all of them, then synced", function()
        for i = 1, 3000 do
            assert(writer:put("/d/" .. i, "v"))
        end
        local order = {}
        local sub = reader:subscribe("/d", { limit = 100 }, function(event)
            table.insert(order, event.type)
            mw.sleep(1)
        end)
        assert(sub:synced())
        mw.sleep(10)
        assert.equal(3001, #order)
        assert.equal("synced", order[3001])
    end)

    it("that throws is logged and harms no other", function()
        local seen = collect({})
        local bad = reader:subscribe("/d", {}, function()
            error("bad reaction")
        end)
        write(1, 2)
        mw.sleep(1)
        assert.same({ "synced", "added 1", "updated 2" }, seen)
        bad:close()
    end)

    it("may close its own subscription", function()
        local count, sub = 0, nil
        sub = reader:subscribe("/d", {}, function()
            count = count + 1
            sub:close()
        end)
        mw.sleep(1)
        write(1, 3)
        mw.sleep(1)
        assert.equal(1, count)
    end)

    it("goes on when its handle was dropped", function()
        local count = 0
        reader:subscribe("/d", {}, function()
            count = count + 1
        end)
        collectgarbage()
        collectgarbage()
        write(1, 3)
        mw.sleep(1)
        assert.equal(4, count)
    end)
end)

describe("an iterated subscription", function()
    local world, reg

    before_each(function()
        world = core.world(3)
        reg = assert(mw.open { backend = world:memory_server {} })
    end)

    after_each(function()
        reg:close()
        assert.equal(0, core.tasks())
        world:close()
    end)

    it("gives one event after the other, and ends when it is closed", function()
        local sub = reg:subscribe("/d")
        local seen = {}
        local task = mw.spawn(function()
            for event in sub:events() do
                table.insert(seen, event.type .. " " .. event.path)
            end
            return "ended"
        end)
        assert(reg:put("/d/a", "1"))
        assert(reg:put("/d/a", "2"))
        assert(reg:delete("/d/a"))
        mw.sleep(1)
        sub:close()
        assert.same({ true, "ended" }, { task:join() })
        assert.same({ "synced /d", "added /d/a", "updated /d/a", "removed /d/a" }, seen)
    end)

    it("keeps the last state of each path when nobody takes its events", function()
        local sub = reg:subscribe("/d", { limit = 5 })
        assert(sub:synced())
        for i = 1, 50 do
            assert(reg:put("/d/a", tostring(i)))
            assert(reg:put("/d/b", tostring(i)))
        end
        mw.sleep(1)
        local last, count = {}, 0
        mw.run(function()
            for event in sub:events() do
                count = count + 1
                last[event.path] = event.value
                if last["/d/a"] == "50" and last["/d/b"] == "50" then
                    break
                end
            end
        end)
        assert.is_true(count < 20)
        sub:close()
    end)

    it("has the cached entries without a round trip", function()
        assert(reg:put("/d/b", "2"))
        assert(reg:put("/d/a", "1"))
        local sub = reg:subscribe("/d")
        assert(sub:synced())
        local trips = reg:stats().round_trips
        local entries = sub:entries()
        assert.same({ "/d/a", "/d/b" }, { entries[1].path, entries[2].path })
        assert.equal(trips, reg:stats().round_trips)
        sub:close()
        assert.same({}, sub:entries())
    end)

    it("of a registry that closes ends", function()
        local sub = reg:subscribe("/d")
        local task = mw.spawn(function()
            local count = 0
            for _ in sub:events() do
                count = count + 1
            end
            return count
        end)
        mw.sleep(1)
        reg:close()
        assert.same({ true, 1 }, { task:join() })
        local ok, err = sub:synced()
        assert.is_true(ok or err.code == "closed")
    end)

    it("gives the event of an iteration that is cancelled to another one", function()
        local first, got
        reg:subscribe("/d", function(event)
            if event.type == "added" and event.path == "/d/late" then
                first:cancel() -- it has been woken, and has not run yet
            end
        end)
        local sub = reg:subscribe("/d")
        sub:synced()
        mw.run(function()
            for event in sub:events() do
                if event.type == "synced" then
                    break
                end
            end
            local function next_path()
                local next_event, iterated = sub:events()
                return next_event(iterated).path
            end
            first = mw.spawn(next_path)
            mw.sleep(1)
            local second = mw.spawn(next_path)
            mw.sleep(1)
            assert(reg:put("/d/late", "v"))
            got = select(2, second:join { timeout = 1 })
        end)
        assert.equal("cancelled", first.status)
        assert.equal("/d/late", got)
    end)

    it("is closed when its handle is dropped", function()
        do
            reg:subscribe("/d"):synced()
        end
        assert.equal(1, reg:handles())
        collectgarbage()
        collectgarbage()
        assert.equal(0, reg:handles())
    end)
end)
