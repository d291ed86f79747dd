--- The short forms of the shell: `ls /nodes` beside Lua. Each gets its words and a session, and prints.
local grid = require "moonwatch.console.grid"
local output = require "moonwatch.console.output"
local views = require "moonwatch.console.views"

local M = {}

-- Doubled slashes, "." and ".." taken out, and relative paths made absolute.
local function resolve(session, path)
    if not path or path == "" then
        return session.cwd
    end
    local full = path:sub(1, 1) == "/" and path or session.cwd .. "/" .. path
    local segments = {}
    for segment in full:gmatch "[^/]+" do
        if segment == ".." then
            table.remove(segments)
        elseif segment ~= "." then
            segments[#segments + 1] = segment
        end
    end
    return "/" .. table.concat(segments, "/")
end

-- A failure is printed by whoever runs the form.
local function need(value, err)
    if value == nil then
        error(err, 0)
    end
    return value
end

local function rows(session, list, columns)
    if #list == 0 then
        session:print(session.colours:paint("grey", "(none)"))
    else
        session:print((output.rows(list, columns, "table", session.colours):gsub("\n$", "")))
    end
end

M.forms = {}

M.forms.cd = {
    usage = "cd [PATH]          the path that relative ones start from; / without one",
    run = function(session, words)
        local path = resolve(session, words[1] or "/")
        if path ~= "/" then
            need(session.registry:stat(path))
        end
        session.cwd = path
    end,
}

M.forms.ls = {
    usage = "ls [PATH]          names of the children",
    run = function(session, words)
        local names = need(session.registry:children(resolve(session, words[1])))
        local widest = 0
        for _, name in ipairs(names) do
            widest = math.max(widest, grid.width(grid.cell(name)))
        end
        local columns = math.max(1, session.width // (widest + 2))
        for i = 1, #names, columns do
            local line = {}
            for j = i, math.min(#names, i + columns - 1) do
                local name = grid.cell(names[j])
                line[#line + 1] = name .. (" "):rep(widest + 2 - grid.width(name))
            end
            session:print((table.concat(line):gsub("%s+$", "")))
        end
    end,
}

M.forms.tree = {
    usage = "tree [PATH]        everything below, with values; * marks ephemerals",
    run = function(session, words)
        local path = resolve(session, words[1])
        session:print(views.tree(need(session.registry:list(path)), path, session.colours))
    end,
}

M.forms.cat = {
    usage = "cat PATH           the value",
    run = function(session, words)
        session:print(need(session.registry:get(resolve(session, words[1]))).value)
    end,
}

M.forms.stat = {
    usage = "stat PATH          everything but the value",
    run = function(session, words)
        local entry = need(session.registry:stat(resolve(session, words[1])))
        session:print((output.row(entry, views.stat, "table", session.colours):gsub("\n$", "")))
    end,
}

local paints = { added = "green", updated = "yellow", removed = "red", synced = "grey" }

M.forms.watch = {
    usage = "watch [PATH]       changes below it, live, above the prompt; `unwatch` ends it",
    run = function(session, words)
        local path = resolve(session, words[1])
        if session.watches[path] then
            session:print(path .. " is being watched")
            return
        end
        session.watches[path] = session.registry:subscribe(path, { depth = "subtree" }, function(event)
            local value = event.value and event.value ~= "" and " = " .. grid.cell(event.value, 60) or ""
            session:print(session.colours:paint(paints[event.type], ("%-8s"):format(event.type)) .. event.path .. value)
        end)
    end,
}

M.forms.unwatch = {
    usage = "unwatch [PATH]     without one: all",
    run = function(session, words)
        local only = words[1] and resolve(session, words[1])
        for path, subscription in pairs(session.watches) do
            if not only or only == path then
                subscription:close()
                session.watches[path] = nil
            end
        end
    end,
}

M.forms.nodes = {
    usage = "nodes [ROLE]       who is alive",
    run = function(session, words)
        rows(session, need(session.env.mw.nodes(words[1])), views.nodes)
    end,
}

M.forms.locks = {
    usage = "locks [PATH]       who holds and who waits",
    run = function(session, words)
        local members = need(session.registry:queue(resolve(session, words[1]), { recursive = true }))
        rows(session, views.queue_rows(members), views.locks)
    end,
}

M.forms.sessions = {
    usage = "sessions           live sessions",
    run = function(session)
        rows(session, need(session.registry:sessions()), views.sessions)
    end,
}

M.forms.help = {
    usage = "help [NAME]        what is documented",
    run = function(session, words)
        local form = M.forms[words[1]]
        if form then
            session:print(form.usage)
        else
            session:print(require("moonwatch.shell.help").about(words[1], session.env.mw, session.colours))
        end
    end,
}

M.words = {}
for word in pairs(M.forms) do
    M.words[#M.words + 1] = word
end
table.sort(M.words)

--- The words of `text`: split at spaces, but for those in quotes or behind a backslash.
---@param text string
---@return string[]
---@return string last     the word at the end of `text`; "" when a new one would begin there
---@return string open     the quote that it has not closed yet, or ""
function M.words_of(text)
    local words, word, open = {}, nil, ""
    for escaped, char in text:gmatch "(\\?)(.)" do
        if escaped ~= "" then
            word = (word or "") .. char
        elseif char == open then
            open = ""
        elseif open == "" and char:find "[\"']" then
            open, word = char, word or ""
        elseif open == "" and char:find "%s" then
            words[#words + 1], word = word, nil
        else
            word = (word or "") .. char
        end
    end
    words[#words + 1] = word
    return words, word or "", open
end

-- What stands behind the name of a form; nil where the line is Lua.
local function rest_of(line)
    local word, rest = line:match "^%s*(%a+)(.*)$"
    local is_form = word and M.forms[word] and not rest:find "^%s*[=(.:%[{,]"
        and not (word == "help" and rest:find "^%s*[\"']")
    return is_form and rest, word
end

--- The argument of a form that `line` ends in, and its open quote; nil where the line is Lua.
---@param line string
---@return string? typed
---@return string? open
function M.typed(line)
    local rest = rest_of(line)
    if rest and rest:find "^%s" then
        return select(2, M.words_of(rest))
    end
end

--- The form that `line` begins with and its words, unless the line is Lua: `ls = 1`, `cat.x`, `help(x)`, `help "x"`.
function M.parse(line, env)
    local rest, word = rest_of(line)
    if not rest or rawget(env, word) ~= nil and word ~= "help" then
        return nil
    end
    return M.forms[word], (M.words_of(rest))
end

return M
