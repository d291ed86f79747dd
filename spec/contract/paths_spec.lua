local Harness = require "support.harness"
local expect = require "support.expect"

describe("paths", function()
  local h, client

  before_each(function()
    h = Harness.start()
    client = h:open()
  end)

  after_each(function() h:finish() end)

  local good = {
    "/a", "/a/b-c/d.e", "/...", "/a/..b", "/ ", "/a b", "/a:b,c;d'e\"f", "/%", "/_", "/*", "/a\\b",
    "/caf\u{e9}", "/\u{4e2d}\u{6587}/\u{437}", "/zookeepers", "/a/zookeeper", "/" .. ("x"):rep(1023),
  }
  for number, path in ipairs(good) do
    it(("accept %d: %q"):format(number, path:sub(1, 20)), function()
      expect.ok(client:create(path, "v"))
      assert.equal(path, expect.ok(client:get(path)).path)
      expect.ok(client:delete(path))
    end)
  end

  local bad = {
    ["an empty one"] = "", ["a relative one"] = "a", ["a slash at the end"] = "/a/", ["two slashes"] = "/a//b",
    ["a dot"] = "/a/./b", ["two dots"] = "/a/..", ["NUL"] = "/a\0b", ["a control character"] = "/a\tb",
    ["DEL"] = "/a\127", ["U+0085"] = "/a\u{85}", ["a private character"] = "/a\u{e000}",
    ["the last private character"] = "/a\u{f8ff}", ["U+FFF0"] = "/a\u{fff0}", ["U+FFFF"] = "/a\u{ffff}",
    ["a character beyond the basic plane"] = "/a\u{1f600}", ["a surrogate"] = "/a\xed\xa0\x80",
    ["broken UTF-8"] = "/a\xff", ["a cut sequence"] = "/a\xe4\xb8", ["an overlong sequence"] = "/a\xc0\xaf",
    ["1,025 bytes"] = "/" .. ("x"):rep(1024), ["ZooKeeper's own"] = "/zookeeper",
    ["below ZooKeeper's own"] = "/zookeeper/quota",
  }
  for what, path in pairs(bad) do
    it("refuse " .. what .. " with one error everywhere", function()
      local calls = {
        function() return client:get(path) end,
        function() return client:stat(path) end,
        function() return client:children(path) end,
        function() return client:list(path) end,
        function() return client:create(path, "v") end,
        function() return client:put(path, "v") end,
        function() return client:set(path, "v") end,
        function() return client:delete(path) end,
        function() return client:txn():create(path, "v"):commit() end,
        function() return client:register(path, "v") end,
      }
      local first
      for _, call in ipairs(calls) do
        local err = expect.failure("invalid", call())
        first = first or err.message
        assert.equal(first, err.message)
      end
      assert.same({}, expect.ok(client:children("/", { fresh = true })))
    end)
  end

  it("are compared as bytes: neither case nor a blank at the end is lost", function()
    for _, path in ipairs { "/a", "/A", "/a ", "/\u{e9}", "/e\u{301}" } do
      expect.ok(client:create(path, path))
    end
    for _, path in ipairs { "/a", "/A", "/a ", "/\u{e9}", "/e\u{301}" } do
      assert.equal(path, expect.ok(client:get(path)).value)
    end
  end)

  it("are sorted as bytes", function()
    for _, name in ipairs { "b", "a", "\u{e9}", "B", "a-", "ab", "a b" } do
      expect.ok(client:create("/" .. name))
    end
    assert.same({ "B", "a", "a b", "a-", "ab", "b", "\u{e9}" }, expect.ok(client:children("/")))
  end)

  it("/a is never a prefix of /ab", function()
    for _, path in ipairs { "/a/x", "/ab/x", "/a-b", "/a.b/x" } do
      expect.ok(client:create(path, "v"))
    end
    assert.same({ "x" }, expect.ok(client:children("/a")))
    assert.same({ "/a/x" }, expect.each("path", expect.ok(client:list("/a"))))
    expect.ok(client:delete("/a", { recursive = true }))
    assert.same({ "a-b", "a.b", "ab" }, expect.ok(client:children("/")))
  end)

  it("get missing parents, which are persistent and stay", function()
    expect.ok(client:create("/a/b/c", "v", { ephemeral = true }))
    local parent = expect.ok(client:get("/a/b"))
    assert.equal("", parent.value)
    assert.is_nil(parent.owner)
    expect.ok(client:delete("/a/b/c"))
    expect.ok(client:get("/a/b"))
  end)
end)
