--- Plain tables as YAML that reads back as the same.
local M = {}

local deepest = 64

-- What a YAML reader would take for something else than a text.
local function bare(text)
    return text:find "^[%a_/][%w_./@-]*$" and not ({ ["true"] = 1, ["false"] = 1, ["null"] = 1, yes = 1, no = 1, on = 1,
        off = 1, y = 1, n = 1 })[text:lower()]
end

local function quoted(text)
    text = text:gsub('[%c"\\]', function(char)
        return ({ ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t" })[char]
            or ("\\x%02x"):format(char:byte())
    end)
    -- Not printable in YAML, or ends of lines to it: U+0080-9F, U+2028, U+2029, U+FEFF.
    text = text:gsub("\xc2([\x80-\x9f])", function(char) return ("\\x%02x"):format(char:byte()) end)
    return '"' .. text:gsub("\u{2028}", "\\u2028"):gsub("\u{2029}", "\\u2029"):gsub("\u{feff}", "\\ufeff") .. '"'
end

local function scalar(value)
    if type(value) == "string" then
        return bare(value) and value or quoted(value)
    elseif type(value) == "number" and math.type(value) == "float" then
        return ("%.14g"):format(value)
    elseif type(value) == "userdata" then
        return "null"
    end
    return tostring(value)
end

local write

local function write_list(out, list, indent, depth)
    for _, item in ipairs(list) do
        if type(item) == "table" and next(item) ~= nil then
            out[#out + 1] = ("%s-\n"):format(indent)
            write(out, item, indent .. "  ", depth)
        else
            out[#out + 1] = ("%s- %s\n"):format(indent, type(item) == "table" and "{}" or scalar(item))
        end
    end
end

function write(out, value, indent, depth)
    if depth > deepest then
        error("nested deeper than " .. deepest, 0)
    elseif #value > 0 then
        return write_list(out, value, indent, depth + 1)
    end
    local keys = {}
    for key in pairs(value) do
        keys[#keys + 1] = tostring(key)
    end
    table.sort(keys)
    for _, key in ipairs(keys) do
        local item = value[key]
        if type(item) == "table" and next(item) ~= nil then
            out[#out + 1] = ("%s%s:\n"):format(indent, scalar(key))
            write(out, item, indent .. "  ", depth + 1)
        else
            out[#out + 1] = ("%s%s: %s\n"):format(indent, scalar(key), type(item) == "table" and "{}" or scalar(item))
        end
    end
end

--- Keys sorted, two spaces per level, a newline at the end.
---@param value any
---@return string
function M.yaml(value)
    if type(value) ~= "table" then
        return scalar(value) .. "\n"
    elseif next(value) == nil then
        return "{}\n"
    end
    local out = {}
    write(out, value, "", 1)
    return table.concat(out)
end

return M
