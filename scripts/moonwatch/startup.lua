--- Startup scripts: each a task whose children live on after its top level, in an environment of its own.
local api = require "moonwatch.api"
local core = require "moonwatch.core"
local sandbox = require "moonwatch.sandbox"

local M = {}

local ours = debug.getinfo(1, "S").short_src:match "^(.*/)" or "moonwatch/"

local function read_source(file)
    local handle, err = io.open(file, "r")
    if not handle then
        return nil, err
    end
    local source, why = handle:read "a"
    handle:close()
    return source, why and ("%s: %s"):format(file, why)
end

-- What a script raised, as a text or an error of ours: a script may raise anything, and its __tostring may fail too.
local function presentable(err)
    if type(err) == "string" or core.class_of(err) == "moonwatch.Error" then
        return err
    end
    local fine, text = pcall(tostring, err)
    local plain = not fine or text:find("^" .. type(err) .. ":? ?0?x?%x*$")
    return plain and ("(error object is a %s value)"):format(type(err)) or text
end

--- The message handler of what scripts run: an error of ours, or a text that says where.
function M.traceback(err)
    if type(err) ~= "string" then
        return presentable(err)
    end
    local lines = { err }
    for line in debug.traceback("", 2):gmatch "\n%s*(%S[^\n]*%.lua:%d+: in [^\n]*)" do
        if not line:find(ours, 1, true) then
            lines[#lines + 1] = line
        end
    end
    return table.concat(lines, "; ", 1, math.min(#lines, 6))
end

--- A script that failed and is skipped leaves nothing behind: what its top level has begun ends, and a backend that it
--- chose is not chosen.
function M.undo(engine, script)
    for handle in pairs(script.begun) do
        if handle.close then -- a txn has none
            handle:close()
        end
    end
    if script.chose and not engine.registry then
        engine.choice = nil
    end
end

---@param engine moonwatch.Engine
--- Run `source` as script `name`. Its task lives on after its top level, with what that spawned. `ended(err, script)`
--- is told when the top level has ended.
function M.run(engine, source, name, ended)
    local script = { name = name, state = "running", begun = setmetatable({}, { __mode = "k" }) }
    local chunk, env = sandbox.compile(source, name, api.of_script(engine, script))
    table.insert(engine.scripts, script)
    if not chunk then
        script.state, script.err = "failed", env
        ended(env, script)
        return script
    end
    script.env = env
    local function over(ok, err)
        if script.state == "running" then
            script.state, script.err = ok and "done" or "failed", err
            -- At the end of all, being cancelled is no failure.
            ended(not ok and engine.state ~= "closed" and err or nil, script)
        end
    end
    script.task = core.spawn_apart(function()
        script.started = true
        local ok, err = xpcall(chunk, M.traceback, name)
        over(ok, err)
        if ok then
            core.sleep(math.huge) -- the home of what it spawned
        end
    end)
    core.spawn_apart(function() -- one that catches even its being killed does not come as far as `over`
        local ok, err = script.task:join()
        over(ok, presentable(err))
    end)
    return script
end

function M.load(engine, file, ended)
    local source, err = read_source(file)
    if not source then
        ended(err)
        return { name = file, state = "failed", err = err }
    end
    return M.run(engine, source, file, ended)
end

-- A task that has started has gone on to its first wait, or to its end, when another one runs.
function M.await_first_wait(script)
    while script.task and not script.started do
        coroutine.yield()
    end
end

return M
