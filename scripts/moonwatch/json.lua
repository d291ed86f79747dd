--- mw.json, on lua-cjson.
local cjson = require("cjson.safe").new()

-- Arrays with holes, and recursion without end, are mistakes to hear about, not to guess at.
cjson.encode_sparse_array(false, 2, 10)
cjson.encode_max_depth(100)
cjson.decode_max_depth(100)
cjson.encode_keep_buffer(false)

local M = { null = cjson.null }

-- lua-cjson writes "/" as "\/", which is right and unpleasant to read in paths; its setting against that is newer than
-- Debian's. Each backslash of JSON text begins an escape, so they are looked at one by one.
local slash = { ["/"] = "/" }

--- Raises when there is no JSON for `value`.
function M.encode(value)
    local text, err = cjson.encode(value)
    if not text then
        error(("bad argument 'value' to 'json.encode': %s"):format(err), 2)
    end
    return (text:gsub("\\(.)", slash))
end

--- The value, or nil and what is wrong where.
function M.decode(text)
    if type(text) ~= "string" then
        error(("bad argument 'text' to 'json.decode': string expected, got %s"):format(type(text)), 2)
    end
    return cjson.decode(text)
end

return M
