-- While the connection is cut: backends whose harness can cut one.
local mw = require "moonwatch"
local Events = require "support.events"
local Harness = require "support.harness"
local expect = require "support.expect"

describe("a client that is cut off", function()
  local h, client, other

  before_each(function()
    h = Harness.start()
    client, other = h:open(), h:open()
  end)

  after_each(function() h:finish() end)

  local function await(state)
    h:wait("state " .. state, function() return client:state() == state end)
  end

  local function cut()
    h:cut(client)
    await "suspended"
  end

  it("hears suspended, then reconnected with the same session", function()
    local states, sessions = {}, {}
    local listener = client:on_connection(function(event)
      table.insert(states, event.state)
      table.insert(sessions, event.session)
    end)
    local session = client:session()
    cut()
    h:mend(client)
    await "reconnected"
    h:wait("the listener", function() return states[#states] == "reconnected" end)
    assert.same({ "connected", "suspended", "reconnected" }, states)
    assert.equal(session, client:session())
    assert.equal(session, sessions[3])
    listener:close()
  end)

  it("keeps its ephemerals and locks when it is back in time", function()
    expect.ok(client:create("/e", "v", { ephemeral = true }))
    local lock <close> = client:lock("/l")
    local token = expect.ok(lock:acquire())
    cut()
    h:mend(client)
    await "reconnected"
    assert.equal(client:session(), expect.ok(other:get("/e", { fresh = true })).owner)
    assert.equal(token, lock.token)
    expect.ok(client:txn():check(lock):put("/a", "v"):commit())
  end)

  it("hears lost by its own clock, before anyone else has its lock", function()
    client:close()
    client = h:open { session_timeout = h.short }
    local order = {}
    local listener = client:on_connection(function(event) table.insert(order, event.state) end)
    local lock <close> = client:lock("/l", { on_lost = function() table.insert(order, "on_lost") end })
    expect.ok(lock:acquire())
    local task = mw.spawn(function()
      local second <close> = other:lock("/l")
      expect.ok(second:acquire())
      table.insert(order, "other")
    end)
    h:wait("a queue of two", function() return #expect.ok(other:queue("/l", { fresh = true })) == 2 end)
    h:cut(client)
    assert(task:join())
    h:mend(client)
    local place = {}
    for i, what in ipairs(order) do
      place[what] = place[what] or i
    end
    assert.is_truthy(place.lost and place.lost < place.other, table.concat(order, ", "))
    assert.is_truthy(place.on_lost and place.on_lost < place.other, table.concat(order, ", "))
    h:wait("a new session", function() return client:state() == "connected" end)
    for _, state in ipairs(order) do
      assert.not_equal("reconnected", state)
    end
    listener:close()
  end)

  it("and closes meanwhile ends its session when it is back", function()
    client:close()
    client = h:open { session_timeout = "60s" }
    expect.ok(client:create("/e", "v", { ephemeral = true }))
    local registration = expect.ok(client:register("/n/a", "v"))
    local lock = client:lock("/l")
    expect.ok(lock:acquire())
    cut()
    local closing = mw.spawn(function() client:close { patience = h.patience } end)
    h:wait("the close to begin", function() return client:state() == "closed" end)
    h:mend(client)
    assert(closing:join())
    expect.failure("not_found", other:get("/e", { fresh = true }))
    expect.failure("not_found", other:get("/n/a", { fresh = true }))
    local second <close> = other:lock("/l")
    expect.ok(second:acquire { try = true })
    registration:close()
    lock:close()
  end)

  it("lets what was not sent wait for the connection", function()
    cut()
    local task = mw.spawn(function() return client:put("/a", "waited") end)
    h:mend(client)
    local _, written, err = task:join()
    expect.ok(written, err)
    assert.equal("waited", expect.ok(client:get("/a")).value)
  end)

  it("fails what was not sent at its deadline, and it never happens", function()
    cut()
    local err = expect.failure("timeout", client:put("/a", "late", { timeout = 0.05 }))
    assert.is_true(err.retryable)
    h:mend(client)
    await "reconnected"
    expect.failure("not_found", client:get("/a", { fresh = true }))
  end)

  it("fails a registration at its deadline, and it never happens", function()
    cut()
    local err = expect.failure("timeout", client:register("/n/a", "late", { timeout = 0.05 }))
    assert.equal("/n/a", err.path)
    assert.is_truthy(err.message:find("suspended", 1, true), err.message)
    local seen <close> = Events.of(h, other, "/n")
    h:mend(client)
    await "reconnected"
    expect.ok(client:put("/n/mark", "v"))
    seen:await("added", "/n/mark")
    assert.same({}, seen:kinds "/n/a")
    assert.equal(0, client:handles())
  end)

  it("withdraws a registration that was closed meanwhile", function()
    local registration = expect.ok(client:register("/n/a", "v"))
    cut()
    registration:close()
    h:mend(client)
    await "reconnected"
    h:wait("its end", function() return not other:get("/n/a", { fresh = true }) end)
  end)

  it("refuses at once what will not wait", function()
    cut()
    expect.failure("disconnected", client:put("/a", "v", { fail_fast = true }))
    expect.failure("disconnected", client:get("/a", { fail_fast = true }))
    h:mend(client)
    await "reconnected"
    expect.failure("not_found", client:get("/a", { fresh = true }))
  end)

  it("can cancel what was not sent, and it never happens", function()
    cut()
    local task = mw.spawn(function() return client:put("/a", "v") end)
    mw.sleep(0.01)
    task:cancel()
    expect.failure("cancelled", task:join())
    h:mend(client)
    await "reconnected"
    expect.failure("not_found", client:get("/a", { fresh = true }))
  end)

  it("is told the difference when it is back, and no more", function()
    for _, name in ipairs { "stays", "changes", "goes", "again" } do
      expect.ok(other:create("/d/" .. name, "before"))
    end
    local seen <close> = Events.of(h, client, "/d")
    seen:synced()
    local from = #seen.list + 1
    cut()
    expect.ok(other:set("/d/changes", "after"))
    expect.ok(other:delete("/d/goes"))
    expect.ok(other:delete("/d/again"))
    expect.ok(other:create("/d/again", "after"))
    expect.ok(other:create("/d/comes", "after"))
    h:mend(client)
    local changed = seen:await("updated", "/d/changes", from)
    assert.equal("before", changed.previous)
    assert.equal("before", seen:await("removed", "/d/goes", from).value)
    seen:await("added", "/d/comes", from)
    seen:await("added", "/d/again", from)
    assert.same({ "added", "removed", "added" }, seen:kinds "/d/again")
    assert.same({ "added" }, seen:kinds "/d/stays")
    assert.equal(1, seen:count "synced")
  end)

  it("is told the difference also when the changes are forgotten", function()
    expect.ok(other:create("/d/goes", "before"))
    expect.ok(other:create("/d/changes", "before"))
    expect.ok(other:create("/d/stays", "before"))
    local seen <close> = Events.of(h, client, "/d")
    seen:synced()
    cut()
    expect.ok(other:delete("/d/goes"))
    expect.ok(other:set("/d/changes", "after"))
    h:forget_changes(other)
    expect.ok(other:create("/d/comes", "after"))
    h:mend(client)
    assert.equal("before", seen:await("removed", "/d/goes").value)
    assert.equal("after", seen:await("updated", "/d/changes").value)
    seen:await("added", "/d/comes")
    assert.same({ "added" }, seen:kinds "/d/stays")
  end)

  it("is told the difference across a lost session", function()
    client:close()
    client = h:open { session_timeout = h.short }
    expect.ok(other:create("/d/goes", "before"))
    expect.ok(client:create("/d/mine", "v", { ephemeral = true }))
    local seen <close> = Events.of(h, client, "/d")
    seen:synced()
    h:cut(client)
    h:wait("lost", function() return client:state() == "lost" end)
    expect.ok(other:delete("/d/goes"))
    h:mend(client)
    seen:await("removed", "/d/goes")
    seen:await("removed", "/d/mine")
  end)
end)
