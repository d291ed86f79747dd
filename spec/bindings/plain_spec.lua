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

    -- At the end of a state everything is finalised before the tasks that still use it have ended.
    it("ends well while tasks hold and wait for locks, elections, events and registries", function()
        local text, code = run [[
            local mw = require "moonwatch"
            local reg = assert(mw.open { backend = "memory" })
            local ended = 0
            local function hold(make)
                mw.spawn(function()
                    pcall(function()
                        local _ <close> = make()
                        mw.sleep(1000)
                    end)
                    pcall(reg.get, reg, "/x")
                    ended = ended + 1
                    if ended == 9 then
                        print "all ended"
                    end
                end)
            end
            hold(function()
                local lock = reg:lock("/l")
                assert(lock:acquire())
                return lock
            end)
            hold(function() return reg:subscribe("/l") end)
            hold(function() return reg:elect("/e") end)
            hold(function() return assert(reg:register("/r", "v")) end)
            hold(function() return assert(mw.open { backend = "memory" }) end)
            hold(function() return reg:on_connection(print) end)
            mw.sleep(0.01)
            local waiting, standing, sub = reg:lock("/l"), reg:elect("/e"), reg:subscribe("/q")
            hold(function() waiting:acquire() end)
            hold(function() standing:wait() end)
            hold(function() for _ in sub:events() do end end)
            mw.sleep(0.01)
        ]]
        assert.matches("all ended\n$", text)
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

    it("may leave through os.exit in a task and in a reaction, as a crash would", function()
        for _, where in ipairs { "mw.run(leave)", "reg:subscribe('/a', leave) reg:put('/a', '') mw.sleep(1)",
            "reg:guard('/l', leave)", "reg:on_connection(leave) mw.sleep(1)" } do
            local text, code = run([[
                local mw = require "moonwatch"
                local reg <close> = assert(mw.open { backend = "memory" })
                mw.spawn(function()
                    local _ <close> = setmetatable({}, { __close = function() end })
                    mw.sleep(1000)
                end)
                local function leave() os.exit(3, true) end
            ]] .. where)
            assert.equal("", text)
            assert.equal(3, code)
        end
    end)

    -- lua5.4 answers the signal with a hook, which nothing runs while the loop sleeps.
    it("that waits is ended by one Ctrl-C, and what it holds is closed", function()
        local file = os.tmpname()
        local out <close> = assert(io.open(file, "w"))
        out:write [[
            local mw = require "moonwatch"
            local reg <close> = assert(mw.open { backend = "memory" })
            local _ <close> = setmetatable({}, { __close = function()
                print(reg:get("/a").value)
            end })
            assert(reg:put("/a", "still here"))
            print(io.open "/proc/self/stat":read "n")
            io.stdout:flush()
            reg:lock("/l"):acquire()
            reg:lock("/l"):acquire()
        ]]
        out:close()
        local pipe = assert(io.popen(("timeout 20 lua5.4 %s 2>&1"):format(file)))
        local pid = pipe:read "n"
        repeat
            local stat <close> = assert(io.open(("/proc/%d/stat"):format(pid)))
        until stat:read "a":find ") S "
        os.execute("kill -INT " .. pid)
        local text = pipe:read "a"
        local _, _, code = pipe:close()
        os.remove(file)
        assert.matches("^%s*still here\n.*interrupted!.*acquire", text)
        assert.equal(1, code)
    end)
end)
