local cli = require "moonwatch.cli"
local client = require "moonwatch.cli.client"
local colour = require "moonwatch.console.colour"
local core = require "moonwatch.core"

local M = {
    summary = "An interactive Lua shell on the registry, or inside a running engine.",
    description = "Lines are Lua, and run as tasks: calls that wait just wait. Beside it: cd ls tree cat stat watch "
        .. "nodes locks sessions help. Ctrl-C ends what runs, Ctrl-D leaves. Without a terminal, standard input is "
        .. "run line by line, as if typed; a file is run as Lua: exit code 1 when something in it fails.",
}

function M.configure(command)
    command:option("-c --config", "The configuration; without it, application.yaml here if there is one.")
        :argname "FILE"
    client.registry_option(command)
    command:option("-e --eval", "Run this Lua and leave (with -i: stay)."):argname "CHUNK"
    command:option("--attach", "Look inside a running engine, by its `attach` name or the path of its socket.")
        :argname "NAME"
    command:flag("-i --interactive", "Go on interactively after the script or CHUNK.")
    command:argument("script", "A Lua file to run first."):args "?"
end

local function print_plain(text)
    io.stdout:write(text, "\n")
    io.stdout:flush()
end

local function read_file(file)
    local handle, err = io.open(file, "r")
    if not handle then
        return nil, err
    end
    local source, why = handle:read "a"
    handle:close()
    return source, why
end

-- What is to be run before, or instead of, typing: its source and whether to stay.
local function first_source(args, terminal)
    if args.eval then
        return args.eval, args.interactive
    elseif args.script then
        local source, err = read_file(args.script)
        return source, args.interactive, err
    elseif not terminal then
        local source, err = io.stdin:read "a"
        return source, false, err and "standard input: " .. err
    end
    return nil, true
end

local patience = 1 -- for the first connection, of who sees its state in the prompt

-- Something that makes a session: over our own registry, or in another process.
local function opener(args, colours, width, interactive)
    if args.attach then
        return function(print, changed)
            local attach = require "moonwatch.shell.attach"
            return attach.connect(args.attach, {
                print = print, changed = changed, width = width, colours = colours.enabled,
            })
        end
    end
    local config = require("moonwatch.cli.run").configured(args)
    if not config then
        return nil
    end
    if interactive then
        config.registry.wait = math.min(config.registry.wait, patience)
    end
    local engine = require("moonwatch.engine").new(config)
    require("moonwatch.process").log_level(interactive and "error" or "warn") -- the log would run into what is typed
    local ok, err = engine:start {}
    if not ok then
        cli.complain("%s", tostring(err))
        engine:close()
        return nil
    end
    return function(print, changed, announce)
        return require("moonwatch.shell.session").new(engine.api, {
            print = print, changed = changed, colours = colours, width = width, backend = engine.backend,
            announce = announce,
        })
    end, engine
end

-- `whole`: one chunk, whose locals are seen to its end; otherwise line by line, as if typed.
local function run_source(open, source, whole)
    local session, err = open(print_plain, function() end)
    if not session then
        cli.complain("%s", err)
        return false
    end
    local ok = require("moonwatch.shell.terminal")[whole and "chunk" or "script"](session, source)
    session:close()
    return ok
end

local function converse(open)
    local why
    local session = require("moonwatch.shell.terminal").interactive(function(print, changed)
        local session, err = open(print, changed, true)
        why = err
        return session or error(err, 0)
    end)
    session:close()
    return not why
end

function M.run(args)
    local edit = require "moonwatch.edit"
    local terminal, output_terminal = edit.is_terminal()
    local source, stay, err = first_source(args, terminal)
    if err then
        cli.complain("%s", err)
        return cli.exit.failed
    end
    local open, engine = opener(args, colour.new(output_terminal), edit.width(), stay and terminal)
    if not open then
        return cli.exit.config
    end
    local ok = not source or run_source(open, source, args.script or args.eval and load(source))
    if stay and terminal then
        local good, why = pcall(converse, open)
        if not good then
            cli.complain("%s", tostring(why))
        end
        ok = good and ok
    end
    if engine then
        engine:close()
    end
    core.sleep(0)
    return ok and cli.exit.ok or cli.exit.failed
end

return M
