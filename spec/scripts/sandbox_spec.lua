require "moonwatch" -- after which no error of a script names its files
local sandbox = require "moonwatch.sandbox"

local api = { marker = true }

local function run(source, ...)
    local chunk, env = sandbox.compile(source, "/tmp/script.lua", api)
    assert(chunk, env)
    return chunk(...)
end

describe("sandbox", function()
    it("gives a script mw, the libraries, and globals of its own", function()
        assert.is_true(run "return mw.marker and require 'moonwatch' == mw")
        assert.equal("A,3", run "return ('a'):upper() .. ',' .. math.max(1, 3)")
        run "leak = 5; string.sub = nil; table.concat = nil"
        assert.is_nil(rawget(_G, "leak"))
        assert.is_function(string.sub)
        assert.is_nil(run "return leak")
        assert.is_true(run "x = 1; return _G.x == 1 and _ENV == _G")
        assert.is_table(run "return require 'lpeg'")
        assert.is_table(run "return require 'moonwatch.duration'")
        assert.is_true(run "return require 'string' == string")
    end)

    it("has nothing that ends the process, loads code of the machine, or blocks on programs", function()
        for _, name in ipairs { "debug", "package", "os.exit", "os.execute", "os.setlocale", "io.popen", "io.lines2",
            "dofile", "loadfile", "loadstring", "string.dump", "coroutine.running.x" } do
            local value = run(("local ok, v = pcall(function() return %s end) return ok and v or nil"):format(name))
            assert.is_nil(value, name)
        end
        for _, name in ipairs { "debug", "package", "moonwatch.core", "../evil", "/etc/passwd", "" } do
            assert.has_error(function() run("require '" .. name .. "'") end)
        end
        assert.has_error(function() run "collectgarbage 'stop'" end)
        assert.is_number(run "return collectgarbage 'count'")
    end)

    it("loads source text only", function()
        local binary = string.dump(function() return 1 end)
        assert.is_nil((sandbox.compile(binary, "x.lua", api)))
        assert.is_nil(run("return (load(...))", binary))
        assert.has_error(function() run("load('return 1', 'x', 'b')") end)
        assert.equal(7, run "y = 7; return load('return y')()")
        assert.equal(8, run "return load('return z', 'x', 't', { z = 8 })()")
    end)

    it("keeps the metatable of strings to itself", function()
        assert.is_nil(run "return getmetatable('')")
        assert.is_table(run "return getmetatable(setmetatable({}, {}))")
    end)

    it("finds files beside the script, in the script's environment, each once", function()
        local folder = os.tmpname()
        os.remove(folder)
        assert(os.execute("mkdir " .. folder))
        local file = assert(io.open(folder .. "/helper.lua", "w"))
        file:write "loads = (loads or 0) + 1; return { mw = mw, os_exit = os.exit }"
        file:close()
        local chunk = assert(sandbox.compile("local h = require 'helper' return h, require 'helper' == h, loads",
            folder .. "/main.lua", api))
        local helper, same, loads = chunk()
        os.execute("rm -r " .. folder)
        assert.equal(api, helper.mw)
        assert.is_nil(helper.os_exit)
        assert.is_true(same)
        assert.equal(1, loads)
    end)

    it("takes no module that failed, or is still being loaded, for one that is there", function()
        local folder = os.tmpname()
        os.remove(folder)
        assert(os.execute("mkdir " .. folder))
        local function write(name, text)
            local file <close> = assert(io.open(folder .. "/" .. name, "w"))
            file:write(text)
        end
        write("half.lua", "tries = (tries or 0) + 1 if tries < 3 then error 'boom' end return 'whole'")
        write("a.lua", "return require 'b'")
        write("b.lua", "local a = require 'a' return a")
        local chunk = assert(sandbox.compile("local function try(name) return select(2, pcall(require, name)) end "
            .. "return try 'half', try 'half', try 'half', try 'a'", folder .. "/main.lua", api))
        local first, second, third, circle = chunk()
        os.execute("rm -r " .. folder)
        assert.matches("half.lua:1: boom", first, 1, true)
        assert.matches("half.lua:1: boom", second, 1, true)
        assert.equal("whole", third)
        assert.matches("b.lua:1: module 'a' is being loaded", circle, 1, true)
    end)

    it("names file and line of what is wrong, and skips a #! line", function()
        local chunk, err = sandbox.compile("x = 1\nx = = 2", "conf/start.lua", api)
        assert.is_nil(chunk)
        assert.matches("^conf/start.lua:2: ", err)
        assert.equal(2, run "#!/usr/bin/env moonwatch\nreturn 2")
        assert.equal(2, run "\xEF\xBB\xBFreturn 2")
    end)
end)
