-- What one client does or suffers must not reach the others: a write on the way, a stop within a transaction, a clock.
local Harness = require "support.harness"
local History = require "support.history"
local expect = require "support.expect"
local mw = require "moonwatch"

describe("beside other clients of MySQL", function()
  local h

  before_each(function() h = Harness.start() end)
  after_each(function() h:finish() end)

  local function judge(history, client)
    for _, entry in ipairs(expect.ok(client:list("/log", { fresh = true }))) do
      history:present(entry.path:match "[^/]*$", entry.revision)
    end
    history:final {}
    assert.same({}, history:check())
  end

  --- One guarded write, recorded, in a task.
  local function write_guarded(history, client, name, lock, id)
    return mw.spawn(function()
      local write = history:write { id = id, client = name, lock = "/l", token = lock.token }
      return write:returned(client:txn():check(lock):create("/log/" .. id, name):commit())
    end)
  end

  local function result_of(task)
    return select(2, expect.ok(task:join()))
  end

  it("an old holder's write that is on its way during the hand-over comes to nothing", function()
    local history = History.new { clock = mw.now }
    local clients = { h:open(), h:open() }
    for round = 1, 10 do
      local old, new = clients[round % 2 + 1], clients[(round + 1) % 2 + 1]
      local held <close> = old:lock "/l"
      expect.ok(held:acquire())
      local awaited <close> = new:lock "/l"
      local granted = mw.spawn(function() return awaited:acquire { timeout = 60 } end)
      h:wait("the queue", function()
        return #expect.ok(new:queue("/l")) == 2
      end)
      expect.ok(result_of(write_guarded(history, old, "old", held, round .. ".before")))
      h.driver:hold_back(old)
      local on_its_way = write_guarded(history, old, "old", held, round .. ".late")
      mw.sleep "1ms"
      h.driver:hand_over "/l"
      expect.ok(result_of(granted))
      expect.ok(result_of(write_guarded(history, new, "new", awaited, round .. ".after")))
      h.driver:pass(old)
      expect.failure("fenced", result_of(on_its_way))
    end
    judge(history, clients[1])
  end)

  it("a client that is stopped anywhere in a transaction stops nobody", function()
    local client = h:open()
    local process = h:process()
    process:eval [[
      local registry = open()
      local function round(number)
        local txn = registry:txn()
        for i = 1, 3000 do
          txn:create(("/big/%d.%d"):format(number, i), "a value")
        end
        return txn:commit()
      end
      work = background(function()
        for number = 1, math.huge do
          if done then
            return
          end
          committed = round(number) and number or committed
        end
      end)
    ]]
    for i = 1, 20 do
      mw.sleep(math.random(150) / 1000)
      process:stop()
      expect.ok(client:put("/small", tostring(i), { timeout = "3s" }))
      process:cont()
    end
    h:wait("large transactions", function() return process:eval "return committed" end)
    process:eval "done = true; work:join()"
  end)

  it("a client whose clock is an hour off expires nobody, and is not expired", function()
    local clock = os.tmpname()
    local observer = h:open { session_timeout = h.short }
    local sessions = {}
    for _, seconds in ipairs { 3600, -3600 } do
      local file <close> = assert(io.open(clock .. seconds, "w"))
      file:write(("%-16d"):format(seconds))
      file:close()
      h.driver.before = {
        "env", "MOONWATCH_CLOCK_FILE=" .. clock .. seconds,
        "LD_PRELOAD=" .. (os.getenv "LD_PRELOAD" or "") .. ":" .. os.getenv "SHIFTED_CLOCK",
      }
      local process = h:process()
      local session, there = process:eval([[
        registry = open { session_timeout = ... }
        assert(registry:create("/e/" .. registry:session(), "v", { ephemeral = true }))
        return registry:session(), os.time()
      ]], h.short)
      assert.is_true(math.abs(there - os.time() - seconds) < 60)
      sessions[session] = process
    end
    -- Each is connected for more than two timeouts, renews, and looks for the expired.
    local late = mw.now() + 3.5
    h:wait("two timeouts", function()
      for session, process in pairs(sessions) do
        assert.equal(session, process:eval "return registry:session()")
        assert.equal(session, expect.ok(observer:get("/e/" .. session, { fresh = true })).owner)
      end
      return mw.now() > late
    end)
    -- And who dies among them is noticed by the other.
    local dead, first = next(sessions)
    first:kill()
    observer:close()
    local second = sessions[next(sessions, dead)]
    h:wait("the end of the dead", function()
      return second:eval("return registry:get('/e/' .. ..., { fresh = true }) == nil", dead)
    end)
    for _, seconds in ipairs { 3600, -3600 } do
      os.remove(clock .. seconds)
    end
    os.remove(clock)
  end)
end)
