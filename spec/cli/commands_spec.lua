-- Reading, writing and watching from the command line.
local Program = require "support.program"
local json = require "moonwatch.json"

describe("the commands", function()
  local p

  before_each(function() p = Program.new() end)
  after_each(function() p:finish() end)

  it("put and get any bytes", function()
    local value = "a\0b\255\r\n"
    p:ok { "put", "/a/b", "-", "-q", input = value }
    assert.equal(value, p:ok { "get", "/a/b" })
    p:ok { "put", "/a/c", "text" }
    assert.equal("text", p:ok { "get", "/a/c" })
    assert.equal("a\nb", (p:ok { "ls", "/" } .. "b"):gsub("^zookeeper\n", ""))
    assert.equal("b\nc\n", p:ok { "ls", "/a" })
  end)

  it("put says what was written, and guards it when asked", function()
    assert.matches("^/a: version 0, revision %d+\n$", p:ok { "put", "/a", "1" })
    assert.equal(5, (p:run { "put", "/a", "2", "--create" }))
    assert.equal(5, (p:run { "put", "/a", "2", "--if-version", "7" }))
    p:ok { "put", "/a", "2", "--if-version", "0" }
    assert.equal("2", p:ok { "get", "/a" })
  end)

  it("print objects in each format", function()
    p:ok { "put", "/a", "1" }
    p:ok { "put", "/b", "x\255" }
    local entry = json.decode(p:ok { "get", "/a", "-o", "json" })
    assert.same({ "/a", "1", 0 }, { entry.path, entry.value, entry.version })
    assert.equal("eP8=", json.decode(p:ok { "get", "/b", "-o", "json" }).value_base64)
    assert.matches("\nvalue: \"1\"\n", p:ok { "get", "/a", "-o", "yaml" })
    assert.matches("^/a\t1\t0\t", p:ok { "get", "/a", "-o", "tsv" })
    assert.matches("PATH +VALUE +VERSION", p:ok { "ls", "-l" })
    assert.equal(2, #json.decode(p:ok { "tree", "-o", "json" }))
    assert.equal(2, (p:run { "ls", "-o", "xml" }))
  end)

  it("tree draws, stat tells all but the value", function()
    p:ok { "put", "/t/a", "1" }
    assert.equal("/t\n└── a = 1\n", p:ok { "tree", "/t" })
    local stat = p:ok { "stat", "/t/a" }
    assert.matches("version +0\n", stat)
    assert.is_nil(stat:find "value")
    assert.equal(4, (p:run { "tree", "/absent" }))
  end)

  it("rm removes, and asks before it destroys: nobody there to ask means no", function()
    p:ok { "put", "/a/b", "1" }
    assert.equal(5, (p:run { "rm", "/a" }))
    local code, _, err = p:run { "rm", "-r", "/a" }
    assert.equal(2, code)
    assert.matches("remove /a and 1 entry below it", err)
    assert.equal("1", p:ok { "get", "/a/b" })
    p:ok { "rm", "-r", "--yes", "/a" }
    assert.equal(4, (p:run { "get", "/a" }))
    assert.equal(4, (p:run { "rm", "/a" }))
    p:ok { "rm", "-f", "/a" }
  end)

  it("txn does all or nothing, and names the step that was refused", function()
    assert.matches("^3 steps, revision %d+\n$", p:ok { "txn", "check /a absent", "create /a 1", "put /b x  y" })
    assert.equal("x  y", p:ok { "get", "/b" })
    local code, _, err = p:run { "txn", input = "put /b z\n\n# a remark\nset /a version=9 2\n" }
    assert.equal(5, code)
    assert.matches("step 2 %(set /a version=9 2%)", err)
    assert.equal("x  y", p:ok { "get", "/b" })
    p:ok { "txn", '{"op":"set","path":"/a","version":0,"value_base64":"AAE="}' }
    assert.equal("\0\1", p:ok { "get", "/a" })
    assert.equal(2, (p:run { "txn", "putt /a 1" }))
    assert.matches("did you mean 'put'", p:read "err")
  end)

  it("have stable exit codes and one line on standard error that says what to do", function()
    p:ok { "put", "/a", "1" }
    for _, case in ipairs {
      { 4, "get", "/none" }, { 2, "get", "/a//b" }, { 2, "get" }, { 2, "get", "/a", "--nonsense" },
      { 5, "put", "--create", "/a", "1" }, { 3, "get", "/a", "-c", "none.yaml" }, { 2, "ls", "--timeout", "5 parsecs" },
      { 6, "get", "/a", "-b", "zookeeper:127.0.0.1:1", "--timeout", "300ms" } } do
      local code, out, err = p:run { table.unpack(case, 2) }
      assert.equal(case[1], code, table.concat(case, " ") .. ": " .. err)
      assert.equal("", out)
      assert.matches("^moonwatch: [^\n]+\n$", err)
    end
  end)

  it("doctor names the server that answers, beside our library", function()
    local found = {}
    for _, row in ipairs(json.decode(p:ok { "doctor", "-o", "json" })) do
      found[row.check] = row.found
    end
    assert.matches("%d+%.%d+", found.library)
    assert.matches(({ sqlite = "%.db, 3%.%d+", mysql = "^[^ ]+:%d+/[^ ]+, %d+%.%d+",
      zookeeper = "^[%d.]+:%d+, 3%.%d+%.%d+$" })[os.getenv "MOONWATCH_SPEC_BACKEND"], found.server)
  end)

  it("say who does not answer, and why where that is known; no lock is waited for longer than asked", function()
    local code, _, err = p:run { "get", "/a", "-b", "zookeeper:127.0.0.1:1", "--timeout", "100ms" }
    assert.equal(6, code)
    assert.matches("^moonwatch: timeout: not connected in time to zookeeper 127.0.0.1:1;", err)
    code, _, err = p:run { "get", "/a", "-b", "mysql://u:geheim@127.0.0.1:1/d", "--timeout", "100ms" }
    assert.equal(6, code)
    assert.matches(": timeout: not connected in time to mysql://%*+@127.0.0.1:1/d;", err)
    local address = { "-b", "zookeeper:not-a-name.invalid:2181", "--timeout", "1s" }
    local words = { "lock", "/a", table.unpack(address) }
    table.move({ "--", "true" }, 1, 2, #words + 1, words)
    code, _, err = p:run(words)
    assert.equal(6, code)
    assert.matches("^moonwatch: zookeeper: not%-a%-name.invalid: [^\n]+: timeout: not connected in time", err)
    code, _, err = p:run { "doctor", table.unpack(address) }
    assert.equal(1, code)
    assert.matches("not%-a%-name.invalid: ", p:read "out" .. err)
  end)

  it("fail when their input cannot be read or their output cannot be written", function()
    p:ok { "put", "/a", "1" }
    local function with(redirection) return ("sh -c 'exec \"$@\" %s' sh"):format(redirection) end
    for _, case in ipairs {
      { "<&-", "put", "/b" }, { "</", "put", "/b" }, { "<&-", "txn" }, { "</", "import" }, { "", "import", "/" },
      { ">&-", "get", "/a" }, { ">/dev/full", "export" }, { ">/dev/full", "man" }, { ">/dev/full", "--help" },
    } do
      local code, out, err = p:run { before = with(case[1]), table.unpack(case, 2) }
      local what = table.concat(case, " ")
      assert.equal(1, code, what)
      assert.equal("", out)
      assert.matches("^moonwatch: [^\n]+\n$", err, what)
    end
    assert.equal(4, (p:run { "get", "/b" }))
    assert.equal(0, (p:run { before = "sh -c '\"$@\" | head -1' sh", "man" }))
  end)

  it("work below a namespace", function()
    p:ok { "put", "-n", "/app", "/a", "1" }
    assert.equal("1", p:ok { "get", "/app/a" })
    assert.equal("a\n", p:ok { "ls", "-n", "app" })
  end)

  it("find their registry in application.yaml, and say so when there is none", function()
    local code, _, err = p:run { "get", "/a", env = "MOONWATCH_REGISTRY=" }
    assert.equal(3, code)
    assert.matches("which registry%?", err)
    p:write("application.yaml", "registry: {sqlite: {path: here.db}}\n")
    p:ok { "put", "/a", "from yaml", env = "MOONWATCH_REGISTRY=" }
    assert.equal("from yaml", p:ok { "get", "/a", "-b", "sqlite:here.db" })
    assert.equal(4, (p:run { "get", "/a", "-b", "sqlite:absent.db" }))
    assert.equal(2, (p:run { "get", "/a", "-b", "zookeeper:" }))
    assert.matches("'servers' is required: host:port", p:read "err")
    assert.equal("", p:read "absent.db")
  end)

  it("watch prints the present, then changes, in order", function()
    p:ok { "put", "/w/a", "1" }
    local watch = p:start { "watch", "/w", "--count", "3", "-o", "json" }
    watch.says '"synced"'
    p:ok { "put", "/w/a", "2" }
    watch.says '"updated"' -- what nobody has read yet may coalesce with what follows
    p:ok { "rm", "/w/a" }
    assert.equal(0, watch.code())
    local seen = {}
    for line in watch.out():gmatch "[^\n]+" do
      local event = json.decode(line)
      seen[#seen + 1] = event.type .. (event.value and "=" .. event.value or "")
    end
    assert.same({ "added=1", "synced", "updated=2", "removed=2" }, seen)
  end)

  it("watch runs a command for each change, one after another, in order", function()
    local watch = p:start { "watch", "/w", "--count", "4", "--", "sh", "-c",
      'echo "begin $MOONWATCH_EVENT $MOONWATCH_PATH=$MOONWATCH_VALUE"; echo end' }
    for i = 1, 4 do
      p:ok { "put", "/w/" .. i, "v" .. i }
    end
    assert.equal(0, watch.code(), watch.err())
    local expected = {}
    for i = 1, 4 do
      expected[i] = ("begin added /w/%d=v%d\nend\n"):format(i, i)
    end
    assert.equal(table.concat(expected), watch.out())
  end)

  it("get -w prints each value", function()
    p:ok { "put", "/g", "1" }
    local get = p:start { "get", "-w", "/g" }
    get.says "1\n"
    p:ok { "put", "/g", "2" }
    get.says "1\n2\n"
    get.signal "INT"
    assert.equal(130, get.code())
  end)

  it("end quietly when their reader has gone", function()
    for i = 1, 3 do
      p:ok { "put", "/big/" .. i, "-", input = ("x"):rep(100000) }
    end
    local _, _, code = os.execute(("cd %s && timeout 20 bash -c 'moonwatch export -b %s | head -c 1; "
      .. "exit ${PIPESTATUS[0]}' >out 2>err"):format(p.folder, p.registry))
    assert.equal(0, code)
    assert.equal("", p:read "err")
  end)
end)
