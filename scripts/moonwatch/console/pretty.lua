--- Lua values as people read them: one line where it fits, indented where not, bounded in depth and length.
local colour = require "moonwatch.console.colour"

local M = {}

local keywords = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true
    until while]]):gmatch "%a+" do
    keywords[word] = true
end

--- `text` as a Lua string, with what is no printable UTF-8 escaped.
function M.quote(text)
    local valid = utf8.len(text)
    return '"' .. text:gsub('[%c"\\\127-\255]', function(char)
        local known = ({ ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r" })[char]
        if known or (valid and char:byte() > 127) then
            return known or char
        end
        return ("\\x%02x"):format(char:byte())
    end) .. '"'
end

-- Sorted: indices, then names, then the rest.
local function sorted_keys(value)
    local keys, rank = {}, { number = 1, string = 2 }
    for key in next, value do
        keys[#keys + 1] = key
    end
    table.sort(keys, function(a, b)
        local of_a, of_b = rank[type(a)] or 3, rank[type(b)] or 3
        if of_a ~= of_b then
            return of_a < of_b
        end
        return of_a < 3 and a < b or of_a == 3 and tostring(a) < tostring(b)
    end)
    return keys
end

local render

local function render_key(key, state)
    if type(key) == "string" and key:find "^[%a_][%w_]*$" and not keywords[key] then
        return key
    end
    return "[" .. render(key, state, math.huge) .. "]"
end

local function items_of(value, state, depth)
    local items, count = {}, 0
    for _, key in ipairs(sorted_keys(value)) do
        count = count + 1
        if count > state.most then
            items[#items + 1] = state.colours:paint("grey", "...")
            break
        end
        local item = render(rawget(value, key), state, depth + 1)
        items[#items + 1] = math.type(key) == "integer" and key == #items + 1 and item
            or render_key(key, state) .. " = " .. item
    end
    return items
end

local function render_table(value, state, depth)
    if state.seen[value] then
        return state.colours:paint("grey", "<above>")
    elseif next(value) == nil then
        return "{}"
    elseif depth >= state.depth then
        return state.colours:paint("grey", "{...}")
    end
    state.seen[value] = true
    local items = items_of(value, state, depth)
    state.seen[value] = nil
    local line = "{ " .. table.concat(items, ", ") .. " }"
    if #colour.strip(line) + 2 * depth <= state.width and not line:find "\n" then
        return line
    end
    local indent = ("  "):rep(depth + 1)
    return "{\n" .. indent .. table.concat(items, ",\n" .. indent) .. "\n" .. ("  "):rep(depth) .. "}"
end

function render(value, state, depth)
    local kind, colours = type(value), state.colours
    if kind == "string" then
        local shown = #value > state.longest and value:sub(1, state.longest) or value
        local rest = #value > #shown and colours:paint("grey", (" ... (%d bytes)"):format(#value)) or ""
        return colours:paint("green", M.quote(shown)) .. rest
    elseif kind == "number" then
        return colours:paint("cyan", tostring(value))
    elseif kind == "boolean" or kind == "nil" then
        return colours:paint("magenta", tostring(value))
    elseif kind == "table" then
        local meta = getmetatable(value)
        if type(meta) == "table" and rawget(meta, "__tostring") then
            return colours:paint(rawget(meta, "__name") == "moonwatch.Error" and "red" or "yellow", tostring(value))
        end
        return render_table(value, state, depth)
    end
    return colours:paint("yellow", tostring(value))
end

---@param value any
---@param options {colours: moonwatch.Colours?, depth: integer?, width: integer?, most: integer?, longest: integer?}?
---@return string
function M.render(value, options)
    options = options or {}
    return render(value, {
        colours = options.colours or colour.none, depth = options.depth or 4, width = options.width or 80,
        most = options.most or 100, longest = options.longest or 2000, seen = {},
    }, 0)
end

return M
