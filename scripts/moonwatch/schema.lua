--- Typed reading of a YAML tree against a description, collecting every complaint with file, line and column.
--
-- A description is a table: { kind = "duration", initial = "5s", help = "..." }. Kinds: string, integer, number,
-- boolean, duration (seconds), size (bytes), path (of the file system, relative to the configuration), secret, choice
-- (`of`), list (`of` a description), map (`keys`: name -> description; `open` = leave others alone), free (anything).
local grammar = require "moonwatch.grammar"
local duration = require "moonwatch.duration"
local size = require "moonwatch.size"
local suggest = require "moonwatch.suggest"
local yaml = require "moonwatch.yaml"

local M = {}

---@class moonwatch.Reader
---@field file string          for complaints
---@field folder string        what relative paths are relative to
---@field where table          from yaml.parse
---@field complaints string[]
---@field getenv fun(name: string): string?
local Reader = {}
Reader.__index = Reader

function M.reader(file, where, getenv)
    return setmetatable({
        file = file, folder = file:match "^(.*/)" or "", where = where, complaints = {}, getenv = getenv or os.getenv,
    }, Reader)
end

function Reader:complain(place, why, ...)
    why = why:format(...)
    if #why > 400 then -- a key or a value of any length may be quoted in it
        why = why:sub(1, 397) .. "..."
    end
    table.insert(self.complaints, ("%s:%s: %s"):format(self.file, place, grammar.printable(why)))
    return nil
end

