-- An older copy of the registry was restored: backends whose harness can go back to one.
local Events = require "support.events"
local Harness = require "support.harness"
local expect = require "support.expect"

describe("a registry that went backwards", function()
  local h, client, other

  before_each(function()
    h = Harness.start()
    client, other = h:open(), h:open()
  end)

  after_each(function() h:finish() end)

  --- What was acknowledged after the copy is gone; everybody has another session than before.
  local function go_back()
    local before = { [client] = client:session(), [other] = other:session() }
    h:restore()
    for registry, session in pairs(before) do
      h:wait("a new session", function()
        return registry:state() == "connected" and registry:session() ~= session
      end)
    end
  end

  --- Whose session ends while it waits tries again.
  local function insist(lock)
    return h:wait("the lock", function()
      local token, err = lock:acquire { timeout = 60 }
      return token or (err.code ~= "session_lost" and error(tostring(err), 0))
    end)
  end

  --- The copy is made here: `client` has seen what comes after it.
  local function copy()
    h:backup()
    expect.ok(client:put("/after", "v"))
  end

  it("ends each session, also those that the copy knows", function()
    local heard, listeners = { [client] = {}, [other] = {} }, {}
    for registry, states in pairs(heard) do
      table.insert(listeners, registry:on_connection(function(event) table.insert(states, event.state) end))
    end
    copy()
    go_back()
    for registry, states in pairs(heard) do
      h:wait("the listener", function() return states[#states] == registry:state() end)
      local lost = 0
      for _, state in ipairs(states) do
        lost = lost + (state == "lost" and 1 or 0)
        assert.not_equal("reconnected", state)
      end
      assert.is_true(lost > 0, table.concat(states, ", "))
    end
    for _, listener in ipairs(listeners) do
      listener:close()
    end
  end)

  it("shows the copy, without what belonged to sessions", function()
    expect.ok(client:put("/kept", "old"))
    expect.ok(client:create("/e", "v", { ephemeral = true }))
    copy()
    expect.ok(client:put("/kept", "new"))
    go_back()
    assert.equal("old", expect.ok(other:get("/kept", { fresh = true })).value)
    expect.failure("not_found", other:get("/after", { fresh = true }))
    h:wait("the ephemeral's end", function() return not other:get("/e", { fresh = true }) end)
  end)

  it("goes on with larger revisions", function()
    copy()
    local last = expect.ok(client:put("/after", "again")).revision
    go_back()
    assert.is_true(expect.ok(other:put("/a", "v")).revision > last)
    assert.is_true(expect.ok(client:put("/b", "v")).revision > last)
  end)

  it("goes on with larger tokens", function()
    local last = { ["/known"] = 0, ["/unknown"] = 0 }
    local function hold(registry, path)
      local lock <close> = registry:lock(path)
      local token = insist(lock)
      assert.is_true(token > last[path], ("%d after %d"):format(token, last[path]))
      last[path] = token
      expect.ok(lock:release())
    end
    hold(client, "/known")
    copy()
    for _ = 1, 5 do
      hold(client, "/known")
      hold(client, "/unknown")
    end
    go_back()
    for path in pairs(last) do
      hold(other, path)
      hold(client, path)
    end
  end)

  it("repeats no token before anyone has noticed", function()
    copy()
    local lock <close> = client:lock("/l")
    local token = expect.ok(lock:acquire())
    expect.ok(lock:release())
    h:restore()
    assert.is_true(insist(lock) > token)
  end)

  it("takes a lock from its holder before another has it", function()
    local order = {}
    local lock <close> = client:lock("/l", { on_lost = function() table.insert(order, "lost") end })
    local token = expect.ok(lock:acquire())
    copy()
    h:restore()
    local second <close> = other:lock("/l")
    assert.is_true(insist(second) > token)
    table.insert(order, "other")
    h:wait("the loss", function() return #order == 2 end)
    assert.same({ "lost", "other" }, order)
    assert.is_false(lock.held)
  end)

  it("takes no write of a session that the copy knows", function()
    local lock <close> = client:lock("/l")
    expect.ok(lock:acquire())
    copy()
    h:restore()
    local result, err = client:txn():check(lock):put("/zombie", "v"):commit()
    assert.is_nil(result)
    assert.is_truthy(({ session_lost = true, fenced = true, unknown = true })[err.code], tostring(err))
    expect.failure("not_found", other:get("/zombie", { fresh = true }))
  end)

  it("tells subscribers the difference", function()
    for _, name in ipairs { "changes", "stays", "comes" } do
      expect.ok(other:create("/d/" .. name, "copied"))
    end
    copy()
    expect.ok(other:set("/d/changes", "later"))
    expect.ok(other:delete("/d/comes"))
    expect.ok(other:create("/d/goes", "later"))
    local seen <close> = Events.of(h, client, "/d")
    seen:synced()
    local from = #seen.list + 1
    go_back()
    local changed = seen:await("updated", "/d/changes", from)
    assert.equal("copied", changed.value)
    assert.equal("later", changed.previous)
    assert.equal("later", seen:await("removed", "/d/goes", from).value)
    assert.equal("copied", seen:await("added", "/d/comes", from).value)
    assert.is_nil(seen:find("removed", "/d/stays"))
    expect.ok(other:set("/d/changes", "anew"))
    assert.equal("copied", seen:await("updated", "/d/changes", #seen.list).previous)
  end)

  it("gets registrations again", function()
    copy()
    local registration <close> = expect.ok(client:register("/n/a", "v"))
    go_back()
    h:wait("the registration", function()
      local entry = other:get("/n/a", { fresh = true })
      return entry and entry.owner == client:session()
    end)
    assert.is_true(registration.visible)
  end)

  it("can go back again", function()
    copy()
    go_back()
    expect.ok(client:put("/between", "v"))
    copy()
    go_back()
    expect.failure("not_found", client:get("/after", { fresh = true }))
    expect.ok(other:get("/between", { fresh = true }))
  end)

  it("ends the sessions of other processes, and takes their locks", function()
    local process = h:process()
    local session, token = process:eval [[
      client = open()
      lock = client:lock "/l"
      return client:session(), assert(lock:acquire())
    ]]
    copy()
    h:restore()
    local mine <close> = other:lock("/l")
    assert.is_true(insist(mine) > token)
    h:wait("a new session there", function()
      local state, now, held = process:eval "return client:state(), client:session(), lock.held"
      return state == "connected" and now ~= session and not held
    end)
    process:eval "lock:close()"
  end)
end)
