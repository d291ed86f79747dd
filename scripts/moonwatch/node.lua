--- Node records: who is alive, since when, how loaded, and willing to take more or not.
--
-- A record lives at /nodes/<role>/<key> as an ephemeral registration, so it goes with its process.
local core = require "moonwatch.core"
local journal = require "moonwatch.journal"
local json = require "moonwatch.json"
local load_of = require "moonwatch.load"
local system = require "moonwatch.system"

local M = {}

M.root = "/nodes"

--- Of the record; a reader that knows less than `reader` stays out.
M.format, M.reader = 1, 1

--- The record in `text`, or nil, err: damaged, or written by a newer version that older ones must not read.
---@param text string
---@return moonwatch.Node? node
---@return string? err
function M.decode(text)
    local record, err = json.decode(text)
    if type(record) ~= "table" then
        return nil, err or "not a node record"
    elseif (tonumber(record.reader) or 1) > M.format then
        return nil, ("a node record of format %s; this version reads %d"):format(tostring(record.format), M.format)
    end
    for field, kind in pairs { id = "string", address = "string", incarnation = "string", role = "string" } do
        if type(record[field]) ~= kind then
            return nil, ("a node record without %s"):format(field)
        end
    end
    record.key = M.key(record)
    record.weight = math.tointeger(record.weight) or record.weight -- JSON has no integers: a weight of 1 came as 1.0
    for _, field in ipairs { "load", "meta" } do
        record[field] = type(record[field]) == "table" and record[field] or {}
    end
    return record
end

function M.key(record)
    return ("%s_%s_%s"):format(record.id, record.address, record.incarnation)
end

-- ---- Who we are -----------------------------------------------------------------------------------------------------

--- The MAC address of the first interface, by name, that is up and has one.
function M.mac()
    local best
    for _, one in ipairs(system.interfaces() or {}) do
        if not one.internal and one.mac ~= "00:00:00:00:00:00" and (not best or one.name < best.name) then
            best = one
        end
    end
    return best and best.mac or "00:00:00:00:00:00", best and best.address
end

local function incarnation()
    return ("%x-%s"):format(math.floor(system.started() * 1000), (system.random(4):gsub(".", function(char)
        return ("%02x"):format(char:byte())
    end)))
end

-- ---- Registration -------------------------------------------------------------------------------------------------

---@class moonwatch.NodeRegistration
local NodeRegistration = {}
NodeRegistration.__index = NodeRegistration

local function record_of(node)
    local record = { format = M.format, reader = M.reader }
    for _, name in ipairs { "id", "address", "incarnation", "started", "role", "status", "weight", "load", "meta" } do
        record[name] = node[name]
    end
    if next(record.meta) == nil then
        record.meta = nil
    end
    return json.encode(record)
end

-- Look at the load; write when the status changed or the period has passed.
function NodeRegistration:look()
    local node = self.node
    node.load = self.sample()
    local before = node.status
    node.status, self.calm = load_of.judge(before, node.load, self.busy, self.limits, self.calm)
    if node.status ~= before then
        journal.node(node, self.since, self.busy and {} or self.limits)
        self.since = core.now()
    end
    if node.status ~= before or core.now() >= self.due then
        self:write()
    end
end

function NodeRegistration:write()
    self.due = core.now() + self.period
    if self.registration then
        self.registration:set(record_of(self.node))
    end
end

-- `weight` and `meta` as a record holds them.
local function check_fields(fields, what)
    local weight, meta = fields.weight, fields.meta
    if weight and not (weight >= 0 and weight < math.huge) then
        core.misuse(("bad argument 'weight' to '%s': 0 or more expected, got %s"):format(what, weight))
    end
    local fine, complaint = pcall(json.encode, meta or {})
    if not fine then
        core.misuse(("bad argument 'meta' to '%s': %s"):format(what, complaint:gsub("^.*'json.encode': ", "")))
    end
end

--- Change `weight` or `meta`; written at once.
function NodeRegistration:update(fields)
    if type(fields) ~= "table" then
        core.misuse("bad argument 'fields' to 'update': table expected, got " .. type(fields))
    end
    for name, value in pairs(fields) do
        local kind = ({ weight = "number", meta = "table" })[name]
        if not kind then
            core.misuse(("bad argument 'fields' to 'update': '%s' cannot change"):format(tostring(name)))
        elseif type(value) ~= kind then
            core.misuse(("bad argument 'fields' to 'update': %s: %s expected"):format(name, kind))
        end
    end
    check_fields(fields, "update")
    for name, value in pairs(fields) do
        self.node[name] = value
    end
    self:write()
end

function NodeRegistration:close()
    if self.ticker then
        self.ticker:cancel()
        self.ticker = nil
    end
    if self.registration then
        self.registration:close()
        self.registration = nil
    end
    for i, closer in ipairs(self.closers or {}) do -- of the engine: one that is closed has nothing left to do
        if closer == self.closer then
            table.remove(self.closers, i)
            break
        end
    end
