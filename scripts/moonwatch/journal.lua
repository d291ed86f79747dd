--- The engine's own lines in the log, for those who read it at night: who did what, with which token, how long, why.
local core = require "moonwatch.core"
local duration = require "moonwatch.duration"
local log = require("moonwatch.logger").named "engine"
local tasks = require "moonwatch.tasks"

local M = { log = log }

local function since(start)
    return duration.format(math.floor((core.now() - start) * 1000 + 0.5) / 1000)
end

--- Where a backend with these options of mw.open is, without its secrets.
---@param options table
---@return string
function M.place(options)
    local where = options.path or options.servers or options.url
    where = type(where) == "table" and table.concat(where, ",") or where
    local shown = where and require("moonwatch.url").redact(where)
    if shown and shown:find(options.backend .. "://", 1, true) then
        return shown
    end
    return options.backend .. (shown and " " .. shown or "")
end

--- What to tell a registry's connection listener: each state is a line.
---@param options table   of mw.open
---@return fun(event: moonwatch.ConnectionEvent)
function M.connection(options)
    local session, parted = "none", nil
    local tell = {}

    function tell.connected(event)
        session, parted = ("%x"):format(event.session), nil
        log.info("registry connected: %s, session %s", M.place(options), session)
    end

    function tell.suspended(_, reason)
        parted = core.now()
        log.warn("registry suspended, session %s%s", session, reason)
    end

    function tell.reconnected()
        log.info("registry reconnected after %s: session %s goes on", since(parted or core.now()), session)
        parted = nil
    end

    function tell.lost(_, reason)
        local silence = parted and (" after %s suspended"):format(since(parted)) or ""
        log.warn("registry lost, session %s%s%s", session, silence, reason)
    end

    function tell.closed(event, reason)
        log[event.error and "error" or "info"]("registry closed%s", reason)
    end

    return function(event)
        local reason = event.reason and event.reason ~= "" and ": " .. event.reason or ""
        if tell[event.state] then
            tell[event.state](event, reason)
        end
    end
end

local function on_close(call)
    return setmetatable({}, { __close = call })
end

-- Run `body(...)` as a task of its own, which has ended when `tell(status, err)` is called: one that is killed, and its
-- `<close>` variables, run no line any more.
local function told(tell, body, ...)
    local failure
    local work = core.spawn(body, ...)
    local last <close> = on_close(function() tell(work.status, failure) end) -- luacheck: ignore 211
    local child <close> = work
    local results = table.pack(child:join())
    failure = not results[1] and results[2]
    return tasks.results(table.unpack(results, 1, results.n))
end

local function because(status, failure)
    return status == "failed" and (": %s"):format(failure) or ""
end

--- `lead` of mw.elect, with the beginning and the end of each term told.
function M.term(engine, lead)
    return function(election)
        local token, start = election.token, core.now()
        log.info("elect %s: we lead, with token %d", election.path, token)
        return told(function(status, failure)
            local deposed = election.token ~= token and engine.state ~= "closed"
            local what = status == "done" and "resigned" or deposed and "deposed" or "ended"
            log.info("elect %s: %s after %s, with token %d%s", election.path, what, since(start), token,
                because(status, failure))
        end, lead, election)
    end
end

--- `body` of mw.guard at `path`: its end is worth a line when somebody took the lock away.
function M.guarded(path, body)
    return function(lock)
        local token, start = lock.token, core.now()
        log.debug("guard %s: held, with token %d", path, token)
        return told(function(status, failure)
            local level, what = "debug", status
            if not lock.held then
                level, what = "warn", "lost"
            end
            log[level]("guard %s: %s after %s, with token %d%s", path, what, since(start), token,
                because(status, failure))
        end, body, lock)
    end
end

--- A node is `status` now and was something else for as long as since `start`.
function M.node(node, start, limits)
    local reasons = {}
    for name, limit in pairs(limits) do
        local value = tonumber(node.load[name])
        if node.status == "busy" and value and value >= limit then
            reasons[#reasons + 1] = ("%s %g, limit %g"):format(name, value, limit)
        end
    end
    table.sort(reasons)
    local why = #reasons > 0 and ": " .. table.concat(reasons, "; ") or ""
    log.info("node %s: %s after %s%s", node.key, node.status, since(start), why)
end

return M
