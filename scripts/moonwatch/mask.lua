--- Configuration for people: secrets are "***", durations and sizes are texts.
local duration = require "moonwatch.duration"
local size = require "moonwatch.size"
local url = require "moonwatch.url"

local M = {}

local function secret_name(key)
    key = type(key) == "string" and key:lower() or ""
    return key:find "passw" or key:find "secret" or key:find "token" or key:find "credential" or key:find "private"
end

local function mask_free(value, key)
    if type(value) ~= "table" then
        return secret_name(key) and "***" or type(value) == "string" and url.redact(value) or value
    end
    local copy = {}
    for name, item in pairs(value) do
        copy[name] = mask_free(item, secret_name(key) and key or name)
    end
    return copy
end

--- `typed` for people: secrets are "***", durations and sizes texts.
function M.typed(typed, spec)
    if typed == nil then
        return nil
    elseif spec.kind == "secret" then
        return "***"
    elseif spec.kind == "duration" then
        return duration.format(typed)
    elseif spec.kind == "size" then
        return size.format(typed)
    elseif spec.kind == "list" then
        local copy = {}
        for i, item in ipairs(typed) do
            copy[i] = M.typed(item, spec.of)
        end
        return copy
    elseif spec.kind == "map" then
        local copy = {}
        for name, item in pairs(typed) do
            copy[name] = spec.keys[name] and M.typed(item, spec.keys[name])
        end
        return copy
    end
    return mask_free(typed)
end

return M
