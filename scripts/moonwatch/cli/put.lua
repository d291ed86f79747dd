local cli = require "moonwatch.cli"
local client = require "moonwatch.cli.client"
local show = require "moonwatch.cli.show"
local views = require "moonwatch.console.views"

local M = {
    summary = "Create or replace the value at a path.",
    description = "The value is an argument, or standard input with \"-\" or without one; any bytes. Missing "
        .. "parents are created.",
}

function M.configure(command)
    command:argument("path", "Such as /config/web.")
    command:argument("value", "The value; \"-\" = standard input."):args "?"
    command:flag("--create", "Only when there is nothing yet.")
    command:option("--if-version", "Only when the entry has this version."):argname "N"
        :convert(math.tointeger):target "if_version"
    client.options(command, { output = true })
end

local function write(registry, args, path, value)
    if args.create then
        return registry:create(path, value)
    elseif args.if_version then
        return registry:set(path, value, { version = args.if_version })
    end
    return registry:put(path, value)
end

local function put(registry, args, value)
    local written = client.need(write(registry, args, client.path(args.path), value))
    if args.output then
        show.row(args, written, views.written)
    elseif not args.quiet then
        show.write(("%s: version %d, revision %d\n"):format(written.path, written.version, written.revision))
    end
end

function M.run(args)
    if args.create and args.if_version then
        cli.complain "--create and --if-version exclude each other; leave one out"
        return cli.exit.usage
    end
    return client.guarded(function()
        local value = args.value
        if not value or value == "-" then
            value = show.input()
        end
        return client.with(args, { creates = true }, function(registry) return put(registry, args, value) end)
    end)
end

return M
