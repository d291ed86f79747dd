--- mw.open, and what Registry has beyond the core: guard and elect.
local core = require "moonwatch.core"
local suggest = require "moonwatch.suggest"
local size = require "moonwatch.size"
local tasks = require "moonwatch.tasks"

local M = {}

local Registry = core.classes["moonwatch.Registry"]

local function bad(name, what, text)
    core.misuse(("bad argument '%s' to '%s': %s"):format(name, what, text))
end

local function check_type(value, name, what, expected)
    if type(value) ~= expected then
        bad(name, what, ("%s expected, got %s"):format(expected, type(value)))
    end
end

-- Options ---------------------------------------------------------------------------------------------------------

local own = { "backend", "server", "host", "namespace", "name", "op_timeout", "trace", "wait" }

--- One setting as the backend takes it: text; durations in milliseconds under "<name>_ms", sizes in bytes.
local function as_text(key, value, requirement)
    local kind = requirement.kind
    if kind == "duration" then
        return tostring(math.ceil(core.seconds(value, "open", key) * 1000))
    elseif kind == "size" then
        local bytes, err = size.parse(value)
        return bytes and tostring(bytes) or bad(key, "open", err)
    elseif kind == "boolean" then
        return type(value) == "boolean" and tostring(value)
            or bad(key, "open", "boolean expected, got " .. type(value))
    elseif kind == "integer" then
        return math.type(value) == "integer" and tostring(value)
            or bad(key, "open", "integer expected, got " .. type(value))
    elseif type(value) == "table" then
        for i, item in ipairs(value) do
            if type(item) ~= "string" then
                bad(key, "open", ("texts expected, item %d is a %s"):format(i, type(item)))
            end
        end
        return table.concat(value, ",")
    elseif type(value) ~= "string" then
        bad(key, "open", "string expected, got " .. type(value))
    end
    return value
end

--- What the caller may say for each of the backend's settings: { name = requirement }.
local function settings_of(backend)
    local requirements, err = core.options_of(backend)
    if not requirements then
        return nil, err
    end
    local settings = {}
    for _, requirement in ipairs(requirements) do
        local name = requirement.key
        if requirement.kind == "duration" then
            name = name:gsub("_ms$", "")
        end
        settings[name] = requirement
    end
    return settings
end

