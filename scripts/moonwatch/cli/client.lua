--- What the commands on a registry share: their options, opening the registry that they name, and exit codes.
local cli = require "moonwatch.cli"
local core = require "moonwatch.core"
local library = require "moonwatch"

local M = {}

-- ---- Options --------------------------------------------------------------------------------------------------------

local function formats()
    return require("moonwatch.console.output").formats
end

function M.registry_option(command)
    command:option("-b --backend --url", "In place of a configuration's: sqlite:FILE, zookeeper:HOST:PORT,..., "
        .. "mysql://..., or the name of a backend in the configuration. Default: $MOONWATCH_REGISTRY.")
        :argname "REGISTRY"
end

--- Options that every command on a registry has. `also`: {output = true, follow = "what -w does", yes = "what --yes
--- does", timeout = "in place of the usual help"}.
---@param command table    of argparse
---@param also {output: boolean?, follow: string?, yes: string?, timeout: string?}?
function M.options(command, also)
    also = also or {}
    command:option("-c --config", "The configuration; without it, application.yaml here."):argname "FILE"
    M.registry_option(command)
    command:option("-n --namespace", "What is put before every path."):argname "PATH"
    command:option("--timeout", also.timeout or "Bound of connecting and of each operation; default 10s.")
        :argname "DURATION"
    if also.output then
        command:option("-o --output", "Format of what is printed."):choices(formats()):argname "FORMAT"
    end
    if also.follow then
        command:flag("-w --watch", also.follow)
    end
    if also.yes then
        command:flag("-y --yes", also.yes)
    end
    command:flag("-q --quiet", "Print nothing but what was asked for.")
end

-- ---- Errors ---------------------------------------------------------------------------------------------------------

local codes = {
    not_found = "not_found", exists = "conflict", conflict = "conflict", not_empty = "conflict", fenced = "conflict",
    timeout = "unreachable", disconnected = "unreachable", unknown = "unreachable", session_lost = "unreachable",
    closed = "unreachable", denied = "denied", invalid = "usage", too_large = "usage", busy = "not_acquired",
}

local advice = {
    exists = "put replaces it",
    conflict = "somebody else changed or owns it; `moonwatch stat` shows its version and owner",
    not_empty = "rm -r removes it with everything below",
    timeout = "is the server up? `moonwatch doctor` looks",
    disconnected = "is the server up? `moonwatch doctor` looks",
    unknown = "it may have happened; look before doing it again",
    denied = "`moonwatch doctor` tries the rights",
    closed = "`moonwatch doctor` looks",
    not_found = "`moonwatch ls` of the path above shows what is there",
    too_large = "keep large values elsewhere, and their address here",
    busy = "without --try it waits; `moonwatch locks` shows who holds it",
}

--- The exit code of an outcome.
---@param err moonwatch.Error
---@return integer
function M.exit_of(err)
    return cli.exit[codes[err.code] or "failed"]
end

--- Complain, and say what to do: the exit code.
---@param err moonwatch.Error
---@param what string?     what was being done
---@return integer
function M.fail(err, what)
    local hint = advice[err.code] and "; " .. advice[err.code] or ""
    cli.complain("%s%s%s", what and what .. ": " or "", tostring(err), hint)
    return M.exit_of(err)
end

--- End the command from anywhere below `with`.
function M.leave(code)
    error({ moonwatch_exit = code }, 0)
end

--- `value`, or the end of the command with `err`.
function M.need(value, err, ...)
    if value == nil then
        M.leave(M.fail(err))
    end
    return value, err, ...
end

local function misuse(text)
    return text:match "bad argument '%w+' to '[%w.]+': (.*)$"
end

--- Run `body`: its exit code. Outcomes and misuse that it raises become a line and a code.
---@param body fun(...): integer?
---@return integer
function M.guarded(body, ...)
    local result = table.pack(xpcall(body, function(err)
        if type(err) == "string" and not misuse(err) then
            return debug.traceback(err, 2)
        end
        return err
    end, ...))
    local err = result[2]
    if result[1] then
        return err or cli.exit.ok
    elseif type(err) == "table" and err.moonwatch_exit then
        return err.moonwatch_exit
    elseif type(err) == "string" and misuse(err) then
        cli.complain("%s", misuse(err))
        return cli.exit.usage
    elseif type(err) ~= "string" and err.code and err.code ~= "cancelled" then
        return M.fail(err)
    end
    return error(err, 0)
end

-- ---- Which registry -------------------------------------------------------------------------------------------------

-- "?key=value&..." as options of mw.open, of the kinds that the backend says.
local function parameters(name, query, options)
    local kinds = {}
    for _, one in ipairs(M.need(core.options_of(name))) do
        kinds[one.key:gsub("_ms$", "")] = one.kind
    end
    for key, value in query:gmatch "([^&=]+)=([^&]*)" do
        if kinds[key] == "integer" then
            options[key] = math.tointeger(tonumber(value)) or value
        elseif kinds[key] == "boolean" then
            options[key] = value == "true"
        else
            options[key] = value
        end
    end
    return options
end

--- The options of mw.open that "sqlite:FILE", "zookeeper:HOST:PORT" or "mysql://..." mean; nil when `text` is none.
---@param text string
---@return table? options
function M.parse_registry(text)
    if text:find "^jdbc:" or text:find "^mysql://" or text:find "^mariadb://" then
        return { backend = "mysql", url = text }
    end
    local name, rest = text:match "^(%a[%w_]*):(.*)$"
    if not name then
        return text:find "%.db$" and { backend = "sqlite", path = text } or nil
    end
    local place, query = rest:match "^([^?]*)%??(.*)$"
    name = name == "zk" and "zookeeper" or name
    place = name ~= "sqlite" and place:gsub("^//", "") or place
    local key = ({ sqlite = "path", zookeeper = "servers", mysql = "url" })[name]
    local options = parameters(name, query, { backend = name })
    if key and place ~= "" then
        options[key] = place
    end
    return options
end

local function exists(file)
    local handle = io.open(file)
    return handle and handle:close()
end

-- From the configuration: the backend `name`, or the chosen one.
local function configured(args, name)
    if not args.config and not exists "application.yaml" then
        cli.complain("which registry? -b sqlite:FILE or zookeeper:HOST:PORT or mysql://..., or -c FILE; "
            .. "`moonwatch init` writes an application.yaml")
        M.leave(cli.exit.config)
    end
    local config = require("moonwatch.cli.run").configuration(args.config)
    if not config then
        M.leave(cli.exit.config)
    end
    local options, err = config:open_options(name)
    if not options then
        cli.complain("%s", err)
        M.leave(cli.exit.config)
    end
    return options
end

--- What -b says, or else $MOONWATCH_REGISTRY where no configuration is named.
---@return string?
---@return string source     "-b" or the variable
function M.registry_named(args)
    local text = args.backend or not args.config and os.getenv "MOONWATCH_REGISTRY" or nil
    return text ~= "" and text or nil, args.backend and "-b" or "$MOONWATCH_REGISTRY"
end

--- What mw.open needs for the registry that `args` name.
---@return table options
function M.registry_options(args)
    local text = M.registry_named(args)
    local options = text and M.parse_registry(text) or configured(args, text)
    if args.namespace then
        options.namespace = args.namespace:gsub("^/?", "/", 1)
    end
    return options
end

--- A duration from the command line in seconds, or the end of the command.
function M.seconds(text, name)
    local seconds, err = require("moonwatch.duration").parse(text)
    if not seconds then
        cli.complain("%s: %s", name, err)
        M.leave(cli.exit.usage)
    end
    return seconds
end

---@class moonwatch.ClientOptions
---@field creates boolean?     the command may create a registry that is not there yet
---@field waits boolean?       --timeout is the command's own, not that of connecting
---@field follows boolean?     it shows what changes, as every command does with -w

--- The registry that `args` name, connected; or the end of the command.
---@param args table
---@param wanted moonwatch.ClientOptions?
---@return moonwatch.Registry
function M.open(args, wanted)
    wanted = wanted or {}
    local options = M.registry_options(args)
    if options.backend == "sqlite" and options.path and not wanted.creates and not exists(options.path) then
        cli.complain("%s: there is no such registry; put, txn or import create it", options.path)
        M.leave(cli.exit.not_found)
    end
    local bound = args.timeout and M.seconds(args.timeout, "--timeout")
    if bound and not wanted.waits then
        options.wait, options.op_timeout = bound, bound
    elseif bound and bound < 10 then -- nobody who waits so long for a lock wants to wait longer for its server
        options.wait = bound
    end
    local system = require "moonwatch.system"
    options.name = options.name or ("moonwatch %s %d@%s"):format(args.command, system.pid(), system.hostname() or "?")
    local registry, err = library.open(options)
    if not registry then
        M.leave(M.fail(err, err.code == "timeout" and M.not_connected(options) or nil))
    end
    return registry
end

--- What the backend has said of it that nobody answers, if anything.
---@param options table     of mw.open
---@return string?
function M.not_connected(options)
    local said = require("moonwatch.process").unsaid()
    return said and ("%s: %s"):format(options.backend, said)
end

-- Who looks at a table that nobody renews takes what has gone for alive: a line when the registry falls silent, and
-- when it is heard again. What to close at the end.
local function tell_of_silence(args, registry)
    local silent = false
    return registry:on_connection(function(event)
        local here = event.state == "connected" or event.state == "reconnected"
        local reason = event.reason and event.reason ~= "" and ": " .. event.reason or ""
        if (silent or not here) and event.state ~= "closed" and not args.quiet then
            cli.complain("%s registry %s%s; %s", os.date "%H:%M:%S", event.state, reason,
                here and "changes are shown again" or "what is shown may be old")
        end
        silent = not here
    end)
end

--- Open the registry, run `body(registry)`, close it: the exit code.
---@param args table
---@param wanted moonwatch.ClientOptions?
---@param body fun(registry: moonwatch.Registry): integer?
---@return integer
function M.with(args, wanted, body)
    require("moonwatch.process").log_level "error"
    return M.guarded(function()
        local registry <close> = M.open(args, wanted)
        local follows = args.watch or wanted and wanted.follows
        local listener <close> = follows and tell_of_silence(args, registry) or nil -- luacheck: ignore 211
        return body(registry)
    end)
end

--- Hand `heard` each event until the subscription ends: why it did.
---@param subscription moonwatch.Subscription
---@param heard fun(event: moonwatch.Event)
---@return moonwatch.Error
function M.each(subscription, heard)
    local next_event = subscription:events()
    while true do
        local event, err = next_event(subscription)
        if not event then
            return err or core.error("closed", "the registry has closed")
        end
        heard(event)
    end
end

--- A path from the command line: "a/b/" as "/a/b".
---@param text string?
---@return string
function M.path(text)
    local path = "/" .. (text or ""):gsub("^/", "", 1)
    return #path > 1 and path:gsub("/$", "", 1) or path
end

return M
