-- Nobody can reach the registry for a while, and it forgets nothing.
local mw = require "moonwatch"
local Events = require "support.events"
local Harness = require "support.harness"
local expect = require "support.expect"

describe("an outage", function()
  local h, client, other

  before_each(function()
    h = Harness.start()
    client, other = h:open { session_timeout = h.short }, h:open()
  end)

  after_each(function() h:finish() end)

  local function listen(registry)
    local states = {}
    local listener = registry:on_connection(function(event) table.insert(states, event.state) end)
    return states, listener
  end

  local function usable(registry)
    h:wait("a connection", function()
      local state = registry:state()
      return state == "connected" or state == "reconnected"
    end)
  end

  it("longer than a session is heard as lost, then connected", function()
    local states, listener = listen(client)
    local before = client:session()
    h:outage(true)
    h:wait("lost", function() return client:state() == "lost" end)
    assert.is_nil(client:session())
    h:outage(false)
    h:wait("connected", function() return client:state() == "connected" end)
    h:wait("the listener", function() return states[#states] == "connected" end)
    -- Where nothing tells of an outage before the session's time is up, it goes without `suspended`.
    if states[2] == "suspended" then
      table.remove(states, 2)
    end
    assert.same({ "connected", "lost", "connected" }, states)
    assert.not_equal(before, client:session())
    listener:close()
  end)

  it("shorter than a session costs nobody a session", function()
    local patient = h:open { session_timeout = "60s" }
    local before = patient:session()
    expect.ok(patient:create("/e", "v", { ephemeral = true }))
    h:outage(true)
    h:wait("an impatient one's loss", function() return client:state() == "lost" end)
    h:outage(false)
    usable(patient)
    usable(client)
    assert.equal(before, patient:session())
    assert.equal(before, expect.ok(patient:get("/e", { fresh = true })).owner)
  end)

  it("keeps what was acknowledged", function()
    for i = 1, 20 do
      expect.ok(client:put("/d/" .. i, "value " .. i))
    end
    h:outage(true)
    h:wait("lost", function() return client:state() == "lost" end)
    h:outage(false)
    usable(other)
    assert.equal(20, #expect.ok(other:list("/d", { fresh = true })))
  end)

  it("tells the truth about writes under way", function()
    local outcomes, tasks = {}, {}
    for i = 1, 10 do
      tasks[i] = mw.spawn(function()
        local written, err = client:create("/d/" .. i, "v")
        outcomes[i] = written and "ok" or err.code
      end)
    end
    h:outage(true)
    h:wait("lost", function() return client:state() == "lost" end)
    h:outage(false)
    for i = 1, 10 do
      assert(tasks[i]:join())
    end
    usable(other)
    for i = 1, 10 do
      local there = other:get("/d/" .. i, { fresh = true }) ~= nil
      local outcome = outcomes[i]
      assert.is_truthy(outcome == "unknown" or there == (outcome == "ok"),
        ("%s, and it is %s"):format(outcome, there and "there" or "absent"))
    end
  end)

  it("ends with registrations, elections and subscriptions as they should be", function()
    local seen <close> = Events.of(h, client, "/n")
    local registration = expect.ok(client:register("/n/a", "v"))
    local election = client:elect("/e", { record = "one" })
    expect.ok(election:wait())
    h:outage(true)
    h:wait("lost", function() return client:state() == "lost" end)
    h:outage(false)
    usable(client)
    usable(other)
    h:wait("the registration", function()
      local entry = other:get("/n/a", { fresh = true })
      return entry and entry.owner == client:session()
    end)
    expect.ok(election:wait { timeout = 60 })
    h:wait("the view", function()
      local entry = other:get("/n/a", { fresh = true })
      local shown = seen.subscription:entries()
      return #shown == 1 and entry and shown[1].revision == entry.revision
    end)
    registration:close()
    election:close()
  end)

  it("lets a registration fail at its deadline, and leaves nothing of it", function()
    h:outage(true)
    expect.failure("timeout", client:register("/n/a", "v", { timeout = 0.2 }))
    h:outage(false)
    usable(client)
    usable(other)
    h:wait("the end of what was under way", function() return client:handles() == 0 end)
    expect.failure("not_found", other:get("/n/a", { fresh = true }))
  end)

  it("lets close return", function()
    h:outage(true)
    client:close { patience = 0.2 }
    assert.equal("closed", client:state())
    h:outage(false)
    usable(other)
  end)

  it("lets open return after its wait, saying what it waited for", function()
    h:outage(true)
    local third, err = mw.open(h:options { wait = 0.2 })
    expect.failure("timeout", third, err)
    h:outage(false)
    usable(other)
  end)
end)
