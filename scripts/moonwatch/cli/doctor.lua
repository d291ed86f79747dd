local cli = require "moonwatch.cli"
local client = require "moonwatch.cli.client"
local core = require "moonwatch.core"
local library = require "moonwatch"
local output = require "moonwatch.console.output"
local show = require "moonwatch.cli.show"
local system = require "moonwatch.system"

local M = {
    summary = "Look at each configured backend: reachable, fast, right clock, rights; with advice.",
    description = "Of each backend in the configuration (or the one of -b): the library, whether it answers, how "
        .. "fast, how far its clock is from ours, and whether we may write, on a scratch path that is removed. Exit "
        .. "code 1 when something is wrong.",
}

function M.configure(command)
    client.options(command, { output = true, timeout = "Bound of connecting and of each operation; default 5s." })
end

---@type moonwatch.Column[]
local columns = {
    { name = "backend" }, { name = "check" }, { name = "result" }, { name = "found" }, { name = "advice" },
}

local rounds = 5

-- ---- What to look at ------------------------------------------------------------------------------------------------

-- One line of judgement for each kind of registry.
local fitness = {
    zookeeper = "for what is critical: an ensemble survives the loss of a server",
    mysql = "for light deployments; where a failover must not wait for a database, take ZooKeeper",
    sqlite = "for one machine, on a local disk; several machines take MySQL or ZooKeeper",
    memory = "for tests: everything goes with the process",
}

local function fit(add, options)
    local advice = fitness[options.backend] or "not one of ours; its manual says what it is for"
    local _, count = tostring(options.servers or ""):gsub("[^,]+", "")
    if type(options.servers) == "table" then
        count = #options.servers
    end
    if options.backend == "zookeeper" and count < 3 then
        return add("fitness", "warn", ("%d server%s named"):format(count, count == 1 and "" or "s"),
            "name three or five servers: fewer do not survive the loss of one")
    end
    add("fitness", "ok", options.backend, advice)
end

local function median(values)
    table.sort(values)
    return values[(#values + 1) // 2]
end

local function timed(body)
    local begun = system.time() -- mw.now may stand still within one turn of the loop
    local value, err = body()
    return system.time() - begun, value, err
end

local advice_of = {
    timeout = "is the server running, and the address right? Raise --timeout when it is only slow",
    closed = "the message says what the server refused: mend the credentials or the address",
    unsupported = "install the backend's client library, or choose another backend",
}

-- What is refused is another thing on each.
local denied = {
    zookeeper = "give the `digest` of who made what is there, or let them widen its ACL",
    mysql = "mend what the message names; `moonwatch schema mysql` says which rights the account needs",
    sqlite = "let this user write the file and its folder",
}

local function advise(err, backend)
    return err.code == "denied" and denied[backend] or advice_of[err.code] or "see the message"
end

local function clock(add, entry, before, after)
    local offset, unsure = entry.ctime - (before + after) / 2, (after - before) / 2
    local far = math.abs(offset) > 1 + unsure
    add("clock", far and "warn" or "ok", ("%+.3f s from ours (known to %.3f s)"):format(offset, unsure),
        far and "run NTP on both: leases do not need it, people who read logs do" or "")
end

local function try_rights(add, registry, backend)
    local path = ("/moonwatch-doctor-%d-%d"):format(system.pid(), math.random(1 << 30))
    local reads, before = {}, system.time()
    local took, written, err = timed(function() return registry:create(path, "scratch", { ephemeral = true }) end)
    local after = system.time()
    if not written then
        return add("rights", "fail", tostring(err), advise(err, backend))
    end
    local entry
    for i = 1, rounds do
        reads[i], entry, err = timed(function() return registry:get(path, { fresh = true }) end)
    end
    local removed, why = registry:delete(path)
    if not entry or not removed then
        return add("rights", "fail", tostring(err or why), advise(err or why, backend))
    end
    add("rights", "ok", "may create, read and remove", "")
    local slow = median(reads) > 0.1
    add("latency", slow and "warn" or "ok", ("read %.1f ms, write %.1f ms"):format(median(reads) * 1000, took * 1000),
        slow and "slow for locks and failover: look at the network and the server's disk" or "")
    clock(add, entry, before, after)
end

local patience = 2 -- for a server's version, which is no more than nice to know

-- Most say their version when we connect, some when they are asked, if they may.
local function who_serves(add, info, registry)
    local server = registry:server() or "unknown"
    if not info.server_version then
        return add("server", "ok", server, "")
    end
    local version, err = registry:server_version { timeout = patience }
    add("server", "ok", server .. ", " .. (version or "version unknown"), version and "" or tostring(err))
end

local function examine(options, add)
    local info, err = core.backend_info(options.backend)
    if not info then
        return add("library", "fail", tostring(err), advise(err))
    end
    add("library", "ok", info.library, "")
    fit(add, options)
    local took, registry
    require("moonwatch.process").unsaid() -- of the backend before
    took, registry, err = timed(function() return library.open(options) end)
    if not registry then
        local said = err.code == "timeout" and client.not_connected(options)
        return add("reachable", "fail", (said and said .. ": " or "") .. tostring(err), advise(err, options.backend))
    end
    local open <close> = registry
    local warning = require("moonwatch.process").unsaid()
    add("reachable", warning and "warn" or "ok", ("connected in %.1f ms"):format(took * 1000), warning or "")
    who_serves(add, info, open)
    try_rights(add, open, options.backend)
end

-- ---- Which backends -------------------------------------------------------------------------------------------------

local function all_options(args)
    if client.registry_named(args) then
        return { client.registry_options(args) }
    end
    local config = require("moonwatch.cli.run").configuration(args.config)
    if not config then
        client.leave(cli.exit.config)
    end
    local names, list = {}, {}
    for name in pairs(config.backends) do
        names[#names + 1] = name
    end
    table.sort(names)
    for i, name in ipairs(names) do
        list[i] = config:open_options(name) or { backend = name }
    end
    return list
end

local function paint(value)
    return show.colours():paint(({ ok = "green", warn = "yellow", fail = "red" })[value], value)
end

function M.run(args)
    require("moonwatch.process").log_level "error"
    return client.guarded(function()
        local rows, failed = {}, false
        for _, options in ipairs(all_options(args)) do
            options.wait = args.timeout and client.seconds(args.timeout, "--timeout") or 5
            options.op_timeout = options.wait
            examine(options, function(check, result, found, advice)
                failed = failed or result == "fail"
                rows[#rows + 1] = { backend = options.backend, check = check, result = result, found = found,
                    advice = advice }
            end)
        end
        columns[3].show = paint
        show.write(output.rows(rows, columns, args.output or "table", (show.colours())))
        return failed and cli.exit.failed or cli.exit.ok
    end)
end

return M
