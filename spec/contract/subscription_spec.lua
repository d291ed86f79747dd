local mw = require "moonwatch"
local Events = require "support.events"
local Harness = require "support.harness"
local expect = require "support.expect"

describe("subscription", function()
  local h, client, other

  before_each(function()
    h = Harness.start()
    client, other = h:open(), h:open()
  end)

  after_each(function() h:finish() end)

  --- Everything written before this call has been delivered when it returns.
  local function mark(seen, path)
    expect.ok(other:create(path, "mark"))
    seen:await("added", path)
  end

  it("delivers the present state, then synced once, then changes", function()
    expect.ok(other:create("/d/a", "1"))
    expect.ok(other:create("/d/b", "2"))
    local seen <close> = Events.of(h, client, "/d")
    local _, place = seen:synced()
    assert.equal(3, place)
    assert.equal(2, seen:count "added")
    expect.ok(other:create("/d/c", "3"))
    local _, later = seen:await("added", "/d/c")
    assert.is_true(later > place)
    assert.equal(1, seen:count "synced")
  end)

  it("of nothing delivers synced", function()
    local seen <close> = Events.of(h, client, "/d")
    local _, place = seen:synced()
    assert.equal(1, place)
    expect.ok(other:create("/d/a", "1"))
    seen:await("added", "/d/a")
  end)

  it("can be waited for until it is complete", function()
    expect.ok(other:create("/d/a", "1"))
    local subscription = client:subscribe("/d", {}, function() end)
    expect.ok(subscription:synced())
    assert.same({ "/d/a" }, expect.each("path", subscription:entries()))
    subscription:close()
  end)

  describe("events carry every field:", function()
    local seen

    before_each(function() seen = Events.of(h, client, "/d") end)
    after_each(function() seen:close() end)

    it("added", function()
      local written = expect.ok(other:create("/d/a", "value", { ephemeral = true }))
      local event = seen:await("added", "/d/a")
      assert.equal("value", event.value)
      assert.equal(0, event.version)
      assert.equal(written.revision, event.revision)
      assert.equal(written.created, event.created)
      assert.equal(other:session(), event.owner)
      assert.is_nil(event.previous)
    end)

    it("added, of a persistent entry has no owner", function()
      expect.ok(other:create("/d/a", "value"))
      assert.is_nil(seen:await("added", "/d/a").owner)
    end)

    it("updated", function()
      local created = expect.ok(other:create("/d/a", "1"))
      seen:await("added", "/d/a")
      local written = expect.ok(other:set("/d/a", "2"))
      local event = seen:await("updated", "/d/a")
      assert.equal("2", event.value)
      assert.equal("1", event.previous)
      assert.equal(1, event.version)
      assert.equal(written.revision, event.revision)
      assert.equal(created.created, event.created)
    end)

    it("removed", function()
      local created = expect.ok(other:create("/d/a", "1"))
      seen:await("added", "/d/a")
      local set = expect.ok(other:set("/d/a", "2"))
      seen:await("updated", "/d/a")
      local deleted = expect.ok(other:txn():delete("/d/a"):commit())
      local event = seen:await("removed", "/d/a")
      assert.equal("2", event.value)
      assert.equal(created.created, event.created)
      assert.is_true(event.revision >= deleted.revision)
      assert.is_true(event.revision > set.revision)
    end)

    it("removed, of an ephemeral whose session ended", function()
      local third = h:open()
      local session = third:session()
      expect.ok(third:create("/d/e", "last words", { ephemeral = true }))
      seen:await("added", "/d/e")
      third:close()
      local event = seen:await("removed", "/d/e")
      assert.equal("last words", event.value)
      assert.equal(session, event.owner)
    end)

    it("an update with the same value", function()
      expect.ok(other:put("/d/a", "same"))
      seen:await("added", "/d/a")
      expect.ok(other:put("/d/a", "same"))
      assert.equal(1, seen:await("updated", "/d/a").version)
    end)
  end)

  it("of own writes delivers them as well", function()
    local seen <close> = Events.of(h, client, "/d")
    expect.ok(client:create("/d/a", "1"))
    seen:await("added", "/d/a")
  end)

  it("delivers a new incarnation as removed, then added", function()
    local seen <close> = Events.of(h, client, "/d")
    expect.ok(other:create("/d/a", "1"))
    local first = seen:await("added", "/d/a")
    expect.ok(other:delete("/d/a"))
    expect.ok(other:create("/d/a", "2"))
    local removed, place = seen:await("removed", "/d/a")
    local second = seen:await("added", "/d/a", place)
    assert.equal("1", removed.value)
    assert.is_true(second.created > first.created)
    assert.is_true(removed.revision <= second.revision)
    assert.same({ "added", "removed", "added" }, seen:kinds "/d/a")
  end)

  it("delivers a new incarnation within one txn's reach too", function()
    expect.ok(other:create("/d/a", "1"))
    local seen <close> = Events.of(h, client, "/d")
    seen:synced()
    for i = 1, 5 do
      expect.ok(other:delete("/d/a"))
      expect.ok(other:create("/d/a", tostring(i)))
    end
    h:wait("the last incarnation", function()
      local last = seen.list[#seen.list]
      return last.type == "added" and last.value == "5"
    end)
    for i, kind in ipairs(seen:kinds "/d/a") do
      assert.equal(i % 2 == 1 and "added" or "removed", kind)
    end
  end)

  describe("depth", function()
    local function paths_seen(depth)
      for _, path in ipairs { "/d/a/x", "/d/b", "/db/x", "/d-", "/e" } do
        expect.ok(other:create(path, "v"))
      end
      local seen <close> = Events.of(h, client, "/d", { depth = depth })
      seen:synced()
      expect.ok(other:create("/d/a/y/z", "v"))
      expect.ok(other:create("/db/y", "v"))
      expect.ok(other:set("/d", "changed"))
      expect.ok(other:create("/d/last", "v"))
      if depth == "self" then
        seen:await("updated", "/d")
      else
        seen:await("added", "/d/last")
      end
      local paths = {}
      for _, event in ipairs(seen.list) do
        if event.type == "added" then
          table.insert(paths, event.path)
        end
      end
      table.sort(paths)
      return paths
    end

    it("self covers the entry alone", function()
      assert.same({ "/d" }, paths_seen "self")
    end)

    it("children covers what is directly below, and is what one gets", function()
      assert.same({ "/d/a", "/d/b", "/d/last" }, paths_seen "children")
      expect.ok(other:delete("/d", { recursive = true }))
      expect.ok(other:delete("/db", { recursive = true }))
      expect.ok(other:delete("/d-"))
      expect.ok(other:delete("/e"))
      assert.same({ "/d/a", "/d/b", "/d/last" }, paths_seen(nil))
    end)

    it("subtree covers all that is below", function()
      assert.same({ "/d/a", "/d/a/x", "/d/a/y", "/d/a/y/z", "/d/b", "/d/last" }, paths_seen "subtree")
    end)
  end)

  it("to an entry that comes, goes and comes", function()
    local seen <close> = Events.of(h, client, "/d/x", { depth = "self" })
    seen:synced()
    expect.ok(other:create("/d/x", "1"))
    seen:await("added", "/d/x")
    expect.ok(other:delete("/d", { recursive = true }))
    local _, place = seen:await("removed", "/d/x")
    expect.ok(other:create("/d/x", "2"))
    assert.equal("2", seen:await("added", "/d/x", place).value)
  end)

  it("to the root sees all but what is the registry's own", function()
    local seen <close> = Events.of(h, client, "/", { depth = "subtree" })
    local lock <close> = other:lock("/locks/l")
    expect.ok(lock:acquire())
    expect.ok(other:create("/a/b", "v"))
    seen:await("added", "/a/b")
    for _, event in ipairs(seen.list) do
      assert.is_truthy(event.type == "synced" or event.path:find "^/a" or event.path:find "^/locks", event.path)
      assert.is_nil(event.path:find("^/locks/l/"))
    end
  end)

  it("of sibling prefixes keep apart", function()
    local a <close> = Events.of(h, client, "/a")
    local ab <close> = Events.of(h, client, "/ab")
    expect.ok(other:create("/a/x", "v"))
    expect.ok(other:create("/ab/x", "v"))
    mark(a, "/a/mark")
    mark(ab, "/ab/mark")
    assert.same({}, a:kinds "/ab/x")
    assert.same({}, ab:kinds "/a/x")
  end)

  it("of a txn brings each of its entries, at one revision", function()
    local seen <close> = Events.of(h, client, "/", { depth = "subtree" })
    seen:synced()
    local result = expect.ok(other:txn():create("/a", "1"):create("/b", "2"):commit())
    assert.equal(result.revision, seen:await("added", "/a").revision)
    assert.equal(result.revision, seen:await("added", "/b").revision)
  end)

  it("delivers per path in order of revisions, and the last state always", function()
    local seen <close> = Events.of(h, client, "/d")
    for i = 1, 50 do
      expect.ok(other:put("/d/a", tostring(i)))
    end
    h:wait("the last value", function() return seen.list[#seen.list].value == "50" end)
    local last, previous = 0, nil
    for _, event in ipairs(seen.list) do
      if event.path == "/d/a" then
        assert.is_true(event.revision > last)
        assert.equal(previous, event.previous)
        last, previous = event.revision, event.value
      end
    end
  end)

  it("can be iterated instead", function()
    expect.ok(other:create("/d/a", "1"))
    local got = {}
    local subscription = client:subscribe("/d", {})
    local task = mw.spawn(function()
      for event in subscription:events() do
        table.insert(got, event.type .. " " .. event.path)
      end
      return true
    end)
    h:wait("synced", function() return #got >= 2 end)
    expect.ok(other:delete("/d/a"))
    h:wait("removed", function() return #got >= 3 end)
    subscription:close()
    assert(task:join())
    assert.same({ "added /d/a", "synced /d", "removed /d/a" }, got)
  end)

  it("shows its cached entries without asking the server", function()
    for _, name in ipairs { "c", "a", "b" } do
      expect.ok(other:create("/d/" .. name, "value of " .. name))
    end
    local seen <close> = Events.of(h, client, "/d")
    seen:synced()
    local before = client:stats().round_trips
    local entries = seen.subscription:entries()
    assert.same({ "/d/a", "/d/b", "/d/c" }, expect.each("path", entries))
    assert.same({ "value of a", "value of b", "value of c" }, expect.each("value", entries))
    assert.equal(before, client:stats().round_trips)
    assert.same(expect.ok(other:get("/d/b", { fresh = true })), entries[2])
  end)
end)
