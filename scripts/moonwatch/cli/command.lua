--- Commands that ours run: as a process group of their own, so that all of it can be signalled and ended.
local child = require "moonwatch.child"
local cli = require "moonwatch.cli"
local client = require "moonwatch.cli.client"
local core = require "moonwatch.core"

local M = {}

local signals = { HUP = 1, INT = 2, KILL = 9, TERM = 15, CONT = 18 }

local function environment(variables)
    local list = {}
    for _, pair in ipairs(child.environment()) do
        if variables[pair:match "^[^=]*"] == nil then
            list[#list + 1] = pair
        end
    end
    for name, value in pairs(variables) do
        list[#list + 1] = ("%s=%s"):format(name, value)
    end
    return list
end

---@class moonwatch.Command
---@field asked string?     the signal that we were sent and passed on
local Command = {}
Command.__index = Command

--- Signals to all of its group, and to its family; with `session_only` not to those who have begun a session of their
--- own. Who is stopped goes on with it: nothing but KILL would reach him.
function Command:signal(name, session_only)
    self.process:kill(signals[name], session_only)
    self.process:kill(signals.CONT, session_only)
end

--- Wait for its end: its exit code, 128 + signal when a signal ended it.
function Command:wait()
    return (self.process:wait())
end

-- What nobody has reaped so long after a KILL is dead all the same: in a container whose first process reaps none.
local unreaped = 2

--- TERM now and KILL as soon as `late()`, until nobody of them is left.
---@param late fun(): boolean
---@param session_only boolean?
function Command:finish(late, session_only)
    local over
    self:signal("TERM", session_only)
    while not self.process:gone(session_only) and not (over and core.now() > over) do
        if over or late() then
            self:signal("KILL", session_only) -- again and again: some may just have been born
            over = over or core.now() + unreaped
        end
        core.sleep(0.002)
    end
end

-- What goes by itself gets so long: `tee` behind a command writes the rest of what it was given.
local grace, mercy = 1, 5

--- After the command: end what it has left behind, but for who has begun a session of his own.
---@param path string
function Command:sweep(path)
    local start = core.now()
    while not self.process:gone(true) and core.now() < start + grace do
        core.sleep(0.002)
    end
    if not self.process:gone(true) then
        cli.complain("%s: what the command has left in the background is ended", path)
        self:finish(function() return core.now() > start + grace + mercy end, true)
    end
end

--- From now on INT, TERM and HUP end us again.
function Command.forget_signals()
    require("moonwatch.process").on_signal(nil)
end

--- Start it; INT, TERM and HUP that we get are passed on from now on. Ends our command when it cannot be started.
---@param words string[]
---@param variables table<string, string|integer>
---@param family boolean?     signals, and its end, are for all that it has started, wherever that has gone
---@return moonwatch.Command
function M.start(words, variables, family)
    local process, err = child.spawn(words, environment(variables), family)
    if not process then
        cli.complain("%s; is it installed, and in $PATH?", err)
        client.leave(127)
    end
    local self = setmetatable({ process = process }, Command)
    require("moonwatch.process").on_signal(function(name)
        self.asked = name
        self:signal(name)
    end, true)
    return self
end

--- Start it and wait for its end: its exit code. A signal that we were sent ends us too, after it.
function M.run(words, variables)
    local command = M.start(words, variables)
    local code = command:wait()
    command:forget_signals()
    local asked = command.asked or command.process:interrupted() and "INT"
    if asked then
        client.leave(128 + signals[asked])
    end
    return code
end

return M
