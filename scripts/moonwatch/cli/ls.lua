local client = require "moonwatch.cli.client"
local core = require "moonwatch.core"
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

local most = 500 -- reads under way at once: one after the other, each would wait for its own round trip

-- What became of `get` of each path, in their order.
local function get_all(registry, paths)
    local tasks, outcomes = {}, {}
    for i, path in ipairs(paths) do
        tasks[i] = core.spawn(function() outcomes[i] = table.pack(registry:get(path)) end)
    end
    for _, task in ipairs(tasks) do
        task:join()
    end
    return outcomes
end

-- The entries of `names`; one that went away meanwhile is left out.
local function entries(registry, path, names)
    local base, rows = path == "/" and "/" or path .. "/", {}
    for from = 1, #names, most do
        local paths = {}
        for i = from, math.min(#names, from + most - 1) do
            paths[#paths + 1] = base .. names[i]
        end
        for _, outcome in ipairs(get_all(registry, paths)) do
            local entry, err = table.unpack(outcome, 1, 2)
            if not entry and err.code ~= "not_found" then
                client.need(nil, err)
            end
            rows[#rows + 1] = entry
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
