local cli = require "moonwatch.cli"
local client = require "moonwatch.cli.client"
local grid = require "moonwatch.console.grid"
local show = require "moonwatch.cli.show"
local views = require "moonwatch.console.views"

local M = {
    summary = "Print changes as they happen, or run a command for each.",
    description = "First the present state as \"added\", then \"synced\", then changes, until interrupted. With a "
        .. "command after --, it is run for each change, one after another, in order, with MOONWATCH_EVENT, "
        .. "MOONWATCH_PATH, MOONWATCH_VALUE, MOONWATCH_PREVIOUS, MOONWATCH_VERSION, MOONWATCH_REVISION and "
        .. "MOONWATCH_OWNER in its environment. A value that holds a NUL is in MOONWATCH_VALUE_BASE64 instead.",
}

function M.configure(command)
    command:argument("path", "Default: /"):args "?"
    command:argument("command", "After --: run for each change."):args "*":target "words"
    command:option("-d --depth", "What counts: all below the path (subtree, the default), its children, or, with self, "
        .. "the entry at the path, which the others leave out.")
        :choices { "self", "children", "subtree" }:default "subtree":show_default(false)
    command:flag("--changes", "Not the present state: only what changes from now on.")
    command:option("--count", "Leave after so many events."):argname "N":convert(math.tointeger)
    command:flag("--stop-on-failure", "Leave with the command's exit code when it fails.")
    client.options(command, { output = true })
end

local paints = { added = "green", updated = "yellow", removed = "red", synced = "grey" }

local function print_event(args, event, colours)
    if args.output and args.output ~= "table" then
        return show.stream_row(args, event, views.events)
    end
    local value = event.value and event.value ~= "" and " = " .. grid.cell(event.value, not args.words and 200) or ""
    show.write(("%s %s%s\n"):format(colours:paint(paints[event.type], ("%-8s"):format(event.type)), event.path, value))
end

local longest = 100000 -- of one variable: the system takes 128 KiB

local function variables_of(event)
    local variables = {
        MOONWATCH_EVENT = event.type, MOONWATCH_PATH = event.path, MOONWATCH_VERSION = event.version,
        MOONWATCH_REVISION = event.revision, MOONWATCH_OWNER = event.owner and ("%x"):format(event.owner),
    }
    for name, value in pairs { MOONWATCH_VALUE = event.value, MOONWATCH_PREVIOUS = event.previous } do
        if not value:find("\0", 1, true) and #value <= longest then
            variables[name] = value
        elseif #value <= longest * 3 // 4 then
            variables[name .. "_BASE64"] = require("moonwatch.console.base64").encode(value)
        end
    end
    return variables
end

local function run_command(args, event)
    local code = require("moonwatch.cli.command").run(args.words, variables_of(event))
    if code ~= 0 and args.stop_on_failure then
        client.leave(code)
    elseif code ~= 0 then
        show.remark(args, "%s %s: the command ended with code %d", event.type, event.path, code)
    end
end

local function watch(args, registry)
    local colours = show.colours()
    local seen, live = 0, not args.changes
    local subscription = client.need(registry:subscribe(client.path(args.path), { depth = args.depth }))
    return client.fail(client.each(subscription, function(event)
        if #args.words == 0 and live then
            print_event(args, event, colours)
        elseif event.type ~= "synced" and live then
            run_command(args, event)
        end
        seen = seen + (live and event.type ~= "synced" and 1 or 0)
        live = live or event.type == "synced"
        if args.count and seen >= args.count then
            client.leave(cli.exit.ok)
        end
    end))
end

function M.run(args)
    return client.with(args, { creates = true, follows = true }, function(registry) return watch(args, registry) end)
end

return M
