--- Durations: a number of seconds, or text such as "500ms", "5s", "1m30s", "2h", "7d".
local lpeg = require "lpeg"
local grammar = require "moonwatch.grammar"

local M = {}

local seconds = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400 }
local units = "use ms, s, m, h, d"

--- The longest duration: deadlines are 64-bit nanoseconds.
M.longest = 100 * 365 * 86400

local digits = lpeg.R "09" ^ 1
local number = digits * (lpeg.P "." * digits) ^ -1
local unit = (1 - lpeg.R "09" - lpeg.S ". ") ^ 0
local part = lpeg.Ct(lpeg.Cp() * lpeg.C(number) * lpeg.Cp() * lpeg.C(unit))
local parts = lpeg.Ct(part ^ 1) * lpeg.Cp()

local function range(value, shown)
    if value ~= value or value < 0 then
        return nil, ("duration: %s is not a time to wait"):format(shown)
    elseif value > M.longest then
        return nil, ("duration: %s is longer than 100 years"):format(shown)
    end
    return value
end

--- Seconds, or nil and what is wrong at which byte.
---@param text number|string
---@return number? seconds
---@return string? err
function M.parse(text)
    if type(text) == "number" then
        return range(text, tostring(text))
    end
    local ok, err = grammar.check("duration", text, 64)
    if not ok then
        return nil, err
    end
    local list, stop = parts:match(text)
    if not list then
        return grammar.fail("duration", text, 1, "a number and a unit were expected; " .. units)
    elseif stop <= #text then
        return grammar.fail("duration", text, stop, "a digit was expected")
    end
    local total, previous = 0, math.huge
    for _, item in ipairs(list) do
        local at, count, unit_at, name = table.unpack(item)
        local factor = seconds[name]
        if not factor and name == "" and text == "0" then
            factor = 1
        elseif name == "" then
            return grammar.fail("duration", text, unit_at, "a unit is missing; " .. units)
        elseif not factor then
            return grammar.fail("duration", text, unit_at, ("unknown unit %s; %s"):format(grammar.quote(name), units))
        elseif factor >= previous then
            return grammar.fail("duration", text, at, "larger units come first, each once")
        end
        total, previous = total + tonumber(count) * factor, factor
    end
    return range(total, grammar.quote(text))
end

--- The shortest text that parses to about `value`: "1m30s", "250ms".
---@param value number seconds
---@return string
function M.format(value)
    if value < 1 then
        return ("%gms"):format(math.floor(value * 1e6 + 0.5) / 1e3)
    elseif value < 60 then
        return ("%gs"):format(math.floor(value * 1e3 + 0.5) / 1e3)
    end
    local rest, text = math.floor(value + 0.5), ""
    for _, name in ipairs { "d", "h", "m", "s" } do
        local count = rest // seconds[name]
        if count > 0 then
            text, rest = text .. count .. name, rest - count * seconds[name]
        end
    end
    return text
end

return M
