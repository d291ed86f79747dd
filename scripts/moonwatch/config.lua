--- application.yaml, typed and checked: which registry, who we are, which scripts.
--
-- Three layouts are read, with the same keys: the keys at the top of the file (then all of them must be ours), below
-- `moonwatch:`, and below `streampark:`, as StreamPark documents it. Beside the last two, an application keeps its own.
local address = require "moonwatch.address"
local mask = require "moonwatch.mask"
local roots = require "moonwatch.roots"
local schema = require "moonwatch.schema"
local settings = require "moonwatch.settings"
local suggest = require "moonwatch.suggest"
local yaml = require "moonwatch.yaml"

local M = {}

local common, sections, builtin = settings.common, settings.sections, settings.builtin

--- A backend's options as a description; nil, err when the backend cannot be loaded.
local function backend_spec(name, requirements)
    local list, err = requirements(name)
    if not list then
        return nil, err
    end
    local keys = {}
    for key, spec in pairs(common) do
        keys[key] = { kind = spec.kind, help = spec.help } -- `registry:` has the defaults
    end
    for _, one in ipairs(list) do
        local key = one.kind == "duration" and one.key:match "^(.*)_ms$" or one.key
        local initial = one.initial
        if key ~= one.key and tonumber(initial) then
            initial = tonumber(initial) / 1000
        end
        keys[key] = { kind = one.kind, initial = initial, required = one.required, help = one.help }
    end
    return { kind = "map", keys = keys }
end

-- What the file itself says. A default that is handed on would override what an address says (its port, its sslMode);
-- backends know their defaults, and here they are only for people.
local function given(block, map)
    local part = {}
    for key, value in pairs(map) do
        local name = schema.plain(key)
        local file_of = name:match "^(.*)_file$"
        for _, said in ipairs { name, file_of } do
            if value ~= yaml.null then
                part[said] = block[said]
            end
        end
    end
    return part
end

local Config = {}
Config.__index = Config

-- A key under `registry:` that is none of ours names a backend, built in or out of tree.
function Config:read_backend(reader, name, map, place)
    local spec, err = backend_spec(name, self.requirements)
    if not spec then
        self.unavailable[name] = { err = type(err) == "string" and err or err.message, place = place }
        self.backends[name] = reader:free(type(map) == "table" and map or {}, place)
        self.specs[name] = { kind = "free" }
        return
    end
    self.specs[name] = spec
    local block = reader:value(map, spec, place)
    if block then
        address.check(reader, spec, block, type(map) == "table" and map or {}, place)
    end
    self.backends[name] = block or {}
    self.given[name] = block and type(map) == "table" and given(block, map) or {}
end

local function is_backend(self, name)
    for _, known in ipairs(builtin) do
        if name == known then
            return true
        end
    end
    return self.requirements(name) ~= nil
end

