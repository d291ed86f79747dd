-- What `moonwatch run` writes into its log: who did what, with which token, for how long, and why.
local Program = require "support.program"
local json = require "moonwatch.json"

describe("the log of moonwatch run", function()
    local p, process

    before_each(function() p = Program.new() end)
    after_each(function() p:finish() end)

    local function start(script, more)
        local path = p.registry:match "^sqlite:(.*)$"
        local yaml = "registry: {sqlite: {path: %s, session_timeout: 1500ms}}\n%s"
        p:write("application.yaml", yaml:format(path, more or ""))
        p:write("a.lua", script)
        process = p:start { "run", "a.lua" }
    end

    -- Waits for a line that matches, and returns its captures.
    local function line(pattern)
        return table.unpack(Program.eventually(pattern, function()
            local found = table.pack(("\n" .. process.err()):match("\n" .. pattern .. "\n"))
            return found[1] and found
        end))
    end

    local stamp = "%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d[+-]%d%d%d%d "

    it("dates its lines, names the script, the registry and the session, and says why it ends", function()
        start("mw.log.info('hello from %s', 'here') assert(mw.registry:put('/a', '')) mw.sleep(math.huge)")
        local pid = line(stamp .. "info  engine: moonwatch [%d.]+, pid (%d+): application.yaml, a.lua")
        assert.equal(process.pid, tonumber(pid))
        line(stamp .. "info  a.lua: hello from here")
        line(stamp .. "info  engine: registry connected: sqlite /[^\n]*, session %x+")
        process.signal "TERM"
        assert.equal(0, process.code())
        line(stamp .. "info  engine: SIGTERM: withdrawing")
        line(stamp .. "info  engine: registry closed")
    end)

    it("names who does not answer", function()
        p:write("application.yaml", "registry: {zookeeper: {servers: '127.0.0.1:1/app'}, wait: 50ms}\n")
        process = p:start { "run", "-c", "application.yaml" }
        line(".*warn  engine: zookeeper 127.0.0.1:1/app does not answer yet; going on to try.*")
    end)

    it("is JSON where that is wanted, whatever a script says", function()
        start([[mw.log.warn('"quoted" \\ \n\t\0\xff\xc3 Grüße') mw.stop()]], "log_format: json\n")
        assert.equal(0, process.code())
        local seen
        for text in process.err():gmatch "[^\n]+" do
            local record = assert(json.decode(text))
            assert.matches("^" .. stamp:sub(1, -2) .. "$", record.time)
            seen = record.component == "a.lua" and record or seen
        end
        assert.equal("warn", seen.level)
        assert.equal('"quoted" \\    \u{FFFD}\u{FFFD} Grüße', seen.message)
    end)

    it("tells of terms and of locks that were lost, with token and time, and of the next session", function()
        start([[
            local held = false
            assert(mw.registry:register("/here", ""))
            mw.guard("/first", {}, function() end) -- the token that is told is the second one
            mw.spawn(mw.guard, "/first", {}, function() held = true mw.sleep(math.huge) end)
            mw.elect("/leader", {}, function()
                while not held do mw.sleep "1ms" end
                print "all held"
                mw.sleep(math.huge)
            end)
        ]])
        process.says "all held"
        local session = line(".*engine: registry connected: [^\n]*session (%x+)[^\n]*.*")
        -- Ended as a reaper would: a row that had only run out is still ours to renew.
        p:write("forget.sql", "UPDATE mw_sessions SET ended = 1, expires = 0;")
        assert(os.execute(("cd %s && sqlite3 -cmd '.timeout 20000' %s <forget.sql"):format(p.folder,
            p.registry:match "^sqlite:(.*)$")))
        line(".*warn  engine: registry lost, session " .. session .. "[^\n]*.*")
        line(".*info  lua: /here is registered again.*")
        line(".*warn  engine: guard /first: lost after [%d.]+m?s, with token 2.*")
        line(".*info  engine: elect /leader: deposed after [%d.]+m?s, with token 1.*")
        line(".*info  engine: elect /leader: we lead, with token 2.*")
        process.signal "TERM"
        assert.equal(0, process.code())
        line(".*info  engine: elect /leader: ended after [%d.]+m?s, with token 2.*")
    end)

    it("tells the end of a term and of a guard that were killed, and why", function()
        start([[
            local function hang() while true do pcall(function() while true do end end) end end
            mw.elect("/leader", {}, function() print "we lead" mw.sleep "1ms" hang() end)
            mw.spawn(mw.guard, "/first", {}, hang)
        ]], "task_budget: 200ms\nlog_level: debug\n")
        line(".*info  engine: elect /leader: ended after [%d.]+m?s, with token 1: a.lua:1: killed: [^\n]*.*")
        line(".*debug engine: guard /first: failed after [%d.]+m?s, with token 1: a.lua:1: killed: [^\n]*.*")
        process.signal "TERM"
        assert.equal(0, process.code())
    end)

    it("tells when a node is busy, by which measure, and for how long", function()
        start([[
            local burden = 0
            local node = mw.node { role = "web", period = "100ms", load = function() return { cpu = burden } end }
            burden = 0.97
            while node.node.status == "normal" do mw.sleep "1ms" end
            burden = 0
            while node.node.status == "busy" do mw.sleep "1ms" end
            mw.stop()
        ]], "node: {id: me, address: 'h:1', busy: {average: 1000, memory: 1000, disk: 1000}}\n")
        assert.equal(0, process.code())
        line(".*engine: node me_h:1_[^\n]*: registered as web, normal.*")
        line(".*engine: node me_h:1_[^\n]*: busy after [%d.]+m?s: cpu 0.97, limit 0.9.*")
        line(".*engine: node me_h:1_[^\n]*: normal after [%d.]+m?s.*")
    end)
end)
