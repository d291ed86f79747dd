--- mw.on: patterns over subscriptions. Before the registry is open, reactions are kept and attached then.
local core = require "moonwatch.core"
local journal = require "moonwatch.journal"
local pattern = require "moonwatch.pattern"

local M = {}

local names = { "added", "updated", "removed", "synced", "change" }
local kinds = { added = true, updated = true, removed = true, synced = true, change = true }

local function wanted(kind, matches)
    return function(event)
        if event.type == "synced" then
            return kind == "synced"
        end
        return (kind == event.type or kind == "change") and matches(event.path)
    end
end

-- Below /nodes, the decoded record, of a node that is gone too.
local function decorate(event)
    if event.value and event.path:find("^/nodes/[^/]+/[^/]+$") then
        event.node = require("moonwatch.node").decode(event.value)
    end
    return event
end

local Subscription = {}
Subscription.__index = Subscription

function Subscription:close()
    self.closed = true
    self.engine.reactions[self] = nil
    if self.inner then
        self.inner:close()
        self.inner = nil
    end
end
Subscription.__close = Subscription.close

function Subscription:synced()
    if not self.closed then
        self.engine:await_registry()
    end
    if not self.inner then
        return nil, self.err or core.error("closed", "the subscription was closed")
    end
    return self.inner:synced()
end

function Subscription:entries()
    local list = {}
    for _, entry in ipairs(self.inner and self.inner:entries() or {}) do
        if self.pattern.match(entry.path) then
            list[#list + 1] = entry
        end
    end
    return list
end

local function attach(self, registry)
    if not self.closed then
        self.inner, self.err = self.subscribe(registry)
        if self.err then
            journal.log.error("a reaction cannot begin: %s", self.err)
        end
    end
end

-- A subscription of `engine` that begins as soon as there is a registry.
local function deferred(engine, self)
    self.engine = engine
    engine.reactions[self] = true -- held as long as what it subscribes lives
    setmetatable(self, Subscription)
    if engine.registry then
        attach(self, engine.registry)
    else
        table.insert(engine.deferred, self)
    end
    return self
end

--- The registry is open: attach what was kept, in the order in which it was asked for.
function M.attach(engine, registry)
    local list = engine.deferred
    engine.deferred = {}
    for _, one in ipairs(list) do
        attach(one, registry)
    end
end

local function bad(name, what)
    core.misuse(("bad argument '%s' to 'on': %s"):format(name, what))
end

--- mw.on(kind, pattern, [options,] reaction)
function M.on(engine, kind, text, options, reaction)
    if reaction == nil and type(options) == "function" then
        options, reaction = nil, options
    end
    if not kinds[kind] then
        local hint = require("moonwatch.suggest").hint(tostring(kind), names)
        bad("kind", ("one of %s expected, got '%s'%s"):format(table.concat(names, ", "), tostring(kind), hint))
    elseif type(reaction) ~= "function" then
        bad("reaction", "function expected, got " .. type(reaction))
    end
    core.subscribe_options(options, "on")
    local compiled, err = pattern.compile(text)
    if not compiled then
        bad("pattern", err)
    end
    local asked = { depth = compiled.depth }
    for key, value in pairs(options or {}) do
        asked[key] = value
    end
    local is_wanted = wanted(kind, compiled.match)
    return deferred(engine, {
        pattern = compiled,
        subscribe = function(registry)
            return registry:subscribe(compiled.prefix, asked, function(event)
                if is_wanted(event) then
                    reaction(decorate(event))
                end
            end)
        end,
    })
end

--- mw.on_connection(reaction)
function M.on_connection(engine, reaction)
    if type(reaction) ~= "function" then
        core.misuse("bad argument 'reaction' to 'on_connection': function expected, got " .. type(reaction))
    end
    return deferred(engine, {
        subscribe = function(registry)
            return registry:on_connection(reaction)
        end,
    })
end


return M
