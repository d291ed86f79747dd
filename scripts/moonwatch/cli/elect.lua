local cli = require "moonwatch.cli"
local client = require "moonwatch.cli.client"
local core = require "moonwatch.core"
local hold = require "moonwatch.cli.hold"

local M = {
    summary = "Stand for election, and run a command while leading.",
    description = "The leader's record is readable at PATH/leader. MOONWATCH_ELECTION_PATH, "
        .. "MOONWATCH_ELECTION_TOKEN and MOONWATCH_ELECTION_DEADLINE are in the command's environment. When the "
        .. "leadership is lost, the command and all that it started are ended before another can lead. Exit code: "
        .. "the command's; 11 not elected in time; 12 lost.",
}

function M.configure(command)
    command:argument("path", "The election, such as /elections/scheduler.")
    command:argument("command", "After --: what to run while leading."):args "+":target "words"
    command:option("--record", "What others read about the leader; default: host and process."):argname "TEXT"
    command:flag("--again", "Stand again after a loss, instead of leaving with 12.")
    client.options(command, { timeout = "How long to wait to be elected; default: for ever." })
end

local function wait(election, args)
    local token, err = election:wait {
        timeout = args.timeout and client.seconds(args.timeout, "--timeout") or nil,
    }
    if token then
        return token
    elseif err.code == "timeout" then
        cli.complain("%s; `moonwatch get %s/leader` shows who leads", tostring(err), election.path)
        client.leave(cli.exit.not_acquired)
    end
    client.leave(client.fail(err))
end

-- A term ends without a word to us when the leadership is lost: `leading` tells.
local function watch_term(election, held)
    return core.spawn_apart(function()
        while election.token == held.token do
            core.sleep(0.02)
        end
        hold.lose(held)
    end)
end

local function lead(registry, election, args)
    local held = { path = election.path, token = wait(election, args) }
    local watcher = watch_term(election, held)
    local code = hold.run(registry, held, args.words, "MOONWATCH_ELECTION")
    watcher:cancel()
    return code, held.ended
end

function M.run(args)
    return hold.with(args, function(registry)
        local system = require "moonwatch.system"
        local record = args.record or ("%d@%s"):format(system.pid(), system.hostname() or "?")
        local election <close> = client.need(registry:elect(client.path(args.path), { record = record }))
        local code, lost
        repeat
            code, lost = lead(registry, election, args)
        until not (lost and args.again)
        return code
    end)
end

return M
