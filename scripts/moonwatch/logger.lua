--- Lines into the host's log, each with the name of who writes it.
local core = require "moonwatch.core"

local M = {}

local function writer(level, component)
    return function(format, ...)
        if type(format) ~= "string" then
            error(("bad argument 'format' to 'log.%s': string expected, got %s"):format(level, type(format)), 2)
        end
        local ok, text = true, format
        if select("#", ...) > 0 then
            ok, text = pcall(string.format, format, ...)
        end
        if not ok then
            error(("bad argument 'format' to 'log.%s': %s"):format(level, text), 2)
        end
        core.log(level, (text:gsub("%c", " ")), component)
    end
end

--- Functions by level: debug, info, warn, error.
---@param component string
---@return table
function M.named(component)
    local log = {}
    for _, level in ipairs { "debug", "info", "warn", "error" } do
        log[level] = writer(level, component)
    end
    return log
end

return M
