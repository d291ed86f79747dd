local mw = require "moonwatch"
local Events = require "support.events"
local Harness = require "support.harness"
local expect = require "support.expect"

describe("registration", function()
  local h, client, other

  before_each(function()
    h = Harness.start()
    client, other = h:open(), h:open()
  end)

  after_each(function() h:finish() end)

  local function read(path)
    return other:get(path or "/n/a", { fresh = true })
  end

  it("is visible when it completes", function()
    local registration <close> = expect.ok(client:register("/n/a", "one"))
    assert.is_true(registration.visible)
    local entry = expect.ok(read())
    assert.equal("one", entry.value)
    assert.equal(client:session(), entry.owner)
  end)

  it("is withdrawn when it is closed", function()
    local registration = expect.ok(client:register("/n/a", "one"))
    registration:close()
    h:wait("its end", function() return not read() end)
    registration:close()
  end)

  it("is withdrawn when its client closes", function()
    local third = h:open()
    local registration = expect.ok(third:register("/n/a", "one"))
    third:close()
    expect.failure("not_found", read())
    registration:close()
  end)

  it("takes a new value, the last one wins", function()
    local registration <close> = expect.ok(client:register("/n/a", "0"))
    for i = 1, 10 do
      registration:set(tostring(i))
    end
    h:wait("the last value", function() return expect.ok(read()).value == "10" end)
  end)

  it("is written again in a new session, with its current value", function()
    local third = h:open { session_timeout = h.short }
    local registration <close> = expect.ok(third:register("/n/a", "one"))
    registration:set "two"
    h:wait("the second value", function() return expect.ok(read()).value == "two" end)
    local before = third:session()
    h:expire(third)
    h:wait("the new session's entry", function()
      local entry = read()
      return entry and entry.owner ~= before and entry.owner == third:session()
    end)
    assert.equal("two", expect.ok(read()).value)
  end)

  it("is written again with a value that was set while there was no session", function()
    local third = h:open { session_timeout = h.short }
    local registration = expect.ok(third:register("/n/a", "one"))
    local before = third:session()
    local listener = third:on_connection(function(event)
      if event.state == "lost" then
        registration:set "two"
      end
    end)
    h:expire(third)
    h:wait("the new session's entry", function()
      local entry = read()
      return entry and entry.owner ~= before and entry.value == "two"
    end)
    listener:close()
    registration:close()
  end)

  it("of many is written again for all", function()
    local third = h:open { session_timeout = h.short }
    local all = {}
    for i = 1, 50 do
      all[i] = expect.ok(third:register("/n/" .. i, "value " .. i))
    end
    local before = third:session()
    h:expire(third)
    h:wait("all in the new session", function()
      local entries = other:list("/n", { fresh = true }) or {}
      for _, entry in ipairs(entries) do
        if entry.owner == before or entry.owner == nil then
          return false
        end
      end
      return #entries == 50
    end)
    for i = 1, 50 do
      all[i]:close()
    end
  end)

  it("comes back when somebody deletes it", function()
    local seen <close> = Events.of(h, other, "/n")
    local registration = expect.ok(client:register("/n/a", "one"))
    local _, place = seen:await("added", "/n/a")
    expect.ok(other:delete("/n/a"))
    local _, gone = seen:await("removed", "/n/a", place)
    assert.equal("one", seen:await("added", "/n/a", gone).value)
    registration:set "two"
    h:wait("the next value", function() return expect.ok(read()).value == "two" end)
    registration:close()
  end)

  describe("where another session's entry stands", function()
    it("fails at its deadline with exists, naming the owner, and takes nothing over", function()
      expect.ok(other:create("/n/a", "theirs", { ephemeral = true }))
      local err = expect.failure("exists", client:register("/n/a", "ours", { timeout = 0.3 }))
      assert.equal("/n/a", err.path)
      assert.is_truthy(err.message:find(tostring(other:session()), 1, true)
        or err.message:find(("%x"):format(other:session()), 1, true), err.message)
      local entry = expect.ok(read())
      assert.equal("theirs", entry.value)
      assert.equal(other:session(), entry.owner)
    end)

    it("waits until that session has gone", function()
      local process = h:process()
      process:eval([[
        client = open { session_timeout = ... }
        assert(client:create("/n/a", "theirs", { ephemeral = true }))
      ]], h.short)
      process:kill()
      local registration <close> = expect.ok(client:register("/n/a", "ours", { timeout = 60 }))
      local entry = expect.ok(read())
      assert.equal("ours", entry.value)
      assert.equal(client:session(), entry.owner)
      assert.is_true(registration.visible)
    end)

    it("waits until it was deleted", function()
      expect.ok(other:create("/n/a", "theirs", { ephemeral = true }))
      local task = mw.spawn(function() return client:register("/n/a", "ours", { timeout = 60 }) end)
      expect.ok(other:delete("/n/a"))
      local _, registration = assert(task:join())
      assert.equal("ours", expect.ok(read()).value)
      registration:close()
    end)

    it("fails where a persistent entry stands", function()
      expect.ok(other:create("/n/a", "persistent"))
      expect.failure("exists", client:register("/n/a", "ours", { timeout = 0.3 }))
      assert.equal("persistent", expect.ok(read()).value)
    end)
  end)

  it("that failed leaves no handle and nothing that comes later", function()
    expect.ok(other:create("/n/a", "theirs", { ephemeral = true }))
    local handles = client:handles()
    expect.failure("exists", client:register("/n/a", "ours", { timeout = 0.1 }))
    assert.equal(handles, client:handles())
    expect.ok(other:delete("/n/a"))
    expect.ok(client:put("/mark", "v"))
    expect.failure("not_found", read())
  end)

  it("is not withdrawn by who does not own it any more", function()
    local third = h:open { session_timeout = h.short }
    local registration = expect.ok(third:register("/n/a", "one"))
    h:wait("a place", function() -- it comes back when it can
      other:delete("/n/a")
      return other:create("/n/a", "theirs", { ephemeral = true })
    end)
    registration:close()
    h:wait("the end of the registration", function() return third:handles() == 0 end)
    assert.equal("theirs", expect.ok(read()).value)
    third:close()
    assert.equal("theirs", expect.ok(read()).value)
  end)
end)
