local core = require "moonwatch.core"
local mw = require "moonwatch"
local node = require "moonwatch.node"

describe("a node that starts in an outage", function()
    local world, server, host, reg

    before_each(function()
        world = core.world(3)
        server = world:memory_server { session_timeout = 6 }
        host = world:host()
        reg = assert(mw.open { backend = server, host = host, wait = 0 })
        server:freeze(nil, true)
    end)

    after_each(function()
        reg:close()
        assert.equal(0, core.tasks())
        world:close()
    end)

    local function register(timeout)
        return host:spawn(function()
            return node.register(reg, { role = "console", timeout = timeout })
        end)
    end

    it("is on the roll when that is over", function()
        local task = register()
        world:advance(100)
        server:freeze(nil, false)
        local _, one = assert(task:join())
        assert.is_true(one.registration.visible)
        one:close()
    end)

    it("is told so at a deadline of its own", function()
        local _, one, err = assert(register(5):join())
        assert.is_nil(one)
        assert.equal("timeout", err.code)
        server:freeze(nil, false)
    end)
end)
