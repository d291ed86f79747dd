-- What `init` writes works as it stands; `check`, `doctor` and `schema` say what is wrong, and only that.
local Program = require "support.program"
local json = require "moonwatch.json"

describe("a project", function()
  local p

  before_each(function() p = Program.new() end)
  after_each(function() p:finish() end)

  it("is written by init, checks, and passes its own spec", function()
    p:ok { "init", env = "MOONWATCH_REGISTRY=" }
    assert.matches("1 script, registry sqlite: all is well", p:ok { "check" })
    assert.is_table(json.decode(p:read ".luarc.json"))
    local _, _, code = os.execute(("cd %s && %s/spec/busted -o TAP spec >out 2>err")
      :format(p.folder, os.getenv "MOONWATCH_BUILD"))
    assert.equal(0, code, p:read "out")
    p:write("failover.lua", "-- mine\n")
    assert.matches("failover.lua is there already", p:ok { "init" })
    assert.equal("-- mine\n", p:read "failover.lua")
  end)

  it("runs a script once that the configuration names and the command line, too", function()
    p:write("application.yaml", "registry: {type: memory}\nscripts: a.lua\n")
    p:write("a.lua", 'print "a"')
    p:write("b.lua", 'print "b" mw.sleep "1ms" mw.stop()')
    assert.equal("a\nb\n", p:ok { "run", "b.lua", "a.lua", "./a.lua", env = "MOONWATCH_REGISTRY=" })
    assert.matches(": 2 scripts, ", p:ok { "check", "b.lua", "a.lua", "./a.lua", env = "MOONWATCH_REGISTRY=" })
  end)

  it("is told what has one of our names and stands where an application's keys do", function()
    p:write("application.yaml", "streampark: {registry: {sqlite: {path: r.db}}}\nspring: {}\nscripts: a.lua\n")
    p:write("a.lua", "")
    local remark = "application.yaml:3:1: 'scripts' is not read here: ours stands below 'moonwatch:'\n"
    assert.matches(": 0 scripts, registry sqlite: ", p:ok { "check", env = "MOONWATCH_REGISTRY=" })
    assert.equal(remark, p:read "err")
    local process = p:start { "run", "-c", "application.yaml" }
    Program.eventually("the remark", function() return process.err():find("warn  engine: " .. remark, 1, true) end)
    p:write("application.yaml", "registry: {sqlite: {path: r.db}}\nscripts: a.lua\n")
    p:ok { "check", env = "MOONWATCH_REGISTRY=" }
    assert.equal("", p:read "err")
  end)

  it("is checked for unknown globals and names of mw, without being run", function()
    p:write("application.yaml", "registry: {sqlite: {path: r.db}}\n")
    p:write("other.lua", "shared = 1\n")
    p:write("a.lua", table.concat({
      "-- mw.nothing, pirnt", 'local text = "mw.nothing" .. [[ mw.neither ]]', "mine = 1", 'require "other"',
      "print(mine, shared, text, mw.log.info)", "local function f(x) return x.mw.what, pirnt end",
      "io.open('ran', 'w')", "return f, mw.slep, io.stdout, os.exit",
    }, "\n"))
    local code, _, err = p:run { "check", "a.lua" }
    assert.equal(3, code)
    assert.equal("a.lua:6: unknown global 'pirnt'; did you mean 'print'?\n"
      .. "a.lua:8: unknown name 'mw.slep'; did you mean 'sleep'?\n", err)
    assert.is_nil(io.open(p.folder .. "/ran"))
  end)

  it("needs no configuration to have scripts checked, and is told what it lacks", function()
    p:write("a.lua", "print(mw.slep)\n")
    local code, _, err = p:run { "check", "a.lua" }
    assert.equal(3, code)
    assert.equal("a.lua:1: unknown name 'mw.slep'; did you mean 'sleep'?\n", err)
    code, _, err = p:run { "check" }
    assert.equal(3, code)
    assert.equal("application.yaml: there is none here; name another with -c, or let `moonwatch init` write one\n", err)
  end)

  it("has its backends looked at by doctor, with one line of advice each", function()
    p:write("application.yaml", "registry: {type: sqlite, sqlite: {path: r.db}, zookeeper: {servers: '127.0.0.1:1'}}\n")
    local code, out = p:run { "doctor", "--timeout", "300ms", "-o", "json", env = "MOONWATCH_REGISTRY=" }
    assert.equal(1, code)
    local found = {}
    for _, row in ipairs(json.decode(out)) do
      found[row.backend .. " " .. row.check] = row
    end
    for _, check in ipairs { "library", "fitness", "reachable", "rights", "latency", "clock" } do
      assert.equal("ok", found["sqlite " .. check].result, check)
    end
    assert.matches("one machine", found["sqlite fitness"].advice)
    assert.matches("r%.db, 3%.%d+", found["sqlite server"].found)
    if found["zookeeper reachable"] then
      assert.equal("fail", found["zookeeper reachable"].result)
      assert.matches("is the server running", found["zookeeper reachable"].advice)
    end
    assert.equal(0, (p:run { "doctor", "-c", "application.yaml", "-b", "sqlite" }))
    assert.equal("[]\n", p:ok { "tree", "-o", "json", "-b", "sqlite:r.db" })
  end)

  it("can have its tables made by an administrator", function()
    p:write("ddl", p:ok { "schema", "sqlite" })
    assert.is_true(os.execute(("sqlite3 %s/made.db <%s/ddl"):format(p.folder, p.folder)))
    p:ok { "put", "-b", "sqlite:made.db", "/a", "1" }
    assert.equal("1", p:ok { "get", "-b", "sqlite:made.db", "/a" })
    local code, _, err = p:run { "schema", "memory" }
    assert.equal(1, code)
    assert.matches("memory has no tables: there is nothing to prepare", err)
  end)

  it("can have its tables of an older version brought up by an administrator", function()
    local fixtures = (os.getenv "MOONWATCH_SOURCE" or ".") .. "/spec/backends/sql/schema_1/sqlite.sql"
    assert.is_true(os.execute(("sqlite3 %s/old.db <%s"):format(p.folder, fixtures)))
    p:write("upgrade", p:ok { "schema", "sqlite", "--from", "1" })
    assert.is_true(os.execute(("sqlite3 %s/old.db <%s/upgrade"):format(p.folder, p.folder)))
    p:ok { "put", "-b", "sqlite:old.db", "/a", "1" }
    assert.equal("1", p:ok { "get", "-b", "sqlite:old.db", "/a" })
    local code, _, err = p:run { "schema", "sqlite", "--from", "99" }
    assert.equal(1, code)
    assert.matches("nothing to bring up from schema 99: the newest is %d", err)
    code, _, err = p:run { "schema", "sqlite", "--from", "old" }
    assert.equal(2, code)
    assert.matches("'old' is no schema", err)
    assert.matches("CREATE, ALTER, INDEX", (p:ok { "schema", "mysql", "--from", "1" }))
  end)
end)
