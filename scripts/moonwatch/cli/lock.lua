local client = require "moonwatch.cli.client"
local hold = require "moonwatch.cli.hold"

local M = {
    summary = "Run a command while holding a lock.",
    description = "MOONWATCH_LOCK_PATH, MOONWATCH_LOCK_TOKEN (the fencing token) and MOONWATCH_LOCK_DEADLINE "
        .. "(seconds since 1970: until when the lock is ours without another renewal; we renew it while the command "
        .. "runs) are in its environment. It has the terminal, where there is one; Ctrl-Z does not stop it. INT and "
        .. "TERM are passed on. When the lock is lost, the command and all that it started are ended before the lock "
        .. "can be another's. What it leaves in the background is ended before the lock is released, unless that has "
        .. "begun a session of its own (setsid). Exit code: the command's; 11 not acquired; 12 lost.",
}

function M.configure(command)
    command:argument("path", "The lock, such as /locks/backup.")
    command:argument("command", "After --: what to run."):args "+":target "words"
    command:flag("--try", "Do not wait for it.")
    command:option("--value", "Who we are, for those who look at the queue; default: the command."):argname "TEXT"
    client.options(command, { timeout = "How long to wait for the lock; default: for ever." })
end

function M.run(args)
    return hold.with(args, function(registry)
        local held = { path = client.path(args.path) }
        local lock <close> = client.need(registry:lock(held.path, {
            value = args.value or table.concat(args.words, " "),
            on_lost = function() hold.lose(held) end,
        }))
        local token, err = lock:acquire { try = args.try or nil, timeout = hold.patience(args) }
        held.token = hold.need(token, err, "locks " .. held.path)
        return (hold.run(registry, held, args.words, "MOONWATCH_LOCK"))
    end)
end

return M
