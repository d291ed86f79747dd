-- A server that is cut off from the authority, as a ZooKeeper follower from its leader: it answers reads from what it
-- knows, while the sessions of its clients expire elsewhere. As scripts live through it.
local core = require "moonwatch.core"
local expect = require "support.expect"
local mw = require "moonwatch"

describe("a client of a server that is cut off from the others", function()
  local world, server, client, other

  before_each(function()
    world = core.world(1)
    server = world:memory_server { seed = 1 }
    server:faults(nil, { latency_min = "0.1ms", latency_max = "1ms" })
    client = assert(mw.open { server = server, session_timeout = "2s" })
    other = assert(mw.open { server = server, session_timeout = "2s" })
  end)

  after_each(function()
    client:close()
    other:close()
    world:close()
  end)

  local function isolate()
    assert.is_true(server:isolate(client:session(), true))
  end

  it("goes on reading what was there before", function()
    expect.ok(other:put("/a", "before"))
    isolate()
    expect.ok(other:put("/a", "after"))
    assert.equal("before", expect.ok(client:get("/a")).value)
    assert.equal("connected", client:state())
  end)

  it("gets no fresh read and no write through", function()
    expect.ok(other:put("/a", "before"))
    isolate()
    expect.failure("timeout", client:get("/a", { fresh = true, timeout = 0.5 }))
    expect.failure("unknown", client:put("/a", "zombie", { timeout = 0.5 }))
    assert.equal("before", expect.ok(other:get("/a", { fresh = true })).value)
  end)

  it("hears lost, however many reads are answered, before another has its lock", function()
    local order = {}
    local session = client:session()
    expect.ok(client:put("/a", "v"))
    local lock <close> = client:lock("/l", { on_lost = function() table.insert(order, "lost") end })
    local token = expect.ok(lock:acquire())
    isolate()
    local reader = mw.spawn(function()
      local reads = 0
      while client:session() == session and client:get("/a") do
        reads = reads + 1
        mw.sleep(0.1)
      end
      return reads
    end)
    local second <close> = other:lock("/l")
    assert.is_true(expect.ok(second:acquire { timeout = 60 }) > token)
    table.insert(order, "other")
    local _, reads = reader:join()
    assert.is_true(reads > 10, tostring(reads))
    assert.same({ "lost", "other" }, order)
    assert.is_false(lock.held)
  end)

  it("has a new session when the servers see each other again, and nothing of the old one", function()
    local session = client:session()
    expect.ok(client:create("/e", "v", { ephemeral = true }))
    isolate()
    mw.sleep(5)
    server:isolate(session, false)
    mw.sleep(1)
    assert.equal("connected", client:state())
    assert.not_equal(session, client:session())
    expect.failure("not_found", client:get("/e", { fresh = true }))
    expect.ok(client:put("/a", "again"))
  end)
end)
