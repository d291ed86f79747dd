local client = require "moonwatch.cli.client"
local core = require "moonwatch.core"
local hold = require "moonwatch.cli.hold"
local show = require "moonwatch.cli.show"

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
    command:flag("--try", "Do not wait for it, unless who has it is gone.")
    command:option("--value", "Who we are, for those who look at the queue; default: the command."):argname "TEXT"
    client.options(command, { timeout = "How long to wait for the lock; default: for ever." })
end

-- Nobody is waited for but who is gone: until our own session is old enough to end his. That is one session timeout, or
-- a second one if the server's clock was set meanwhile.
local function try(args, registry, lock, path)
    local now = core.now()
    local late = now + 2 * math.max(0, (registry:deadline() or now) - now)
    local token, err = lock:acquire { try = true }
    local gone = not token and hold.holder_is_gone(registry, path, err)
    if gone then
        show.remark(args, "%s: who has it is not connected any more; waiting until its session may be ended", path)
    end
    while gone and core.now() < late do
        core.sleep(0.25)
        token, err = lock:acquire { try = true }
        gone = not token and hold.holder_is_gone(registry, path, err)
    end
    return token, err
end

function M.run(args)
    return hold.with(args, function(registry)
        local held = { path = client.path(args.path) }
        local lock <close> = client.need(registry:lock(held.path, {
            value = args.value or table.concat(args.words, " "),
            on_lost = function() hold.lose(held) end,
        }))
        local token, err
        if args.try then
            token, err = try(args, registry, lock, held.path)
        else
            token, err = lock:acquire { timeout = hold.patience(args) }
        end
        held.token = hold.need(registry, held.path, token, err, "locks " .. held.path)
        return (hold.run(registry, held, args.words, "MOONWATCH_LOCK"))
    end)
end

return M
