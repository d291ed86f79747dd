--- One operator's session: evaluates lines in an environment of its own, as tasks, and prints what comes of them. The
--- terminal, a pipe and an attached shell are all in front of this.
local colour = require "moonwatch.console.colour"
local core = require "moonwatch.core"
local output = require "moonwatch.console.output"
local pretty = require "moonwatch.console.pretty"
local short = require "moonwatch.shell.short"
local views = require "moonwatch.console.views"

---@class moonwatch.ShellSession
---@field registry moonwatch.Registry
---@field env table
---@field cwd string
---@field colours moonwatch.Colours
---@field width integer
local Session = {}
Session.__index = Session

local M = {}

function Session:print(text)
    self.print_line(text)
end

-- Frames of the engine and of this shell tell an operator nothing.
local function traceback(err)
    if type(err) ~= "string" then
        return core.class_of(err) == "moonwatch.Error" and err or (select(2, pcall(tostring, err)))
    end
    local lines = { err }
    for line in debug.traceback("", 2):gmatch "\n%s*([^\n]+)" do
        if line:find "^[^%[].-:%d+: in" and not line:find "/moonwatch/" or line:find '^%[string "shell"%]:%d+: in' then
            lines[#lines + 1] = "  " .. line
        end
    end
    return table.concat(lines, "\n", 1, math.min(#lines, 6))
end

local function compile(text, env)
    local chunk = load("return " .. text, "=shell", "t", env)
    if chunk then
        return chunk
    end
    local err
    chunk, err = load(text, "=shell", "t", env)
    if not chunk and err:find "<eof>$" then
        return nil, nil
    end
    return chunk, err
end

function Session:show_error(err)
    local first, rest = tostring(err):match "^([^\n]*)(.*)$"
    self:print(self.colours:paint("red", first) .. self.colours:paint("grey", rest))
end

function Session:show(...)
    local count = select("#", ...)
    local first, second = ...
    if count == 2 and first == nil and type(second) == "table" and second.code then
        return self:show_error(second) -- the outcome nil, err
    end
    for i = 1, count do
        local value = select(i, ...)
        local columns = views.columns_of(value)
        if columns then
            self:print((output.rows(value, columns, "table", self.colours):gsub("\n$", "")))
        else
            self:print(pretty.render(value, { colours = self.colours, width = self.width }))
        end
    end
end

-- Showing values may call what they bring along: it is part of the line.
function Session:take(...)
    self.env._ = ...
    self:show(...)
end

-- Run `body` as a task, and wait for it; Ctrl-C cancels it. What it spawned goes on after it: its task stays as their
-- home until the session closes.
function Session:run(body)
    local outcome
    local over = core.spawn_apart(core.sleep, math.huge)
    local before = core.tasks()
    self.running = core.spawn_apart(function()
        core.stoppable()
        outcome = table.pack(xpcall(function() self:take(body()) end, traceback))
        if outcome[1] and core.tasks() > before + 2 then
            over:cancel()
            core.sleep(math.huge)
        end
    end)
    core.spawn_apart(function(task) -- also when it is cancelled before it has begun
        task:join()
        over:cancel()
    end, self.running)
    over:join()
    if self.running.status == "waiting" then
        self.homes[#self.homes + 1] = self.running
    end
    self.running = nil
    if not outcome then
        self:show_error(core.error("cancelled", "the line was cancelled"))
        return false
    elseif not outcome[1] then
        self:show_error(outcome[2])
        return false
    end
    return true
end

--- Evaluate what was typed: "done", "failed", or "incomplete" when more lines belong to it.
---@param text string
---@return "done"|"failed"|"incomplete"
function Session:eval(text)
    if text:find "^%s*$" then
        return "done"
    end
    local form, words = short.parse(text, self.env)
    if form then
        return self:run(function() form.run(self, words) end) and "done" or "failed"
    end
    local chunk, err = compile(text, self.env)
    if not chunk and not err then
        return "incomplete"
    elseif not chunk then
        self:show_error(err)
        return "failed"
    end
    return self:run(chunk) and "done" or "failed"
end

--- Ctrl-C: whether something was running.
function Session:cancel()
    if self.running then
        self.running:cancel()
        return true
    end
    return false
end

function Session:complete(text)
    return require("moonwatch.shell.complete").complete(text, setmetatable({}, { __index = self.env }), self.cwd,
        short.words, function(path) return self.registry:children(path, { timeout = 2 }) end)
end

local state_paint = { connected = "green", reconnected = "green", connecting = "yellow", suspended = "yellow" }

--- Backend, connection state and path, for the prompt.
function Session:prompt(more)
    local state = self.state
    local good = state == "connected" or state == "reconnected"
    local where = good and self.backend or self.backend .. " " .. state
    if more then
        return (" "):rep(utf8.len(where .. self.cwd)) .. ">> "
    end
    return self.colours:paint_prompt(state_paint[state] or "red", where) .. " " .. self.cwd .. "> "
end

function Session:close()
    self:cancel()
    short.forms.unwatch.run(self, {})
    for _, home in ipairs(self.homes) do
        home:cancel()
    end
    if self.listener then
        self.listener:close()
    end
end

---@param api table                      what scripts see as `mw`
---@class moonwatch.ShellOptions
---@field print fun(text: string)
---@field changed fun()?               the prompt may show something else now
---@field colours moonwatch.Colours?
---@field width integer?
---@field backend string?
---@field announce boolean?             print when the registry is away, and why
---@field lookup (fun(name: string): any)?   globals beside Lua's: those of the scripts of a running engine

---@param options moonwatch.ShellOptions
---@return moonwatch.ShellSession
function M.new(api, options)
    local self = setmetatable({
        registry = api.registry, cwd = "/", print_line = options.print, colours = options.colours or colour.none,
        width = options.width or 80, backend = options.backend or "registry", watches = {}, homes = {},
        state = "connecting",
    }, Session)
    self.env = setmetatable({
        mw = api,
        print = function(...)
            local parts = table.pack(...)
            for i = 1, parts.n do
                parts[i] = tostring(parts[i])
            end
            self:print(table.concat(parts, "\t"))
        end,
        help = function(what)
            self:print(require("moonwatch.shell.help").about(what, api, self.colours))
        end,
    }, { __index = function(_, name)
        local value = options.lookup and options.lookup(name)
        if value == nil then
            return _G[name]
        end
        return value
    end })
    self.listener = api.registry:on_connection(function(event)
        self.state = event.state
        if options.announce and (event.state == "suspended" or event.state == "lost" or event.state == "closed") then
            local reason = event.reason and event.reason ~= "" and ": " .. event.reason or ""
            self:print(self.colours:paint("yellow", ("%s %s%s"):format(self.backend, event.state, reason)))
        end
        if options.changed then
            options.changed()
        end
    end)
    return self
end

return M
