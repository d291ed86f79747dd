-- Twenty-four jobs, three workers, and what happens to the jobs of a worker that dies. All run this same file.
local zero = tonumber(os.getenv "DEMO_ZERO") or mw.now()
local me = assert(mw.node {}).node -- our record, under /nodes/worker, for as long as we live
local registry, json = mw.registry, mw.json

local function name(node)
    return node.address:match "^[^:]+"
end

local function say(...)
    print(("%8.3f s  %-6s %s"):format(mw.now() - zero, name(me), string.format(...)))
end

-- One of us is elected, waits until all are here, and shares out the jobs: all of them in one txn, or none. The txn
-- checks that we lead, so a leader that was deposed meanwhile shares out nothing.
mw.elect("/demo/leader", { record = me.key }, function(election)
    local workers
    repeat
        workers = assert(mw.nodes "worker")
        mw.sleep "50ms"
    until #workers == 3 or registry:get "/demo/shared"

    local txn = registry:txn():check(election):create("/demo/shared", me.key)
    for i = 1, 24 do
        txn:create(("/jobs/job-%02d"):format(i), workers[i % #workers + 1].key)
    end
    if txn:commit() then
        say("leads, with token %d, and gives each of %d workers its share of 24 jobs", election.token, #workers)
    else
        say "leads; the jobs are shared out already"
    end
    mw.sleep(math.huge) -- lead on: returning would resign
end)

-- Move every job of `dead` to those who live, each in a txn of its own: we still hold the lock, nobody has touched the
-- job since we read it, and it was not moved before. If any of this is untrue, nothing happens.
local function take_over(dead, lock)
    local moved, alive = 0, assert(mw.nodes "worker")
    for _, job in ipairs(assert(registry:list("/jobs", { fresh = true }))) do
        if job.value == dead.key then
            local heir = alive[moved % #alive + 1]
            local done, err = registry:txn():check(lock)
                :set(job.path, heir.key, { version = job.version })
                :create("/moved/" .. dead.incarnation .. "/" .. job.path:match "[^/]+$", heir.key)
                :commit()
            moved = moved + (done and 1 or 0)
            say("%s -> %s%s", job.path, name(heir), done and "" or ": " .. tostring(err))
        end
    end
    return moved
end

-- Every survivor hears it; the lock lets one at a time act, and whoever comes later finds nothing left to do.
mw.on("removed", "/nodes/worker/*", function(event)
    local heard, dead = mw.now(), event.node
    say("hears that %s is gone", name(dead))
    mw.guard("/demo/failover", { timeout = "10s" }, function(lock)
        local moved = take_over(dead, lock)
        if moved > 0 then
            local case = { by = name(me), moved = moved, ms = (mw.now() - heard) * 1000 }
            registry:txn():check(lock):create("/cases/" .. dead.incarnation, json.encode(case)):commit()
            say("has moved %d jobs under token %d", moved, lock.token)
        end
    end)
end)
