local mw = require "moonwatch"
local core = require "moonwatch.core"

describe("a virtual world", function()
    local function run(seed)
        local world <close> = core.world(seed)
        local server = world:memory_server { seed = seed, weak = true }
        server:faults(nil, { latency_min = 0.001, latency_max = 0.05, lose_reply = 0.05 })
        local log = {}
        local regs = {}
        for i = 1, 3 do
            local host = world:host()
            regs[i] = assert(mw.open { backend = server, host = host })
            host:spawn(function()
                for n = 1, 20 do
                    local _, err = regs[i]:put("/x/" .. n % 3, i .. ":" .. n)
                    log[#log + 1] = ("%d %d %s %.6f"):format(i, n, err and err.code or "ok", mw.now())
                    mw.sleep(0.01)
                end
            end)
        end
        world:advance(60)
        for _, reg in ipairs(regs) do
            reg:close()
        end
        return table.concat(log, "\n")
    end

    it("repeats a run from its seed", function()
        local first = run(11)
        assert.equal(first, run(11))
        assert.not_equal(first, run(12))
    end)

    it("that closes lets nothing begin that would outlive it", function()
        local world = core.world(1)
        local server = world:memory_server {}
        local reg = assert(mw.open { backend = server })
        local tried = {}
        local function try()
            local opened, err = mw.open { backend = server, wait = 0 }
            table.insert(tried, opened or err.code)
            opened, err = mw.open { backend = server, host = world:host(), wait = 0 }
            table.insert(tried, opened or err.code)
        end
        local function wait()
            local _ <close> = setmetatable({}, { __close = function()
                try()
                table.insert(tried, (pcall(mw.spawn, print)))
            end })
            mw.sleep(1000)
        end
        mw.spawn(wait)
        reg:on_connection(function(event)
            if event.state == "closed" then
                try()
                wait()
            end
        end)
        mw.sleep(1)
        world:close()
        assert.same({ "closed", "closed", false, "closed", "closed", "closed", "closed", false }, tried)
        assert.equal(0, core.tasks())
        collectgarbage()
    end)

    it("is closed with whatever is in it", function()
        local world = core.world(1)
        local reg = assert(mw.open { backend = world:memory_server {} })
        local closed = false
        mw.spawn(function()
            local _ <close> = setmetatable({}, {
                __close = function()
                    closed = true
                end,
            })
            mw.sleep(1000)
        end)
        mw.sleep(1)
        world:close()
        world:close()
        assert.is_true(closed)
        assert.equal("closed", reg:state())
        assert.equal(0, core.tasks())
        assert.has_error(function()
            world:advance(1)
        end)
    end)

    it("inside another gives the outer one back", function()
        local outer = core.world(1)
        mw.sleep(5)
        local inner = core.world(2)
        mw.sleep(100)
        inner:close()
        assert.equal(6, mw.now())
        outer:close()
    end)

    it("cannot be run by a task that is part of it", function()
        local world = core.world(1)
        local _, err = mw.spawn(function()
            world:advance(1)
        end):join()
        assert.matches("'advance' cannot be used in a task", err)
        world:close()
    end)
end)
