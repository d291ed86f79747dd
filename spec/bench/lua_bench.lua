-- What Lua costs on the memory backend: events into reactions, put + event + reaction, bytes per watched entry.
-- One row per figure, as report.lua reads them; medians of 5.
local mw = require "moonwatch"
local core = require "moonwatch.core"

local RUNS = 5

local function median(values)
    table.sort(values)
    return values[(#values + 1) // 2]
end

local function clock()
    return os.clock()
end

--- `better`: "least" or "most", with the bound that the median has to keep.
local function row(name, unit, better, bound, run)
    local values = {}
    for i = 1, RUNS do
        values[i] = run()
    end
    local figure = median(values)
    local target, verdict = "-", "-"
    if better then
        local met = better == "least" and figure >= bound or better == "most" and figure <= bound
        target, verdict = ("%s %d"):format(better == "least" and ">=" or "<=", bound), met and "met" or "missed"
    end
    print(("%s | %.0f | %s | %s | %s"):format(name, figure, unit, target, verdict))
end

local function resident()
    for line in io.lines("/proc/self/status") do
        local kb = line:match("^VmRSS:%s+(%d+)")
        if kb then
            return tonumber(kb) * 1024
        end
    end
end

--- `count` entries below /n, put by a second registry of the same server.
local function fill(writer, count, value)
    for i = 1, count, 500 do
        local txn = writer:txn()
        for j = i, math.min(i + 499, count) do
            txn:put(("/n/entry-%06d"):format(j), value)
        end
        assert(txn:commit())
    end
end

local function pair()
    local server = core.memory_server {}
    return assert(mw.open { backend = server }), assert(mw.open { backend = server })
end

-- The present state of a cached view into a second subscription: nothing but events and reactions.
local function events_per_second()
    local count = 100000
    local writer, reader = pair()
    fill(writer, count, ("v"):rep(20))
    local first = reader:subscribe("/n", {}, function() end)
    first:synced()
    collectgarbage()
    local seen, started = 0, clock()
    local second = reader:subscribe("/n", {}, function(event)
        if event.path then
            seen = seen + 1
        end
    end)
    second:synced()
    local rate = count / (clock() - started)
    assert(seen >= count)
    first:close()
    second:close()
    reader:close()
    writer:close()
    return rate
end

-- A task puts, an own subscription reacts; the next put waits for the reaction of 64 before.
local function puts_per_second()
    local count = 50000
    local reg = assert(mw.open { backend = "memory" })
    local seen = 0
    local sub = reg:subscribe("/p", {}, function(event)
        if event.value then
            seen = seen + 1
        end
    end)
    sub:synced()
    local paths = {}
    for i = 1, 64 do
        paths[i] = "/p/" .. i
    end
    collectgarbage()
    local started = clock()
    mw.run(function()
        local tasks = {}
        for t = 1, 64 do
            tasks[t] = mw.spawn(function()
                for _ = 1, count // 64 do
                    reg:put(paths[t], "value")
                end
            end)
        end
        for _, task in ipairs(tasks) do
            task:join()
        end
    end)
    while seen < count // 64 * 64 do
        mw.sleep(0)
    end
    local rate = seen / (clock() - started)
    sub:close()
    reg:close()
    return rate
end

local function bytes_per_entry()
    local count, value = 100000, ("v"):rep(20)
    local writer, reader = pair()
    fill(writer, count, value)
    collectgarbage()
    collectgarbage()
    local before = resident()
    local sub = reader:subscribe("/n", {}, function() end)
    sub:synced()
    collectgarbage()
    collectgarbage()
    local bytes = (resident() - before) / count - #value
    sub:close()
    reader:close()
    writer:close()
    return bytes
end

local function spawns_per_second()
    local count = 200000
    local started = clock()
    mw.run(function()
        for _ = 1, count // 100 do
            local tasks = {}
            for i = 1, 100 do
                tasks[i] = mw.spawn(function() end)
            end
            for i = 1, 100 do
                tasks[i]:join()
            end
        end
    end)
    return count / (clock() - started)
end

row("memory in Lua: bytes per watched entry beyond its value", "bytes", "most", 400, bytes_per_entry)
row("memory in Lua: events into reactions", "events/s", "least", 300000, events_per_second)
row("memory in Lua: put + event + reaction", "puts/s", "least", 100000, puts_per_second)
row("tasks: spawn + join", "tasks/s", nil, nil, spawns_per_second)
