-- A session of the shell, without its terminal.
local core = require "moonwatch.core"
local mw = require "moonwatch"
local Session = require "moonwatch.shell.session"

describe("a session of the shell", function()
    local world, registry, session, printed

    before_each(function()
        world, printed = core.world(3), {}
        registry = assert(mw.open { backend = world:memory_server {} })
        session = Session.new(setmetatable({ registry = registry }, { __index = mw }), {
            print = function(text) table.insert(printed, text) end,
        })
    end)

    after_each(function()
        session:close()
        registry:close()
        mw.sleep(1)
        assert.equal(0, core.tasks())
        world:close()
    end)

    it("can be cancelled before the line has begun, and goes on", function()
        local outcome
        mw.spawn(function() outcome = session:eval "mw.sleep(1000)" end)
        mw.spawn(function() session:cancel() end)
        mw.sleep(1)
        assert.equal("failed", outcome)
        assert.matches("cancelled", printed[1])
        assert.equal("done", session:eval "1 + 1")
        assert.equal("2", printed[2])
    end)

    it("keeps what a line has spawned, until it closes", function()
        session:eval "count = 0; every = mw.every(1, function() count = count + 1 end)"
        mw.sleep(3.5)
        session:eval "count"
        assert.equal("3", printed[#printed])
        session:eval "every"
        assert.matches("^moonwatch.Task: waiting, started at shell:1$", printed[#printed])
    end)
end)
