--- The engine: a configuration, its scripts, and the registry that they share.
--
-- Start-up: every script's top level runs, in order, up to its first wait or its end; then the backend is chosen, once;
-- then the registry opens and whoever waits for it goes on. So a script may wait for the registry at its top level, and
-- a later one may still say `mw.backend`: neither waits for the other.
local api = require "moonwatch.api"
local core = require "moonwatch.core"
local journal = require "moonwatch.journal"
local library = require "moonwatch"
local reactions = require "moonwatch.reactions"
local startup = require "moonwatch.startup"
local system = require "moonwatch.system"

---@class moonwatch.Engine
---@field registry moonwatch.Registry?
---@field state "new"|"starting"|"open"|"failed"|"closed"
local Engine = {}
Engine.__index = Engine

local M = {}
local log = journal.log

--- The registry, as soon as there is one. Raises when there never will be.
function Engine:await_registry()
    while not self.registry do
        if self.chooser == coroutine.running() then
            core.misuse "there is no registry yet: this function of mw.backend chooses it"
        elseif self.failure or self.state == "closed" then
            error(self.failure or core.error("closed", "the engine is closed"), 0)
        end
        self.opened:wait()
    end
    return self.registry
end

-- ---- Scripts --------------------------------------------------------------------------------------------------------

--- Run `source` as script `name`; `ended(err, script)` is told when its top level has ended.
function Engine:run_script(source, name, ended)
    return startup.run(self, source, name, ended)
end

--- The same with a file.
function Engine:load(file, ended)
    return startup.load(self, file, ended)
end

-- A script that failed: skip it, or remember why the start cannot succeed.
function Engine:script_failed(name, err, script)
    local text = tostring(err):find(name, 1, true) and tostring(err) or ("%s: %s"):format(name, err)
    log.error("%s", text)
    if self.config.on_script_error == "skip" then
        log.warn("%s is skipped (on_script_error: skip)", name)
        if script then -- else it could not be read
            startup.undo(self, script)
        end
    elseif self.state == "new" or self.state == "starting" then
        self.script_failure = self.script_failure or core.error("invalid", text)
    else
        self:stop(core.error("invalid", text))
    end
end

--- Run the top level of each file up to its first wait. The failure of one, if any.
function Engine:run_scripts(files)
    for _, file in ipairs(files) do
        local script = self:load(file, function(err, failed)
            if err then
                self:script_failed(file, err, failed)
            end
        end)
        startup.await_first_wait(script)
        if self.script_failure then
            return nil, self.script_failure
        end
    end
    for _, script in ipairs(self.scripts) do -- those that an embedding program has loaded
        startup.await_first_wait(script)
    end
    return not self.script_failure, self.script_failure
end

-- ---- The backend ----------------------------------------------------------------------------------------------------

-- Can `name` be used on this machine, as configured? Nothing is asked of a server: one blip must not make two nodes
-- choose differently.
local function usable(config, name, more)
    local options, err = config:open_options(name, more)
    if not options then
        return nil, core.error("invalid", err)
    end
    return options
end

function Engine:probe(name)
    local options, err = usable(self.config, name)
    if not options then
        return nil, err
    end
    options.wait = 3
    local registry
    registry, err = library.open(options)
    if not registry then
        return nil, err
    end
    registry:close()
    return true
end

