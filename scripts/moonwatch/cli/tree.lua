local client = require "moonwatch.cli.client"
local output = require "moonwatch.console.output"
local show = require "moonwatch.cli.show"
local views = require "moonwatch.console.views"

local M = {
    summary = "Show everything below a path as a tree.",
    description = "With values; * marks ephemerals. With -o, the list of entries.",
}

function M.configure(command)
    command:argument("path", "Default: /"):args "?"
    client.options(command, { output = true, follow = "Print again whenever something changes." })
end

local function text_of(args, registry, path)
    local list = client.need(registry:list(path))
    if #list == 0 and path ~= "/" then
        client.need(registry:stat(path)) -- nothing below it is no complaint, nothing there is
    end
    if args.output and args.output ~= "table" then
        return output.rows(list, views.entries, args.output)
    end
    return views.tree(list, path, (show.colours())) .. "\n"
end

function M.run(args)
    return show.below(args, function(registry, path) return text_of(args, registry, path) end)
end

return M
