--- The demo, seen from outside: start three workers on one SQLite file, kill the leader with SIGKILL, and judge by what
-- the registry says whether its jobs were moved, each once. Exit code 0 only if so and nothing is left over.
--
--   lua5.4 scripts/demo/demo.lua [MOONWATCH]     (with build/env.sh in the environment; `make demo` does it all)
local mw = require "moonwatch"
local program = arg[1] or "moonwatch"
local here = arg[0]:match "^(.*/)" or "./"

local workers, jobs = { "alice", "bob", "carol" }, 24
local zero, patience = mw.now(), 20
local pids = {}

local function say(...)
    print(("%8.3f s  %-6s %s"):format(mw.now() - zero, "--", string.format(...)))
end

local function read_file(name)
    local file <close> = io.open(name)
    return file and file:read "a"
end

local function alive(pid)
    local state = (read_file(("/proc/%d/stat"):format(pid)) or ""):match "%) (%a)"
    return state ~= nil and state ~= "Z"
end

local function signal(name, pid)
    os.execute(("kill -%s %d 2>/dev/null"):format(name, pid))
end

local function await(what, condition)
    local late = mw.now() + patience
    while mw.now() < late do
        local value = condition()
        if value then
            return value
        end
        mw.sleep(0.01)
    end
    error(("%s: not within %d s"):format(what, patience), 0)
end

local function start(name, folder)
    local file = ("%s/%s.pid"):format(folder, name)
    local environment = ("NODE=%s DEMO_ZERO=%.6f DEMO_REGISTRY='%s/registry.db'"):format(name, zero, folder)
    os.execute(("%s '%s' run -c '%sapplication.yaml' & echo $! >'%s'"):format(environment, program, here, file))
    pids[name] = math.tointeger(tonumber((read_file(file))))
end

local function name_of(key)
    return key:match "_(%a+):7000_"
end

-- How many jobs each node has, by its key.
local function shares(registry)
    local count = {}
    local list = assert(registry:list("/jobs", { fresh = true }))
    for _, job in ipairs(list) do
        count[job.value] = (count[job.value] or 0) + 1
    end
    return count, list
end

local function describe(count)
    local parts = {}
    for key, number in pairs(count) do
        parts[#parts + 1] = ("%s %d"):format(name_of(key), number)
    end
    table.sort(parts)
    return table.concat(parts, ", ")
end

-- ---- The three acts -----------------------------------------------------------------------------------------------

local function share_out(registry, folder)
    say("starting %s", table.concat(workers, ", "))
    for _, name in ipairs(workers) do
        start(name, folder)
    end
    await("the jobs are shared out", function()
        return select(2, shares(registry))[jobs]
    end)
    local count = shares(registry)
    mw.sleep "200ms" -- for those who read along: the leader has its say
    say("the registry says: %s", describe(count))
    return count
end

local function kill_leader(registry, count)
    local key = assert(registry:get "/demo/leader/leader").value
    local name = name_of(key)
    say("kill -9 %s, who leads and has %d jobs", name, count[key])
    signal("KILL", pids[name])
    await("the dead node's jobs are moved", function()
        return (registry:get("/cases/" .. key:match "[^_]+$"))
    end)
    return key
end

-- What the registry says, and nothing else.
local function judge(registry, dead, before)
    local count, list = shares(registry)
    local incarnation = dead:match "[^_]+$"
    local marks = assert(registry:list("/moved/" .. incarnation))
    local case = assert(mw.json.decode(assert(registry:get("/cases/" .. incarnation)).value))
    local live, moved, lost, twice = {}, 0, jobs - #list, 0
    for _, node in ipairs(assert(registry:list "/nodes/worker")) do
        live[node.path:match "[^/]+$"] = true
    end
    for _, job in ipairs(list) do
        lost = lost + (live[job.value] and 0 or 1)
        moved = moved + (job.version >= 1 and 1 or 0)
        twice = twice + (job.version > 1 and 1 or 0)
    end
    say("the registry says: %s", describe(count))
    local good = lost == 0 and twice == 0 and moved == before and #marks == before and case.moved == before
    return good, ("%d of %d jobs moved, %d lost, %d twice, %.0f ms from detection to done"):format(moved, before, lost,
        twice, case.ms)
end

-- ---- Before and after ---------------------------------------------------------------------------------------------

-- Should this process be ended in the middle (the terminal is closed), a shell that outlives it tidies up.
local function insure(folder)
    os.execute(([[
        cd '%s'
        (trap '' HUP INT TERM
        while kill -0 $PPID; do sleep 0.2; done
        kill -KILL $(cat *.pid); rm -rf "$PWD") 2>/dev/null &
        echo $! >insurance]]):format(folder))
    return function()
        signal("KILL", tonumber((read_file(folder .. "/insurance"))))
    end
end

local function stop_workers()
    for _, pid in pairs(pids) do
        signal("TERM", pid)
    end
    for name, pid in pairs(pids) do
        await(name .. " ends", function()
            return not alive(pid)
        end)
    end
end

-- Rows that outlive their owners: records, sessions, places in queues.
local function leftovers(registry)
    local rows = #assert(registry:list "/nodes/worker") + #assert(registry:queue("/", { recursive = true }))
    local sessions = assert(registry:sessions())
    for _, session in ipairs(sessions) do
        rows = rows + (session.id == registry:session() and 0 or 1)
    end
    return rows
end

local function play(folder)
    local registry <close> = assert(mw.open {
        backend = "sqlite", path = folder .. "/registry.db", session_timeout = "1500ms", name = "demo",
    })
    local count = share_out(registry, folder)
    local dead = kill_leader(registry, count)
    local good, verdict = judge(registry, dead, count[dead])
    stop_workers()
    local rows = leftovers(registry)
    say("the survivors have withdrawn: %d rows left over", rows)
    return good and rows == 0, verdict
end

local folder = os.tmpname()
os.remove(folder)
assert(os.execute(("mkdir -m 700 '%s'"):format(folder)))
local all_went_well = insure(folder)
local ok, good, verdict = pcall(play, folder)
for _, pid in pairs(pids) do
    if alive(pid) then
        signal("KILL", pid)
    end
end
all_went_well()
os.execute(("rm -rf '%s'"):format(folder))
print(ok and (good and "OK: " or "FAILED: ") .. verdict or "FAILED: " .. tostring(good))
os.exit(ok and good and 0 or 1, true)