--- The complaints in the order of the file.
function Reader:sorted()
    local function place(complaint)
        local line, column = complaint:match("^:(%d+):(%d+)", #self.file + 1)
        return (tonumber(line) or 0) << 32 | (tonumber(column) or 0)
    end
    table.sort(self.complaints, function(a, b)
        local first, second = place(a), place(b)
        return first < second or first == second and a < b
    end)
    return self.complaints
end

--- The place of `key` (or of its value) in the table `map`.
function Reader:place(map, key, of_value)
    local marks = self.where[map]
    local list = marks and (of_value and marks.values or marks.keys)
    return list and list[key] or marks and marks.here or "1:1"
end

--- The value of `key` for a description of kind `kind`. A text that looks like a number is what was written: a password
--- of 007 has its zeros.
function Reader:raw(map, key, kind)
    local value, marks = map[key], self.where[map]
    local texts = type(value) == "number" and (kind == "string" or kind == "secret") and marks and marks.texts
    return texts and texts[key] or value
end

--- `${NAME}` and `${NAME:-otherwise}`; `$${` is a plain `${`.
function Reader:expand(text, place)
    local ok = true
    local expanded = text:gsub("(%$?)%${([^}]*)}", function(escape, inside)
        if escape ~= "" then
            return "${" .. inside .. "}"
        end
        local name, otherwise = inside:match "^([%a_][%w_]*):%-(.*)$"
        name = name or inside:match "^[%a_][%w_]*$"
        local value = name and self.getenv(name)
        if not name then
            ok = self:complain(place, "${%s} names no variable; write ${NAME} or ${NAME:-otherwise}", inside)
        elseif otherwise and (value == nil or value == "") then
            value = otherwise
        elseif value == nil then
            ok = self:complain(place, "the environment has no %s; set it, or write ${%s:-otherwise}", name, name)
        end
        return value or ""
    end)
    local open = text:gsub("%$?%${[^}]*}", ""):match "%${.*"
    if open then
        ok = self:complain(place, "'%s' has no '}'; a plain '${' is written '$${'", open)
    end
    return ok and expanded or nil
end

local function say(value)
    if value == yaml.null then
        return "nothing"
    elseif type(value) == "table" then
        return #value > 0 and "a list" or "a mapping"
    end
    return ({ string = "a text", number = "a number", boolean = "a boolean" })[type(value)]
end

local scalar = {}

function scalar.secret(value)
    if type(value) == "table" and #value > 0 then -- servers: [a, b]
        for _, item in ipairs(value) do
            if type(item) == "table" then
                return nil, "a list of texts was expected"
            end
        end
        return table.concat(value, ",")
    elseif type(value) == "table" then
        return nil, "a text was expected, not " .. say(value)
    end
    return tostring(value)
end

function scalar.string(value)
    local text, err = scalar.secret(value)
    if text and text:find "%c" then
        return nil, ("a text of one line was expected; byte %d is a control character"):format(text:find "%c")
    end
    return text, err
end

function scalar.number(value, spec)
    local number = type(value) ~= "table" and tonumber(value)
    if not number or number ~= number then
        return nil, "a number was expected, not " .. say(value)
    elseif number < (spec.min or -math.huge) or number > (spec.max or math.huge) then
        return nil, ("%g is not between %g and %g"):format(number, spec.min or -math.huge, spec.max or math.huge)
    end
    return number
end

function scalar.integer(value, spec)
    local number, err = scalar.number(value, spec)
    if number and not math.tointeger(number) then
        return nil, ("a whole number was expected, not %g"):format(number)
    end
    return math.tointeger(number), err
end

function scalar.boolean(value)
    if value == true or value == false then
        return value
    elseif value == "true" or value == "false" then -- from the environment
        return value == "true"
    end
    return nil, "true or false was expected, not " .. (type(value) == "string" and "'" .. value .. "'" or say(value))
end

function scalar.choice(value, spec)
    for _, choice in ipairs(spec.of) do
        if value == choice then
            return value
        end
    end
    local known = table.concat(spec.of, ", ")
    return nil, ("'%s' is none of %s%s"):format(tostring(value), known, suggest.hint(tostring(value), spec.of))
end

-- Bounds as texts: "1s".
local function at_least(kind, parse)
    return function(value, spec)
        local number, err = parse(value)
        if number and spec.min and number < parse(spec.min) then
            return nil, ("%s: '%s' is less than %s"):format(kind, value, spec.min)
        end
        return number, err
    end
end
scalar.duration = at_least("duration", duration.parse)
scalar.size = at_least("size", size.parse)

function scalar.path(value, _, reader)
    if value == "" then
        return nil, "the name of a file was expected, not an empty text"
    elseif type(value) ~= "string" then
        return nil, ("the name of a file was expected, not %s; quote it"):format(say(value))
    elseif value:find "%c" then
        return nil, ("the name of a file was expected; byte %d is a control character"):format(value:find "%c")
    end
    return value:sub(1, 1) == "/" and value or reader.folder .. value
end

--- One value of description `spec`. `place` is where it stands.
function Reader:value(value, spec, place)
    if value == yaml.null then
        value = nil
    elseif type(value) == "string" then
        value = self:expand(value, place)
    end
    if value == nil then
        value = spec.initial
    end
    if spec.kind == "map" then
        return self:map(value or {}, spec, place)
    elseif value == nil then
        return nil
    elseif spec.kind == "list" then
        return self:list(value, spec, place)
    elseif spec.kind == "free" then
        return self:free(value, place)
    end
    local typed, err = scalar[spec.kind](value, spec, self)
    if typed == nil then
        return self:complain(place, "%s", err)
    end
    return typed
end

function Reader:list(value, spec, place)
    if type(value) ~= "table" then
        value = { value } -- scripts: one.lua
    elseif #value == 0 and next(value) ~= nil then
        return self:complain(place, "a list was expected, not a mapping")
    end
    local list = {}
    for i, item in ipairs(value) do
        list[#list + 1] = self:value(item, spec.of, self:place(value, i, true))
    end
    return list
end

function Reader:free(value, place)
    if type(value) ~= "table" then
        return value
    end
    local copy = {}
    for key, item in pairs(value) do
        if type(item) == "string" then
            copy[key] = self:expand(item, place)
        elseif item ~= yaml.null then
            copy[key] = self:free(item, self:place(value, key, true))
        end
    end
    return copy
end

--- The content of the file `path`: a secret kept apart from the configuration.
function Reader:secret_file(path, place)
    local file, err = io.open(path, "r")
    local text, why
    if file then
        text, why = file:read(65536)
        file:close()
    end
    if not text or text:find "^[\r\n]*$" then
        why = err or path .. (why and ": " .. why or " is empty")
        return self:complain(place, "the secret cannot be read: %s", why)
    end
    return (text:gsub("[\r\n]+$", ""))
end

-- `session-timeout` is `session_timeout`, as Spring reads it.
function M.plain(key)
    return (key:gsub("-", "_"))
end

function Reader:unknown(map, key, spec, known)
    local near = suggest.nearest(key, known)
    if not spec.open or near then
        table.sort(known)
        local hint = near and ("; did you mean '%s'?"):format(near)
            or #known > 0 and "; known here: " .. table.concat(known, ", ") or ""
        self:complain(self:place(map, key), "unknown key '%s'%s", key, hint)
    end
end

function Reader:key(map, key, spec, typed, seen)
    local name = M.plain(key)
    local file_of = name:match "^(.*)_file$"
    local wanted = spec.keys[name]
    local place = self:place(map, key, true)
    seen[file_of or name], seen[name] = true, map[key] ~= yaml.null
    if file_of and spec.keys[file_of] and spec.keys[file_of].kind == "secret" then
        local path = self:value(map[key], { kind = "path" }, place)
        local secret = path and self:secret_file(path, place)
        if wanted then -- the backend reads it itself
            typed[name] = path
        else
            typed[file_of] = secret
        end
        if map[file_of] ~= nil and map[file_of] ~= yaml.null then
            self:complain(place, "%s and %s: give one of them", file_of, name)
        end
    elseif wanted then
        typed[name] = self:value(self:raw(map, key, wanted.kind), wanted, place)
    else
        local known = {}
        for known_key in pairs(spec.keys) do
            known[#known + 1] = known_key
        end
        self:unknown(map, key, spec, known)
    end
end

function Reader:map(map, spec, place)
    if type(map) ~= "table" or #map > 0 then
        return self:complain(place, "a mapping was expected, not %s", say(map))
    end
    local typed, seen, keys = {}, {}, {}
    for key in pairs(map) do
        keys[#keys + 1] = key
    end
    table.sort(keys)
    for _, key in ipairs(keys) do
        self:key(map, key, spec, typed, seen)
    end
    for name, wanted in pairs(spec.keys) do
        if typed[name] == nil and (wanted.initial ~= nil or wanted.kind == "map") then
            typed[name] = self:value(nil, wanted, place)
        elseif not seen[name] and wanted.required then
            self:complain(place, "'%s' is missing: %s", name, wanted.help or wanted.kind)
        end
    end
    return typed
end

return M
