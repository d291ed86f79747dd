--- What the commands print and ask: rows in the format that was asked for, progress, confirmations, following changes.
local cli = require "moonwatch.cli"
local client = require "moonwatch.cli.client"
local colour = require "moonwatch.console.colour"
local core = require "moonwatch.core"
local output = require "moonwatch.console.output"

local M = {}

local function edit()
    return require "moonwatch.edit"
end

--- Colours for standard output.
function M.colours()
    local _, terminal = edit().is_terminal()
    return colour.new(terminal), terminal
end

local broken_pipe = 32

--- Print; a reader that has gone (`| head -1`) ends the command, as does an output that takes no more.
function M.write(text)
    local ok, err, code = io.stdout:write(text)
    if ok then
        ok, err, code = io.stdout:flush()
    end
    if not ok and code ~= broken_pipe then
        cli.complain("standard output: %s", err)
    end
    if not ok then
        client.leave(code == broken_pipe and cli.exit.ok or cli.exit.failed)
    end
end

--- All of standard input (also "-"), or of the file `name`; or the end of the command.
---@param name string?
---@return string
function M.input(name)
    local file, text, err = io.stdin, nil, nil
    if name and name ~= "-" then
        file, err = io.open(name)
    end
    if file then
        text, err = file:read "a"
        err = err and ("%s: %s"):format(file == io.stdin and "standard input" or name, err)
    end
    if not text then
        cli.complain("%s", err)
        client.leave(cli.exit.failed)
    end
    return text
end

--- Rows, in the format of `-o`; the words of an empty table go to standard error.
function M.rows(args, rows, columns, empty)
    local format = args.output or "table"
    if #rows == 0 and format == "table" then
        if not args.quiet then
            io.stderr:write(empty or "nothing", "\n")
        end
        return
    end
    M.write(output.rows(rows, columns, format, M.colours()))
end

--- One row, in the format of `-o`.
function M.row(args, row, columns)
    M.write(output.row(row, columns, args.output or "table", M.colours()))
end

--- One of a stream of rows: a JSON object or a YAML document each.
function M.stream_row(args, row, columns)
    local text = output.row(row, columns, args.output, M.colours())
    M.write(args.output == "yaml" and "---\n" .. text or text)
end

-- A gate that one task waits at, and others open.
local function gate()
    local closed, pending
    return function()
        pending = true
        if closed then
            closed:cancel()
        end
    end, function()
        if not pending then
            closed = core.spawn_apart(core.sleep, math.huge)
            closed:join()
            closed = nil
        end
        pending = false
    end
end

-- A screen is drawn anew; a pipe gets one text after the other, each only when it differs from the last.
local function repeater(text_of)
    local _, terminal = M.colours()
    local last
    return function()
        local text = text_of()
        if text ~= last then
            M.write((terminal and "\27[H\27[2J" or last and "\n" or "") .. text)
            last = text
        end
    end
end

--- Print `text_of()` now and whenever something at or below `path` has changed, until interrupted.
function M.follow(registry, path, text_of)
    local open, wait = gate()
    local show = repeater(text_of)
    local subscription, over = client.need(registry:subscribe(path, { depth = "subtree" })), nil
    core.spawn(function()
        over = client.each(subscription, open)
        open()
    end)
    repeat
        show()
        wait()
        core.sleep(0.02) -- what changes together is shown once
    until over
    return client.fail(over)
end

--- Print `text_of(path)` of the path that `args` names, once or, with -w, again with each change below it.
---@param args table
---@param text_of fun(registry: moonwatch.Registry, path: string): string
function M.below(args, text_of)
    return client.with(args, nil, function(registry)
        local path = client.path(args.path)
        if args.watch then
            return M.follow(registry, path, function() return text_of(registry, path) end)
        end
        M.write(text_of(registry, path))
    end)
end

--- The same for what cannot be subscribed to: looked up each second.
function M.poll(text_of)
    local show = repeater(text_of)
    while true do
        show()
        core.sleep(1)
    end
end

--- Whether the operator agrees. Without a terminal nobody can be asked: then only --yes does.
function M.confirm(args, question)
    if args.yes then
        return true
    elseif not edit().is_terminal() then
        cli.complain("%s? Nobody can be asked here: --yes agrees", question)
        return false
    end
    local editor <close> = edit().open {}
    local answer = editor:read(question .. "? [y/N] ")
    local agreed = answer and answer:lower():find "^%s*y" ~= nil
    if not agreed then
        cli.complain "nothing was changed"
    end
    return agreed
end

--- Counts on standard error while something long goes on, where somebody looks at it and at nothing else.
---@return fun(done: integer) progress
---@return fun() finish     takes the line away
function M.progress(args, what, total)
    local _, out, terminal = edit().is_terminal()
    if args.quiet or not terminal or what == "exported" and out then
        return function() end, function() end
    end
    local time = require("moonwatch.system").time -- mw.now may stand still within one turn of the loop
    local last
    return function(done)
        if not last or time() - last > 0.1 then
            last = time()
            io.stderr:write(("\r%s %d of %d"):format(what, done, total))
        end
    end, function()
        io.stderr:write(last and "\r\27[K" or "")
    end
end

--- A remark on standard error, unless quiet.
function M.remark(args, format, ...)
    if not args.quiet then
        io.stderr:write(format:format(...), "\n")
    end
end

return M
