local client = require "moonwatch.cli.client"
local hold = require "moonwatch.cli.hold"

local M = {
    summary = "Stand for election, and run a command while leading.",
    description = "The leader's record is readable at PATH/leader. MOONWATCH_ELECTION_PATH, "
        .. "MOONWATCH_ELECTION_TOKEN and MOONWATCH_ELECTION_DEADLINE are in the command's environment. When the "
        .. "leadership is lost, the command and all that it started are ended before another can lead. Terminal, "
        .. "signals and what is left in the background are as with lock. Exit code: the command's; 11 not elected in "
        .. "time; 12 lost.",
}

function M.configure(command)
    command:argument("path", "The election, such as /elections/scheduler.")
    command:argument("command", "After --: what to run while leading."):args "+":target "words"
    command:option("--record", "What others read about the leader; default: host and process."):argname "TEXT"
    command:flag("--again", "Stand again after a loss, instead of leaving with 12.")
    client.options(command, { timeout = "How long to wait to be elected; default: for ever." })
end

function M.run(args)
    return hold.with(args, function(registry)
        local system = require "moonwatch.system"
        local record = args.record or ("%d@%s"):format(system.pid(), system.hostname() or "?")
        local held = { path = client.path(args.path) }
        local election <close> = client.need(registry:elect(held.path, {
            record = record, on_deposed = function() hold.lose(held) end,
        }))
        local code, lost
        repeat
            held = { path = held.path }
            local token, err = election:wait { timeout = hold.patience(args) }
            held.token = hold.need(registry, held.path, token, err, ("get %s/leader"):format(held.path))
            code, lost = hold.run(registry, held, args.words, "MOONWATCH_ELECTION")
            if election.leading then -- given up ahead of the deadline: another's turn, should the session live on
                election:resign()
            end
        until not (lost and args.again)
        return code
    end)
end

return M
