--- require "moonwatch": the library. What it exports is described in meta/moonwatch.lua.
local core = require "moonwatch.core"
local duration = require "moonwatch.duration"
local tasks = require "moonwatch.tasks"

core.durations(duration.parse)
core.library(debug.getinfo(1, "S").source:match "^@.*/" or "@moonwatch/")

local mw = {
    version = "0.1.0",
    open = require("moonwatch.registry").open,
    spawn = tasks.spawn,
    sleep = tasks.sleep,
    every = tasks.every,
    timeout = tasks.timeout,
    run = tasks.run,
    now = tasks.now,
    log = require "moonwatch.log",
}

-- Loaded when first used: a script that needs no JSON needs no library for it.
local lazy = { json = "moonwatch.json", duration = "moonwatch.duration", size = "moonwatch.size" }

return setmetatable(mw, {
    __index = function(self, name)
        local module = lazy[name]
        if not module then
            return nil
        end
        local value = require(module)
        rawset(self, name, value)
        return value
    end,
})
