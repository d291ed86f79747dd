local client = require "moonwatch.cli.client"
local show = require "moonwatch.cli.show"
local views = require "moonwatch.console.views"

local M = { summary = "Show version, revision, owner and times of an entry." }

function M.configure(command)
    command:argument("path", "Such as /config/web.")
    client.options(command, { output = true })
end

function M.run(args)
    return client.with(args, nil, function(registry)
        show.row(args, client.need(registry:stat(client.path(args.path))), views.stat)
    end)
end

return M
