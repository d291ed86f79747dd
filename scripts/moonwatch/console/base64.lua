--- RFC 4648, section 4: bytes that JSON cannot carry.
local M = {}

local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local values = {}
for i = 1, #letters do
    values[letters:byte(i)] = i - 1
end

---@param bytes string
---@return string
function M.encode(bytes)
    local out = {}
    for i = 1, #bytes, 3 do
        local a, b, c = bytes:byte(i, i + 2)
        local bits = a << 16 | (b or 0) << 8 | (c or 0)
        for shift = 18, 0, -6 do
            local index = (bits >> shift & 63) + 1
            out[#out + 1] = letters:sub(index, index)
        end
        if not c then
            out[#out] = "="
        end
        if not b then
            out[#out - 1] = "="
        end
    end
    return table.concat(out)
end

---@param text string
---@return string?
---@return string? err
function M.decode(text)
    local body, padding = text:match "^([%w+/]*)(=*)$"
    if not body or #text % 4 ~= 0 or #padding > 2 then
        return nil, "not base64"
    end
    local out = {}
    for i = 1, #text, 4 do
        local bits, missing = 0, 0
        for j = i, i + 3 do
            local value = values[text:byte(j)]
            missing = missing + (value and 0 or 1)
            bits = bits << 6 | (value or 0)
        end
        out[#out + 1] = string.pack(">I3", bits):sub(1, 3 - missing)
    end
    return table.concat(out)
end

return M