function Config:read_registry(reader, map, place)
    if map ~= nil and map ~= yaml.null and (type(map) ~= "table" or #map > 0) then
        return reader:complain(place, "registry: a mapping was expected")
    end
    map = type(map) == "table" and map or {}
    local rest, keys = {}, { type = { kind = "string" } }
    for key, spec in pairs(common) do
        keys[key] = spec
    end
    reader.where[rest] = reader.where[map]
    for key, value in pairs(map) do
        if not keys[(key:gsub("-", "_"))] and is_backend(self, key) then
            self:read_backend(reader, key, value, reader:place(map, key, true))
        else
            rest[key] = value
        end
    end
    for _, name in ipairs(builtin) do
        keys[name] = keys[name] or { kind = "free" } -- known, for "did you mean"
    end
    self.registry = reader:map(rest, { kind = "map", keys = keys }, place) or {}
    self.type_place = reader:place(map, "type", true)
end

--- Which backend, where `type` does not say: the only one; of several zookeeper; of none sqlite.
function Config:choose(reader)
    local names = {}
    for name in pairs(self.backends) do
        names[#names + 1] = name
    end
    table.sort(names)
    local kind = self.registry.type or (#names == 1 and names[1]) or (#names == 0 and "sqlite")
        or self.backends.zookeeper and "zookeeper"
    if not kind then
        local list = table.concat(names, ", ")
        return reader:complain(self.type_place, "several backends (%s): 'type' must say which", list)
    end
    self.asked, self.registry.type = self.registry.type, kind
    if not self.backends[kind] then
        self:read_backend(reader, kind, kind == "sqlite" and { path = "moonwatch.db" } or {}, self.type_place)
    end
    local trouble = self.unavailable[kind]
    if trouble and (self.asked or #names > 0) then -- of what nobody asked for, only its use complains
        reader:complain(trouble.place, "%s%s", trouble.err, suggest.hint(kind, builtin))
    end
end

function Config:read_root(reader, root)
    local rest, keys = {}, {}
    for name, spec in pairs(sections) do
        keys[name] = spec
    end
    for _, name in ipairs(builtin) do
        keys[name] = { kind = "free" }
    end
    keys.registry = { kind = "free" }
    reader.where[rest] = reader.where[root.map]
    for key, value in pairs(root.map) do
        if key == "registry" then
            self:read_registry(reader, value, reader:place(root.map, key, true))
        elseif keys[key] and not sections[key] then -- a backend beside `registry`
            self:read_backend(reader, key, value, reader:place(root.map, key, true))
        else
            rest[key] = value
        end
    end
    for key in pairs(rest) do
        local name = key:gsub("-", "_")
        if not sections[name] then
            local known = {}
            for word in pairs(keys) do
                known[#known + 1] = word
            end
            reader:unknown(root.map, key, root, known)
        else
            local spec = sections[name]
            self[name] = reader:value(reader:raw(root.map, key, spec.kind), spec, reader:place(root.map, key, true))
        end
    end
end

---@class moonwatch.ConfigOptions
---@field requirements (fun(backend: string): table[]?, any)?   a backend's option table; default: asks the backend
---@field getenv (fun(name: string): string?)?

local function default_requirements(name)
    return require("moonwatch.core").options_of(name)
end

--- Read a configuration from `text`.
---@param text string
---@param file string       its name, for complaints and relative paths
---@param options moonwatch.ConfigOptions?
---@return table? config
---@return string[]? complaints   each "file:line:column: what"
function M.parse(text, file, options)
    options = options or {}
    local tree, where = yaml.parse(text, file)
    if tree == nil then
        return nil, { where }
    elseif type(tree) ~= "table" or #tree > 0 then
        return nil, { file .. ":1:1: a mapping was expected" }
    end
    local reader = schema.reader(file, where, options.getenv)
    local self = setmetatable({ file = file, backends = {}, given = {}, specs = {},
        unavailable = {}, type_place = "1:1",
        requirements = options.requirements or default_requirements }, Config)
    local list = roots.find(tree)
    self.remarks = roots.remarks(reader, tree, list)
    for _, root in ipairs(list) do
        if #root.map > 0 then
            reader:complain(reader:place(tree, root.name), "'%s': a mapping was expected, not a list", root.name)
        else
            self:read_root(reader, root)
        end
    end
    if not self.registry then
        self:read_registry(reader, nil, "1:1")
    end
    self:choose(reader)
    for name, spec in pairs(sections) do
        if self[name] == nil then
            self[name] = reader:value(nil, spec, "1:1")
        end
    end
    if #reader.complaints > 0 then
        return nil, reader:sorted()
    end
    return self
end

--- Read the file `name`.
---@return table? config
---@return string[]? complaints
function M.load(name, options)
    local file, err = io.open(name, "r")
    if not file then
        return nil, { err }
    end
    local text, why = file:read((1 << 20) + 1)
    file:close()
    if not text and why then
        return nil, { ("%s: %s"):format(name, why) } -- a directory
    end
    return M.parse(text or "", name, options)
end

--- What `mw.open` takes for backend `name` (default: the chosen one); `more` are a script's, over those of the file.
---@param name string?
---@param more table?
---@return table? options
---@return string? err
function Config:open_options(name, more)
    name = name or self.registry.type
    if not self.backends[name] and not more then -- enough where nothing is required
        local reader = schema.reader(self.file, {})
        self:read_backend(reader, name, {}, "1:1")
        if #reader.complaints > 0 then
            self.backends[name] = nil
            return nil, ("%s: the configuration has no registry.%s"):format(self.file, name)
        end
    end
    if self.unavailable[name] then
        return nil, self.unavailable[name].err
    end
    local open = {}
    for key in pairs(common) do
        open[key] = self.registry[key]
    end
    for _, options in ipairs { self.given[name] or self.backends[name] or {}, more or {} } do
        for key, value in pairs(options) do
            open[key] = value
        end
    end
    if open.namespace and open.namespace:sub(1, 1) ~= "/" then
        open.namespace = "/" .. open.namespace
    end
    open.backend = name
    return open
end

--- The effective configuration as plain tables, secrets "***": what scripts see as `mw.config`.
---@return table
function Config:view()
    local view = { registry = mask.typed(self.registry, { kind = "map", keys = common }) }
    view.registry.type = self.registry.type
    for name, block in pairs(self.backends) do
        view.registry[name] = mask.typed(block.url and self.given[name] or block, self.specs[name])
    end
    for name, spec in pairs(sections) do
        view[name] = mask.typed(self[name], spec)
    end
    return view
end

--- The effective configuration as YAML, secrets "***".
---@return string
function Config:print()
    return require("moonwatch.emit").yaml(self:view())
end

return M
