-- An engine in this process, on the memory backend.
local config = require "moonwatch.config"
local core = require "moonwatch.core"
local Engine = require "moonwatch.engine"
local mw = require "moonwatch"

local M = {}

--- An engine with scripts { name = source }, in the order of names; `body(engine, ok, err)` runs as a task, with what
--- its start returned.
---@param text string?     the configuration
function M.with(scripts, body, text)
    return mw.run(function()
        text = text or "registry: {type: memory}\nlog_level: error"
        local engine = Engine.new(assert(config.parse(text, "spec.yaml")))
        local names = {}
        for name in pairs(scripts) do
            names[#names + 1] = name
        end
        table.sort(names)
        for _, name in ipairs(names) do
            engine:run_script(scripts[name], name, function(err, script)
                if err then
                    engine:script_failed(name, err, script)
                end
            end)
        end
        M.engine = engine
        local ok, err = engine:start {}
        local failed, why = true, nil
        if body then
            failed, why = pcall(body, engine, ok, err)
        end
        engine:close()
        M.engine = nil
        assert(failed, why)
    end)
end

--- Call a function of the scripts'.
function M.call(name, ...)
    return assert(M.engine:find(name))(...)
end

function M.eventually(condition)
    local late = core.now() + 10
    while not condition() do
        assert(core.now() < late, "not within 10 s")
        core.sleep(0.001)
    end
end

return M
