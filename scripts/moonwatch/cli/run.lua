local cli = require "moonwatch.cli"
local client = require "moonwatch.cli.client"
local core = require "moonwatch.core"

local M = {
    summary = "Run startup scripts over the registry until told to stop.",
    description = "Read the configuration, run its scripts and those named here, and go on until mw.stop(), SIGTERM or "
        .. "SIGINT: then registrations and locks are withdrawn, within stop_timeout. A second signal ends it at once. "
        .. "The registry is that of -b; else that of -c; else $MOONWATCH_REGISTRY; else that of application.yaml.",
}

function M.configure(command)
    command:option("-c --config", "The configuration; without it, application.yaml if there is one."):argname "FILE"
    client.registry_option(command)
    command:option("--attach", "Let `moonwatch shell --attach NAME` of the same user look inside; also `attach:` in "
        .. "the configuration."):argname "NAME"
    command:argument("script", "More scripts, after those of the configuration; each runs once."):args "*"
end

--- The configuration that `-c` names, or application.yaml, or the defaults. nil after complaining.
function M.configuration(file)
    local config = require "moonwatch.config"
    local found = not file and io.open("application.yaml", "r")
    if found then
        found:close()
        file = "application.yaml"
    end
    local loaded, complaints
    if file then
        loaded, complaints = config.load(file)
    else
        loaded, complaints = config.parse("", "defaults")
    end
    for _, complaint in ipairs(complaints or {}) do
        cli.complain(complaint)
    end
    return loaded
end

--- Put the registry that the command line or the environment names in the place of the configuration's: what is wrong
--- with it, if anything.
---@param config table
---@param args table
---@return string[] complaints
function M.replace_registry(config, args)
    local text, source = client.registry_named(args)
    local options = text and client.parse_registry(text)
    if not options then
        config.registry.type = text or config.registry.type -- the name of a backend
        local _, err = config:open_options(text)
        return err and text and { ("%s: %s"):format(source, tostring(err)) } or {}
    end
    local name = options.backend
    options.backend = nil
    config.registry = assert(require("moonwatch.config").parse("", "defaults")).registry
    config.registry.type, config.unavailable[name] = name, nil
    local reader = require("moonwatch.schema").reader(source, {})
    config:read_backend(reader, name, options, "1:1")
    for i, complaint in ipairs(reader.complaints) do
        reader.complaints[i] = complaint:gsub(":1:1:", ":", 1)
    end
    return reader.complaints
end

--- The configuration that `args` name, with the registry that they or the environment name. nil after complaining.
function M.configured(args)
    local config
    client.guarded(function()
        local loaded = M.configuration(args.config)
        local complaints = loaded and M.replace_registry(loaded, args) or {}
        for _, complaint in ipairs(complaints) do
            cli.complain(complaint)
        end
        config = #complaints == 0 and loaded or nil
    end)
    return config
end

--- The scripts of the configuration, then those of the command line that are not among them: a second run of the same
--- file would be a second node, and a second of each reaction.
---@param config table
---@param more string[]
---@return string[]
function M.scripts_of(config, more)
    local files, seen = {}, {}
    local function add(file)
        local name = file:gsub("^%./+", "")
        if not seen[name] then
            seen[name] = true
            files[#files + 1] = file
        end
    end
    for _, list in ipairs { config.scripts or {}, more } do
        for _, file in ipairs(list) do
            add(file)
        end
    end
    return files
end

-- SIGTERM and SIGINT ask for the end; the log is read by people, so it names them.
local function stop_on_signals(engine)
    local process, told = require "moonwatch.process", false
    process.on_signal(function(name)
        if name == "HUP" then
            core.log("info", "SIGHUP: nothing to do", "engine")
        elseif not told then
            told = true
            core.log("info", ("SIG%s: withdrawing"):format(name), "engine")
            engine:stop()
        end
    end)
    -- A script may run for its budget, end and withdraw, each in its time: what comes later than that does not come.
    process.end_within(engine.config.task_budget + 2 * engine.config.stop_timeout + 2)
    process.log_level(engine.config.log_level)
    process.log_format(engine.config.log_format)
end

-- Operators may come in from now on, where that is wanted: what to close at the end; nil, err.
local function let_in(engine, name)
    if not name then
        return { close = function() end }
    end
    return require("moonwatch.shell.attach").listen(engine, name)
end

function M.run(args)
    local config = M.configured(args)
    if not config then
        return cli.exit.config
    end
    io.stdout:setvbuf "line" -- a pipe or a file gets a script's lines when they are printed
    local files = M.scripts_of(config, args.script)
    local engine = require("moonwatch.engine").new(config)
    stop_on_signals(engine)
    local door, why = let_in(engine, args.attach or config.attach)
    if not door then
        cli.complain("attach: %s", why)
        return cli.exit.failed
    end
    local start = core.spawn(function()
        local ok, err = engine:start(files)
        if not ok then
            engine:stop(err)
        end
    end)
    local ok, err = engine:wait()
    start:cancel()
    door:close()
    engine:close()
    if not ok then
        cli.complain("%s", tostring(err))
        return err.code == "invalid" and cli.exit.config or err.code == "denied" and cli.exit.denied or cli.exit.failed
    end
    return cli.exit.ok
end

return M
