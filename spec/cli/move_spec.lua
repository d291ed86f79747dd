-- Export and import, also from one backend to another.
local Program = require "support.program"

describe("export and import", function()
  local p

  before_each(function() p = Program.new() end)
  after_each(function() p:finish() end)

  local function copy(words)
    local all = { "import", "-b", "sqlite:copy.db", table.unpack(words or {}) }
    all.input = words and words.input
    return p:run(all)
  end

  it("move everything but ephemerals, bytes as they are", function()
    p:ok { "put", "/a/b", "-", input = "x\0\255\n" }
    p:ok { "put", "/a/ü", "\"quoted\" text" }
    local holder = p:start { "elect", "/a/e", "--", "sh", "-c", "echo in; exec sleep 1000" }
    holder.says "in"
    local _, lines, err = p:run { "export" }
    assert.matches("4 entries; 1 ephemerals left out", err)
    p:write("dump", lines)
    assert.equal(0, (copy { "dump" }))
    assert.equal("x\0\255\n", p:ok { "get", "-b", "sqlite:copy.db", "/a/b" })
    assert.equal(lines, p:ok { "export", "-b", "sqlite:copy.db" })
    assert.equal(0, (copy { "dump" }))
    assert.matches("0 created, 0 replaced, 4 the same already", p:read "err")
  end)

  it("of one part take that path and what is below it", function()
    p:ok { "put", "/a/b", "1" }
    p:ok { "put", "/ab", "2" }
    assert.equal('{"path":"/a","value":""}\n{"path":"/a/b","value":"1"}\n', p:ok { "export", "/a" })
    assert.equal(4, (p:run { "export", "/absent" }))
  end)

  it("write nothing in a dry run, and say what would be done", function()
    p:write("dump", '{"path":"/a","value":"1"}\n{"path":"/a/b","value":"2"}\n')
    local code, out = copy { "--dry-run", "dump" }
    assert.equal(0, code)
    assert.equal("2 would be created, 0 replaced, 0 are the same already, 0 left alone\n", out)
    assert.equal(4, (p:run { "get", "-b", "sqlite:copy.db", "/a" }))
  end)

  it("do not replace what is there unless somebody agrees", function()
    p:write("dump", '{"path":"/a","value":"new"}\n{"path":"/b","value":"1"}\n')
    p:ok { "put", "-b", "sqlite:copy.db", "/a", "old" }
    local code, _, err = copy { "dump" }
    assert.equal(5, code)
    assert.matches("/a: is there with another value", err)
    assert.equal("old", p:ok { "get", "-b", "sqlite:copy.db", "/a" })
    assert.equal(4, (p:run { "get", "-b", "sqlite:copy.db", "/b" }))
    assert.equal(5, (copy { "--keep", "dump" }))
    assert.equal("1", p:ok { "get", "-b", "sqlite:copy.db", "/b" })
    assert.equal("old", p:ok { "get", "-b", "sqlite:copy.db", "/a" })
    assert.equal(0, (copy { "--yes", "dump" }))
    assert.equal("new", p:ok { "get", "-b", "sqlite:copy.db", "/a" })
  end)

  it("refuse a file with a mistake before anything is written", function()
    local code, _, err = copy { input = '{"path":"/a","value":"1"}\n{"path":"/b"}\n' }
    assert.equal(2, code)
    assert.matches("line 2: \"value\" or \"value_base64\" is needed; nothing was written", err)
    assert.equal(2, (copy { input = '{"path":"/a","value":"1"}\n{"path":"/a","value":"2"}\n' }))
    assert.equal(2, (copy { input = "no json\n" }))
    assert.equal(4, (p:run { "get", "-b", "sqlite:copy.db", "/a" }))
  end)

  it("put an import below another path", function()
    assert.equal(0, (copy { "--under", "/old", input = '{"path":"/a","value":"1"}\n' }))
    assert.equal("1", p:ok { "get", "-b", "sqlite:copy.db", "/old/a" })
  end)

  it("refuses an import with a path that cannot be, before anything is written", function()
    for _, path in ipairs { "/b/../c", "b", "/", "/b//c" } do
      local lines = ('{"path":"/a","value":"1"}\n{"path":"%s","value":""}\n'):format(path)
      local code, _, err = p:run { "import", input = lines }
      assert.equal(2, code)
      assert.matches("^moonwatch: standard input: line 2: path: [^\n]+; nothing was written\n$", err)
    end
    assert.equal(4, (p:run { "get", "/a" }))
  end)
end)
