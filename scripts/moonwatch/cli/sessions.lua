local client = require "moonwatch.cli.client"
local output = require "moonwatch.console.output"
local show = require "moonwatch.cli.show"
local views = require "moonwatch.console.views"

local M = { summary = "List live sessions: who is connected." }

function M.configure(command)
    client.options(command, { output = true, follow = "Look each second, and print what has changed." })
end

function M.run(args)
    return client.with(args, nil, function(registry)
        local function sessions()
            return client.need(registry:sessions())
        end
        if not args.watch then
            return show.rows(args, sessions(), views.sessions, "nobody is connected")
        end
        show.poll(function()
            return output.rows(sessions(), views.sessions, args.output or "table", (show.colours()))
        end)
    end)
end

return M
