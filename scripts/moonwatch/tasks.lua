--- Tasks beyond what the core offers: `every`, `timeout`, `run`.
local core = require "moonwatch.core"

local M = {}

local function check_body(body, name)
    if type(body) ~= "function" then
        core.misuse(("bad argument 'body' to '%s': function expected, got %s"):format(name, type(body)))
    end
end

--- The results of a task's join, or its error raised again.
local function results(ok, ...)
    if not ok then
        error((...), 0)
    end
    return ...
end

M.spawn = core.spawn
M.sleep = core.sleep
M.now = core.now

local function tick(period, body)
    local due = core.now() + period
    while true do
        core.sleep(math.max(0, due - core.now()))
        local run = core.spawn(body)
        local _, err = run:join()
        if run.status == "failed" then -- the next one comes all the same
            core.log("error", ("every: %s"):format(err))
        end
        -- Runs that would have begun while the last one still went on are left out.
        due = math.max(due + period, core.now())
    end
end

function M.every(period, body)
    local seconds = core.seconds(period, "every", "period")
    check_body(body, "every")
    if seconds == 0 then
        core.misuse "bad argument 'period' to 'every': more than 0 expected"
    end
    return core.spawn(tick, seconds, body)
end

function M.timeout(duration, body, ...)
    local seconds = core.seconds(duration, "timeout", "duration")
    check_body(body, "timeout")
    local child <close> = core.spawn(body, ...)
    local outcome = table.pack(child:join { timeout = seconds })
    if child.status == "waiting" or child.status == "running" then
        child:cancel()
        outcome = table.pack(child:join())
        if child.status == "cancelled" then
            return nil, core.error("timeout", ("not done within %g s"):format(seconds))
        end
    end
    return results(table.unpack(outcome, 1, outcome.n))
end

function M.run(body, ...)
    check_body(body, "run")
    return results(core.spawn(body, ...):join())
end

M.results = results

return M
