-- The program as people start it: real processes, real files.
local mw = require "moonwatch"

local folder

before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
end)

after_each(function()
    os.execute(("cd %s && [ ! -e pid ] || [ -e code ] || kill -KILL $(cat pid) 2>/dev/null"):format(folder))
    os.execute("rm -rf " .. folder)
end)

local function write(name, text)
    local file <close> = assert(io.open(folder .. "/" .. name, "w"))
    file:write(text)
end

local function read(name)
    local file <close> = io.open(folder .. "/" .. name)
    return file and file:read "a" or ""
end

-- Run to the end: exit code, standard output, standard error.
local function moonwatch(arguments)
    local _, how, code = os.execute(("cd %s && timeout 60 moonwatch %s >out 2>err"):format(folder, arguments))
    assert.equal("exit", how)
    return code, read "out", read "err"
end

-- Start in the background; a handle to signal and await.
local function start(arguments)
    local command = "cd %s && { moonwatch %s >out 2>err & echo $! >pid; wait $!; echo $? >code; } 2>/dev/null &"
    os.execute(command:format(folder, arguments))
    local function eventually(what, condition)
        local late = mw.now() + 20
        while not condition() do
            assert(mw.now() < late, what .. ": not within 20 s; " .. read "err")
            mw.sleep "2ms"
        end
    end
    return {
        says = function(text)
            eventually(text, function() return read("out"):find(text, 1, true) end)
        end,
        signal = function(name)
            os.execute(("kill -%s %s"):format(name, read "pid"))
        end,
        code = function()
            eventually("the end", function() return read "code" ~= "" end)
            return tonumber((read "code"))
        end,
    }
end

local sqlite = "registry: {sqlite: {path: r.db, session_timeout: 1500ms}}\n"

