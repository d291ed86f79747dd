-- What the Lua files of the library wait at.
local core = require "moonwatch.core"
local mw = require "moonwatch"

describe("a gate", function()
    local world

    before_each(function()
        world = core.world(1)
    end)

    after_each(function()
        assert.equal(0, core.tasks())
        world:close()
    end)

    it("holds any number of tasks until it is opened, and costs no task of its own", function()
        local gate, passed = core.gate(), {}
        for i = 1, 3 do
            mw.spawn(function()
                gate:wait()
                passed[#passed + 1] = i
            end)
        end
        mw.sleep(1)
        assert.equal(3, core.tasks())
        assert.same({}, passed)
        gate:open()
        mw.sleep(1)
        assert.same({ 1, 2, 3 }, passed)
    end)

    it("lets pass at once when it is open, as often as it is asked", function()
        local gate = core.gate()
        gate:open()
        gate:open()
        gate:wait()
        mw.run(function()
            local before = mw.now()
            gate:wait()
            gate:wait()
            assert.equal(before, mw.now())
        end)
    end)

    it("forgets who was cancelled before it and who was cancelled after it", function()
        local gate, passed = core.gate(), {}
        local function waiter(name)
            return mw.spawn(function()
                gate:wait()
                passed[#passed + 1] = name
            end)
        end
        local first, second, third = waiter "first", waiter "second", waiter "third"
        mw.sleep(1)
        second:cancel()
        gate:open()
        first:cancel()
        mw.sleep(1)
        assert.same({ "third" }, passed)
        assert.same({ "cancelled", "cancelled", "done" }, { first.status, second.status, third.status })
    end)

    it("may be dropped by everyone but who waits", function()
        local gate, open = core.gate(), nil
        mw.spawn(function(mine)
            open = setmetatable({ mine }, { __mode = "v" })
            mine:wait()
        end, gate)
        mw.sleep(1)
        gate = nil
        collectgarbage()
        open[1]:open()
        mw.sleep(1)
        assert.is_nil(gate)
    end)

    it("says so when nothing is left that could open it", function()
        local ok, err = pcall(core.gate().wait, core.gate())
        assert.is_false(ok)
        assert.matches("nothing is left that could end this wait", err, 1, true)
    end)
end)
