--- The Lua half of moonwatch/engine.h: what the C functions call, each as a task or at once.
local core = require "moonwatch.core"
local config = require "moonwatch.config"
local json = require "moonwatch.json"
local startup = require "moonwatch.startup"

local M = {}

local function invalid(err)
    error(type(err) == "string" and core.error("invalid", err) or err, 0)
end

-- Tables travel as JSON, marked "j" in the string of kinds that comes first.
local function packed(...)
    local values, kinds = table.pack(...), {}
    for i = 1, values.n do
        local is_table = type(values[i]) == "table"
        kinds[i] = is_table and "j" or "v"
        values[i] = is_table and json.encode(values[i]) or values[i]
    end
    return table.concat(kinds), table.unpack(values, 1, values.n)
end

local function unpacked(kinds, ...)
    local values = table.pack(...)
    for i = 1, values.n do
        if kinds:sub(i, i) == "j" then
            local value, err = json.decode(values[i])
            if value == nil and err then
                invalid(("argument %d: %s"):format(i, err))
            end
            values[i] = value
        end
    end
    return table.unpack(values, 1, values.n)
end

--- One engine for one program.
function M.new()
    local self, chosen, engine = {}, nil, nil

    local function get()
        if not engine then
            engine = require("moonwatch.engine").new(chosen or config.parse("", "defaults"))
        end
        return engine
    end

    local function loaded(load)
        local ended, failure, failed = core.gate(), nil, nil
        load(function(err, script)
            failure, failed = err, script
            ended:open()
        end)
        ended:wait()
        if failure then
            if failed then
                startup.undo(get(), failed)
            end
            invalid(failure)
        end
    end

    function self.configure(file)
        if engine then
            invalid "the configuration comes before scripts and listeners"
        end
        local complaints
        chosen, complaints = config.load(file)
        if not chosen then
            invalid(table.concat(complaints, "\n"))
        end
    end

    function self.load(file)
        loaded(function(ended)
            get():load(file, ended)
        end)
    end

    function self.load_text(name, text)
        loaded(function(ended)
            get():run_script(text, name, ended)
        end)
    end

    function self.start()
        if get().state ~= "new" then
            invalid "the engine was started already"
        end
        local ok, err = engine:start()
        if not ok then
            error(err, 0)
        end
    end

    function self.call(name, kinds, ...)
        local found, err = get():find(name)
        if not found then
            error(err, 0)
        end
        return packed(found(unpacked(kinds, ...)))
    end

    function self.on(kind, pattern, reaction)
        return require("moonwatch.reactions").on(get(), kind, pattern, nil, reaction)
    end

    function self.registry()
        return get().registry
    end

    function self.close(patience)
        if engine then
            engine:close(patience)
        end
    end

    return self
end

return M
