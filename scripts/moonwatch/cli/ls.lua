local client = require "moonwatch.cli.client"
local output = require "moonwatch.console.output"
local show = require "moonwatch.cli.show"
local views = require "moonwatch.console.views"

local M = {
    summary = "List the names below a path.",
    description = "One name a line, sorted; -l and -o show the entries.",
}

function M.configure(command)
    command:argument("path", "Default: /"):args "?"
    command:flag("-l --long", "Values, versions, owners.")
    client.options(command, { output = true, follow = "Print again whenever something changes." })
end

-- The entries of `names`; one that went away meanwhile is left out.
local function entries(registry, path, names)
    local base, rows = path == "/" and "/" or path .. "/", {}
    for _, name in ipairs(names) do
        local entry, err = registry:get(base .. name)
        if entry then
            rows[#rows + 1] = entry
        elseif err.code ~= "not_found" then
            client.need(nil, err)
        end
    end
    return rows
end

local function text_of(args, registry, path)
    local names = client.need(registry:children(path))
    if args.long or args.output then
        return output.rows(entries(registry, path, names), views.entries, args.output or "table", show.colours())
    end
    return table.concat(names, "\n") .. (#names > 0 and "\n" or "")
end

function M.run(args)
    return show.below(args, function(registry, path) return text_of(args, registry, path) end)
end

return M
