local mw = require "moonwatch"
local Events = require "support.events"
local Harness = require "support.harness"
local expect = require "support.expect"

describe("close", function()
  local h, client, other

  before_each(function()
    h = Harness.start()
    client, other = h:open(), h:open()
  end)

  after_each(function() h:finish() end)

  it("ends the session, its ephemerals, locks and registrations", function()
    expect.ok(client:create("/e", "v", { ephemeral = true }))
    local lock = client:lock("/l")
    expect.ok(lock:acquire())
    local registration = expect.ok(client:register("/n/a", "v"))
    client:close()
    expect.failure("not_found", other:get("/e", { fresh = true }))
    expect.failure("not_found", other:get("/n/a", { fresh = true }))
    local second <close> = other:lock("/l")
    expect.ok(second:acquire { try = true })
    assert.is_false(lock.held)
    assert.is_false(registration.visible)
  end)

  it("leaves persistent entries", function()
    expect.ok(client:create("/p", "v"))
    client:close()
    assert.equal("v", expect.ok(other:get("/p", { fresh = true })).value)
  end)

  it("may be called again", function()
    client:close()
    client:close()
    assert.equal("closed", client:state())
    assert.equal(0, client:handles())
  end)

  it("fails every later call with closed", function()
    local lock, txn = client:lock("/l"), client:txn():put("/a", "v")
    client:close()
    expect.failure("closed", client:get("/a"))
    expect.failure("closed", client:stat("/a"))
    expect.failure("closed", client:children("/a"))
    expect.failure("closed", client:list("/a"))
    expect.failure("closed", client:create("/a", "v"))
    expect.failure("closed", client:put("/a", "v"))
    expect.failure("closed", client:set("/a", "v"))
    expect.failure("closed", client:delete("/a"))
    expect.failure("closed", client:queue("/a"))
    expect.failure("closed", client:sessions())
    expect.failure("closed", client:register("/a", "v"))
    expect.failure("closed", txn:commit())
    expect.failure("closed", lock:acquire())
  end)

  it("ends what waits", function()
    local holder <close> = other:lock("/l")
    expect.ok(holder:acquire())
    local lock = client:lock("/l")
    local waiting = mw.spawn(function() return lock:acquire() end)
    h:wait("a queue of two", function() return #expect.ok(other:queue("/l", { fresh = true })) == 2 end)
    client:close()
    local _, token, err = waiting:join()
    expect.failure("closed", token, err)
    h:wait("a queue of one", function() return #expect.ok(other:queue("/l", { fresh = true })) == 1 end)
  end)

  it("tells operations under way the truth", function()
    local tasks = {}
    for i = 1, 10 do
      tasks[i] = mw.spawn(function()
        local written, err = client:create("/d/" .. i, "v")
        return written and "ok" or err.code
      end)
    end
    local closing = mw.spawn(function() client:close() end)
    assert(closing:join())
    for i = 1, 10 do
      local _, outcome = assert(tasks[i]:join())
      local there = other:get("/d/" .. i, { fresh = true }) ~= nil
      assert.is_truthy(outcome == "ok" and there or outcome == "closed" and not there or outcome == "unknown",
        ("%s, and it is %s"):format(outcome, there and "there" or "absent"))
    end
  end)

  it("ends subscriptions: no event after it", function()
    local seen = Events.of(h, client, "/d")
    seen:synced()
    client:close()
    local heard = #seen.list
    expect.ok(other:create("/d/a", "v"))
    local third <close> = Events.of(h, other, "/d")
    third:await("added", "/d/a")
    assert.equal(heard, #seen.list)
    seen:close()
  end)

  it("ends the iteration of a subscription", function()
    local subscription = client:subscribe("/d", {})
    local task = mw.spawn(function()
      for _ in subscription:events() do
      end
      return "ended"
    end)
    expect.ok(subscription:synced())
    client:close()
    assert.equal("ended", select(2, assert(task:join())))
  end)

  it("of handles may come after that of their client", function()
    local subscription = client:subscribe("/d", {}, function() end)
    local lock = client:lock("/l")
    expect.ok(lock:acquire())
    local registration = expect.ok(client:register("/n/a", "v"))
    local election = client:elect("/e", {})
    local listener = client:on_connection(function() end)
    client:close()
    subscription:close()
    lock:close()
    registration:close()
    election:close()
    listener:close()
    assert.equal(0, client:handles())
  end)

  it("of the last handle leaves zero", function()
    local subscription = client:subscribe("/d", {}, function() end)
    local lock = client:lock("/l")
    local registration = expect.ok(client:register("/n/a", "v"))
    local election = client:elect("/e", {})
    local listener = client:on_connection(function() end)
    assert.equal(5, client:handles())
    subscription:close()
    lock:close()
    registration:close()
    election:close()
    listener:close()
    h:wait("zero handles", function() return client:handles() == 0 end)
  end)

  it("by <close> does the same", function()
    do
      local third <close> = h:open()
      expect.ok(third:create("/e", "v", { ephemeral = true }))
    end
    h:wait("the end of the ephemeral", function() return not other:get("/e", { fresh = true }) end)
  end)

  it("of one client harms no other", function()
    local third = h:open()
    client:close()
    expect.ok(third:put("/a", "v"))
    expect.ok(other:put("/a", "w"))
  end)
end)