end
NodeRegistration.__close = NodeRegistration.close

local types = {
    role = "string", address = "string", id = "string", weight = "number", meta = "table", load = "function",
    busy = "function", incarnation = "string",
}

local function check(options)
    if type(options) ~= "table" then
        core.misuse("bad argument 'options' to 'node': table expected, got " .. type(options))
    end
    local known = { "period", "timeout" }
    for name in pairs(types) do
        known[#known + 1] = name
    end
    for name, value in pairs(options) do
        if types[name] and type(value) ~= types[name] then
            core.misuse(("bad argument '%s' to 'node': %s expected, got %s"):format(name, types[name], type(value)))
        elseif not types[name] and name ~= "period" and name ~= "timeout" then
            local hint = require("moonwatch.suggest").hint(tostring(name), known)
            core.misuse(("bad argument 'options' to 'node': unknown option '%s'%s"):format(tostring(name), hint))
        end
    end
    check_fields(options, "node")
end

-- What the script says, over what the configuration says, over what the machine is.
local function describe(options, configured)
    local mac, address = M.mac()
    local node = {
        id = options.id or configured.id or mac,
        address = options.address or configured.address
            or ("%s:%d"):format(address or system.hostname(), system.pid()),
        incarnation = options.incarnation or incarnation(),
        started = math.floor(system.started() * 1000) / 1000,
        role = options.role or configured.role,
        weight = options.weight or configured.weight or 1,
        meta = options.meta or configured.meta or {},
        status = "normal",
    }
    if not node.role then
        core.misuse "bad argument 'role' to 'node': string expected, got nil"
    end
    for _, name in ipairs { "role", "id", "address", "incarnation" } do
        if node[name] == "" or node[name]:find "[/%c]" then
            core.misuse(("bad argument '%s' to 'node': not empty, and no '/' expected"):format(name))
        end
    end
    node.key = M.key(node)
    return node
end

-- An outage at the start must not keep a node off the roll for the rest of its life: only a deadline of the caller's
-- own ends the wait for a connection.
local function enrol(registry, node, options, sample)
    local path = ("%s/%s/%s"):format(M.root, node.role, node.key)
    while true do
        local registration, err = registry:register(path, record_of(node), { timeout = options.timeout })
        if registration or err.code ~= "timeout" or options.timeout then
            return registration, err
        end
        journal.log.warn("node %s: %s; going on to try", node.key, err.message)
        node.load = sample()
    end
end

--- mw.node: register this process at /nodes/<role>/<key>.
---@return moonwatch.NodeRegistration?, moonwatch.Error?
function M.register(registry, options, engine)
    local configured = engine and engine.config.node or {}
    check(options or {})
    options = options or {}
    local node = describe(options, configured)
    local period = core.seconds(options.period or configured.period or 10, "node", "period")
    local limits = {}
    for name, value in pairs(load_of.thresholds) do
        limits[name] = (configured.busy or {})[name] or value
    end
    limits.average = (configured.busy or {}).average
    local self = setmetatable({
        node = node, period = period, limits = limits, busy = options.busy, calm = 0, due = core.now() + period,
        sample = load_of.sampler(options.load), since = core.now(),
    }, NodeRegistration)
    local ok, err = true, nil
    if engine then
        ok, err = require("moonwatch.identity").hold(registry, configured.identity, engine)
    end
    if not ok then
        return nil, err
    end
    node.load = self.sample()
    node.status = load_of.judge("normal", node.load, self.busy, limits, 0)
    self.registration, err = enrol(registry, node, options, self.sample)
    if not self.registration then
        return nil, err
    end
    journal.log.info("node %s: registered as %s, %s", node.key, node.role, node.status)
    local look_every = math.max(0.05, math.min(period / 2, 2))
    self.ticker = core.spawn_apart(function()
        while true do
            core.sleep(look_every)
            local fine, why = pcall(self.look, self)
            if not fine then
                journal.log.error("node %s: %s", self.node.key, tostring(why))
            end
        end
    end)
    if engine then
        self.closers = engine.closers
        function self.closer()
            self:close()
        end
        table.insert(engine.closers, self.closer)
    end
    return self
end

--- mw.nodes: nodes alive, sorted by key; without a role, all. Records that cannot be read are left out, and logged.
function M.list(registry, role)
    if role ~= nil and type(role) ~= "string" then
        core.misuse("bad argument 'role' to 'nodes': string expected, got " .. type(role))
    end
    local entries, err = registry:list(role and M.root .. "/" .. role or M.root)
    if not entries then
        return nil, err
    end
    local nodes = {}
    for _, entry in ipairs(entries) do
        if entry.owner then
            local node, why = M.decode(entry.value)
            if node then
                nodes[#nodes + 1] = node
            else
                journal.log.warn("%s: %s", entry.path, why)
            end
        end
    end
    table.sort(nodes, function(a, b)
        return a.key < b.key
    end)
    return nodes
end

return M
