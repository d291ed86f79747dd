---@meta moonwatch
-- What `mw` has beside the library (moonwatch.lua) in scripts of `moonwatch run` and of an embedding host.

---@class moonwatch
local mw = {}

--- Backends in order of preference, or a function that is given the configuration and `probe(name)` (which tries one and
--- returns true or nil, err) and returns a name and options.
---@param choice string[]|fun(config: table, probe: fun(name: string): true?, moonwatch.Error?): string, table?
function mw.backend(choice) end

--- The engine's registry. Waiting on it waits until a backend is chosen and connected.
---@type moonwatch.Registry
mw.registry = nil

---@class moonwatch.NodeEvent: moonwatch.Event   what reactions of `mw.on` are given
---@field node moonwatch.Node?       the decoded record, where the path is that of a node: the last one of a node that is gone

--- React to "added", "updated", "removed", "synced" or "change" (the first three) at paths that match `pattern`: segments,
--- `*` = one, `**` = any number at the end.
---@param kind string
---@param pattern string
---@param options moonwatch.SubscribeOptions?
---@param reaction fun(event: moonwatch.NodeEvent)
---@return moonwatch.Subscription
function mw.on(kind, pattern, options, reaction) end

--- The same on the engine's registry.
function mw.on_connection(reaction) end
function mw.guard(path, options, body) end
function mw.elect(path, options, lead) end

---@class moonwatch.Node
---@field id string                   MAC address, "02:42:ac:11:00:02"
---@field address string              "host:port"
---@field incarnation string          unique per process start
---@field key string                  id, address and incarnation: names the record
---@field started number              seconds since 1970
---@field role string
---@field status "normal"|"busy"
---@field weight number
---@field load {cpu: number, memory: number, disk: number, average: number}   shares 0..1; average = 1 minute; plus the application's
---@field meta table<string, any>

--- Register this process at `/nodes/<role>/<key>`: written periodically, and at once when `status` changes. What is left
--- out comes from `node:` in the configuration, then from the machine. `busy` decides in place of the thresholds there.
--- Without a `timeout` it waits for a connection as long as that takes.
---@param options {role: string?, address: string?, id: string?, incarnation: string?, weight: number?, meta: table?, period: moonwatch.Duration?, load: (fun(): table)?, busy: (fun(load: table): boolean)?, timeout: moonwatch.Duration?}
---@return moonwatch.NodeRegistration?, moonwatch.Error?
function mw.node(options) end

--- Nodes alive, sorted by key; without a role, all.
---@param role string?
---@return moonwatch.Node[]?, moonwatch.Error?
function mw.nodes(role) end

---@class moonwatch.NodeRegistration
---@field node moonwatch.Node
local NodeRegistration = {}
--- Change role-independent fields (`weight`, `meta`); written at once.
function NodeRegistration:update(fields) end
function NodeRegistration:close() end

--- Ask the engine to stop: withdraw, release, close.
function mw.stop() end

--- The effective configuration: secrets as "***", but for those of `app`, which are the scripts' own.
---@type table
mw.config = {}

return mw