local function from_list(config, list)
    local reasons = {}
    for _, name in ipairs(list) do
        local options, err = usable(config, name)
        if options then
            return options
        end
        reasons[#reasons + 1] = ("%s: %s"):format(name, err.message)
        log.warn("backend %s cannot be used: %s", name, err.message)
    end
    return nil, core.error("unsupported", "none of the backends that the script names: " .. table.concat(reasons, "; "))
end

--- What mw.backend chose, or what the configuration says, as options of mw.open.
function Engine:choose()
    local choice = self.choice or { self.config.registry.type }
    if type(choice) == "table" then
        return from_list(self.config, choice)
    end
    self.chooser = coroutine.running()
    local fine, name, more = xpcall(choice, startup.traceback, api.config(self), function(wanted)
        if type(wanted) ~= "string" then
            core.misuse("bad argument 'name' to 'probe': string expected, got " .. type(wanted))
        end
        return self:probe(wanted)
    end)
    self.chooser = nil
    if not fine then
        return nil, type(name) == "string" and core.error("invalid", name) or name
    elseif type(name) ~= "string" then
        return nil, core.error("invalid", "mw.backend: the function returned no name of a backend")
    elseif more ~= nil and type(more) ~= "table" then
        return nil, core.error("invalid", "mw.backend: the function returned options that are no table")
    end
    return usable(self.config, name, more)
end

-- ---- Life -----------------------------------------------------------------------------------------------------------

--- The end of the story of one connection: tell those who wait, or stop.
function Engine:watch_connection(registry, options)
    local tell = journal.connection(options)
    registry:on_connection(function(event)
        local reason = event.reason and event.reason ~= "" and ": " .. event.reason or ""
        tell(event)
        if event.state == "closed" and self.state ~= "closed" then -- by no doing of ours: trying again would not help
            self:stop(event.error or core.error("closed", "the registry closed" .. reason))
        end
    end)
end

local function open(self, options)
    local wait = options.wait
    options.wait = 0
    local registry, err = library.open(options)
    if not registry then
        return nil, err
    end
    self.backend = options.backend
    self.registry = registry
    self:watch_connection(registry, options)
    reactions.attach(self, registry)
    self.opened:open()
    local connected
    connected, err = core.connected(registry, wait)
    if not connected and err.code == "timeout" then
        log.warn("%s does not answer yet; going on to try", journal.place(options))
        return true
    end
    return connected, not connected and (self.stop_error or err) or nil -- the listener has heard it first
end

-- The start is over: `state`, unless the end began in the middle of it.
local function started(self, state)
    if self.state == "starting" then
        self.state = state
    end
end

--- Run the scripts, choose the backend, open the registry: true, or nil, err. In a task.
function Engine:start(files)
    self.state = "starting"
    files = files or self.config.scripts or {}
    log.info("moonwatch %s, pid %d: %s, %s", library.version, system.pid(), self.config.file,
        #files > 0 and table.concat(files, ", ") or "no scripts")
    for _, remark in ipairs(self.config.remarks or {}) do
        log.warn("%s", remark)
    end
    local ok, err = self:run_scripts(files)
    local options
    if ok then
        options, err = self:choose()
    end
    if options then
        local raised
        ok, raised, err = pcall(open, self, options)
        if not ok then -- options that a script chose and that nobody knows
            err = type(raised) == "string" and core.error("invalid", (raised:gsub("^[^:]*:%d+: ", ""))) or raised
        end
        ok = ok and raised
    end
    if not ok or not options or self.script_failure then
        self.failure = self.script_failure or err
        started(self, "failed")
        self.opened:open()
        return nil, self.failure
    end
    started(self, "open")
    return true
end

--- Ask for the end: whoever waits in `run` goes on.
function Engine:stop(err)
    self.stop_error = self.stop_error or err
    self.stopped:open()
end

--- Wait until somebody asks for the end: true, or nil, err.
function Engine:wait()
    self.stopped:wait()
    return not self.stop_error, self.stop_error
end

--- End the scripts, then withdraw, release, end the session, each within `patience` seconds.
---@param patience number?     default: stop_timeout
function Engine:close(patience)
    if self.state == "closed" then
        return
    end
    self.state = "closed"
    self.opened:open()
    patience = patience or self.config.stop_timeout
    local late = core.now() + patience
    -- Scripts, reactions, terms: whoever holds a lock ends before it can be another's.
    while core.cancel_others() > 0 and core.now() < late do
        core.sleep(0.001)
    end
    for i = #self.closers, 1, -1 do
        self.closers[i]()
    end
    if self.registry then
        self.registry:close { patience = patience }
    end
end

--- The global function `name` of the script loaded last that has one.
function Engine:find(name)
    for i = #self.scripts, 1, -1 do
        local script = self.scripts[i]
        local value = script.state ~= "failed" and rawget(script.env, name)
        if type(value) == "function" then
            return value
        end
    end
    return nil, core.error("not_found", ("no script has a global function '%s'"):format(name))
end

---@param config table     from moonwatch.config
---@return moonwatch.Engine
function M.new(config)
    local self = setmetatable({
        config = config, state = "new", scripts = {}, deferred = {}, reactions = {}, closers = {},
        opened = core.gate(), stopped = core.gate(),
    }, Engine)
    core.limits { budget = config.task_budget, memory = config.memory_limit }
    self.api = api.new(self)
    return self
end

return M
