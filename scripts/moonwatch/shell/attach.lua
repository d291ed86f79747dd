--- An operator looks inside a running engine: its end (a server on a UNIX socket) and the shell's end. One JSON object
--- a line. Requests: {id, eval|complete|prompt|cancel}; answers: {id, ...}; on its own accord: {print} and {changed}.
local colour = require "moonwatch.console.colour"
local core = require "moonwatch.core"
local json = require "moonwatch.json"
local socket = require "moonwatch.socket"

local M = {}

--- Where the socket of the engine `name` is: a path as it stands, else a file in $XDG_RUNTIME_DIR or /tmp.
function M.path(name)
    if name:find("/", 1, true) then
        return name
    end
    local runtime = os.getenv "XDG_RUNTIME_DIR"
    if not runtime or runtime == "" then
        runtime = "/tmp"
    end
    return ("%s/moonwatch-%d-%s.sock"):format(runtime, socket.user(), name)
end

-- ---- The engine's end -----------------------------------------------------------------------------------------------

local function answer(session, request)
    session.width = tonumber(request.width) or session.width
    if request.eval then
        return { outcome = session:eval(request.eval), prompt = session:prompt(false) }
    elseif request.complete then
        return session:complete(request.complete)
    elseif request.cancel then
        return { cancelled = session:cancel() }
    end
    return { prompt = session:prompt(false) }
end

-- The global `name` of the script loaded last that has one.
local function global_of(engine, name)
    for i = #engine.scripts, 1, -1 do
        local env = engine.scripts[i].env
        local value = type(env) == "table" and rawget(env, name)
        if value ~= nil and value ~= false then
            return value
        end
    end
end

local piece = 256 * 1024 -- of a text in one message, and what may wait for the operator's end before who prints waits

-- Who prints faster than the operator's end takes it waits, where he can.
local function print_to(stream, text)
    local at = 1
    repeat
        local last = at + piece > #text
        local there, unsent = stream:write(json.encode { print = text:sub(at, at + piece - 1), more = not last or nil })
        if there and unsent > piece and coroutine.isyieldable() then
            stream:drain()
        end
        at = at + piece
    until last or not there
end

local function serve(engine, stream)
    local hello = json.decode(stream:read() or "") or {}
    local session = require("moonwatch.shell.session").new(engine.api, {
        backend = engine.backend, width = tonumber(hello.width) or 80,
        colours = colour.new(hello.colours == true),
        lookup = function(name) return global_of(engine, name) end,
        print = function(text) print_to(stream, text) end,
        changed = function() stream:write(json.encode { changed = true }) end,
    })
    core.log("info", "attach: an operator is here")
    for line in function() return stream:read() end do
        local request = json.decode(line)
        if type(request) ~= "table" then
            break
        end
        core.spawn(function()
            local reply = answer(session, request)
            reply.id = request.id
            stream:write(json.encode(reply))
        end)
    end
    session:close()
    stream:close()
    core.log("info", "attach: the operator has left")
end

--- Let operators attach to `engine` as `name`: the listener, or nil, why.
function M.listen(engine, name)
    return socket.listen(M.path(name), function(stream)
        local open <close> = stream -- whatever happens, the operator's end hears of it
        serve(engine, open)
    end)
end

-- ---- The shell's end ------------------------------------------------------------------------------------------------

---@class moonwatch.RemoteSession: moonwatch.ShellBackend
local Remote = {}
Remote.__index = Remote

local function ask(self, request)
    self.last = self.last + 1
    request.id = self.last
    local gate = core.spawn_apart(core.sleep, math.huge)
    self.waiting[request.id] = gate
    if not self.stream:write(json.encode(request)) then
        gate:cancel()
    end
    gate:join()
    local reply = self.replies[request.id] or {}
    self.replies[request.id] = nil
    return reply
end

function Remote:eval(text)
    local reply = ask(self, { eval = text, width = self.width })
    self.shown_prompt = reply.prompt or self.shown_prompt
    if not reply.outcome then
        self.print "the engine has gone"
        self.leave = true
    end
    return reply.outcome or "failed"
end

function Remote:complete(text)
    return ask(self, { complete = text })
end

function Remote:prompt(more)
    if more then
        return ">> "
    end
    self.shown_prompt = self.shown_prompt or ask(self, { prompt = true }).prompt
    return self.shown_prompt or "> "
end

function Remote:cancel()
    if next(self.waiting) == nil then
        return false
    end
    self.stream:write(json.encode { id = 0, cancel = true })
    return true
end

function Remote:show_error(err)
    self.print(tostring(err))
end

function Remote:close()
    self.stream:close()
end

local function receive(self, changed)
    for line in function() return self.stream:read() end do
        local message = json.decode(line) or {}
        if message.print and message.more then
            self.pieces[#self.pieces + 1] = message.print
        elseif message.print then
            self.print(table.concat(self.pieces) .. message.print)
            self.pieces = {}
        elseif message.changed then
            core.spawn(function()
                self.shown_prompt = ask(self, { prompt = true }).prompt
                changed()
            end)
        elseif self.waiting[message.id] then
            self.replies[message.id] = message
            self.waiting[message.id]:cancel()
            self.waiting[message.id] = nil
        end
    end
    for id, gate in pairs(self.waiting) do
        self.waiting[id] = nil
        gate:cancel()
    end
end

local advice = {
    ["No such file or directory"] = "; nobody listens: `moonwatch run --attach NAME`, or `attach: NAME` in its file",
    ["Connection refused"] = "; the engine that listened there has gone: start it again",
    ["Permission denied"] = "; it is another user's engine: attach as that user",
}

--- A session in the engine `name`, or nil, why.
---@param options {print: fun(text: string), changed: fun(), width: integer, colours: boolean}
function M.connect(name, options)
    local stream, err = socket.connect(M.path(name))
    if not stream then
        return nil, err .. (advice[err:match "[^:]*$":sub(2)] or "")
    end
    local self = setmetatable({ stream = stream, print = options.print, waiting = {}, replies = {}, pieces = {},
        last = 0 }, Remote)
    stream:write(json.encode { width = options.width, colours = options.colours })
    core.spawn_apart(receive, self, options.changed)
    return self
end

return M
