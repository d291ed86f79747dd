local client = require "moonwatch.cli.client"
local show = require "moonwatch.cli.show"
local views = require "moonwatch.console.views"

local M = {
    summary = "Print the value at a path.",
    description = "The bytes as they are, with a newline only on a terminal; with -o, the whole entry.",
}

function M.configure(command)
    command:argument("path", "Such as /config/web.")
    command:flag("--fresh", "See everything that anyone was acknowledged before this.")
    client.options(command, { output = true, follow = "Print it again whenever it changes." })
end

local function print_entry(args, entry)
    if args.output then
        return show.row(args, entry, views.entry)
    end
    local _, terminal = show.colours()
    show.write(entry.value .. ((terminal or args.watch) and "\n" or ""))
end

-- A value that goes away is an empty line on standard error; the next one is printed again.
local function follow(args, registry, path)
    local subscription = client.need(registry:subscribe(path, { depth = "self" }))
    return client.fail(client.each(subscription, function(event)
        local entry, err
        if event.type == "added" or event.type == "updated" then
            entry, err = registry:get(path)
        end
        if entry then
            print_entry(args, entry)
        elseif event.type == "removed" then
            show.remark(args, "%s was removed", path)
        elseif err and err.code ~= "not_found" then -- gone since: the next event tells
            client.need(nil, err)
        end
    end))
end

function M.run(args)
    return client.with(args, nil, function(registry)
        local path = client.path(args.path)
        if args.watch then
            return follow(args, registry, path)
        end
        print_entry(args, client.need(registry:get(path, { fresh = args.fresh })))
    end)
end

return M
