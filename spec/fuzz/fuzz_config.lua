--- application.yaml from text to typed settings.
local config = require "moonwatch.config"
local promises = require "promises"

local secret = "S3cretS3cret"
local options = {
    memory = {},
    sqlite = { { key = "file", kind = "path", initial = "moonwatch.db" } },
    mysql = {
        { key = "url", kind = "string", required = true },
        { key = "password", kind = "secret" },
        { key = "session_timeout_ms", kind = "duration", initial = "6000" },
    },
    zookeeper = { { key = "servers", kind = "string", required = true }, { key = "tls", kind = "boolean" } },
}

local function requirements(name)
    if not options[name] then
        return nil, "no such backend"
    end
    return options[name]
end

return function(text)
    local parsed, complaints = config.parse(text, "f.yaml", {
        requirements = requirements,
        getenv = function(name) return name:find "^P" and secret or nil end,
    })
    if parsed then
        return
    end
    assert(#complaints > 0)
    for _, one in ipairs(complaints) do
        promises.complaint(one, "f.yaml:")
        assert(one:find "^f%.yaml:%d+:%d+: ", one)
    end
end
