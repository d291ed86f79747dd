local cli = require "moonwatch.cli"
local client = require "moonwatch.cli.client"
local show = require "moonwatch.cli.show"

local M = {
    summary = "Check a configuration and its scripts, without running them.",
    description = "Unknown keys and wrong values of the configuration; of scripts syntax, globals that nothing "
        .. "sets, and names that mw has not. Every complaint is one line on standard error, its place first. Exit "
        .. "code 3 if there is any.",
}

function M.configure(command)
    command:option("-c --config", "The configuration; without it, application.yaml; without that, the defaults where "
        .. "scripts are named."):argname "FILE"
    client.registry_option(command)
    command:flag("-p --print", "Print the effective configuration; secrets are \"***\".")
    command:flag("-q --quiet", "Say nothing when all is well.")
    command:argument("script", "More scripts to check."):args "*"
end

-- As `run` would take it: config?, complaints?
local function configuration(args)
    local config = require "moonwatch.config"
    local there = args.config or io.open "application.yaml"
    if there and not args.config then
        there:close()
    elseif not there and #args.script > 0 then
        return config.parse("", "defaults")
    elseif not there then
        return nil, { "application.yaml: there is none here; name another with -c, or let `moonwatch init` write one" }
    end
    return config.load(args.config or "application.yaml")
end

local function check(args)
    local config, complaints = configuration(args)
    complaints = complaints or require("moonwatch.cli.run").replace_registry(config, args)
    local files = require("moonwatch.cli.run").scripts_of(config or {}, args.script)
    for _, file in ipairs(files) do
        local found = require("moonwatch.cli.inspect").script(file)
        table.move(found, 1, #found, #complaints + 1, complaints)
    end
    for _, complaint in ipairs(complaints) do
        io.stderr:write(complaint, "\n")
    end
    for _, remark in ipairs(config and config.remarks or {}) do
        show.remark(args, "%s", remark)
    end
    if config and args.print then
        io.write(config:print())
    end
    if #complaints > 0 then
        return cli.exit.config
    elseif not args.quiet and not args.print then
        print(("%s: %d script%s, registry %s: all is well"):format(config.file, #files, #files == 1 and "" or "s",
            config.registry.type))
    end
    return cli.exit.ok
end

function M.run(args)
    return client.guarded(check, args)
end

return M
