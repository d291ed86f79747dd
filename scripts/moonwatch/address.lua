--- Where a backend is, as a configuration says it: what the types of its keys leave open.
local url = require "moonwatch.url"

local M = {}

local parsers = { servers = url.zookeeper, url = url.mysql }

-- Without one the backend would refuse to open.
local function check_database(reader, block, map, place)
    local address = block.url and url.mysql(block.url)
    if block.database or address and address.database or block.url and not address then
        return
    end
    reader:complain(block.url and reader:place(map, "url", true) or place,
        "which database? 'url: jdbc:mysql://host:port/database' names it, or 'database'")
end

--- Complain about addresses that cannot be read, at their keys' places, and about those that leave out what is needed.
---@param reader table     of moonwatch.schema
---@param spec table       of the backend's block
---@param block table      its values
---@param map table        as it stands in the file
---@param place string     of the block
function M.check(reader, spec, block, map, place)
    for key, parse in pairs(parsers) do
        local ok, err = parse(block[key] or "")
        if block[key] and not ok then
            reader:complain(reader:place(map, key, true), "%s", err)
        end
    end
    if spec.keys.url and spec.keys.database then
        check_database(reader, block, map, place)
    end
end

return M
