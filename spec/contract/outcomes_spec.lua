-- A write was applied and its answer did not arrive: backends whose harness can lose one.
local Events = require "support.events"
local Harness = require "support.harness"
local expect = require "support.expect"
local mw = require "moonwatch"

describe("when the answer is lost after the commit", function()
  local h, client, other

  before_each(function()
    h = Harness.start()
    client, other = h:open(), h:open()
  end)

  after_each(function() h:finish() end)

  --- The caller is told the truth: done, or (where that cannot be decided) unknown. Returns the result, if any.
  local function truth(result, err)
    if not result then
      assert.equal("unknown", err.code, tostring(err))
      assert.is_false(err.retryable)
    end
    return result
  end

  local function entry_of(path)
    return other:get(path, { fresh = true })
  end

  it("create is there once, and not told to exist already", function()
    h:lose_next_reply(client)
    local written = truth(client:create("/a", "v"))
    local entry = expect.ok(entry_of "/a")
    assert.equal(0, entry.version)
    assert.equal("v", entry.value)
    if written then
      assert.equal(entry.revision, written.revision)
      assert.equal(entry.created, written.created)
    end
  end)

  it("create of an ephemeral is there once, and ours", function()
    h:lose_next_reply(client)
    truth(client:create("/e", "v", { ephemeral = true }))
    local entry = expect.ok(entry_of "/e")
    assert.equal(client:session(), entry.owner)
    client:close()
    expect.failure("not_found", entry_of "/e")
  end)

  it("put is applied once", function()
    expect.ok(client:put("/a", "0"))
    h:lose_next_reply(client)
    truth(client:put("/a", "1"))
    local entry = expect.ok(entry_of "/a")
    assert.equal("1", entry.value)
    assert.equal(1, entry.version)
  end)

  it("set with a version is applied once, and not told to conflict with itself", function()
    expect.ok(client:put("/a", "0"))
    h:lose_next_reply(client)
    truth(client:set("/a", "1", { version = 0 }))
    assert.equal(1, expect.ok(entry_of "/a").version)
  end)

  it("delete is not told not to be found", function()
    expect.ok(client:put("/a", "0"))
    h:lose_next_reply(client)
    truth(client:delete("/a"))
    expect.failure("not_found", entry_of "/a")
  end)

  it("txn is applied once, as a whole", function()
    expect.ok(client:put("/count", "0"))
    h:lose_next_reply(client)
    local result = truth(client:txn():set("/count", "1", { version = 0 }):create("/a", "a"):create("/b", "b"):commit())
    assert.equal(1, expect.ok(entry_of "/count").version)
    local revision = expect.ok(entry_of "/a").revision
    assert.equal(revision, expect.ok(entry_of "/b").revision)
    if result then
      assert.equal(revision, result.revision)
    end
  end)

  it("txn that was refused is told why, or that it is unknown, and changed nothing", function()
    expect.ok(client:put("/a", "0"))
    h:lose_next_reply(client)
    local result, err = client:txn():check("/a", { version = 7 }):create("/b", "b"):commit()
    assert.is_nil(result)
    assert.is_truthy(err.code == "conflict" or err.code == "unknown", tostring(err))
    expect.failure("not_found", entry_of "/b")
  end)

  it("what another wrote meanwhile is not taken for ours", function()
    expect.ok(client:put("/a", "0"))
    h:lose_next_reply(client)
    local task = mw.spawn(function() return client:set("/a", "mine", { version = 0 }) end)
    h:wait("the write", function() return expect.ok(entry_of "/a").version == 1 end)
    expect.ok(other:set("/a", "theirs"))
    local _, result, err = task:join()
    truth(result, err)
    local entry = expect.ok(entry_of "/a")
    assert.equal("theirs", entry.value)
    assert.equal(2, entry.version)
  end)

  it("a caller whose deadline passes is told unknown, and the write is there once", function()
    h:lose_next_reply(client)
    local written, err = client:put("/a", "v", { timeout = 0.05 })
    if not written then
      expect.failure("unknown", written, err)
    end
    h:wait("the write", function() return entry_of "/a" end)
    assert.equal(0, expect.ok(entry_of "/a").version)
  end)

  it("a lock is held once, or leaves nothing", function()
    h:lose_next_reply(client)
    local lock <close> = client:lock("/l")
    local token = lock:acquire { timeout = 60 }
    if token then
      local queue = expect.ok(other:queue("/l", { fresh = true }))
      assert.equal(1, #queue)
      assert.equal(client:session(), queue[1].owner)
      expect.ok(lock:release())
    end
    local second <close> = other:lock("/l")
    local next_token = expect.ok(second:acquire { timeout = 60 })
    assert.is_true(next_token > (token or 0))
    h:wait("a queue of one", function() return #expect.ok(other:queue("/l", { fresh = true })) == 1 end)
  end)

  it("a registration becomes visible all the same", function()
    h:lose_next_reply(client)
    local registration <close> = expect.ok(client:register("/n/a", "v", { timeout = 60 }))
    assert.equal(client:session(), expect.ok(entry_of "/n/a").owner)
    assert.is_true(registration.visible)
  end)

  it("a subscriber hears of the write once", function()
    local seen <close> = Events.of(h, client, "/d")
    seen:synced()
    h:lose_next_reply(client)
    truth(client:create("/d/a", "v"))
    seen:await("added", "/d/a")
    expect.ok(other:create("/d/mark", "v"))
    seen:await("added", "/d/mark")
    assert.same({ "added" }, seen:kinds "/d/a")
  end)

  it("of each of many writes, none is lost or doubled", function()
    for i = 1, 20 do
      if i % 3 == 0 then
        h:lose_next_reply(client)
      end
      truth(client:create("/many/" .. i, "v"))
    end
    local entries = expect.ok(other:list("/many", { fresh = true }))
    assert.equal(20, #entries)
    for _, entry in ipairs(entries) do
      assert.equal(0, entry.version)
    end
  end)
end)
