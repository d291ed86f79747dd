--- The identity file: session and secret of this process, so that its next start ends what a crash left behind.
local core = require "moonwatch.core"
local system = require "moonwatch.system"

local M = {}

-- A file that was cut short by a crash names no session: the server's timeout ends it then.
local function adopt(registry, file, path)
    local text = file:read() or ""
    local id, secret = text:match "^(%-?%d+) (%x+)\n$"
    local session = math.tointeger(id)
    if session and #secret == 32 then
        registry:adopt(session, secret:lower())
    elseif text ~= "" then
        core.log("warn", ("identity: %s is damaged and names no session"):format(path))
    end
end

local function remember(registry, file)
    return registry:on_connection(function(event)
        if event.state == "connected" then
            local id, secret = registry:session(), registry:secret()
            if id and secret then
                file:write(("%d %s\n"):format(id, secret))
            end
        end
    end)
end

--- Hold the identity file for as long as the engine lives. nil, err when another process holds it.
function M.hold(registry, path, engine)
    if not path or engine.identity then
        return true
    end
    local file, err = system.lock_file(path)
    if not file then
        return nil, core.error("denied", "identity: " .. err)
    end
    engine.identity = file
    adopt(registry, file, path)
    local listener = remember(registry, file)
    table.insert(engine.closers, function()
        listener:close()
        file:write "" -- a session that ended in order needs no one to end it
        file:close()
    end)
    return true
end

return M
