--- The front of the shell: a terminal with line editing, or lines from a pipe.
local edit = require "moonwatch.edit"

local M = {}

-- $XDG_STATE_HOME, or ~/.local/state: where a history belongs. nil where there is no home.
local function history_file()
    local state = os.getenv "XDG_STATE_HOME"
    local home = os.getenv "HOME"
    if os.getenv "MOONWATCH_HISTORY" then
        return os.getenv "MOONWATCH_HISTORY"
    end
    return state and state ~= "" and state .. "/moonwatch_history" or home and home .. "/.moonwatch_history"
end

---@class moonwatch.ShellBackend     a session here, or one in another process
---@field eval fun(self, text: string): string
---@field complete fun(self, text: string): {insert: string, candidates: string[], more: integer?}
---@field prompt fun(self, more: boolean): string
---@field cancel fun(self): boolean
---@field width integer     columns; may change from line to line

local function offer(editor, session)
    local line, cursor = editor:buffer()
    local found = session:complete(line:sub(1, cursor))
    local now, at = editor:buffer()
    if not found or now ~= line or at ~= cursor then
        return -- typed on meanwhile
    end
    if found.insert ~= "" then
        editor:insert(found.insert)
    elseif #found.candidates > 1 then
        local more = found.more and (" ... and %d more"):format(found.more) or ""
        editor:print(table.concat(found.candidates, "  ") .. more)
    end
end

--- Read, evaluate, print, until Ctrl-D.
---@param connect fun(print: fun(text: string), changed: fun()): moonwatch.ShellBackend
function M.interactive(connect)
    local editor, session
    editor = edit.open {
        history = history_file(),
        complete = function() offer(editor, session) end,
    }
    local more, interrupted = false, false
    session = connect(function(text) editor:print(text) end, function()
        if session then
            editor:prompt(session:prompt(more))
        end
    end)
    require("moonwatch.process").on_signal(function(name)
        session.leave = session.leave or name ~= "INT"
        if session:cancel() then
            return
        end
        interrupted = not editor:interrupt() -- between the line's end and its run
    end, true)
    local pending = ""
    repeat
        more = pending ~= ""
        local line, why = editor:read(session:prompt(more))
        if line and interrupted then
            line, why = nil, "interrupt"
        end
        interrupted = false
        if line then
            local text = more and pending .. "\n" .. line or line
            session.width = edit.width()
            local outcome = session:eval(text)
            pending = outcome == "incomplete" and text or ""
            if outcome ~= "incomplete" and text:find "%S" then
                editor:remember(text)
            end
        elseif why == "interrupt" then
            pending = ""
        end
    until session.leave or not line and why == "end"
    if not session.leave then
        io.stdout:write "\n"
    end
    editor:close()
    return session
end

--- Evaluate `source`, which is one chunk: whether it did not fail.
function M.chunk(session, source)
    local outcome = session:eval((source:gsub("^#[^\n]*", "")))
    if outcome == "incomplete" then
        session:show_error "the last chunk is incomplete"
    end
    return outcome == "done"
end

--- Evaluate all of `source`, chunk by chunk as lines complete them: whether nothing failed.
function M.script(session, source)
    local pending = ""
    for line in (source .. "\n"):gmatch "(.-)\n" do
        pending = pending == "" and line or pending .. "\n" .. line
        local outcome = session:eval(pending)
        if outcome == "failed" then
            return false
        elseif outcome == "done" then
            pending = ""
        end
    end
    if pending:find "%S" then
        session:show_error "the last chunk is incomplete"
        return false
    end
    return true
end

return M
