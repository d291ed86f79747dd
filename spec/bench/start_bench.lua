-- What a restart costs: `moonwatch run` on SQLite from its start until its node record is seen by another process, with
-- a registry that is there and with one that it makes. One row per figure, as report.lua reads them; medians of 15.
local mw = require "moonwatch"
local uv = require "luv"

local RUNS = 15

local folder = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/moonwatch-bench-XXXXXX"))

local function write(name, text)
    local file <close> = assert(io.open(folder .. "/" .. name, "w"))
    assert(file:write(text))
    return folder .. "/" .. name
end

local function configure(path)
    write("node.lua", 'mw.node { role = "worker", address = "127.0.0.1:7000" }\n')
    return write("application.yaml", ([[
registry:
  type: sqlite
  sqlite:
    path: %s
scripts: node.lua
log_level: error
]]):format(path))
end

local function start(configuration)
    local process = { begun = mw.now() }
    local handle, pid
    handle, pid = uv.spawn("moonwatch", { args = { "run", "-c", configuration }, stdio = { nil, nil, 2 } }, function()
        process.ended = true
        handle:close()
    end)
    process.handle = assert(handle, pid)
    return process
end

local function await(done)
    local deadline = mw.now() + 30
    while not done() do
        assert(mw.now() < deadline, "waited in vain")
        mw.sleep(0.0002)
        uv.run "nowait"
    end
end

local function stop(process)
    process.handle:kill "sigterm"
    await(function() return process.ended end)
end

--- Milliseconds until a subscription of this process shows the record.
local function until_seen(path)
    local configuration = configure(path)
    local registry = assert(mw.open { backend = "sqlite", path = path })
    local seen
    local subscription = registry:subscribe("/nodes", { depth = "subtree" }, function(event)
        if event.type == "added" and event.owner then
            seen = mw.now()
        end
    end)
    assert(subscription:synced())
    local process = start(configuration)
    await(function() return seen end)
    stop(process)
    subscription:close()
    registry:close()
    return (seen - process.begun) * 1000
end

--- The same for a file that is not there yet: until another process can read the record.
local function until_made(path)
    local configuration = configure(path)
    local process = start(configuration)
    await(function() return uv.fs_stat(path) end)
    local registry = assert(mw.open { backend = "sqlite", path = path })
    local seen
    await(function()
        for _, entry in ipairs(assert(registry:list "/nodes")) do
            seen = seen or entry.owner and mw.now()
        end
        return seen
    end)
    stop(process)
    registry:close()
    return (seen - process.begun) * 1000
end

--- What it cannot do without: a session and a record, each on the disk when it is told of.
local function two_commits(path)
    local registry = assert(mw.open { backend = "sqlite", path = path })
    assert(registry:put("/nodes", "made"))
    local begun = mw.now()
    assert(registry:put("/nodes", "once"))
    assert(registry:put("/nodes", "twice"))
    local ended = mw.now()
    registry:close()
    return (ended - begun) * 1000
end

local function clear()
    local scan = assert(uv.fs_scandir(folder))
    for name in uv.fs_scandir_next, scan do
        os.remove(folder .. "/" .. name)
    end
end

local function row(name, most, run)
    local values = {}
    for i = 1, RUNS do
        values[i] = run(folder .. "/registry.db")
        clear()
    end
    table.sort(values)
    local figure = values[(RUNS + 1) // 2]
    local verdict = not most and "-" or figure <= most and "met" or "missed"
    print(("%s | %.1f | ms | %s | %s"):format(name, figure, most and "at most " .. most or "-", verdict))
end

row("moonwatch run on SQLite: start until registered and seen by another process", 30, until_seen)
row("two durable commits, which it waits for: the disk's part of it", nil, two_commits)
row("moonwatch run on SQLite: the same, when the file has to be made first", nil, until_made)
clear()
assert(uv.fs_rmdir(folder))
