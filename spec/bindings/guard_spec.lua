local mw = require "moonwatch"
local core = require "moonwatch.core"

describe("guard", function()
    local world, server, one, two

    before_each(function()
        world = core.world(5)
        server = world:memory_server { session_timeout = 6 }
        one = assert(mw.open { backend = server, host = world:host() })
        two = assert(mw.open { backend = server, host = world:host() })
    end)

    after_each(function()
        one:close()
        two:close()
        assert.equal(0, core.tasks())
        world:close()
    end)

    it("returns what the body returned, and has released the lock", function()
        assert.same({ 1, nil, 3, n = 3 }, table.pack(one:guard("/l", nil, function(lock)
            assert(lock.held and math.type(lock.token) == "integer")
            mw.sleep(1)
            return 1, nil, 3
        end)))
        assert.same({}, two:queue("/l", { fresh = true }))
    end)

    it("raises what the body raised, and has released the lock", function()
        local ok, err = pcall(one.guard, one, "/l", nil, function()
            error("boom")
        end)
        assert.is_false(ok)
        assert.matches("guard_spec.lua:%d+: boom", err)
        assert.same({}, two:queue("/l", { fresh = true }))
    end)

    it("and elect on a closed registry are outcomes that say so", function()
        one:close()
        for _, name in ipairs { "guard", "elect" } do
            local done, err = one[name](one, "/l", {}, function() error "it ran" end)
            assert.is_nil(done)
            assert.equal("closed", err.code)
        end
    end)

    it("can be had at once by a handle whose waiting task was cancelled", function()
        local held, lock = two:lock("/l"), one:lock("/l")
        assert(held:acquire())
        mw.run(function()
            local waiting = mw.spawn(lock.acquire, lock)
            mw.sleep(1)
            waiting:cancel()
            waiting:join()
            local again = mw.spawn(lock.acquire, lock) -- given up before it has begun
            waiting = mw.spawn(function()
                coroutine.yield()
                again:cancel()
            end)
            waiting:join()
            held:release()
            assert(math.type(lock:acquire { timeout = 1 }) == "integer")
            local _, err = lock:acquire { try = true }
            assert.is_nil(err) -- counted
        end)
        assert.equal(1, #two:queue("/l", { fresh = true }))
        lock:close()
        held:close()
    end)

    it("takes one attempt at a time, also while another is being given up", function()
        local held, lock = two:lock("/l"), one:lock("/l")
        assert(held:acquire())
        mw.run(function()
            local waiting = mw.spawn(lock.acquire, lock)
            mw.sleep(1)
            waiting:cancel()
            waiting:join()
            local second = mw.spawn(lock.acquire, lock, { timeout = 1 })
            coroutine.yield()
            local token, err = lock:acquire()
            assert.is_nil(token)
            assert.equal("invalid", err.code)
            token, err = select(2, second:join())
            assert.is_nil(token)
            assert.equal("timeout", err.code)
        end)
        lock:close()
        held:close()
    end)

    it("lets one body at a time run", function()
        local inside, most = 0, 0
        local function body()
            inside = inside + 1
            most = math.max(most, inside)
            mw.sleep(1)
            inside = inside - 1
        end
        local tasks = {}
        for i = 1, 6 do
            tasks[i] = mw.spawn(function()
                (i % 2 == 0 and one or two):guard("/l", nil, body)
            end)
        end
        for _, task in ipairs(tasks) do
            assert.is_true((task:join()))
        end
        assert.equal(1, most)
    end)

    it("gives up as acquire does", function()
        local holder = one:lock("/l")
        assert(holder:acquire())
        local _, busy = two:guard("/l", { try = true }, function() end)
        local _, late = two:guard("/l", { timeout = 2 }, function() end)
        assert.equal("busy", busy.code)
        assert.equal("timeout", late.code)
        holder:close()
    end)

    it("cancels its body when the lock is lost, before it runs another line", function()
        local heard, went_on, closed
        local task = mw.spawn(function()
            return one:guard("/l", {
                on_lost = function(lock, err)
                    heard = { lock.path, err.code }
                end,
            }, function()
                local _ <close> = setmetatable({}, {
                    __close = function()
                        closed = true
                    end,
                })
                mw.sleep(5)
                went_on = true
            end)
        end)
        mw.sleep(1)
        assert(server:expire(one:session()))
        local ran, result, err = task:join()
        assert.is_true(ran)
        assert.is_nil(result)
        assert.equal("session_lost", err.code)
        assert.same({ "/l", "session_lost" }, heard)
        assert.is_true(closed)
        assert.is_nil(went_on)
    end)

    it("whose caller is cancelled ends the body first, then releases", function()
        local order = {}
        local task = mw.spawn(function()
            one:guard("/l", nil, function(lock)
                local _ <close> = setmetatable({}, {
                    __close = function()
                        mw.sleep(1)
                        table.insert(order, lock.held and "still held" or "too late")
                    end,
                })
                mw.sleep(100)
            end)
        end)
        mw.sleep(1)
        task:cancel()
        task:join()
        assert.same({ "still held" }, order)
        assert.same({}, two:queue("/l", { fresh = true }))
    end)

    it("cancelled while it waits leaves nothing in the queue", function()
        local holder = one:lock("/l")
        assert(holder:acquire())
        local task = mw.spawn(two.guard, two, "/l", nil, function() end)
        mw.sleep(1)
        assert.equal(2, #one:queue("/l", { fresh = true }))
        task:cancel()
        task:join()
        mw.sleep(0.1)
        assert.equal(1, #one:queue("/l", { fresh = true }))
        holder:close()
    end)

    it("is as good as acquire, which leaves the queue when its task is cancelled though the handle stays", function()
        local holder, waiting = one:lock("/l"), two:lock("/l")
        assert(holder:acquire())
        local task = mw.spawn(waiting.acquire, waiting)
        mw.sleep(1)
        assert.equal(2, #one:queue("/l", { fresh = true }))
        task:cancel()
        mw.sleep(1)
        assert.equal(1, #one:queue("/l", { fresh = true }))
        holder:close()
        assert(waiting:acquire { timeout = 1 })
        waiting:close()
    end)

    it("is released by the collector when a handle is dropped", function()
        do
            assert(one:lock("/l"):acquire())
        end
        collectgarbage()
        collectgarbage()
        assert(two:lock("/l"):acquire { timeout = 1 })
    end)
end)

describe("elect", function()
    local world, server, one, two

    before_each(function()
        world = core.world(5)
        server = world:memory_server {}
        one = assert(mw.open { backend = server, host = world:host() })
        two = assert(mw.open { backend = server, host = world:host() })
    end)

    after_each(function()
        one:close()
        two:close()
        mw.sleep(1)
        assert.equal(0, core.tasks())
        world:close()
    end)

    it("runs lead for each term, and cancels it when the term ends", function()
        local log = {}
        local function lead(name)
            return function(election)
                table.insert(log, name .. " leads")
                local _ <close> = setmetatable({}, {
                    __close = function()
                        table.insert(log, name .. (election.leading and " leading" or " deposed"))
                    end,
                })
                mw.sleep(100)
            end
        end
        one:elect("/e", { record = "one" }, lead "one")
        mw.sleep(0.5)
        two:elect("/e", { record = "two" }, lead "two")
        mw.sleep(0.5)
        assert(server:expire(one:session()))
        mw.sleep(2)
        assert.same({ "one leads", "one deposed", "two leads" }, log)
        assert.equal("two", one:get("/e/leader", { fresh = true }).value)
    end)

    it("resigns when lead returns, for the next in the queue", function()
        local log = {}
        local first = one:elect("/e", function()
            table.insert(log, "one")
            mw.sleep(1)
        end)
        mw.sleep(0.1)
        local second = two:elect("/e", function()
            table.insert(log, "two")
            mw.sleep(100)
        end)
        mw.sleep(3)
        assert.same({ "one", "two" }, log)
        first:close()
        second:close()
    end)
end)
