local Harness = require "support.harness"
local expect = require "support.expect"

describe("reads", function()
  local h, client, other

  before_each(function()
    h = Harness.start()
    client, other = h:open(), h:open()
  end)

  after_each(function() h:finish() end)

  describe("get", function()
    it("returns each field of an entry", function()
      local before = expect.ok(client:create("/a", "first"))
      local written = expect.ok(client:set("/a", "second"))
      local entry = expect.ok(client:get("/a"))
      assert.equal("/a", entry.path)
      assert.equal("second", entry.value)
      assert.equal(1, entry.version)
      assert.equal(written.revision, entry.revision)
      assert.equal(before.created, entry.created)
      assert.is_nil(entry.owner)
      assert.is_number(entry.ctime)
      assert.is_true(entry.mtime >= entry.ctime)
    end)

    it("names the owner of an ephemeral", function()
      expect.ok(client:create("/a", "", { ephemeral = true }))
      assert.equal(client:session(), expect.ok(other:get("/a", { fresh = true })).owner)
    end)

    it("fails with not_found, naming the path", function()
      local err = expect.failure("not_found", client:get("/a/b"))
      assert.equal("/a/b", err.path)
      assert.is_false(err.retryable)
    end)

    for what, value in pairs {
      empty = "", ["NUL bytes"] = "a\0b\0", ["invalid UTF-8"] = "\xff\xfe", ["100,000 bytes"] = ("xyz\n"):rep(25000),
    } do
      it("returns bytes as they were written: " .. what, function()
        expect.ok(client:create("/a", value))
        assert.is_true(value == expect.ok(other:get("/a", { fresh = true })).value)
      end)
    end

    it("includes own writes", function()
      for i = 1, 20 do
        expect.ok(client:put("/a", tostring(i)))
        assert.equal(tostring(i), expect.ok(client:get("/a")).value)
      end
    end)

    it("with `fresh` shows what another was acknowledged before", function()
      for i = 1, 20 do
        expect.ok(client:put("/a", tostring(i)))
        assert.equal(tostring(i), expect.ok(other:get("/a", { fresh = true })).value)
      end
    end)

    it("never goes back", function()
      local last = 0
      for i = 1, 20 do
        expect.ok(client:put("/a", tostring(i)))
        local entry = other:get("/a")
        local revision = entry and entry.revision or 0
        assert.is_true(revision >= last)
        last = revision
      end
    end)
  end)

  describe("stat", function()
    it("is get without the value", function()
      expect.ok(client:create("/a", "value"))
      local entry, stat = expect.ok(client:get("/a")), expect.ok(client:stat("/a"))
      assert.equal("", stat.value)
      entry.value, stat.value = nil, nil
      assert.same(entry, stat)
    end)

    it("fails with not_found", function()
      expect.failure("not_found", client:stat("/a"))
    end)
  end)

  describe("children", function()
    it("are the names directly below, sorted", function()
      for _, path in ipairs { "/d/b", "/d/a/x", "/d/c/y/z", "/e" } do
        expect.ok(client:create(path))
      end
      assert.same({ "a", "b", "c" }, expect.ok(client:children("/d")))
      assert.same({ "d", "e" }, expect.ok(client:children("/")))
    end)

    it("of an entry without any are none", function()
      expect.ok(client:create("/a"))
      assert.same({}, expect.ok(client:children("/a")))
    end)

    it("of an absent entry fail with not_found", function()
      expect.failure("not_found", client:children("/a"))
    end)

    it("of the root are there in an empty registry", function()
      assert.same({}, expect.ok(client:children("/")))
    end)

    it("are what others were acknowledged, when fresh", function()
      expect.ok(client:create("/d/a"))
      assert.same({ "a" }, expect.ok(other:children("/d", { fresh = true })))
    end)

    it("are many", function()
      for i = 1, 15 do
        local txn = client:txn()
        for k = 1, 100 do
          txn:create(("/d/%02d-%03d"):format(i, k))
        end
        expect.ok(txn:commit())
      end
      local names = expect.ok(client:children("/d"))
      assert.equal(1500, #names)
      assert.equal("01-001", names[1])
      assert.equal("15-100", names[1500])
    end)
  end)

  describe("list", function()
    it("returns all entries strictly below, with their values, sorted by path", function()
      for _, path in ipairs { "/d/b", "/d/a/x", "/d/a-", "/e" } do
        expect.ok(client:create(path, "value of " .. path))
      end
      local entries = expect.ok(client:list("/d"))
      assert.same({ "/d/a", "/d/a-", "/d/a/x", "/d/b" }, expect.each("path", entries))
      assert.same({ "", "value of /d/a-", "value of /d/a/x", "value of /d/b" }, expect.each("value", entries))
    end)

    it("of an absent entry is empty", function()
      assert.same({}, expect.ok(client:list("/a")))
    end)

    it("of the root is everything", function()
      expect.ok(client:create("/a/b"))
      assert.same({ "/a", "/a/b" }, expect.each("path", expect.ok(client:list("/"))))
    end)
  end)
end)
