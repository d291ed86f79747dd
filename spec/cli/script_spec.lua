-- The shell without a terminal, and inside a running engine.
local Program = require "support.program"

describe("moonwatch shell", function()
  local p

  before_each(function()
    p = Program.new()
    p:write("application.yaml", ("registry: {sqlite: {path: '%s'}}\n"):format(p.registry:match "^sqlite:(.*)$"))
  end)
  after_each(function() p:finish() end)

  it("runs -e, a file, and standard input, without colour", function()
    assert.equal("2\n", p:ok { "shell", "-e", "1 + 1" })
    assert.matches("^moonwatch.Registry: sqlite, connected, [^ ]*, 3%.%d", p:ok { "shell", "-e",
      "repeat mw.sleep(0.001) until mw.registry:server() return mw.registry" })
    p:write("a.lua", "x = 20\nprint(x,\n  'two lines')\n")
    assert.equal("20\ttwo lines\n", p:ok { "shell", "a.lua" })
    local out = p:ok { "shell", input = "mw.registry:put('/a', 'v').path\nls /\nfor i = 1, 2 do\n print(i)\nend\n" }
    assert.equal('"/a"\na\n1\n2\n', out)
    assert.is_nil(out:find "\27")
  end)

  it("stops a script at its first failure, with code 1 and a short traceback", function()
    local code, out = p:run { "shell", input = "local function f() error 'broken' end f()\nprint 'never'\n" }
    assert.equal(1, code)
    assert.matches("shell:1: broken\n", out)
    assert.is_nil(out:find "never")
    assert.is_nil(out:find("moonwatch/", 1, true))
    assert.equal(1, (p:run { "shell", "-e", "if x then" }))
    assert.equal(1, (p:run { "shell", "missing.lua" }))
  end)

  it("looks inside a running engine, through a socket of mode 0600", function()
    p:write("engine.lua", "count = 41  function next_one() count = count + 1 return count end  print 'ready'")
    local engine = p:start { "run", "--attach", "spec", "engine.lua" }
    engine.says "ready"
    local pipe <close> = io.popen(("stat -c '%%a %%F' %s/*-spec.sock"):format(p.folder))
    assert.equal("600 socket", pipe:read())
    assert.equal("42\n", p:ok { "shell", "--attach", "spec", "-e", "next_one()" })
    assert.equal("43\n", p:ok { "shell", "--attach", "spec", "-e", "next_one()" })
    p:ok { "shell", "--attach", "spec", "-e", "mw.registry:put('/from', 'inside')" }
    assert.equal("inside", p:ok { "get", "/from" })
    assert.equal(1, (p:run { "shell", "--attach", "spec", "-e", "error 'x'" }))
    engine.signal "TERM"
    assert.equal(0, engine.code())
    assert.equal("", io.popen(("ls %s | grep sock"):format(p.folder)):read "a")
    local code, _, err = p:run { "shell", "--attach", "spec", "-e", "1" }
    assert.equal(1, code)
    assert.matches("^moonwatch: [^\n]*sock: No such file or directory; nobody listens", err)
  end)

  it("runs a file, and a chunk of several lines, as one: locals are seen to its end", function()
    p:write("a.lua", "#!/usr/bin/env moonwatch\nlocal x = 1\nlocal function f() return x end\nprint(f())\n")
    assert.equal("1\n", p:ok { "shell", "a.lua" })
    assert.equal("1\n", p:ok { "shell", "-e", "local x = 1\nprint(x)" })
    assert.matches("}\na\n1\n$", p:ok { "shell", "-e", "mw.registry:put('/a', '')\nls /\n1" })
    p:write("b.lua", "print 'never'\nif x then\n")
    local code, out = p:run { "shell", "b.lua" }
    assert.equal(1, code)
    assert.is_nil(out:find "never")
  end)

  it("survives values and errors that cannot be shown", function()
    local bad = "setmetatable({}, { __tostring = function() error 'no text' end })"
    for _, line in ipairs { bad, "error(" .. bad .. ")", "{ { path = {}, version = 1, created = 1, mtime = {} } }" } do
      local code, out, err = p:run { "shell", "-e", line }
      assert.equal(1, code)
      assert.equal("", err)
      assert.is_true(#out > 1)
    end
  end)

  it("gets all that a line inside an engine prints, however fast and long", function()
    p:write("engine.lua", "print 'ready'")
    local engine = p:start { "run", "--attach", "spec", "engine.lua" }
    engine.says "ready"
    local out = p:ok { "shell", "--attach", "spec", "-e", "for i = 1, 50000 do print(i) end print(('x'):rep(5000000))" }
    assert.equal(50001, select(2, out:gsub("\n", "")))
    assert.matches("\n50000\nx+\n$", out)
    assert.equal(5000000 + 1 + #out:match "^.*\n50000\n", #out)
    assert.equal("1\n", p:ok { "shell", "--attach", "spec", "-e", "1" })
  end)

  it("leaves the engine alone when the operator's end stops reading", function()
    p:write("engine.lua", "print 'ready'")
    local engine = p:start { "run", "--attach", "spec", "engine.lua" }
    engine.says "ready"
    local flood = "print 'begun' while true do print(('x'):rep(100000)) end"
    local operator = p:start { "shell", "--attach", "spec", "-e", flood }
    operator.says "begun"
    operator.signal "STOP"
    for i = 1, 3 do
      assert.equal(i .. "\n", p:ok { "shell", "--attach", "spec", "-e", tostring(i) })
    end
    operator.signal "KILL"
    operator.code()
    Program.eventually("the operator's end", function() return select(2, engine.err():gsub("has left", "")) == 4 end)
  end)

  it("is let in by the configuration's key as well, and a second engine is refused", function()
    p:write("application.yaml", "attach: spec\nregistry: {sqlite: {path: r.db}}\n")
    p:write("engine.lua", "print 'ready'")
    local engine = p:start { "run", "engine.lua" }
    engine.says "ready"
    assert.equal('"spec"\n', p:ok { "shell", "--attach", "spec", "-e", "mw.config.attach" })
    local code, _, err = p:run { "run", "engine.lua" }
    assert.equal(1, code)
    assert.matches("attach: ", err)
    assert.equal('"spec"\n', p:ok { "shell", "--attach", "spec", "-e", "mw.config.attach" })
  end)

  it("is where the command line says, else the environment, else the configuration, as `run` is", function()
    p:write("application.yaml", "registry: {namespace: /file, sqlite: {path: file.db}}\n")
    p:write("say.lua", "mw.registry:children '/' -- waits for it\nlocal server = mw.registry:server()\n"
      .. "print(server:match '[^/]*%.db', mw.config.registry.namespace) mw.stop()")
    local cases = {
      { env = "MOONWATCH_REGISTRY=sqlite:env.db", says = "env.db\tnil" },
      { env = "MOONWATCH_REGISTRY=sqlite:env.db", "-b", "sqlite:line.db", says = "line.db\tnil" },
      { env = "MOONWATCH_REGISTRY=sqlite:env.db", "-c", "application.yaml", says = "file.db\t/file" },
      { env = "MOONWATCH_REGISTRY=sqlite:env.db", "-b", "sqlite", says = "file.db\t/file" },
      { env = "MOONWATCH_REGISTRY=", says = "file.db\t/file" },
    }
    for _, case in ipairs(cases) do
      assert.equal(case.says .. "\n", p:ok { env = case.env, "run", "say.lua", table.unpack(case) })
      local shell = { env = case.env, "shell", table.unpack(case) }
      shell.input = "ls\nmw.registry:server():match '[^/]*%.db'\n"
      assert.equal('"' .. case.says:match "^[^\t]*" .. '"\n', p:ok(shell))
    end
  end)

  it("is not started on a registry that nobody can open, and says where that is named", function()
    for _, verb in ipairs { "run", "shell", "check" } do
      local code, _, err = p:run { verb, env = "MOONWATCH_REGISTRY='sqlite:a.db?colour=blue'" }
      assert.equal(3, code)
      assert.matches("%$MOONWATCH_REGISTRY: unknown key 'colour'", err)
    end
    assert.equal("", p:read "a.db")
  end)
end)
