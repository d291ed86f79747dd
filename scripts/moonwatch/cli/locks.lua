local client = require "moonwatch.cli.client"
local output = require "moonwatch.console.output"
local show = require "moonwatch.cli.show"
local views = require "moonwatch.console.views"

local M = { summary = "List locks and elections: who holds, who waits." }

function M.configure(command)
    command:argument("path", "At and below it; default: /"):args "?"
    client.options(command, { output = true, follow = "Look each second, and print what has changed." })
end

function M.run(args)
    return client.with(args, nil, function(registry)
        local function members()
            return views.queue_rows(client.need(registry:queue(client.path(args.path), { recursive = true })))
        end
        if not args.watch then
            return show.rows(args, members(), views.locks, "nobody holds a lock or waits for one")
        end
        show.poll(function()
            return output.rows(members(), views.locks, args.output or "table", (show.colours()))
        end)
    end)
end

return M