describe("moonwatch run", function()
    it("runs scripts over the registry until one says stop", function()
        write("application.yaml", sqlite .. "scripts: [a.lua]\n")
        write("a.lua", "print('put', mw.registry:put('/a', 'hello').path) mw.registry:put('/b', '')")
        write("b.lua", "while not mw.registry:get '/b' do mw.sleep '1ms' end print 'b ran' mw.stop()")
        local code, out, err = moonwatch "run b.lua"
        assert.equal(0, code, err)
        assert.matches("put\t/a\n", out)
        assert.matches("b ran", out)
    end)

    it("names the lines of the script in the error of a reaction, and none of the library's", function()
        write("application.yaml", "registry: {type: memory}\n")
        write("a.lua", "local function f()\nerror 'boom'\nend\n"
            .. "mw.on('added', '/a', function() heard = true\nf()\nend)\n"
            .. "assert(mw.registry:put('/a', ''))\nwhile not heard do mw.sleep '1ms' end\nmw.stop()")
        assert.equal(0, (moonwatch "run a.lua"))
        assert.matches("error lua: reaction to added /a failed: a.lua:2: boom < a.lua:5\n", read "err", 1, true)
    end)

    it("withdraws registrations and locks on SIGTERM, and exits 0", function()
        write("application.yaml", sqlite)
        write("a.lua", [[
            assert(mw.node { role = "web" })
            mw.guard("/lock", {}, function() print "ready" mw.sleep(math.huge) end)
        ]])
        local process = start "run a.lua"
        process.says "ready"
        local registry <close> = assert(mw.open { backend = "sqlite", path = folder .. "/r.db" })
        assert.equal(1, #assert(registry:list "/nodes/web"))
        assert.equal(1, #assert(registry:queue "/lock"))
        process.signal "TERM"
        assert.equal(0, process.code())
        assert.is_nil(read("err"):find("error", 1, true), read "err")
        assert.same({}, assert(registry:list("/nodes/web", { fresh = true })))
        assert.same({}, assert(registry:queue "/lock"))
        assert.equal(1, #assert(registry:sessions()))
    end)

    it("takes no script for failed when it is told to end while the backend is chosen", function()
        write("application.yaml", "registry: {type: memory}\n")
        write("a.lua", "mw.backend(function() print 'ready' mw.sleep(1000) end) mw.registry:get '/a'")
        local process = start "run a.lua"
        process.says "ready"
        process.signal "TERM"
        assert.equal(0, process.code())
        assert.is_nil(read("err"):find("error", 1, true), read "err")
    end)

    it("ends its predecessor's session after a crash, with the identity file", function()
        write("application.yaml", "registry: {sqlite: {path: r.db, session_timeout: 60s}}\nnode: {identity: id}\n")
        write("a.lua", "n = assert(mw.node { role = 'web', address = 'h:1', incarnation = 'same' }) print 'ready'")
        local first = start "run a.lua"
        first.says "ready"
        first.signal "KILL"
        assert.equal(137, first.code())
        assert.matches("^%-?%d+ %x+\n$", read "id")
        os.remove(folder .. "/out")
        os.remove(folder .. "/code")
        local second = start "run a.lua"
        second.says "ready" -- the old record goes with its session, though its timeout is a minute
        second.signal "INT"
        assert.equal(0, second.code())
        assert.equal("", read "id")
    end)

    it("ends within its bound though a script will not", function()
        write("application.yaml", "registry: {type: memory}\nstop_timeout: 50ms\n")
        write("a.lua", "print 'ready'\nwhile true do pcall(mw.sleep, 1) end")
        local process = start "run a.lua"
        process.says "ready"
        process.signal "TERM"
        assert.equal(0, process.code())
        assert.matches("warn  lua: a task at a.lua:2[^\n]* did not end when it was cancelled: dropped\n", read "err")
    end)

    it("takes a hang-up at its very end for no reason to end otherwise", function()
        write("application.yaml", "registry: {type: memory}\nstop_timeout: 50ms\n")
        write("a.lua", "mw.on_connection(function(event) print(event.state) end)\nwhile true do pcall(mw.sleep, 1) end")
        local process = start "run a.lua"
        process.says "connected"
        process.signal "TERM"
        process.says "closed" -- and a second is left for the script
        process.signal "HUP"
        assert.equal(0, process.code())
    end)

    -- Some 10^30 ways to fail, all in one call of C, where no budget reaches it.
    local stuck = "mw.sleep '1ms' print 'ready' print(('a'):rep(99999):find(('.-'):rep(30) .. 'b'))"

    it("ends within its bound though a script is inside one call of C", function()
        write("application.yaml", "registry: {type: memory}\nstop_timeout: 50ms\ntask_budget: 50ms\n")
        write("a.lua", stuck)
        local process = start "run a.lua"
        process.says "ready"
        process.signal "TERM"
        assert.equal(143, process.code())
        assert.matches("moonwatch: a script does not come back from a call of C: ended", read "err", 1, true)
    end)

    it("ends within its bound though a script goes into such a call when it is told to end", function()
        write("application.yaml", "registry: {type: memory}\nstop_timeout: 50ms\ntask_budget: 50ms\n")
        write("a.lua", "local _ <close> = setmetatable({}, { __close = function() "
            .. "print(('a'):rep(99999):find(('.-'):rep(30) .. 'b')) end }) print 'ready' mw.sleep(math.huge)")
        local process = start "run a.lua"
        process.says "ready"
        process.signal "TERM"
        assert.equal(143, process.code())
    end)

    it("ends at the second signal whatever goes on", function()
        write("application.yaml", "registry: {type: memory}\nstop_timeout: 1h\n")
        write("a.lua", stuck)
        local process = start "run a.lua"
        process.says "ready"
        process.signal "TERM"
        process.signal "TERM" -- one that is passed on twice is no second one
        local late = mw.now() + 20
        repeat
            mw.sleep "5ms"
            process.signal "INT"
        until read "code" ~= "" or mw.now() > late
        assert.equal(130, process.code())
    end)

    it("does not start when a script cannot be loaded, and says where", function()
        write("application.yaml", sqlite)
        write("bad.lua", "x = 1\nx = = 2")
        local code, _, err = moonwatch "run bad.lua"
        assert.equal(3, code)
        assert.matches("bad.lua:2: unexpected symbol near '='", err)
        assert.equal(3, (moonwatch "run missing.lua"))
        assert.matches("missing.lua: No such file", read "err")
    end)

    it("makes no text that is larger than all memory that scripts may use", function()
        write("application.yaml", "registry: {type: memory}\nmemory_limit: 30MiB\n")
        write("a.lua", "print(pcall(string.rep, 'xy', 1 << 29)) print(#('ab'):rep(3, '-')) mw.stop()")
        local code, out = moonwatch "run a.lua"
        assert.equal(0, code)
        local complaint = "string.rep: the text would be larger than the memory limit of 31457280 bytes\n8\n"
        assert.matches(complaint, out, 1, true)
    end)

    it("does not start with a configuration that is wrong, and says where", function()
        write("application.yaml", "registry: {sqlite: {path: r.db, sesion_timeout: 5s}}\n")
        local code, _, err = moonwatch "run"
        assert.equal(3, code)
        local complaint = "application.yaml:1:33: unknown key 'sesion_timeout'; did you mean 'session_timeout'?"
        assert.matches(complaint, err, 1, true)
        assert.equal(3, (moonwatch "run -c nosuch.yaml"))
        assert.matches("nosuch.yaml: No such file", read "err", 1, true)
    end)

    it("ends with a clear line when the registry cannot be opened", function()
        write("application.yaml", "registry: {sqlite: {path: r.db}}\n")
        write("r.db", ("this is no database. "):rep(200))
        local code, _, err = moonwatch "run"
        assert.equal(1, code)
        assert.matches("moonwatch: [^\n]*r.db", err)
    end)
end)

describe("moonwatch check", function()
    it("says that all is well, and prints the effective configuration without secrets", function()
        write("application.yaml", sqlite .. "app: {api_token: geheim}\nscripts: a.lua\n")
        write("a.lua", "return 1")
        local code, out = moonwatch "check"
        assert.equal(0, code)
        assert.equal("application.yaml: 1 script, registry sqlite: all is well\n", out)
        code, out = moonwatch "check --print -c application.yaml"
        assert.equal(0, code)
        assert.matches('api_token: "%*%*%*"', out)
        assert.matches('session_timeout: "1.5s"', out)
        assert.is_nil(out:find "geheim")
    end)

    it("complains about configuration and scripts, one line each, with exit code 3", function()
        write("application.yaml", "registry: {sqlite: {pth: r.db}}\n")
        write("a.lua", "if")
        local code, _, err = moonwatch "check a.lua"
        assert.equal(3, code)
        assert.matches("application.yaml:1:21: unknown key 'pth'; did you mean 'path'?", err)
        assert.matches("a.lua:1: ", err)
        assert.equal(3, (moonwatch "check -c nosuch.yaml"))
        assert.matches("nosuch.yaml: No such file", read "err")
    end)
end)

describe("the command line", function()
    it("helps, and suggests", function()
        assert.equal(0, (moonwatch "--help"))
        assert.matches("run +Run startup scripts", read "out")
        assert.equal(0, (moonwatch "run --help"))
        assert.matches("SIGTERM", read "out")
        assert.equal(2, (moonwatch "rnu"))
        assert.matches("^moonwatch: there is no command 'rnu'; did you mean 'run'%? [^\n]*\n$", read "err")
        assert.equal(2, (moonwatch "check --nonsense"))
        assert.matches("^moonwatch: [^\n]*nonsense[^\n]*\n$", read "err")
        assert.equal(2, (moonwatch ""))
        assert.equal(0, (moonwatch "version"))
        assert.matches("^moonwatch %d+%.%d+%.%d+", read "out")
    end)
end)

describe("the demo", function()
    local source = os.getenv "MOONWATCH_SOURCE"

    it("leaves nothing when it is ended in the middle", function()
        os.execute(("cd %s && { lua5.4 %s/scripts/demo/demo.lua moonwatch >out 2>err & echo $! >pid; }"):format(
            folder, source))
        -- pgrep does not survive a preloaded sanitizer.
        local workers = ("LD_PRELOAD= pgrep -f '^moonwatch run -c %s/scripts/demo/'"):format(source)
        local function eventually(what, condition)
            local late = mw.now() + 20
            while not condition() do
                assert(mw.now() < late, what .. ": not within 20 s; " .. read "out")
                mw.sleep "2ms"
            end
        end
        eventually("a kill", function() return read("out"):find("kill -9", 1, true) end)
        local look = "unset LD_PRELOAD; tr '\\0' '\\n' </proc/$(%s | head -n 1)/environ"
            .. " | sed -n 's/^DEMO_REGISTRY=//p' >%s/where"
        os.execute(look:format(workers, folder))
        local registry = read("where"):match "^/[^\n]+"
        assert.is_true(os.rename(registry, registry)) -- it is there
        os.execute(("kill -KILL $(cat %s/pid)"):format(folder))
        eventually("tidiness", function()
            return not os.execute(workers .. " >/dev/null") and not os.rename(registry, registry)
        end)
    end)

    it("moves the dead leader's jobs, each once, and leaves nothing", function()
        local command = "cd %s && lua5.4 %s/scripts/demo/demo.lua moonwatch >out 2>err"
        local _, _, code = os.execute(command:format(folder, source))
        assert.equal(0, code, read "out" .. read "err")
        assert.matches("\nOK: 8 of 8 jobs moved, 0 lost, 0 twice, %d+ ms from detection to done\n$", read "out")
    end)
end)
