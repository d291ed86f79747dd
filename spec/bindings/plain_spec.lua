-- A stock lua5.4, as a process of its own.
local function run(chunk)
    local file = os.tmpname()
    local out = assert(io.open(file, "w"))
    out:write(chunk)
    out:close()
    local pipe = assert(io.popen(("lua5.4 %s 2>&1"):format(file)))
    local text = pipe:read "a"
    local ok, _, code = pipe:close()
    os.remove(file)
    return text, ok and 0 or code
end

describe("a plain script", function()
    it("uses a registry without any loop of its own", function()
        local text, code = run [[
            local mw = require "moonwatch"
            local reg <close> = assert(mw.open { backend = "memory" })
            assert(reg:put("/a", "hello"))
            local sub = reg:subscribe("/", function(event) print(event.type, event.path) end)
            sub:synced()
            print(reg:get("/a").value)
        ]]
        assert.equal("added\t/a\nsynced\t/\nhello\n", text)
        assert.equal(0, code)
    end)

    it("that forgets to close anything ends all the same", function()
        local text, code = run [[
            local mw = require "moonwatch"
            local reg = assert(mw.open { backend = "memory" })
            assert(reg:lock("/l"):acquire())
            reg:register("/r", "v")
            reg:elect("/e", function() mw.sleep(1000) end)
            reg:subscribe("/", function() mw.sleep(1000) end)
            mw.spawn(function()
                local _ <close> = setmetatable({}, { __close = function() print "closed" end })
                mw.sleep(1000)
            end)
            mw.sleep(0.01)
            print "end"
        ]]
        assert.equal("end\nclosed\n", text)
        assert.equal(0, code)
    end)

    it("that fails shows its own error", function()
        local text, code = run [[
            local mw = require "moonwatch"
            local reg = assert(mw.open { backend = "memory" })
            error("the script's own")
        ]]
        assert.matches("the script's own", text)
        assert.equal(1, code)
    end)

    it("sees the log on standard error, from the level it asked for", function()
        local text = run [[
            local mw = require "moonwatch"
            mw.log.info("n = %d", 5)
            mw.log.debug("not shown")
        ]]
        if os.getenv "MOONWATCH_LOG" then
            assert.equal("", text)
        else
            assert.matches("^%d%d:%d%d:%d%d%.%d%d%d info  script: n = 5\n$", text)
        end
    end)

    it("may use mw and leave through os.exit", function()
        local text, code = run [[
            local mw = require "moonwatch"
            local reg = assert(mw.open { backend = "memory" })
            print "bye"
            os.exit(3, true)
        ]]
        assert.equal("bye\n", text)
        assert.equal(3, code)
    end)
end)
