--- Sizes: a number of bytes, or text such as "512B", "64KiB", "1MB", "1.5GiB".
local lpeg = require "lpeg"
local grammar = require "moonwatch.grammar"

local M = {}

local names = { "B", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB" }
local bytes = {
    b = 1, kb = 1000, mb = 1000 ^ 2, gb = 1000 ^ 3, tb = 1000 ^ 4,
    kib = 1024, mib = 1024 ^ 2, gib = 1024 ^ 3, tib = 1024 ^ 4,
}
local units = "use " .. table.concat(names, ", ")

--- The largest size: every whole number below it is exact in a double.
M.largest = 1 << 53

local digits = lpeg.R "09" ^ 1
local number = lpeg.C(digits * (lpeg.P "." * digits) ^ -1)
local size = number * lpeg.P " " ^ -1 * lpeg.Cp() * lpeg.C(lpeg.P(1) ^ 0)

local function range(value, shown)
    if value ~= value or value < 0 or value ~= math.floor(value) then
        return nil, ("size: %s is not a number of bytes"):format(shown)
    elseif value > M.largest then
        return nil, ("size: %s is too large"):format(shown)
    end
    return math.tointeger(value)
end

--- Bytes, or nil and what is wrong at which byte.
---@param text number|string
---@return integer? bytes
---@return string? err
function M.parse(text)
    if type(text) == "number" then
        return range(text, tostring(text))
    end
    local ok, err = grammar.check("size", text, 64)
    if not ok then
        return nil, err
    end
    local count, unit_at, name = size:match(text)
    if not count then
        return grammar.fail("size", text, 1, "a number and a unit were expected; " .. units)
    end
    local factor = name == "" and 1 or bytes[name:lower()]
    if not factor then
        return grammar.fail("size", text, unit_at, ("unknown unit %s; %s"):format(grammar.quote(name), units))
    end
    return range(tonumber(count) * factor, grammar.quote(text))
end

--- The largest unit in which two decimals are exact: "64KiB", "1.5MiB", "1048575B".
---@param value integer bytes
---@return string
function M.format(value)
    for _, name in ipairs { "TiB", "GiB", "MiB", "KiB" } do
        local factor = math.tointeger(bytes[name:lower()])
        if value >= factor and value * 100 % factor == 0 then
            return ("%g%s"):format(value / factor, name)
        end
    end
    return ("%dB"):format(value)
end

return M
