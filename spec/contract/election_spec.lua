local mw = require "moonwatch"
local Events = require "support.events"
local Harness = require "support.harness"
local expect = require "support.expect"

describe("election", function()
  local h, client, other

  before_each(function()
    h = Harness.start()
    client, other = h:open(), h:open()
  end)

  after_each(function() h:finish() end)

  local function queue_has(count)
    h:wait(("a queue of %d"):format(count), function()
      local queue = client:queue("/e", { fresh = true })
      return queue and #queue == count
    end)
  end

  it("makes the first who stands the leader", function()
    local one <close> = client:elect("/e", { record = "one" })
    local token = expect.ok(one:wait())
    assert.equal("integer", math.type(token))
    assert.is_true(one.leading)
    assert.equal(token, one.token)
    local two <close> = other:elect("/e", { record = "two" })
    queue_has(2)
    assert.is_false(two.leading)
    assert.is_nil(two.token)
    expect.failure("timeout", two:wait { timeout = 0.05 })
  end)

  it("shows the leader's record to all, to get and to subscribers", function()
    local seen <close> = Events.of(h, other, "/e")
    local one <close> = client:elect("/e", { record = "one" })
    expect.ok(one:wait())
    local two <close> = other:elect("/e", { record = "two" })
    local entry = expect.ok(other:get("/e/leader", { fresh = true }))
    assert.equal("one", entry.value)
    assert.equal(client:session(), entry.owner)
    assert.equal("one", expect.ok(two:leader()).value)
    assert.equal("one", seen:await("added", "/e/leader").value)
  end)

  it("has no leader where nobody stands", function()
    local one <close> = client:elect("/e", { record = "one" })
    expect.ok(one:wait())
    expect.ok(one:resign())
    one:close()
    h:wait("no leader", function() return not other:get("/e/leader", { fresh = true }) end)
  end)

  it("goes to the next, with a larger token, when the leader closes", function()
    local one <close> = client:elect("/e", { record = "one" })
    local token = expect.ok(one:wait())
    local two <close> = other:elect("/e", { record = "two" })
    queue_has(2)
    one:close()
    assert.is_false(one.leading)
    assert.is_true(expect.ok(two:wait()) > token)
    h:wait("the new record", function()
      local entry = client:get("/e/leader", { fresh = true })
      return entry and entry.value == "two"
    end)
  end)

  it("puts who resigns behind the others", function()
    local one <close> = client:elect("/e", { record = "one" })
    expect.ok(one:wait())
    local two <close> = other:elect("/e", { record = "two" })
    queue_has(2)
    expect.ok(one:resign())
    expect.ok(two:wait())
    queue_has(2)
    assert.is_false(one.leading)
    expect.ok(two:resign())
    expect.ok(one:wait())
  end)

  it("cannot be resigned by who does not lead", function()
    local one <close> = client:elect("/e", {})
    expect.ok(one:wait())
    local two <close> = other:elect("/e", {})
    expect.failure("invalid", two:resign())
  end)

  it("runs `lead` as a task for the term, and resigns when that returns", function()
    local terms = {}
    local one <close> = client:elect("/e", { record = "one" }, function(election)
      table.insert(terms, election.token)
    end)
    h:wait("two terms", function() return #terms >= 2 end)
    assert.is_true(terms[2] > terms[1])
    one:close()
  end)

  it("cancels `lead` at the end of the term", function()
    local leading, cleaned = false, false
    local one = client:elect("/e", {}, function()
      local _ <close> = setmetatable({}, { __close = function() cleaned = true end })
      leading = true
      mw.sleep(1000)
    end)
    h:wait("the term", function() return leading end)
    one:close()
    h:wait("its end", function() return cleaned end)
  end)

  it("guards a txn by the leadership", function()
    local one <close> = client:elect("/e", { record = "one" })
    expect.ok(one:wait())
    expect.ok(client:txn():check(one):put("/a", "by one"):commit())
    expect.ok(one:resign())
    h:wait("the end of the term", function() return not one.leading or one.token end)
    local two <close> = other:elect("/e", { record = "two" })
    one:close()
    expect.failure("fenced", client:txn():check(one):put("/a", "too late"):commit())
    expect.ok(two:wait())
    expect.ok(other:txn():check(two):put("/a", "by two"):commit())
  end)

  -- What on_deposed was told, term by term: the error's code, "resigned" without one.
  local function ends_of(registry, record)
    local ends = {}
    return expect.ok(registry:elect("/e", { record = record, on_deposed = function(election, err)
      table.insert(ends, election.token and "too early" or err and err.code or "resigned")
    end })), ends
  end

  it("tells the end of each term once, and why", function()
    local one, ends = ends_of(client, "one")
    expect.ok(one:wait())
    expect.ok(one:resign())
    expect.ok(one:wait())
    assert.same({ "resigned" }, ends)
    one:close()
    h:wait("the end of the second term", function() return #ends == 2 end)
    assert.same({ "resigned", "closed" }, ends)
  end)

  it("tells the end of the term when the session is lost", function()
    local leader = h:open { session_timeout = h.short }
    local one, ends = ends_of(leader, "one")
    expect.ok(one:wait())
    h:expire(leader)
    h:wait("the end of the term", function() return #ends > 0 end)
    one:close()
    assert.equal(1, #ends)
    assert.is_truthy(ends[1] == "session_lost" or ends[1] == "fenced", ends[1])
  end)

  it("goes on over a lost session: who led queues again", function()
    local leader = h:open { session_timeout = h.short }
    local one <close> = leader:elect("/e", { record = "one" })
    local token = expect.ok(one:wait())
    local two <close> = other:elect("/e", { record = "two" })
    queue_has(2)
    h:expire(leader)
    local second = expect.ok(two:wait { timeout = 60 })
    assert.is_true(second > token)
    queue_has(2)
    two:close()
    assert.is_true(expect.ok(one:wait { timeout = 60 }) > second)
    h:wait("the record", function()
      local entry = other:get("/e/leader", { fresh = true })
      return entry and entry.value == "one" and entry.owner == leader:session()
    end)
  end)

  it("goes to the next when the leader's process is killed", function()
    local process = h:process()
    local token = process:eval([[
      client = open { session_timeout = ... }
      election = client:elect("/e", { record = "process" })
      return assert(election:wait())
    ]], h.short)
    local two <close> = other:elect("/e", { record = "two" })
    process:kill()
    assert.is_true(expect.ok(two:wait { timeout = 60 }) > token)
    assert.equal("two", expect.ok(two:leader()).value)
  end)

  it("leads at most one at a time among many", function()
    local leading, most, terms, elections = 0, 0, 0, {}
    for i = 1, 6 do
      elections[i] = (i % 2 == 0 and client or other):elect("/e", { record = tostring(i) }, function()
        leading, terms = leading + 1, terms + 1
        most = math.max(most, leading)
        local _ <close> = setmetatable({}, { __close = function() leading = leading - 1 end })
        mw.sleep(0.001)
      end)
    end
    h:wait("twelve terms", function() return terms >= 12 end)
    for i = 1, 6 do
      elections[i]:close()
    end
    assert.equal(1, most)
  end)
end)
