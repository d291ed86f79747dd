local Harness = require "support.harness"
local expect = require "support.expect"

describe("writes", function()
  local h, client, other

  before_each(function()
    h = Harness.start()
    client, other = h:open(), h:open()
  end)

  after_each(function() h:finish() end)

  describe("create", function()
    it("tells what was written", function()
      local written = expect.ok(client:create("/a", "v"))
      assert.equal("/a", written.path)
      assert.equal(0, written.version)
      assert.equal(written.revision, written.created)
      assert.is_nil(written.owner)
    end)

    it("of an ephemeral tells the owner", function()
      local written = expect.ok(client:create("/a", "v", { ephemeral = true }))
      assert.equal(client:session(), written.owner)
    end)

    it("without a value writes an empty one", function()
      expect.ok(client:create("/a"))
      assert.equal("", expect.ok(client:get("/a")).value)
    end)

    it("fails with exists when present, and changes nothing", function()
      local first = expect.ok(client:create("/a", "first"))
      local err = expect.failure("exists", other:create("/a", "second"))
      assert.equal("/a", err.path)
      local entry = expect.ok(client:get("/a", { fresh = true }))
      assert.equal("first", entry.value)
      assert.equal(first.revision, entry.revision)
    end)

    it("below an ephemeral is refused", function()
      expect.ok(client:create("/a", "", { ephemeral = true }))
      expect.failure("conflict", client:create("/a/b", ""))
      expect.failure("conflict", other:create("/a/b/c", ""))
      expect.failure("not_found", client:get("/a/b"))
    end)

    it("again after a delete is a new incarnation", function()
      local first = expect.ok(client:create("/a", "first"))
      expect.ok(client:set("/a", "changed"))
      expect.ok(client:delete("/a"))
      local second = expect.ok(client:create("/a", "second"))
      assert.equal(0, second.version)
      assert.is_true(second.created > first.created)
    end)
  end)

  describe("put", function()
    it("creates, then replaces", function()
      local first = expect.ok(client:put("/a", "1"))
      local second = expect.ok(client:put("/a", "2"))
      assert.equal(0, first.version)
      assert.equal(1, second.version)
      assert.equal(first.created, second.created)
      assert.is_true(second.revision > first.revision)
      assert.equal("2", expect.ok(client:get("/a")).value)
    end)

    it("of the same value is a change all the same", function()
      local first = expect.ok(client:put("/a", "same"))
      local second = expect.ok(client:put("/a", "same"))
      assert.equal(first.version + 1, second.version)
      assert.is_true(second.revision > first.revision)
    end)

    it("replaces another client's persistent entry", function()
      expect.ok(client:put("/a", "1"))
      assert.equal(1, expect.ok(other:put("/a", "2")).version)
    end)

    it("replaces an ephemeral of its own", function()
      expect.ok(client:put("/a", "1", { ephemeral = true }))
      local second = expect.ok(client:put("/a", "2", { ephemeral = true }))
      assert.equal(client:session(), second.owner)
    end)

    it("never adopts an ephemeral of another session", function()
      expect.ok(client:put("/a", "1", { ephemeral = true }))
      expect.failure("conflict", other:put("/a", "2", { ephemeral = true }))
      expect.failure("conflict", other:put("/a", "2"))
      local entry = expect.ok(client:get("/a", { fresh = true }))
      assert.equal("1", entry.value)
      assert.equal(client:session(), entry.owner)
    end)

    it("never changes the kind of an entry", function()
      expect.ok(client:put("/a", "1"))
      expect.failure("conflict", client:put("/a", "2", { ephemeral = true }))
      expect.ok(client:put("/b", "1", { ephemeral = true }))
      expect.failure("conflict", client:put("/b", "2"))
      assert.equal("1", expect.ok(client:get("/a")).value)
    end)
  end)

  describe("set", function()
    it("replaces what is present", function()
      expect.ok(client:create("/a", "1"))
      local written = expect.ok(client:set("/a", "2"))
      assert.equal(1, written.version)
      assert.equal("2", expect.ok(client:get("/a")).value)
    end)

    it("fails with not_found when absent, and creates nothing", function()
      expect.failure("not_found", client:set("/a", "1"))
      expect.failure("not_found", client:set("/a", "1", { version = 0 }))
      expect.failure("not_found", client:get("/a", { fresh = true }))
    end)

    it("fails with conflict when the version differs", function()
      expect.ok(client:create("/a", "1"))
      expect.ok(client:set("/a", "2", { version = 0 }))
      local err = expect.failure("conflict", client:set("/a", "3", { version = 0 }))
      assert.equal("/a", err.path)
      expect.failure("conflict", client:set("/a", "3", { version = 2 }))
      assert.equal("2", expect.ok(client:get("/a")).value)
    end)

    it("keeps kind and owner", function()
      expect.ok(client:create("/a", "1", { ephemeral = true }))
      local written = expect.ok(other:set("/a", "2"))
      assert.equal(client:session(), written.owner)
    end)

    it("of many writers with the same version lets one win", function()
      expect.ok(client:create("/a", "0"))
      local won, tasks = 0, {}
      for i = 1, 8 do
        table.insert(tasks, require "moonwatch".spawn(function()
          local writer = i % 2 == 0 and client or other
          local written, err = writer:set("/a", tostring(i), { version = 0 })
          won = won + (written and 1 or 0)
          assert(written or err.code == "conflict", err)
        end))
      end
      for _, task in ipairs(tasks) do
        assert(task:join())
      end
      assert.equal(1, won)
    end)
  end)

  describe("delete", function()
    it("removes what is present", function()
      expect.ok(client:create("/a", "1"))
      assert.is_true(expect.ok(client:delete("/a")))
      expect.failure("not_found", other:get("/a", { fresh = true }))
    end)

    it("fails with not_found when absent", function()
      expect.failure("not_found", client:delete("/a"))
    end)

    it("fails with conflict when the version differs", function()
      expect.ok(client:create("/a", "1"))
      expect.failure("conflict", client:delete("/a", { version = 1 }))
      expect.ok(client:delete("/a", { version = 0 }))
    end)

    it("fails with not_empty when there are children", function()
      expect.ok(client:create("/a/b"))
      expect.failure("not_empty", client:delete("/a"))
      expect.ok(client:get("/a/b"))
    end)

    it("recursive takes all that is below, and nothing beside", function()
      for _, path in ipairs { "/a/b/c", "/a/d", "/ab" } do
        expect.ok(client:create(path))
      end
      expect.ok(client:delete("/a", { recursive = true }))
      assert.same({ "ab" }, expect.ok(client:children("/")))
    end)

    it("recursive takes all of it also while another takes it too, and a third one adds", function()
      local txn = client:txn():create("/a", "")
      for i = 1, 99 do
        txn:create(("/a/%02d"):format(i), ""):create(("/a/%02d/x"):format(i), "")
      end
      expect.ok(txn:commit())
      local rivals = {}
      for i, rival in ipairs { client, h:open(), h:open() } do
        rivals[i] = require "moonwatch".spawn(function()
          if i == 3 then
            return rival:create("/a/50/new", "")
          end
          return rival:delete("/a", { recursive = true })
        end)
      end
      for i, task in ipairs(rivals) do
        local _, done, err = task:join()
        assert.is_truthy(done or err.code == "not_found" or i == 3, tostring(err))
      end
      local again, err = client:delete("/a", { recursive = true })
      assert.is_truthy(again or err.code == "not_found", tostring(err))
      expect.failure("not_found", client:get("/a", { fresh = true }))
    end)

    it("recursive fails with not_found when absent", function()
      expect.failure("not_found", client:delete("/a", { recursive = true }))
    end)

    it("takes an ephemeral of another session", function()
      expect.ok(client:create("/a", "", { ephemeral = true }))
      expect.ok(other:delete("/a"))
      expect.failure("not_found", client:get("/a", { fresh = true }))
    end)
  end)

  it("of one client are applied in the order in which they were begun", function()
    local tasks = {}
    for i = 1, 30 do
      table.insert(tasks, require "moonwatch".spawn(function() return client:put("/a", tostring(i)) end))
    end
    local last = 0
    for _, task in ipairs(tasks) do
      local _, written = assert(task:join())
      assert.is_true(written.revision > last)
      last = written.revision
    end
    assert.equal("30", expect.ok(client:get("/a")).value)
  end)

  it("get revisions that grow over the whole registry", function()
    local last = 0
    for i = 1, 10 do
      local writer = i % 2 == 0 and client or other
      local written = expect.ok(writer:create("/" .. i))
      assert.is_true(written.revision > last)
      last = written.revision
    end
  end)

  it("over the size limit are refused before they are sent", function()
    local huge = ("x"):rep(2 * 1024 * 1024)
    for _, call in ipairs {
      function() return client:create("/a", huge) end,
      function() return client:put("/a", huge) end,
      function() return client:txn():create("/b", huge):commit() end,
    } do
      local before = client:stats().round_trips
      expect.failure("too_large", call())
      assert.equal(before, client:stats().round_trips)
    end
    assert.same({}, expect.ok(client:children("/")))
  end)
end)
