--- The command line: one file per command in moonwatch/cli/, dispatched with lua-argparse.
--
-- A command is a table: summary (one line), description (optional), configure(command) which adds options to an
-- argparse command, and run(args) which returns an exit code and may wait. Only the file of the command that is used
-- is loaded.
local M = {}

--- Exit codes of every command; those above 10 are of `lock` and `elect`.
M.exit = {
    ok = 0, failed = 1, usage = 2, config = 3, not_found = 4, conflict = 5, unreachable = 6, denied = 7,
    not_acquired = 11, lost = 12,
}

--- What they mean, for help and manual.
M.exit_meanings = {
    { 0, "done" },
    { 1, "failed, for a reason that has no code of its own" },
    { 2, "the command line is wrong, or a confirmation was needed" },
    { 3, "the configuration or a script is wrong" },
    { 4, "no such entry" },
    { 5, "conflict: it exists, has another version or owner, or is not empty" },
    { 6, "not connected in time, or the outcome is unknown" },
    { 7, "credentials or rights are missing" },
    { 11, "lock, elect: not acquired" },
    { 12, "lock, elect: lost; the command was ended" },
}

--- In the order of `moonwatch --help`.
M.commands = {
    "run", "check", "doctor", "init", "shell", "get", "put", "ls", "tree", "stat", "rm", "watch", "txn", "nodes",
    "locks", "sessions", "lock", "elect", "export", "import", "schema", "completion", "man", "version",
}

--- For programs: neither help nor completion shows them.
local hidden = { ["complete-path"] = true }

--- One line on standard error.
function M.complain(format, ...)
    local text = select("#", ...) > 0 and format:format(...) or format
    io.stderr:write("moonwatch: ", (tostring(text):gsub("[\r\n]+", " ")), "\n")
end

--- Whether there is a command `name`.
function M.is_command(name)
    for _, command in ipairs(M.commands) do
        if command == name then
            return true
        end
    end
    return hidden[name] == true
end

function M.load(name)
    return require("moonwatch.cli." .. name)
end

--- The parser with the commands in `names` (all of them: for help, completion and the manual page).
function M.parser(names)
    local argparse = require "argparse"
    local parser = argparse("moonwatch", "A registry of who is alive, with locks, and Lua scripts that react.")
    parser:command_target "command"
    parser:require_command(true)
    parser:add_help(true)
    for _, name in ipairs(names) do
        local command = M.load(name)
        local sub = parser:command(name, command.description or command.summary):summary(command.summary)
        command.configure(sub)
    end
    return parser
end

--- The help of one command, as argparse writes it.
function M.help(parser, name)
    for _, command in ipairs(parser._commands) do
        if command._name == name then
            local examples = require("moonwatch.cli.examples")[name]
            if examples then
                command:epilog("Examples:\n   " .. table.concat(examples, "\n   "))
            end
            return command:get_help()
        end
    end
    return parser:get_help()
end

-- `moonwatch FILE.lua` runs it; `moonwatch --version` is a command like any other.
local function normalise(arguments)
    if arguments[1] == "--version" or arguments[1] == "-V" then
        return { "version" }
    elseif arguments[1] and arguments[1]:find "%.lua$" and not M.is_command(arguments[1]) then
        return table.move(arguments, 1, #arguments, 2, { "run" })
    end
    return arguments
end

local function unknown(name)
    local hint = require("moonwatch.suggest").hint(name, M.commands)
    M.complain("there is no command '%s'%s `moonwatch --help` lists them", name, hint == "" and ";" or hint)
    return M.exit.usage
end

--- Run the command in `argv`: its exit code. In a task.
function M.main(argv)
    local arguments = normalise(table.move(argv, 1, #argv, 1, {}))
    local name = arguments[1]
    if name and not M.is_command(name) and name:sub(1, 1) ~= "-" then
        return unknown(name)
    end
    local parser = M.parser(M.is_command(name) and { name } or M.commands)
    if not name or name == "-h" or name == "--help" then
        print(parser:get_help())
        return name and M.exit.ok or M.exit.usage
    end
    for _, argument in ipairs(arguments) do
        if argument == "--" then
            break
        elseif argument == "-h" or argument == "--help" then -- argparse would end the process itself
            print(M.help(parser, name))
            return M.exit.ok
        end
    end
    local ok, args = parser:pparse(arguments)
    if not ok then
        M.complain("%s; moonwatch %s --help says more", args, M.is_command(name) and name or "")
        return M.exit.usage
    end
    return M.load(args.command).run(args) or M.exit.ok
end

return M
