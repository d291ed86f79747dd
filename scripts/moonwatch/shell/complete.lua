--- What Tab may add: Lua names and methods, and registry paths.
local short = require "moonwatch.shell.short"

local M = {}

local most = 200

-- Names in a table and what it inherits, without calling anything.
local function names_in(value, names)
    for _ = 1, 8 do
        local kind = type(value)
        if kind == "table" then
            for key in next, value do
                if type(key) == "string" and key:find "^[%a_][%w_]*$" then
                    names[key] = true
                end
            end
        end
        local meta = kind == "string" and getmetatable "" or kind ~= "string" and getmetatable(value)
        local class = type(meta) == "table" and rawget(meta, "__name")
        local methods = class and (require("moonwatch.core").classes or {})[class]
        for key in pairs(methods or {}) do
            names[key] = true
        end
        value = type(meta) == "table" and rawget(meta, "__index")
        if type(value) ~= "table" then
            return
        end
    end
end

-- The value of "a.b.c", by plain look-ups.
local function resolve(chain, env)
    local value = env
    for name in chain:gmatch "[%a_][%w_]*" do
        local ok, found = pcall(function() return value[name] end)
        if not ok or found == nil then
            return nil
        end
        value = found
    end
    return value
end

local function starting_with(names, prefix)
    local found = {}
    for name in pairs(names) do
        if name:sub(1, #prefix) == prefix then
            found[#found + 1] = name
        end
    end
    table.sort(found)
    return found
end

local function lua_names(text, env, words)
    local chain, _, prefix = text:match "([%a_][%w_.]*)([.:])([%w_]*)$"
    local names = {}
    if chain then
        local value = resolve(chain, env)
        if value == nil then
            return {}, prefix
        end
        names_in(value, names)
        return starting_with(names, prefix), prefix
    end
    prefix = text:match "[%a_][%w_]*$" or ""
    names_in(env, names)
    if text:find "^%s*[%a]*$" then
        for _, word in ipairs(words) do
            names[word] = true
        end
    end
    return prefix ~= "" and starting_with(names, prefix) or {}, prefix
end

-- The path that is being typed, an argument of a short form or inside a string, and its quote ("": none).
local function path_prefix(text)
    local typed, open = short.typed(text)
    if typed then
        return typed, open
    end
    local quote, quoted = text:match "([\"'])(/[^\"']*)$"
    return quoted, quote
end

-- As it must be typed there.
local function escaped(text, open)
    return (text:gsub(open == "" and "[%s\\\"']" or "[\\" .. open .. "]", "\\%0"))
end

local function paths(typed, cwd, children)
    local folder, prefix = typed:match "^(.*/)([^/]*)$"
    local parent = folder == "/" and "/" or folder and folder:gsub("/$", "") or cwd
    if folder and folder:sub(1, 1) ~= "/" then
        parent = (cwd == "/" and "" or cwd) .. "/" .. parent
    end
    prefix = prefix or typed
    local found = {}
    for _, name in ipairs(children(parent) or {}) do
        if name:sub(1, #prefix) == prefix then
            found[#found + 1] = name
        end
    end
    return found, prefix
end

local function common(list)
    local shared = list[1] or ""
    for _, item in ipairs(list) do
        while item:sub(1, #shared) ~= shared do
            shared = shared:sub(1, -2)
        end
    end
    return shared
end

---@param text string             the line up to the cursor
---@param env table               where names are looked up
---@param cwd string
---@param words string[]          the short forms
---@param children fun(path: string): string[]?
---@return {insert: string, candidates: string[], more: integer?}
function M.complete(text, env, cwd, words, children)
    local typed, open = path_prefix(text)
    local found, prefix
    if typed then
        found, prefix = paths(typed, cwd, children)
    else
        found, prefix = lua_names(text, env, words)
    end
    local insert = common(found):sub(#prefix + 1)
    insert = typed and escaped(insert, open) or insert
    local more = #found > most and #found - most or nil
    return { insert = insert, candidates = table.move(found, 1, math.min(#found, most), 1, {}), more = more }
end

return M
