-- Several subscribers, and many events.
local mw = require "moonwatch"
local Events = require "support.events"
local Harness = require "support.harness"
local expect = require "support.expect"

describe("subscribers", function()
  local h, client, other

  before_each(function()
    h = Harness.start()
    client, other = h:open(), h:open()
  end)

  after_each(function() h:finish() end)

  --- Entries below `path`, in txns of 100.
  local function fill(path, count)
    for first = 1, count, 100 do
      local txn = other:txn()
      for i = first, math.min(count, first + 99) do
        txn:put(("%s/%04d"):format(path, i), "value " .. i)
      end
      expect.ok(txn:commit())
    end
  end

  it("on one path each hear everything", function()
    expect.ok(other:create("/d/a", "1"))
    local one <close> = Events.of(h, client, "/d")
    local two <close> = Events.of(h, client, "/d")
    one:synced()
    two:synced()
    expect.ok(other:create("/d/b", "2"))
    for _, seen in ipairs { one, two } do
      seen:await("added", "/d/a")
      seen:await("added", "/d/b")
    end
  end)

  it("that come late get the present state first", function()
    local one <close> = Events.of(h, client, "/d")
    expect.ok(other:create("/d/a", "1"))
    one:await("added", "/d/a")
    expect.ok(other:set("/d/a", "2"))
    one:await("updated", "/d/a")
    local two <close> = Events.of(h, client, "/d")
    local _, place = two:synced()
    assert.equal(2, place)
    assert.same({ "added" }, two:kinds "/d/a")
    assert.equal("2", two.list[1].value)
    assert.equal(1, two.list[1].version)
  end)

  it("can each go without harm to the other", function()
    local one = Events.of(h, client, "/d")
    local two <close> = Events.of(h, client, "/d")
    one:synced()
    two:synced()
    one:close()
    local heard = #one.list
    expect.ok(other:create("/d/a", "1"))
    two:await("added", "/d/a")
    assert.equal(heard, #one.list)
    one:close()
  end)

  it("of different depths on one path each hear theirs", function()
    local one <close> = Events.of(h, client, "/d", { depth = "self" })
    local two <close> = Events.of(h, client, "/d", { depth = "children" })
    local three <close> = Events.of(h, client, "/d", { depth = "subtree" })
    expect.ok(other:create("/d/a/b", "1"))
    one:await("added", "/d")
    two:await("added", "/d/a")
    three:await("added", "/d/a/b")
    three:await("added", "/d/a")
    assert.same({}, one:kinds "/d/a")
    assert.same({}, two:kinds "/d/a/b")
    assert.same({}, three:kinds "/d")
  end)

  it("that leave take nothing from those of another depth", function()
    local whole <close> = Events.of(h, client, "/d", { depth = "subtree" })
    expect.ok(other:create("/d/a/b", "1"))
    local _, place = whole:await("added", "/d/a/b")
    for _, depth in ipairs { "self", "children", "subtree" } do
      local leaving = Events.of(h, client, depth == "self" and "/d/a/b" or "/d/a", { depth = depth })
      leaving:synced()
      leaving.subscription:close()
      expect.ok(other:put("/d/a/b", "after " .. depth))
      _, place = whole:await("updated", "/d/a/b", place + 1)
    end
    expect.ok(other:create("/d/a/c", "2"))
    whole:await("added", "/d/a/c")
  end)

  it("that raise harm no other, nor themselves later", function()
    local count = 0
    local bad = client:subscribe("/d", {}, function()
      count = count + 1
      error "a reaction that raises"
    end)
    local good <close> = Events.of(h, client, "/d")
    good:synced()
    for i = 1, 3 do
      expect.ok(other:create("/d/" .. i, "v"))
      good:await("added", "/d/" .. i)
    end
    h:wait("all events at the one that raises", function() return count >= 4 end)
    bad:close()
  end)

  it("may close themselves from their reaction", function()
    local count, subscription = 0, nil
    subscription = client:subscribe("/d", {}, function(event)
      if event.type == "added" then
        count = count + 1
        subscription:close()
      end
    end)
    local good <close> = Events.of(h, client, "/d")
    expect.ok(subscription:synced())
    expect.ok(other:txn():create("/d/1"):create("/d/2"):commit())
    good:await("added", "/d/1")
    good:await("added", "/d/2")
    assert.equal(1, count)
  end)

  it("may write, lock and subscribe from their reaction", function()
    local done
    local subscription = client:subscribe("/d", {}, function(event)
      if event.type == "added" then
        local lock <close> = client:lock("/l")
        expect.ok(lock:acquire())
        expect.ok(client:txn():check(lock):put("/done/" .. event.value, "by " .. event.path):commit())
        local inner <close> = Events.of(h, client, "/done")
        expect.ok(inner.subscription:synced())
        done = inner.subscription:entries()
      end
    end)
    expect.ok(other:create("/d/a", "work"))
    h:wait("the reaction", function() return done end)
    assert.same({ "by /d/a" }, expect.each("value", done))
    subscription:close()
  end)

  it("react per path one after the other, in order", function()
    local running, overlapped, order = false, false, {}
    local subscription = client:subscribe("/d", {}, function(event)
      overlapped = overlapped or running
      running = event.path == "/d/a"
      mw.sleep(0.002)
      running = false
      table.insert(order, event.revision)
    end)
    expect.ok(subscription:synced())
    local last
    for i = 1, 5 do
      last = expect.ok(other:put("/d/a", tostring(i))).revision
    end
    h:wait("the last", function() return order[#order] == last end)
    assert.is_false(overlapped)
    local sorted = { table.unpack(order) }
    table.sort(sorted)
    assert.same(sorted, order)
    subscription:close()
  end)

  it("hear more than 1,000 entries that are there", function()
    fill("/d", 1500)
    local seen <close> = Events.of(h, client, "/d")
    local _, place = seen:synced()
    assert.equal(1501, place)
    assert.equal(1500, #seen.subscription:entries())
  end)

  it("hear more than 1,000 changes at once", function()
    local seen <close> = Events.of(h, client, "/d")
    seen:synced()
    local txn = other:txn()
    for i = 1, 1200 do
      txn:create(("/d/%04d"):format(i), "v")
    end
    expect.ok(txn:commit())
    h:wait("all of them", function() return seen:count "added" == 1200 end)
    expect.ok(other:delete("/d", { recursive = true }))
    h:wait("the end of all", function() return seen:count "removed" == 1200 end)
    assert.equal(0, seen:count "updated")
    assert.same({}, seen.subscription:entries())
  end)

  it("are many on one client", function()
    local all = {}
    for i = 1, 100 do
      all[i] = Events.of(h, client, "/d/" .. i % 10)
    end
    for i = 0, 9 do
      expect.ok(other:create(("/d/%d/x"):format(i), "v"))
    end
    for i = 1, 100 do
      all[i]:await("added", ("/d/%d/x"):format(i % 10))
    end
    assert.equal(100, client:handles())
    for i = 1, 100 do
      all[i]:close()
    end
    assert.equal(0, client:handles())
  end)

  it("that were stopped hear the difference", function()
    fill("/d", 20)
    local process = h:process()
    process:eval [[
      client = open { session_timeout = "60s" }
      events = {}
      subscription = client:subscribe("/d", {}, function(event) table.insert(events, event) end)
      assert(subscription:synced())
      before = #events
    ]]
    process:stop()
    expect.ok(other:delete("/d/0001"))
    expect.ok(other:set("/d/0002", "changed"))
    h:forget_changes(other)
    expect.ok(other:create("/d/new", "v"))
    process:cont()
    local kinds = process:eval [[
      local kinds = {}
      while not (kinds["/d/0001"] and kinds["/d/0002"] and kinds["/d/new"]) do
        mw.sleep(0.005)
        for i = before + 1, #events do
          kinds[events[i].path] = events[i].type
        end
      end
      subscription:close()
      return kinds
    ]]
    assert.same({ ["/d/0001"] = "removed", ["/d/0002"] = "updated", ["/d/new"] = "added" }, kinds)
  end)
end)
