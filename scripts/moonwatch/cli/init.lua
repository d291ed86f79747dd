local cli = require "moonwatch.cli"

local M = {
    summary = "Write an application.yaml, a script with its spec, and .luarc.json.",
    description = "A start to edit: a registry in one file, a failover script that reacts to nodes that are gone, a "
        .. "busted spec of it on the memory backend, and what an editor needs to know our functions. Files that are "
        .. "there are left as they are.",
}

function M.configure(command)
    command:argument("folder", "Where to; default: here."):args "?"
    command:flag("-q --quiet", "Do not name the files.")
end

local files = {}

files["application.yaml"] = [[
# Which registry: SQLite serves the processes of one machine. For several machines:
#   mysql: {url: "mysql://user@host:3306/database", password_file: secret}
#   zookeeper: {servers: "a:2181,b:2181,c:2181"}
registry:
  sqlite:
    path: moonwatch.db

# Who we are, for mw.node.
node:
  role: worker
  period: 5s

scripts: failover.lua
log_level: info
]]

files["failover.lua"] = [[
-- Who takes over from a node that is gone. Runs in each process; the lock lets one of them act.
-- `moonwatch check` looks at this file, `moonwatch run` runs it, `busted spec` tries it.

-- Our own record below /nodes/worker, for as long as we live.
assert(mw.node { role = "worker" })

-- Give every job of `dead` to one of those who live. Each move is a txn of its own: it happens only while we hold the
-- lock, and only when nobody has touched the job since we read it.
function take_over(dead, lock)
    local moved, alive = 0, assert(mw.nodes "worker")
    for _, job in ipairs(assert(mw.registry:list("/jobs", { fresh = true }))) do
        if job.value == dead.key and #alive > 0 then
            local heir = alive[moved % #alive + 1]
            local done, err = mw.registry:txn():check(lock):set(job.path, heir.key, { version = job.version }):commit()
            if done then
                moved = moved + 1
            else
                mw.log.warn("%s stays: %s", job.path, tostring(err))
            end
        end
    end
    return moved
end

mw.on("removed", "/nodes/worker/*", function(event)
    mw.log.warn("%s is gone", event.node.address)
    mw.guard("/failover/worker", { timeout = "10s" }, function(lock)
        mw.log.info("moved %d jobs of %s", take_over(event.node, lock), event.node.address)
    end)
end)
]]

files["spec/failover_spec.lua"] = [[
-- The script on the memory backend: `busted --lua=lua5.4 spec`, with LUA_PATH and LUA_CPATH as Moonwatch needs them.
local Engine = require "moonwatch.engine"
local config = require "moonwatch.config"
local mw = require "moonwatch"

local settings = "registry: {type: memory}\nnode: {role: worker, address: 'here:1', id: '02:00:00:00:00:01'}\n"
    .. "log_level: error"

describe("failover", function()
    it("gives the jobs of a dead node to one that lives", function()
        mw.run(function()
            local engine = Engine.new(assert(config.parse(settings, "spec")))
            assert(engine:start { "failover.lua" })
            local registry, key = engine.registry, nil
            repeat
                mw.sleep "1ms"
                local nodes = assert(engine.api.nodes "worker")
                key = nodes[1] and nodes[1].key
            until key
            assert(registry:put("/jobs/a", "dead"))
            local moved
            engine.api.guard("/failover/worker", {}, function(lock)
                moved = engine:find "take_over" ({ key = "dead" }, lock)
            end)
            assert.equal(1, moved)
            assert.equal(key, assert(registry:get "/jobs/a").value)
            engine:close()
        end)
    end)
end)
]]

local function luarc()
    local meta = package.searchpath("moonwatch.meta.moonwatch", package.path) or "moonwatch/meta/moonwatch.lua"
    return ('{\n  "runtime.version": "Lua 5.4",\n  "diagnostics.globals": ["mw"],\n  "workspace.library": ["%s"]\n}\n')
        :format((meta:gsub("/[^/]*$", "")))
end

local function write(file, text)
    local there = io.open(file)
    if there then
        there:close()
        return nil, "is there already: left as it is"
    end
    local handle, err = io.open(file, "w")
    if not handle then
        return nil, err, true
    end
    handle:write(text)
    return handle:close()
end

function M.run(args)
    local folder = args.folder or "."
    os.execute(("mkdir -p '%s/spec'"):format((folder:gsub("'", "'\\''"))))
    files[".luarc.json"] = luarc()
    for _, name in ipairs { "application.yaml", "failover.lua", "spec/failover_spec.lua", ".luarc.json" } do
        local ok, why, bad = write(folder .. "/" .. name, files[name])
        if bad then
            cli.complain("%s", why)
            return cli.exit.failed
        elseif not args.quiet then
            print(("%s%s"):format(name, ok and "" or " " .. why))
        end
    end
    if not args.quiet then
        print "next: moonwatch check, then moonwatch run"
    end
end

return M
