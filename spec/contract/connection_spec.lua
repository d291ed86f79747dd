local Harness = require "support.harness"
local expect = require "support.expect"

describe("connection", function()
  local h

  before_each(function() h = Harness.start() end)
  after_each(function() h:finish() end)

  --- Collects the states that a client's listeners hear, each with its session.
  local function listen(client)
    local seen = { states = {}, sessions = {} }
    seen.subscription = client:on_connection(function(event)
      table.insert(seen.states, event.state)
      table.insert(seen.sessions, event.session or 0)
    end)
    function seen.await(state, from)
      return h:wait("state " .. state, function()
        for i = from or 1, #seen.states do
          if seen.states[i] == state then
            return i
          end
        end
      end)
    end
    return seen
  end

  it("is connected after open, with a session", function()
    local client = h:open()
    assert.equal("connected", client:state())
    assert.equal("integer", math.type(client:session()))
  end)

  it("of two clients are two sessions", function()
    assert.not_equal(h:open():session(), h:open():session())
  end)

  it("tells a new client connecting, then connected, each once", function()
    local client = h:open { wait = 0 }
    assert.equal("connecting", client:state())
    local seen = listen(client)
    seen.await "connected"
    assert.same({ "connecting", "connected" }, seen.states)
    assert.equal(client:session(), seen.sessions[2])
    seen.subscription:close()
  end)

  it("tells a late listener the current state first, and only that", function()
    local client = h:open()
    local first, second = listen(client), listen(client)
    second.await "connected"
    assert.same({ "connected" }, first.states)
    assert.same({ "connected" }, second.states)
    first.subscription:close()
    second.subscription:close()
  end)

  it("tells closed last", function()
    local client = h:open()
    local seen = listen(client)
    seen.await "connected"
    client:close()
    seen.await "closed"
    assert.same({ "connected", "closed" }, seen.states)
    assert.equal("closed", client:state())
    assert.is_nil(client:session())
  end)

  it("tells no listener that was closed anything", function()
    local client = h:open()
    local seen = listen(client)
    seen.await "connected"
    seen.subscription:close()
    client:close()
    assert.same({ "connected" }, seen.states)
  end)

  it("goes on telling others when a listener raises", function()
    local client = h:open()
    local bad = client:on_connection(function() error "a listener that raises" end)
    local good = listen(client)
    good.await "connected"
    client:close()
    good.await "closed"
    bad:close()
  end)

  it("tells lost once, then connected with another session, when the session expires", function()
    local client = h:open { session_timeout = h.short }
    local before = client:session()
    local seen = listen(client)
    seen.await "connected"
    h:expire(client)
    local lost = seen.await "lost"
    local again = seen.await("connected", lost)
    assert.equal(before, seen.sessions[1])
    assert.equal(client:session(), seen.sessions[again])
    assert.not_equal(before, client:session())
    local count = 0
    for _, state in ipairs(seen.states) do
      assert.not_equal("reconnected", state)
      count = count + (state == "lost" and 1 or 0)
    end
    assert.equal(1, count)
    seen.subscription:close()
  end)

  it("of an expired session takes its ephemerals", function()
    local client, other = h:open { session_timeout = h.short }, h:open()
    expect.ok(client:create("/e", "v", { ephemeral = true }))
    expect.ok(client:create("/p", "v"))
    h:expire(client)
    h:wait("the ephemeral's end", function()
      local entry, err = other:get("/e", { fresh = true })
      return not entry and err.code == "not_found"
    end)
    expect.ok(other:get("/p", { fresh = true }))
  end)

  it("of a killed process ends after its timeout, and takes its ephemerals and no others", function()
    local client, process = h:open(), h:process()
    expect.ok(client:create("/mine", "v", { ephemeral = true }))
    local session = process:eval([[
      client = open { session_timeout = ... }
      assert(client:create("/e", "v", { ephemeral = true }))
      return client:session()
    ]], h.short)
    assert.equal(session, expect.ok(client:get("/e", { fresh = true })).owner)
    process:kill()
    h:wait("the ephemeral's end", function() return not client:get("/e", { fresh = true }) end)
    expect.ok(client:get("/mine", { fresh = true }))
  end)

  it("of a stopped process is lost when it goes on, before anything else", function()
    local client, process = h:open(), h:process()
    process:eval([[
      client = open { session_timeout = ... }
      assert(client:create("/e", "v", { ephemeral = true }))
      before = client:session()
      states = {}
      listener = client:on_connection(function(event) table.insert(states, event.state) end)
      task = background(function()
        while client:session() == before do
          mw.sleep(0.01)
        end
        table.insert(states, "task")
      end)
    ]], h.short)
    process:stop()
    h:wait("the ephemeral's end", function() return not client:get("/e", { fresh = true }) end)
    process:cont()
    local states, before, session = process:eval [[
      task:join()
      while client:state() ~= "connected" do
        mw.sleep(0.01)
      end
      listener:close()
      return states, before, client:session()
    ]]
    local lost
    for i, state in ipairs(states) do
      lost = lost or state == "lost" and i
      assert.is_truthy(state ~= "task" or lost, table.concat(states, ", "))
      assert.not_equal("reconnected", state)
    end
    assert.is_truthy(lost)
    assert.not_equal(before, session)
  end)

  it("of an abandoned client ends by its timeout, not before", function()
    local client, other = h:open { session_timeout = h.short }, h:open()
    expect.ok(client:create("/e", "v", { ephemeral = true }))
    client:abandon()
    h:wait("closed", function() return client:state() == "closed" end)
    expect.ok(other:get("/e", { fresh = true }))
    h:wait("the ephemeral's end", function() return not other:get("/e", { fresh = true }) end)
  end)

  it("of a closed client ends at once", function()
    local client, other = h:open { session_timeout = "60s" }, h:open()
    expect.ok(client:create("/e", "v", { ephemeral = true }))
    client:close()
    expect.failure("not_found", other:get("/e", { fresh = true }))
  end)

  it("keeps an idle session alive for many timeouts", function()
    local client = h:open { session_timeout = h.short }
    local session, renewals = client:session(), client:stats().renewals
    h:wait("five renewals", function() return client:stats().renewals >= renewals + 5 end)
    assert.equal(session, client:session())
    assert.equal("connected", client:state())
  end)

  it("of a process that stalls for less than its timeout stays", function()
    local process = h:process()
    local before = process:eval("client = open(); return client:session()")
    process:stop()
    local client = h:open { session_timeout = h.short }
    local renewals = client:stats().renewals
    h:wait("two renewals of another", function() return client:stats().renewals >= renewals + 2 end)
    process:cont()
    assert.equal(before, process:eval("assert(client:put('/a', 'v')); return client:session()"))
  end)
end)
