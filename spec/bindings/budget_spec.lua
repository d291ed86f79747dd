local mw = require "moonwatch"
local core = require "moonwatch.core"

describe("a task that overruns", function()
    local world

    before_each(function()
        world = core.world(1)
    end)

    after_each(function()
        core.limits { budget = 5, memory = 0 }
        assert.equal(0, core.tasks())
        world:close()
    end)

    it("its time is killed, with file and line, and the rest goes on", function()
        core.limits { budget = 0.05 }
        local ticks = 0
        local other <close> = mw.every(1, function() -- luacheck: ignore 211
            ticks = ticks + 1
        end)
        local ok, err = mw.spawn(function()
            while true do end -- luacheck: ignore 542
        end):join()
        assert.is_nil(ok)
        assert.matches("budget_spec.lua:%d+: killed: ran for 0.05 s without waiting", err)
        mw.sleep(3.5)
        assert.equal(3, ticks)
    end)

    it("and catches that does not get away with it", function()
        core.limits { budget = 0.05 }
        local _, err = mw.spawn(function()
            while true do
                pcall(function()
                    while true do end -- luacheck: ignore 542
                end)
            end
        end):join()
        assert.matches("killed", err)
    end)

    it("has a little time left to clean up", function()
        core.limits { budget = 0.05 }
        local cleaned = false
        mw.spawn(function()
            local _ <close> = setmetatable({}, {
                __close = function()
                    for _ = 1, 1000 do end -- luacheck: ignore 542
                    cleaned = true
                end,
            })
            while true do end -- luacheck: ignore 542
        end):join()
        assert.is_true(cleaned)
    end)

    it("is counted between two waits, not over its life", function()
        core.limits { budget = 0.05 }
        assert.is_true((mw.spawn(function()
            for _ = 1, 20 do
                for _ = 1, 100000 do end -- luacheck: ignore 542
                mw.sleep(0.1)
            end
        end):join()))
    end)

    it("inside a coroutine of its own is killed too", function()
        core.limits { budget = 0.05 }
        local _, err = mw.spawn(function()
            coroutine.wrap(function()
                while true do end -- luacheck: ignore 542
            end)()
        end):join()
        assert.matches("killed", err)
    end)

    it("and catches that is reported as it began, not where it ended", function()
        core.limits { budget = 0.05 }
        local _, err = mw.spawn(function()
            pcall(load("while true do end", "@culprit.lua"))
            while true do end -- luacheck: ignore 542
        end):join()
        assert.matches("culprit.lua:1: killed: ran for 0.05 s without waiting", err, 1, true)
    end)

    it("the memory limit is noticed at once, not after so many instructions", function()
        core.limits { memory = math.tointeger(collectgarbage "count" * 1024 // 1) + 20000000 }
        local size = 0
        local _, err = mw.spawn(function()
            local text = "x"
            for _ = 1, 28 do -- 256 MiB, in some hundred instructions
                text = text .. text
                size = #text
            end
        end):join()
        assert.matches("killed: the state's memory is over its limit", err)
        assert.is_true(size <= 20000000, size)
    end)

    it("the memory limit is killed, and the memory comes back", function()
        core.limits { memory = math.tointeger(collectgarbage "count" * 1024 // 1) + 20000000 }
        local _, err = mw.spawn(function()
            local hoard = {}
            while true do
                hoard[#hoard + 1] = ("x"):rep(1000) .. #hoard
            end
        end):join()
        assert.matches("killed: the state's memory is over its limit of %d+ bytes", err)
        assert.is_true((mw.spawn(function()
            local some = {}
            for i = 1, 1000 do
                some[i] = ("y"):rep(100) .. i
            end
            return #some
        end):join()))
    end)
end)
