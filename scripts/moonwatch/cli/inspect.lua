--- What is wrong with a script, without running it: syntax, globals that nobody has set, names that `mw` has not.
local globals = require "moonwatch.cli.globals"
local suggest = require "moonwatch.suggest"

local M = {}

local function read(file)
    local handle, err = io.open(file, "r")
    if not handle then
        return nil, err
    end
    local source, why = handle:read "a"
    handle:close()
    return source and require("moonwatch.sandbox").source(source), why and ("%s: %s"):format(file, why)
end

local function sorted(set)
    local list = {}
    for name in pairs(set) do
        list[#list + 1] = name
    end
    table.sort(list)
    return list
end

--- The names of `mw` in the stubs: { sleep = true, log = { info = true ... } ... }.
local function documented()
    local names = {}
    for name in pairs(require("moonwatch.shell.help").parse()) do
        local path = name:match "^mw%.([%w_.]+)$"
        if path then
            names[path] = true
            names[path:match "^[%w_]+"] = true
        end
    end
    for _, name in ipairs { "version", "registry", "config", "log", "json", "duration", "size" } do
        names[name] = true
    end
    return names
end

-- The source with strings and comments blanked, newlines kept: what is left of `mw.name` is code.
local function code_of(source)
    local function blank(text)
        return (text:gsub("[^\n]", " "))
    end
    local out, at = {}, 1
    while at <= #source do
        local from = source:find("[%-\"'%[]", at)
        if not from then
            break
        end
        out[#out + 1] = source:sub(at, from - 1)
        local start = source:sub(from, from + 1) == "--" and from + 2 or from
        local _, last, level = source:find("^%[(=*)%[", start)
        local char, stop = source:sub(from, from), nil
        if last then
            stop = select(2, source:find("]" .. level .. "]", last + 1, true)) or #source
        elseif start > from then
            stop = (source:find("\n", from, true) or #source + 1) - 1
        elseif char == '"' or char == "'" then
            stop = from + 1
            while stop <= #source and source:sub(stop, stop) ~= char do
                stop = stop + (source:sub(stop, stop) == "\\" and 2 or 1)
            end
        end
        out[#out + 1] = stop and blank(source:sub(from, stop)) or char
        at = (stop or from) + 1
    end
    return table.concat(out) .. source:sub(at)
end

local function unknown_names(file, source, known, complaints)
    local list, code, line, counted = sorted(known), code_of(source), 1, 1
    for before, at, name in code:gmatch "(%f[%w_]mw%s*%.%s*)()([%a_][%w_]*)" do
        local previous = code:sub(at - #before - 1, at - #before - 1)
        if not known[name] and previous ~= "." and previous ~= ":" then
            local _, newlines = code:sub(counted, at):gsub("\n", "")
            line, counted = line + newlines, at + 1
            complaints[#complaints + 1] = ("%s:%d: unknown name 'mw.%s'%s"):format(file, line, name,
                suggest.hint(name, list))
        end
    end
end

-- Files beside the script share its environment: what they set is known as well.
local function sets_of(file, source, seen)
    local chunk = load(source, "@" .. file, "t", {})
    local found = chunk and globals.of(chunk)
    local sets = found and found.sets or {}
    for name in source:gmatch "require%s*%(?%s*[\"']([%w_.-]+)[\"']" do
        local beside = (file:match "^(.*/)" or "") .. name:gsub("%.", "/") .. ".lua"
        local more = not seen[beside] and read(beside)
        seen[beside] = true
        for set in pairs(more and sets_of(beside, more, seen) or {}) do
            sets[set] = true
        end
    end
    return sets
end

--- Complaints about `file`, each "file:line: what".
---@param file string
---@return string[]
function M.script(file)
    local source, err = read(file)
    if not source then
        return { err }
    end
    local chunk
    chunk, err = load(source, "@" .. file, "t", {})
    if not chunk then
        return { err }
    end
    local known, complaints = sets_of(file, source, { [file] = true }), {}
    for name in pairs(require("moonwatch.sandbox").environment({}, "")) do
        known[name] = true
    end
    local found, said = globals.of(chunk), {}
    for _, read_one in ipairs(found and found.reads or {}) do
        local name = read_one.name
        if name and not known[name] and not said[name] then
            said[name] = true
            complaints[#complaints + 1] = ("%s:%d: unknown global '%s'%s"):format(file, read_one.line, name,
                suggest.hint(name, sorted(known)))
        end
    end
    unknown_names(file, source, documented(), complaints)
    return complaints
end

return M
