local mw = require "moonwatch"
local Harness = require "support.harness"
local expect = require "support.expect"

describe("lock", function()
  local h, client, other

  before_each(function()
    h = Harness.start()
    client, other = h:open(), h:open()
  end)

  after_each(function() h:finish() end)

  local function queue_has(count, path)
    h:wait(("a queue of %d"):format(count), function()
      local queue = client:queue(path or "/l", { fresh = true })
      return queue and #queue == count
    end)
  end

  --- A task that waits for the lock, notes `name` in `order`, and releases.
  local function waiter(registry, name, order, options)
    return mw.spawn(function()
      local lock <close> = registry:lock("/l", { value = name })
      local token, err = lock:acquire(options)
      table.insert(order, token and name or err.code)
      return token
    end)
  end

  it("is taken, shown and released", function()
    local lock <close> = client:lock("/l")
    assert.equal("/l", lock.path)
    assert.is_false(lock.held)
    assert.is_nil(lock.token)
    local token = expect.ok(lock:acquire())
    assert.equal("integer", math.type(token))
    assert.is_true(lock.held)
    assert.equal(token, lock.token)
    assert.is_true(expect.ok(lock:release()))
    assert.is_false(lock.held)
    assert.is_nil(lock.token)
    queue_has(0)
  end)

  it("excludes another client and another handle of the same client", function()
    local lock <close> = client:lock("/l")
    expect.ok(lock:acquire())
    for _, registry in ipairs { client, other } do
      local second <close> = registry:lock("/l")
      local err = expect.failure("busy", second:acquire { try = true })
      assert.equal("/l", err.path)
      assert.is_false(second.held)
    end
  end)

  it("at another path is another lock", function()
    local one <close> = client:lock("/l")
    local two <close> = other:lock("/lo")
    local three <close> = other:lock("/l/l")
    expect.ok(one:acquire())
    expect.ok(two:acquire { try = true })
    expect.ok(three:acquire { try = true })
  end)

  it("is released by <close>", function()
    do
      local lock <close> = client:lock("/l")
      expect.ok(lock:acquire())
    end
    local lock <close> = other:lock("/l")
    expect.ok(lock:acquire())
  end)

  it("is released by <close> when the body raises", function()
    pcall(function()
      local lock <close> = client:lock("/l")
      expect.ok(lock:acquire())
      error "no"
    end)
    local lock <close> = other:lock("/l")
    expect.ok(lock:acquire())
  end)

  it("counts re-entry of one handle, with one token", function()
    local lock <close> = client:lock("/l")
    local token = expect.ok(lock:acquire())
    assert.equal(token, expect.ok(lock:acquire()))
    assert.equal(token, expect.ok(lock:acquire { try = true }))
    expect.ok(lock:release())
    expect.ok(lock:release())
    assert.is_true(lock.held)
    local second <close> = other:lock("/l")
    expect.failure("busy", second:acquire { try = true })
    expect.ok(lock:release())
    assert.is_false(lock.held)
    expect.ok(second:acquire())
  end)

  it("that is not held cannot be released", function()
    local lock <close> = client:lock("/l")
    expect.failure("invalid", lock:release())
    expect.ok(lock:acquire())
    expect.ok(lock:release())
    expect.failure("invalid", lock:release())
  end)

  it("is given to waiters in the order in which they came", function()
    local order, tasks = {}, {}
    local lock <close> = client:lock("/l")
    expect.ok(lock:acquire())
    for i = 1, 6 do
      table.insert(tasks, waiter(i % 2 == 0 and client or other, "waiter " .. i, order))
      queue_has(1 + i)
    end
    local last = lock.token
    expect.ok(lock:release())
    for _, task in ipairs(tasks) do
      local _, token = assert(task:join())
      assert.is_true(token > last)
      last = token
    end
    assert.same({ "waiter 1", "waiter 2", "waiter 3", "waiter 4", "waiter 5", "waiter 6" }, order)
  end)

  it("is not overtaken by one who comes while it is handed over", function()
    local order = {}
    local lock <close> = client:lock("/l")
    expect.ok(lock:acquire())
    local first = waiter(other, "first", order)
    queue_has(2)
    expect.ok(lock:release())
    expect.ok(lock:acquire())
    assert.same({ "first" }, order)
    assert(first:join())
  end)

  it("shows its queue, the holder first", function()
    local lock <close> = client:lock("/l", { value = "holder" })
    expect.ok(lock:acquire())
    local order = {}
    local task = waiter(other, "next", order)
    queue_has(2)
    local queue = expect.ok(client:queue("/l", { fresh = true }))
    assert.same({ "holder", "next" }, expect.each("value", queue))
    assert.same({ client:session(), other:session() }, expect.each("owner", queue))
    assert.equal(lock.token, queue[1].token)
    assert.equal("/l", queue[1].path)
    assert.is_falsy(queue[2].token and queue[2].token ~= 0)
    expect.ok(lock:release())
    assert(task:join())
  end)

  it("shows the registry's name where its holder says nothing else", function()
    local named = h:open { name = "billing on n1" }
    local lock <close> = named:lock("/l")
    expect.ok(lock:acquire())
    assert.same({ "billing on n1" }, expect.each("value", expect.ok(client:queue("/l", { fresh = true }))))
  end)

  it("queues below a path are found together", function()
    local one <close> = client:lock("/locks/a")
    local two <close> = client:lock("/locks/b/c")
    expect.ok(one:acquire())
    expect.ok(two:acquire())
    local paths = expect.each("path", expect.ok(client:queue("/locks", { recursive = true, fresh = true })))
    table.sort(paths)
    assert.same({ "/locks/a", "/locks/b/c" }, paths)
  end)

  it("hides its queue from children and list", function()
    local lock <close> = client:lock("/d/l")
    expect.ok(lock:acquire())
    local order = {}
    local task = waiter(other, "next", order)
    assert.same({}, client:children("/d/l") or {})
    assert.same({}, expect.ok(client:list("/d/l")))
    assert(task:join())
  end)

  describe("attempt", function()
    local lock

    before_each(function()
      lock = client:lock("/l")
      expect.ok(lock:acquire())
    end)

    after_each(function() lock:close() end)

    it("that timed out leaves nothing, and the next one comes to its turn", function()
      local second <close> = other:lock("/l")
      expect.failure("timeout", second:acquire { timeout = 0.05 })
      queue_has(1)
      assert.is_false(second.held)
      local order = {}
      local task = waiter(other, "third", order)
      queue_has(2)
      expect.ok(lock:release())
      assert(task:join())
      assert.same({ "third" }, order)
    end)

    it("that was cancelled leaves nothing", function()
      local order = {}
      local task = waiter(other, "cancelled", order)
      queue_has(2)
      task:cancel()
      expect.failure("cancelled", task:join())
      queue_has(1)
      assert.same({}, order)
      expect.ok(lock:release())
      local third <close> = other:lock("/l")
      expect.ok(third:acquire { timeout = 10 })
    end)

    it("that tried leaves nothing", function()
      local second <close> = other:lock("/l")
      expect.failure("busy", second:acquire { try = true })
      queue_has(1)
    end)

    it("whose handle was closed leaves nothing and ends", function()
      local second = other:lock("/l")
      local task = mw.spawn(function() return second:acquire() end)
      queue_has(2)
      second:close()
      local _, token, err = task:join()
      assert.is_nil(token)
      assert.is_truthy(err.code == "closed" or err.code == "cancelled", tostring(err))
      queue_has(1)
    end)

    it("in the middle of the queue goes without harm to those around it", function()
      local order = {}
      local before = waiter(other, "before", order)
      queue_has(2)
      local middle = waiter(client, "middle", order)
      queue_has(3)
      local after = waiter(other, "after", order)
      queue_has(4)
      middle:cancel()
      queue_has(3)
      expect.ok(lock:release())
      assert(before:join())
      assert(after:join())
      assert.same({ "before", "after" }, order)
    end)

    it("can be made again by the same handle", function()
      local second <close> = other:lock("/l")
      expect.failure("timeout", second:acquire { timeout = 0.05 })
      expect.ok(lock:release())
      expect.ok(second:acquire())
    end)

    it("beside one that is under way on the same handle is misuse or refused", function()
      local second <close> = other:lock("/l")
      local task = mw.spawn(function() return second:acquire() end)
      queue_has(2)
      local ok, token, err = pcall(second.acquire, second)
      assert.is_truthy(not ok or token == nil and err.code == "invalid")
      expect.ok(lock:release())
      local _, got = assert(task:join())
      assert.equal("integer", math.type(got))
    end)
  end)

  it("of a client that closes goes to the next", function()
    local lock = client:lock("/l")
    expect.ok(lock:acquire())
    local order = {}
    local task = waiter(other, "next", order)
    queue_has(2)
    lock:close()
    client:close()
    assert(task:join())
    assert.same({ "next" }, order)
  end)

  describe("guard", function()
    it("runs its body with the lock and returns what it returned", function()
      local inside
      local one, two = client:guard("/l", {}, function(lock)
        inside = lock.held and lock.token
        return "one", 2
      end)
      assert.same({ "one", 2 }, { one, two })
      assert.equal("integer", math.type(inside))
      queue_has(0)
    end)

    it("releases when the body raises", function()
      local ok, result = pcall(client.guard, client, "/l", {}, function() error "broken" end)
      assert.is_falsy(ok and result)
      queue_has(0)
    end)

    it("fails when the lock is not to be had", function()
      local lock <close> = client:lock("/l")
      expect.ok(lock:acquire())
      local ran = false
      local function body() ran = true end
      expect.failure("busy", other:guard("/l", { try = true }, body))
      expect.failure("timeout", other:guard("/l", { timeout = 0.05 }, body))
      assert.is_false(ran)
      queue_has(1)
    end)

    it("keeps bodies apart", function()
      local inside, most, tasks = 0, 0, {}
      for i = 1, 8 do
        table.insert(tasks, mw.spawn(function()
          return (i % 2 == 0 and client or other):guard("/l", {}, function()
            inside = inside + 1
            most = math.max(most, inside)
            mw.sleep(0.001)
            inside = inside - 1
            return true
          end)
        end))
      end
      for _, task in ipairs(tasks) do
        assert(select(2, assert(task:join())))
      end
      assert.equal(1, most)
    end)
  end)
end)
