local client = require "moonwatch.cli.client"
local output = require "moonwatch.console.output"
local show = require "moonwatch.cli.show"
local views = require "moonwatch.console.views"

local M = { summary = "List the nodes that are alive, with load and status." }

function M.configure(command)
    command:argument("role", "Only these."):args "?"
    client.options(command, { output = true, follow = "Print again whenever one comes, changes or goes." })
end

function M.run(args)
    return client.with(args, nil, function(registry)
        local function nodes()
            return client.need(require("moonwatch.node").list(registry, args.role))
        end
        if not args.watch then
            return show.rows(args, nodes(), views.nodes, "no node is alive")
        end
        show.follow(registry, args.role and "/nodes/" .. args.role or "/nodes", function()
            return output.rows(nodes(), views.nodes, args.output or "table", (show.colours()))
        end)
    end)
end

return M
