--- How loaded this machine is, and whether that makes a node busy.
local system = require "moonwatch.system"

local M = {}

--- A node is busy above these, and normal again below nine tenths of them.
M.thresholds = { cpu = 0.9, memory = 0.95, disk = 0.98 }

local release = 0.9 -- of the threshold

local function is_plain(value)
    local kind = type(value)
    return kind == "string" or kind == "boolean" or kind == "table"
        or kind == "number" and value == value and math.abs(value) < math.huge
end

-- What the application's function says, as far as a record can hold it.
local function added(extra)
    local more = extra()
    if type(more) ~= "table" then
        error(("the function 'load' of mw.node returned a %s; a table was expected"):format(type(more)), 0)
    end
    for name, value in pairs(more) do
        if type(name) ~= "string" or not is_plain(value) then
            error(("the function 'load' of mw.node: '%s' is %s, which no record can hold"):format(tostring(name),
                type(value) == "number" and tostring(value) or "a " .. type(value)), 0)
        end
    end
    return more
end

-- Shares of processor time are between two looks; the first look has the load average to go by.
---@param extra (fun(): table)?   what the application adds
---@return fun(): table
function M.sampler(extra)
    local last_busy, last_total
    return function()
        local load = { memory = system.memory(), disk = system.disk "/", average = (system.load_average()) }
        local busy, total = system.cpu_times()
        if last_total and total > last_total then
            load.cpu = (busy - last_busy) / (total - last_total)
        else
            load.cpu = math.min(1, load.average / math.max(1, system.processors()))
        end
        last_busy, last_total = busy, total
        for name, value in pairs(load) do
            load[name] = math.floor(value * 1000 + 0.5) / 1000
        end
        for name, value in pairs(extra and added(extra) or {}) do
            load[name] = value
        end
        return load
    end
end

--- Busy or normal, given what it was: thresholds release at nine tenths, a function of the script's after two looks.
function M.judge(status, load, busy, limits, calm)
    if busy then
        if busy(load) then
            return "busy", 0
        end
        calm = status == "busy" and calm + 1 or 0
        return calm == 1 and "busy" or "normal", calm
    end
    local bar = status == "busy" and release or 1
    for name, limit in pairs(limits) do
        local value = tonumber(load[name])
        if value and value >= limit * bar then
            return "busy", 0
        end
    end
    return "normal", 0
end

return M
