-- Holders that die, stall, or lose their session.
local mw = require "moonwatch"
local Harness = require "support.harness"
local expect = require "support.expect"

describe("a lock whose holder", function()
  local h, client

  before_each(function()
    h = Harness.start()
    client = h:open()
  end)

  after_each(function() h:finish() end)

  --- Somebody else ended the session: that, or the next holder, whichever is noticed first, is the reason.
  local function is_loss(code)
    assert.is_truthy(code == "session_lost" or code == "fenced", tostring(code))
  end

  local take = [[
    client = open { session_timeout = ... }
    lost = {}
    lock = client:lock("/l", { on_lost = function(lock, err) table.insert(lost, err.code) end })
    return assert(lock:acquire())
  ]]

  it("was killed is granted to the next after its session has expired", function()
    local process = h:process()
    local token = process:eval(take, h.short)
    local lock <close> = client:lock("/l")
    local task = mw.spawn(function() return lock:acquire() end)
    process:kill()
    local _, next_token = assert(task:join())
    assert.is_true(next_token > token)
    expect.ok(client:txn():check(lock):put("/a", "v"):commit())
  end)

  it("was killed while it waited leaves no place in the queue for ever", function()
    local lock <close> = client:lock("/l")
    expect.ok(lock:acquire())
    local process = h:process()
    process:send(take, h.short)
    h:wait("a queue of two", function() return #expect.ok(client:queue("/l", { fresh = true })) == 2 end)
    process:kill()
    h:wait("a queue of one", function() return #expect.ok(client:queue("/l", { fresh = true })) == 1 end)
    expect.ok(lock:release())
    expect.ok(lock:acquire())
  end)

  it("was stopped past its session hears lost before it goes on, and cannot write", function()
    local process = h:process()
    process:eval(take, h.short)
    process:eval [[
      function write()
        local first = lock.held
        local result, err = client:txn():check(lock):put("/guarded", "old holder"):commit()
        return first, result and "written" or err.code
      end
      states = {}
      listener = client:on_connection(function(event) table.insert(states, event.state) end)
    ]]
    process:stop()
    local lock <close> = client:lock("/l")
    expect.ok(lock:acquire { timeout = 60 })
    expect.ok(client:txn():check(lock):put("/guarded", "new holder"):commit())
    local call = process:send "return lost, states, write()"
    process:cont()
    local lost, states, held, outcome = call:result()
    assert.same({ "session_lost" }, lost)
    assert.is_truthy(table.concat(states, " "):find("lost", 1, true))
    assert.is_false(held)
    assert.equal("fenced", outcome)
    assert.equal("new holder", expect.ok(client:get("/guarded", { fresh = true })).value)
    process:eval "lock:close(); listener:close()"
  end)

  it("was stopped within a task hears lost before the next line of that task", function()
    local process = h:process()
    process:eval(take, h.short)
    process:eval [[
      seen = {}
      listener = client:on_connection(function(event) table.insert(seen, event.state) end)
      task = background(function()
        while lock.held do
          mw.sleep(0.01)
        end
        table.insert(seen, "task sees it")
      end)
    ]]
    process:stop()
    local lock <close> = client:lock("/l")
    expect.ok(lock:acquire { timeout = 60 })
    process:cont()
    local seen = process:eval "task:join(); lock:close(); listener:close(); return seen"
    local lost, noticed
    for i, what in ipairs(seen) do
      lost = lost or what == "lost" and i
      noticed = noticed or what == "task sees it" and i
    end
    assert.is_truthy(lost and noticed and lost < noticed, table.concat(seen, ", "))
  end)

  it("loses its session hears it once, with the reason, and may acquire again with a larger token", function()
    local lost = {}
    local holder = h:open { session_timeout = h.short }
    local lock <close> = holder:lock("/l", {
      on_lost = function(which, err) table.insert(lost, { which = which, code = err.code, held = which.held }) end,
    })
    local token, session = expect.ok(lock:acquire()), holder:session()
    h:expire(holder)
    h:wait("on_lost", function() return #lost > 0 end)
    assert.equal(1, #lost)
    is_loss(lost[1].code)
    assert.equal(lock, lost[1].which)
    assert.is_false(lost[1].held)
    expect.failure("fenced", holder:txn():check(lock):put("/a", "v"):commit())
    h:wait("a new session", function() return holder:session() and holder:session() ~= session end)
    assert.is_true(expect.ok(lock:acquire { timeout = 60 }) > token)
    assert.equal(1, #lost)
  end)

  it("loses its session while it re-entered has lost all levels", function()
    local holder = h:open { session_timeout = h.short }
    local lock <close> = holder:lock("/l")
    expect.ok(lock:acquire())
    expect.ok(lock:acquire())
    h:expire(holder)
    h:wait("the loss", function() return not lock.held end)
    expect.failure("invalid", lock:release())
    local second <close> = client:lock("/l")
    expect.ok(second:acquire { timeout = 60 })
  end)

  it("loses its session ends the body of a guard", function()
    local holder, reached = h:open { session_timeout = h.short }, false
    local cleaned
    local task = mw.spawn(function()
      return holder:guard("/l", {}, function()
        local _ <close> = setmetatable({}, { __close = function() cleaned = true end })
        reached = true
        mw.sleep(1000)
        return "came to its end"
      end)
    end)
    h:wait("the body", function() return reached end)
    h:expire(holder)
    local _, result, err = task:join()
    assert.is_nil(result)
    is_loss(err.code)
    assert.is_true(cleaned)
  end)

  it("waits when its session ends fails with session_lost and leaves nothing", function()
    local lock <close> = client:lock("/l")
    expect.ok(lock:acquire())
    local waiting = h:open { session_timeout = h.short }
    local second <close> = waiting:lock("/l")
    local task = mw.spawn(function() return second:acquire() end)
    h:wait("a queue of two", function() return #expect.ok(client:queue("/l", { fresh = true })) == 2 end)
    h:expire(waiting)
    local _, token, err = task:join()
    assert.is_nil(token)
    is_loss(err.code)
    h:wait("a queue of one", function() return #expect.ok(client:queue("/l", { fresh = true })) == 1 end)
  end)
end)
