local Harness = require "support.harness"
local expect = require "support.expect"

describe("txn", function()
  local h, client, other

  before_each(function()
    h = Harness.start()
    client, other = h:open(), h:open()
  end)

  after_each(function() h:finish() end)

  it("applies all its steps at one revision", function()
    expect.ok(client:create("/old", "1"))
    expect.ok(client:create("/gone", "1"))
    local result = expect.ok(client:txn()
      :check("/old", { version = 0 }):create("/a", "a"):put("/b", "b"):set("/old", "2"):delete("/gone"):commit())
    assert.equal("integer", math.type(result.revision))
    for _, path in ipairs { "/a", "/b", "/old" } do
      assert.equal(result.revision, expect.ok(client:get(path)).revision)
    end
    assert.equal("2", expect.ok(client:get("/old")).value)
    expect.failure("not_found", client:get("/gone"))
  end)

  it("tells what each step wrote", function()
    expect.ok(client:create("/old", "1"))
    local result = expect.ok(client:txn():create("/a", "a", { ephemeral = true }):set("/old", "2"):commit())
    assert.equal(0, result[1].version)
    assert.equal(client:session(), result[1].owner)
    assert.equal(result.revision, result[1].created)
    assert.equal(1, result[2].version)
    assert.is_nil(result[2].owner)
    assert.is_true(result[2].created < result.revision)
    assert.equal(result.revision, result[2].revision)
  end)

  --- Round trips of `act(run)`, the least of many runs: renewals and looks for changes come between.
  local function round_trips(act)
    local least = math.huge
    for run = 1, 60 do
      local before = client:stats().round_trips
      act(run)
      least = math.min(least, client:stats().round_trips - before)
    end
    return least
  end

  it("takes one round trip, whatever the number of steps", function()
    expect.ok(client:create("/d"))
    assert.equal(1, round_trips(function(run)
      local txn = client:txn()
      for i = 1, 100 do
        txn:create(("/d/%d-%d"):format(run, i), "v")
      end
      expect.ok(txn:commit())
    end))
  end)

  describe("check", function()
    before_each(function()
      expect.ok(client:create("/a", "1"))
      expect.ok(client:set("/a", "2"))
    end)

    local cases = {
      { "of a version that matches", "/a", { version = 1 } },
      { "of an older version", "/a", { version = 0 }, "conflict" },
      { "of a newer version", "/a", { version = 2 }, "conflict" },
      { "of existence", "/a" },
      { "of absence", "/b", { absent = true } },
      { "of existence of what is absent", "/b", nil, "not_found" },
      { "of a version of what is absent", "/b", { version = 0 }, "not_found" },
      { "of absence of what exists", "/a", { absent = true }, "exists" },
    }
    for _, case in ipairs(cases) do
      local what, path, options, code = table.unpack(case, 1, 4)
      it(what .. (code and " refuses with " .. code or " lets it pass"), function()
        local result, err = client:txn():check(path, options):put("/out", "v"):commit()
        if code then
          err = expect.failure(code, result, err)
          assert.equal(path, err.path)
          assert.equal(1, err.step)
          expect.failure("not_found", client:get("/out", { fresh = true }))
        else
          expect.ok(result, err)
          expect.ok(client:get("/out"))
        end
      end)
    end

    it("of absence passes below what is absent, however deep", function()
      expect.ok(client:txn():check("/1/2/3/4/5/6/7/8/9/10/11/12", { absent = true }):put("/out", "v"):commit())
      expect.failure("not_found", client:get("/1", { fresh = true }))
    end)

    it("of absence passes below an ephemeral, whose ever it is", function()
      expect.ok(client:create("/e", "1", { ephemeral = true }))
      expect.ok(other:create("/theirs", "1", { ephemeral = true }))
      expect.ok(client:txn():check("/e/x", { absent = true }):set("/e", "2"):commit())
      expect.ok(client:txn():check("/theirs/x/y", { absent = true }):check("/e/x/y/z", { absent = true })
        :put("/out", "v"):commit())
      expect.ok(client:get("/out"))
      assert.equal(1, expect.ok(client:get("/e")).version)
    end)

    it("speaks of the state before the txn", function()
      expect.ok(client:txn():check("/b", { absent = true }):create("/b"):commit())
      expect.ok(client:txn():check("/a", { version = 1 }):set("/a", "3"):commit())
    end)

    it("alone commits, at a revision of its own", function()
      local before = expect.ok(client:put("/b", "1"))
      local result = expect.ok(client:txn():check("/a"):commit())
      assert.is_true(result.revision > before.revision)
      assert.equal(result.revision, result[1].revision)
      assert.is_true(expect.ok(client:put("/b", "2")).revision > result.revision)
      assert.equal(1, expect.ok(client:get("/a")).version)
    end)
  end)

  describe("when a step is refused", function()
    local refused = {
      { "exists", 2, function(txn) return txn:put("/x", "v"):create("/a", "v"):put("/y", "v") end },
      { "not_found", 3, function(txn) return txn:put("/x", "v"):put("/y", "v"):set("/none", "v") end },
      { "not_found", 2, function(txn) return txn:put("/x", "v"):delete("/none"):put("/y", "v") end },
      { "conflict", 2, function(txn) return txn:put("/x", "v"):set("/a", "v", { version = 7 }):put("/y", "v") end },
      { "conflict", 2, function(txn) return txn:put("/x", "v"):delete("/a", { version = 7 }):put("/y", "v") end },
      { "conflict", 2, function(txn) return txn:put("/x", "v"):put("/a", "v", { ephemeral = true }) end },
      { "not_empty", 2, function(txn) return txn:put("/x", "v"):delete("/full"):put("/y", "v") end },
    }
    for _, case in ipairs(refused) do
      local code, step, fill = table.unpack(case)
      it(("changes nothing, and tells which: %s at %d"):format(code, step), function()
        expect.ok(client:create("/a", "before"))
        expect.ok(client:create("/full/child", "before"))
        local err = expect.failure(code, fill(client:txn()):commit())
        assert.equal(step, err.step)
        local paths = expect.each("path", expect.ok(client:list("/", { fresh = true })))
        assert.same({ "/a", "/full", "/full/child" }, paths)
        assert.equal("before", expect.ok(client:get("/a")).value)
      end)
    end
  end)

  describe("steps", function()
    it("may create a child after its parent", function()
      expect.ok(client:txn():create("/p", "parent"):create("/p/c", "child"):commit())
      assert.equal("parent", expect.ok(client:get("/p")).value)
      assert.equal("child", expect.ok(client:get("/p/c")).value)
    end)

    it("may delete a parent after its children", function()
      expect.ok(client:create("/p/c"))
      expect.ok(client:txn():delete("/p/c"):delete("/p"):commit())
      expect.failure("not_found", client:get("/p"))
    end)

    it("may move an entry, all or nothing", function()
      expect.ok(client:create("/from/job", "work"))
      expect.ok(client:txn():delete("/from/job", { version = 0 }):create("/to/job", "work"):commit())
      assert.same({}, expect.ok(client:children("/from")))
      assert.same({ "job" }, expect.ok(client:children("/to")))
    end)

    it("get missing parents", function()
      expect.ok(client:txn():create("/a/b/c", "v"):put("/d/e", "v"):commit())
      assert.equal("", expect.ok(client:get("/a/b")).value)
    end)

    it("may not write a path twice", function()
      expect.failure("invalid", client:txn():put("/a", "1"):put("/a", "2"):commit())
      expect.failure("invalid", client:txn():create("/a", "1"):delete("/a"):commit())
      assert.same({}, expect.ok(client:children("/", { fresh = true })))
    end)

    it("come after the checks", function()
      expect.failure("invalid", client:txn():put("/a", "1"):check("/b", { absent = true }):commit())
    end)

    it("without any are refused", function()
      expect.failure("invalid", client:txn():commit())
    end)

    it("may be 1,000", function()
      local txn = client:txn()
      for i = 1, 1000 do
        txn:create(("/d/%04d"):format(i), "v")
      end
      local result = expect.ok(txn:commit())
      assert.equal(1000, #expect.ok(client:children("/d")))
      assert.equal(result.revision, expect.ok(client:get("/d/0500")).revision)
    end)
  end)

  it("of two clients on the same version: one wins", function()
    expect.ok(client:create("/a", "0"))
    local won = 0
    for _, writer in ipairs { client, other } do
      local result, err = writer:txn():check("/a", { version = 0 }):set("/a", "1"):put("/by", "x"):commit()
      won = won + (result and 1 or 0)
      assert(result or err.code == "conflict", err)
    end
    assert.equal(1, won)
  end)

  it("over the size limit is refused before it is sent", function()
    local txn, part = client:txn(), ("x"):rep(300 * 1024)
    for i = 1, 8 do
      txn:put("/d/" .. i, part)
    end
    local before = client:stats().round_trips
    expect.failure("too_large", txn:commit())
    assert.equal(before, client:stats().round_trips)
  end)

  it("commits once", function()
    local txn = client:txn():create("/a", "v")
    expect.ok(txn:commit())
    local ok, result = pcall(txn.commit, txn)
    assert.is_falsy(ok and result)
    assert.equal(0, expect.ok(client:get("/a", { fresh = true })).version)
  end)

  describe("with a lock as its guard", function()
    it("commits while the lock is held", function()
      local lock <close> = client:lock("/locks/l")
      expect.ok(lock:acquire())
      expect.ok(client:txn():check(lock):put("/a", "v"):commit())
      assert.equal("v", expect.ok(client:get("/a")).value)
    end)

    it("is refused when it is not held", function()
      local lock <close> = client:lock("/locks/l")
      expect.failure("fenced", client:txn():check(lock):put("/a", "v"):commit())
      expect.ok(lock:acquire())
      expect.ok(lock:release())
      local err = expect.failure("fenced", client:txn():check(lock):put("/a", "v"):commit())
      assert.equal(1, err.step)
      expect.failure("not_found", client:get("/a", { fresh = true }))
    end)

    it("may carry several guards and checks", function()
      local one <close> = client:lock("/locks/1")
      local two <close> = client:lock("/locks/2")
      expect.ok(one:acquire())
      expect.ok(two:acquire())
      expect.ok(client:txn():check(one):check("/a", { absent = true }):check(two):put("/a", "v"):commit())
      expect.ok(two:release())
      expect.failure("fenced", client:txn():check(one):check(two):put("/a", "w"):commit())
      assert.equal("v", expect.ok(client:get("/a")).value)
    end)

    it("costs no round trip more", function()
      local lock <close> = client:lock("/locks/l")
      expect.ok(lock:acquire())
      expect.ok(client:put("/a", "v"))
      -- In turn, so that renewals and looks for changes fall on both alike: a round trip more would be 1 on average.
      local more, runs = 0, 60
      for _ = 1, runs do
        local before = client:stats().round_trips
        expect.ok(client:txn():put("/a", "w"):commit())
        local between = client:stats().round_trips
        expect.ok(client:txn():check(lock):put("/a", "w"):commit())
        more = more + client:stats().round_trips - between - (between - before)
      end
      assert.is_true(more / runs < 0.5, ("%g round trips more"):format(more / runs))
    end)
  end)
end)
