--- What the shells' completion asks: the registry paths that the word under the cursor may become. Says nothing and
--- stays within its time when there is no registry, for whoever presses Tab wants no complaint.
local cli = require "moonwatch.cli"
local client = require "moonwatch.cli.client"

local M = {
    summary = "Print the registry paths that the last of WORDS may become; for completion scripts.",
    hidden = true,
}

local patience = "500ms" -- for connecting and for each look

function M.configure(command)
    command:argument("words", "After --: the command line up to the cursor."):args "*"
    command:option("--line", "In place of words: the line up to the cursor, as bash has it; answers are quoted for it.")
    command:option("--breaks", "Its $COMP_WORDBREAKS.")
end

-- Option names of a command, as { ["--config"] = option }.
local function options_of(command)
    local options = {}
    for _, option in ipairs(command._options) do
        for _, alias in ipairs(option._aliases) do
            options[alias] = option
        end
    end
    return options
end

-- Where argparse keeps an option's value: under its first long name.
local function target_of(option)
    for _, alias in ipairs(option._aliases) do
        if option._target or alias:find "^%-%-" then
            return option._target or alias:sub(3)
        end
    end
end

-- The n-th word that is no option: the argument that takes it.
local function argument_at(command, index)
    for _, argument in ipairs(command._arguments) do
        if index <= argument._maxargs then
            return argument
        end
        index = index - argument._maxargs
    end
end

--- What the last of `words` is an argument of, and the options of `words` that say which registry; nil when the last is
--- something else: an option, the value of one, or what stands behind "--".
---@param command table     of argparse
---@param words string[]    behind the command's name
---@return string? argument
---@return table args
function M.place(command, words)
    local options, args, positional = options_of(command), {}, 0
    local at = 1
    while at < #words do
        local option = options[words[at]:match "^%-%-[^=]+" or words[at]]
        if words[at] == "--" then
            return nil, args
        elseif not option then
            positional = positional + (words[at]:find "^%-." and 0 or 1)
        elseif option._maxargs > 0 then
            local value = words[at]:match "^%-%-[^=]+=(.*)$"
            at = at + (value and 0 or 1)
            args[target_of(option) or ""] = value or words[at]
        end
        at = at + 1
    end
    if at > #words or words[at]:find "^%-" then
        return nil, args
    end
    local argument = argument_at(command, positional + 1)
    return argument and argument._name, args
end

-- The children of `folder` that begin with `prefix`, as they would stand on the line.
local function names_below(registry, folder, prefix)
    local found = {}
    for _, name in ipairs(registry:children(client.path(folder)) or {}) do
        if name:sub(1, #prefix) == prefix then
            found[#found + 1] = folder .. name
        end
    end
    return found
end

--- The paths that `word` may become, one level at a time. One that has entries below it ends in "/" when it is the only
--- one: there is more to type.
---@param registry moonwatch.Registry
---@param word string
---@return string[]
function M.paths(registry, word)
    if word:find("//", 1, true) then
        return {}
    end
    local folder, prefix = word:match "^(.*/)([^/]*)$"
    local found = names_below(registry, folder or "/", prefix or word)
    if #found == 1 then
        local below = registry:children(client.path(found[1]))
        if below and #below > 0 then
            found[1] = found[1] .. "/"
        end
    end
    return found
end

function M.run(args)
    local words, quote = args.words, nil
    if args.line then
        words, quote = require("moonwatch.cli.bash-line").split(args.line, args.breaks or "")
    end
    local name = words[2]
    if not cli.is_command(name) then
        return cli.exit.ok
    end
    local argument, named = M.place(cli.parser({ name })._commands[1], table.move(words, 3, #words, 1, {}))
    if argument ~= "path" then
        return cli.exit.ok
    end
    rawset(io, "stderr", assert(io.open("/dev/null", "w"))) -- where complaints go
    named.command, named.timeout = args.command, patience
    client.with(named, nil, function(registry)
        local found = M.paths(registry, words[#words])
        for i, path in ipairs(found) do
            found[i] = quote and quote(path) or path
        end
        if #found > 0 then
            io.stdout:write(table.concat(found, "\n"), "\n")
        end
    end)
    return cli.exit.ok
end

return M
