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

local most = 200 -- of one txn

-- All of `list`, leaves first, a txn for each lot, so that somebody who waits sees it go on. What others change
-- meanwhile is left to the one call that ends it.
local function remove_below(registry, args, path, list)
    local progress, finish = show.progress(args, "removed", #list)
    local shown <close> = setmetatable({}, { __close = finish }) -- luacheck: ignore 211
    for from = #list, 1, -most do
        local txn = registry:txn()
        if args.if_version then
            txn:check(path, { version = args.if_version })
        end
        for i = from, math.max(1, from - most + 1), -1 do
            txn:delete(list[i].path)
        end
        local done, err = txn:commit()
        if not done then
            return err.code == "not_found" or err.code == "not_empty" or nil, err
        end
        progress(math.min(#list, #list - from + most))
    end
    return true
end

local function remove(registry, args, path)
    local list = args.recursive and client.need(registry:list(path)) or {}
    if #list > 0 then
        if not show.confirm(args, ("remove %s and %d entr%s below it"):format(path, #list,
            #list == 1 and "y" or "ies")) then
            return cli.exit.usage
        end
        local done, err = remove_below(registry, args, path, list)
        if not done then
            return client.fail(err)
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
