--- What startup scripts see as `mw`: the library, and the engine's own registry, nodes and reactions.
local core = require "moonwatch.core"
local journal = require "moonwatch.journal"
local library = require "moonwatch"
local reactions = require "moonwatch.reactions"

local M = {}

-- mw.registry: each method waits until there is a registry, then is that registry's; `note` sees what it returns.
local function registry_proxy(engine, note)
    return setmetatable({}, {
        __name = "moonwatch.Registry",
        __tostring = function()
            local registry = engine.registry
            local server = registry and registry:server()
            return ("moonwatch.Registry: %s, %s%s"):format(engine.backend or "not chosen yet",
                registry and registry:state() or "not open", server and ", " .. server or "")
        end,
        __index = function(proxy, name)
            local function method(_, ...)
                local registry = engine:await_registry()
                local found = registry[name]
                if type(found) ~= "function" then
                    core.misuse(("a registry has no method '%s'"):format(tostring(name)))
                end
                return note(found(registry, ...))
            end
            rawset(proxy, name, method)
            return method
        end,
    })
end

local function choose(engine, choice)
    local kind = type(choice)
    if kind == "string" then
        choice, kind = { choice }, "table"
    end
    if kind ~= "function" and not (kind == "table" and #choice > 0) then
        core.misuse("bad argument 'choice' to 'backend': a list of names or a function expected, got " .. kind)
    end
    for _, name in ipairs(kind == "table" and choice or {}) do
        if type(name) ~= "string" then
            core.misuse("bad argument 'choice' to 'backend': a name is a string, got " .. type(name))
        end
    end
    if engine.registry or engine.state ~= "new" and engine.state ~= "starting" then
        core.misuse "mw.backend: the backend is chosen already; call it before the script first waits"
    elseif engine.choice then
        core.misuse "mw.backend: another script has chosen already"
    end
    engine.choice = choice
end

---@param engine moonwatch.Engine
---@return table mw
function M.new(engine)
    local mw = { registry = registry_proxy(engine, function(...) return ... end), config = engine.config:view() }

    function mw.backend(choice)
        choose(engine, choice)
    end

    function mw.on(kind, pattern, options, reaction)
        return reactions.on(engine, kind, pattern, options, reaction)
    end

    function mw.on_connection(reaction)
        return reactions.on_connection(engine, reaction)
    end

    function mw.guard(path, options, body)
        if body == nil and type(options) == "function" then
            options, body = nil, options
        end
        return mw.registry:guard(path, options, type(body) == "function" and journal.guarded(path, body) or body)
    end

    function mw.elect(path, options, lead)
        if lead == nil and type(options) == "function" then
            options, lead = nil, options
        end
        return mw.registry:elect(path, options, type(lead) == "function" and journal.term(engine, lead) or lead)
    end

    function mw.node(options)
        local node, err = require("moonwatch.node").register(engine:await_registry(), options, engine)
        if not node then -- many a script does not look, and believes to be on the roll
            journal.log.error("node: not registered: %s", err)
        end
        return node, err
    end

    function mw.nodes(role)
        return require("moonwatch.node").list(engine:await_registry(), role)
    end

    function mw.stop()
        engine:stop()
    end

    return setmetatable(mw, { __index = library })
end

--- The configuration for scripts: as for people, but for `app`, where what they need is their own, secrets too.
function M.config(engine)
    local config = engine.config:view()
    config.app = engine.config.app
    return config
end

-- What begins something that lasts until it is closed.
local lasting = { "on", "on_connection", "elect", "node" }

--- What the script sees as `mw`: its own log, whose lines name it, and a note of what its top level begins, over what
--- all of them share.
---@param script table     `begun`: handles to close should it fail, `chose`: the backend
function M.of_script(engine, script)
    local function note(handle, ...)
        if handle and script.state == "running" then
            script.begun[handle] = true
        end
        return handle, ...
    end
    local function note_handle(handle, ...) -- not the entries that are read
        if type(handle) == "userdata" then
            note(handle)
        end
        return handle, ...
    end
    local mw = { log = require("moonwatch.logger").named((script.name:match "[^/]+$" or script.name):gsub("%c", "?")) }
    mw.registry, mw.config = registry_proxy(engine, note_handle), M.config(engine)
    for _, name in ipairs(lasting) do
        mw[name] = function(...)
            return note(engine.api[name](...))
        end
    end
    function mw.backend(choice)
        choose(engine, choice)
        script.chose = true
    end
    return setmetatable(mw, { __index = engine.api, __newindex = engine.api })
end

return M