local function unknown(key, settings)
    if type(key) ~= "string" then
        bad("options", "open", ("names expected as keys, got a %s"):format(type(key)))
    end
    local known = table.move(own, 1, #own, 1, {})
    for name in pairs(settings) do
        known[#known + 1] = name
    end
    bad("options", "open", ("unknown option '%s'%s"):format(key, suggest.hint(key, known)))
end

--- The backend's own settings among the options, as texts.
local function translate(options, settings)
    local texts, ours = {}, {}
    for _, key in ipairs(own) do
        ours[key] = true
    end
    -- Of a world, or, as a text, where a server is.
    ours.host = not (settings.host and type(options.host) == "string")
    for key, value in pairs(options) do
        if not ours[key] then
            local requirement = settings[key] or unknown(key, settings)
            texts[requirement.key] = as_text(key, value, requirement)
        end
    end
    for name, requirement in pairs(settings) do
        if requirement.required and not texts[requirement.key] then
            bad(name, "open", ("'%s' is required: %s"):format(name, requirement.help))
        end
    end
    return texts
end

local function check_optional(options, name, expected)
    if options[name] ~= nil then
        check_type(options[name], name, "open", expected)
    end
end

--- A name, or a memory server: as `backend` itself, or as `server` beside the name.
local function backend_of(options)
    local server = options.server
    if server == nil and type(options.backend) == "userdata" then
        server = options.backend
    elseif server ~= nil and options.backend ~= nil and options.backend ~= "memory" then
        bad("backend", "open", "'server' is for the memory backend")
    end
    if server == nil then
        check_type(options.backend, "backend", "open", "string")
    elseif core.class_of(server) ~= "moonwatch.MemoryServer" then
        bad("server", "open", "a memory server expected, got " .. type(server))
    end
    return server or options.backend
end

function M.open(options)
    check_type(options, "options", "open", "table")
    check_optional(options, "namespace", "string")
    check_optional(options, "name", "string")
    check_optional(options, "trace", "boolean")
    local backend = backend_of(options)
    local wait = core.seconds(options.wait == nil and 10 or options.wait, "open", "wait")
    local settings, err = settings_of(backend)
    if not settings then
        return nil, err
    end
    local texts = translate(options, settings)
    local registry
    local host = not texts.host and options.host or nil
    registry, err = core.open(backend, host, texts, options.namespace, options.name, options.op_timeout, options.trace)
    if not registry or wait == 0 then
        return registry, err
    end
    local connected
    local place = type(backend) == "string" and require("moonwatch.journal").place(options)
    connected, err = core.connected(registry, wait, place or nil)
    if not connected then
        registry:close { patience = 0 }
        return nil, err
    end
    return registry
end

-- Guard -----------------------------------------------------------------------------------------------------------

local function split(options, keys)
    local part = {}
    for _, key in ipairs(keys) do
        part[key] = options[key]
    end
    return part
end

-- `options` of the method `what`, with no others than `known`, and its callback.
local function check_options(options, what, known, callback)
    options = options == nil and {} or options
    check_type(options, "options", what, "table")
    for key in pairs(options) do
        local found = false
        for _, name in ipairs(known) do
            found = found or name == key
        end
        if not found then
            bad("options", what, ("unknown option '%s'%s"):format(tostring(key), suggest.hint(tostring(key), known)))
        end
    end
    if options[callback] ~= nil then
        check_type(options[callback], callback, what, "function")
    end
    return options
end

-- What a call that `what` makes has raised over an argument, in the words of `what` and where it was called.
local function as(what, fine, ...)
    local err = ...
    if fine then
        return ...
    elseif type(err) ~= "string" then
        error(err, 0)
    end
    local text = err:gsub("^[^:]*:%d+: ", ""):gsub("to '%w+'", ("to '%s'"):format(what), 1)
    core.misuse(text)
end

--- The body runs as a child, so that a lock that is lost can cancel it wherever it waits; it has always ended before
--- the lock is released.
function Registry:guard(path, options, body)
    if type(options) == "function" and body == nil then
        options, body = nil, options
    end
    options = check_options(options, "guard", { "value", "on_lost", "timeout", "try" }, "on_lost")
    check_type(body, "body", "guard", "function")
    local child, loss
    local chosen = split(options, { "value" })
    function chosen.on_lost(lost, err)
        loss = err
        if child then
            child:cancel()
        end
        if options.on_lost then
            options.on_lost(lost, err)
        end
    end
    local lock <close>, refusal = as("guard", pcall(self.lock, self, path, chosen))
    if not lock then
        return nil, refusal
    end
    local token, err = as("guard", pcall(lock.acquire, lock, split(options, { "timeout", "try" })))
    if not token then
        return nil, err
    end
    child = core.spawn(body, lock)
    local held <close> = child -- luacheck: ignore 211
    local results = table.pack(child:join())
    if child.status == "cancelled" then
        return nil, loss or results[2]
    end
    return tasks.results(table.unpack(results, 1, results.n))
end

-- Elect -----------------------------------------------------------------------------------------------------------

local function lead_terms(election, lead, set_task)
    while true do
        local token, failure = election:wait()
        if not token then
            if failure.code ~= "closed" then
                core.log("error", ("elect %s: %s"):format(election.path, failure))
            end
            return
        end
        local term = core.spawn(lead, election)
        set_task(term)
        local _, err = term:join()
        set_task(nil)
        if term.status == "failed" then
            core.log("error", ("elect %s: %s"):format(election.path, err))
        end
        if election.token == token then
            election:resign()
        end
    end
end

function Registry:elect(path, options, lead)
    if type(options) == "function" and lead == nil then
        options, lead = nil, options
    end
    options = check_options(options, "elect", { "record", "on_deposed" }, "on_deposed")
    if lead ~= nil then
        check_type(lead, "lead", "elect", "function")
    end
    local term
    local function ended(deposed, why)
        if term then
            term:cancel()
        end
        if options.on_deposed then
            options.on_deposed(deposed, why)
        end
    end
    local election, err = as("elect", pcall(core.stand, self, path, options.record or "", ended))
    if election and lead then
        core.spawn_apart(lead_terms, election, lead, function(task)
            term = task
        end)
    end
    return election, err
end

return M
