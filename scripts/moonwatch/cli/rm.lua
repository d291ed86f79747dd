local cli = require "moonwatch.cli"
local client = require "moonwatch.cli.client"
local show = require "moonwatch.cli.show"

local M = {
    summary = "Remove entries.",
    description = "An entry with others below it is removed with -r only, which asks first.",
}

function M.configure(command)
    command:argument("path", "What to remove."):args "+"
    command:flag("-r --recursive", "With everything below; not in one step.")
    command:flag("-f --force", "What is not there is no failure.")
    command:option("--if-version", "Only when the entry has this version."):argname "N"
        :convert(math.tointeger):target "if_version"
    client.options(command, { yes = "Do not ask." })
end

local function question(registry, path)
    local count = #client.need(registry:list(path))
    return count, ("remove %s and %d entr%s below it"):format(path, count, count == 1 and "y" or "ies")
end

local function remove(registry, args, path)
    if args.recursive then
        local count, text = question(registry, path)
        if count > 0 and not show.confirm(args, text) then
            return cli.exit.usage
        end
    end
    local removed, err = registry:delete(path, { version = args.if_version, recursive = args.recursive or nil })
    if not removed and not (args.force and err.code == "not_found") then
        return client.fail(err)
    end
end

function M.run(args)
    return client.with(args, nil, function(registry)
        local worst
        for _, path in ipairs(args.path) do
            worst = remove(registry, args, client.path(path)) or worst
        end
        return worst
    end)
end

return M
