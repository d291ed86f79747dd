--- A command that runs only while a lock or a leadership is ours. What may be lost without notice is ended by the
--- client's own deadline, which is a little before the server lets anyone else in: TERM while there is time, then KILL.
local cli = require "moonwatch.cli"
local client = require "moonwatch.cli.client"
local command = require "moonwatch.cli.command"
local core = require "moonwatch.core"

local M = {}

-- Of the session timeout: how long before the deadline TERM is sent. Two renewals have failed by then.
local notice = 0.2

---@class moonwatch.Hold
---@field path string
---@field token integer?
---@field lost boolean?      set by `lose`
---@field wake moonwatch.Task?   what the guard waits in
---@field ended boolean?     the guard has taken the command's end over

--- To be called by whoever hears that it is lost: `on_lost` of a lock, `on_deposed` of an election.
---@param hold moonwatch.Hold
function M.lose(hold)
    hold.lost = true
    if hold.wake then
        hold.wake:cancel()
    end
end

-- End the command when the deadline comes near and no renewal has moved it; at once when `hold` is known to be lost.
local function guard(registry, hold, process)
    local deadline = registry:deadline()
    local patience = math.max(0.05, notice * math.max(0, (deadline or 0) - core.now()))
    while not hold.lost do
        deadline = registry:deadline()
        local left = (deadline or 0) - core.now()
        if left <= patience then
            break
        end
        hold.wake = core.spawn_apart(core.sleep, math.min(left - patience, 0.5))
        hold.wake:join()
    end
    hold.ended = true
    process:finish(function() return hold.lost or not registry:deadline() or core.now() >= deadline end)
end

local function variables_of(registry, hold, prefix)
    local left = (registry:deadline() or core.now()) - core.now()
    return {
        [prefix .. "_PATH"] = hold.path, [prefix .. "_TOKEN"] = hold.token,
        [prefix .. "_DEADLINE"] = ("%d"):format(os.time() + math.floor(left)),
    }
end

--- Run `words` while `hold` lasts: the exit code of the command, or that of a loss.
---@param registry moonwatch.Registry
---@param hold moonwatch.Hold
---@param words string[]
---@param prefix string     of the variables
---@return integer code
---@return boolean? lost    by no doing of ours, and nobody has asked us to end meanwhile
function M.run(registry, hold, words, prefix)
    local ours = require "moonwatch.process"
    ours.ignore_stops(true)
    local process = command.start(words, variables_of(registry, hold, prefix), true)
    local watcher = core.spawn_apart(guard, registry, hold, process)
    local code = process:wait()
    if not hold.ended then
        process:sweep(hold.path)
    end
    if hold.ended then
        watcher:join() -- the rest of its group
        process:forget_signals()
        ours.ignore_stops(false)
        cli.complain("%s was lost; the command was ended", hold.path)
        return cli.exit.lost, not process.asked
    end
    process:forget_signals()
    ours.ignore_stops(false)
    watcher:cancel()
    return code
end

--- Whether what failed with `err` is held by a session that ran out. On MySQL that holds on until a client ends it
--- that was connected for a whole session timeout itself; commands that leave at once, one after another, would wait
--- for ever for that one. Other backends end it themselves, and may not list the sessions of others' clients.
---@param registry moonwatch.Registry
---@param path string
---@param err moonwatch.Error
function M.holder_is_gone(registry, path, err)
    if err.backend ~= "mysql" then
        return false
    end
    local queue, sessions = registry:queue(path), registry:sessions()
    if not queue or not queue[1] or not sessions then
        return false
    end
    for _, session in ipairs(sessions) do
        if session.id == queue[1].owner then
            return false
        end
    end
    return true
end

--- What `lock` and `elect` wait for: the token; or our end, with a line that names `look`, which shows who has it.
---@param registry moonwatch.Registry
---@param path string
---@param token integer?
---@param err moonwatch.Error?
---@param look string
---@return integer
function M.need(registry, path, token, err, look)
    if token then
        return token
    elseif err.code == "busy" or err.code == "timeout" then
        local gone = M.holder_is_gone(registry, path, err) and "; who has it is not connected any more: what waits for "
            .. "longer than the session timeout (--timeout 30s) ends that session" or ""
        cli.complain("%s; `moonwatch %s` shows who has it%s", tostring(err), look, gone)
        client.leave(cli.exit.not_acquired)
    end
    client.leave(client.fail(err))
end

--- How long the operator wants to wait; nil = for ever.
---@return number?
function M.patience(args)
    return args.timeout and client.seconds(args.timeout, "--timeout") or nil
end

--- A client that notices a loss, and is named in the queue by what it runs.
function M.with(args, body)
    return client.with(args, { creates = true, waits = true }, body)
end

return M
