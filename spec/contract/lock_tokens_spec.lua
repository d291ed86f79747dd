local Harness = require "support.harness"
local expect = require "support.expect"

describe("fencing tokens", function()
  local h

  before_each(function() h = Harness.start() end)
  after_each(function() h:finish() end)

  --- Takes and releases the lock; the token.
  local function take(client, path)
    local lock <close> = client:lock(path or "/l")
    return (expect.ok(lock:acquire { timeout = 60 }))
  end

  it("grow with each hold, whoever holds", function()
    local client, other = h:open(), h:open()
    local last = 0
    for i = 1, 12 do
      local token = take(i % 3 == 0 and client or other)
      assert.is_true(token > last)
      last = token
    end
  end)

  it("grow from one session to the next", function()
    local last = 0
    for _ = 1, 4 do
      local client = h:open()
      local token = take(client)
      assert.is_true(token > last)
      last = token
      client:close()
    end
  end)

  it("grow past what was left of the lock: its entry and its parents deleted", function()
    local client = h:open()
    local token = take(client, "/d/l")
    client:delete("/d", { recursive = true })
    expect.failure("not_found", client:get("/d", { fresh = true }))
    assert.is_true(take(client, "/d/l") > token)
  end)

  it("grow past a lock that was dropped, and its old holder cannot write", function()
    local client, other = h:open(), h:open()
    local old <close> = client:lock("/l")
    local token = expect.ok(old:acquire())
    h:drop_lock "/l"
    expect.failure("fenced", client:txn():check(old):put("/guarded", "old"):commit())
    local new <close> = other:lock("/l")
    assert.is_true(expect.ok(new:acquire { timeout = 60 }) > token)
    expect.failure("fenced", client:txn():check(old):put("/guarded", "old"):commit())
    expect.ok(other:txn():check(new):put("/guarded", "new"):commit())
    assert.equal("new", expect.ok(other:get("/guarded", { fresh = true })).value)
  end)

  it("grow past a hold whose session expired", function()
    local client = h:open()
    local process = h:process()
    local token = process:eval([[
      client = open { session_timeout = ... }
      lock = client:lock("/l")
      return assert(lock:acquire())
    ]], h.short)
    process:kill()
    assert.is_true(take(client) > token)
  end)

  it("grow over a start of all processes anew", function()
    local process = h:process()
    local token = process:eval [[
      client = open()
      local lock <close> = client:lock("/l")
      return assert(lock:acquire())
    ]]
    process:eval "client:close()"
    assert.is_true(take(h:open()) > token)
  end)

  it("of one hold stay the same, and guard to the end", function()
    local client = h:open()
    local lock <close> = client:lock("/l")
    local token = expect.ok(lock:acquire())
    for i = 1, 5 do
      expect.ok(client:txn():check(lock):put("/a", tostring(i)):commit())
      assert.equal(token, lock.token)
    end
  end)

  it("are shown in the queue", function()
    local client = h:open()
    local lock <close> = client:lock("/l")
    local token = expect.ok(lock:acquire())
    assert.equal(token, expect.ok(client:queue("/l", { fresh = true }))[1].token)
  end)
end)
