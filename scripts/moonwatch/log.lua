--- mw.log: lines into the host's log.
local core = require "moonwatch.core"

local M = {}

for _, level in ipairs { "debug", "info", "warn", "error" } do
    M[level] = function(format, ...)
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
        core.log(level, (text:gsub("%c", " ")))
    end
end

return M
