--- The environment of a startup script. Scripts are trusted like configuration, but accidents are contained: an `_ENV`
-- of its own from an allow-list, source text only, no debug, os.exit, io.popen or package.
local core = require "moonwatch.core"

local M = {}

local plain = {
    "assert", "error", "ipairs", "next", "pairs", "pcall", "print", "rawequal", "rawget", "rawlen", "rawset", "select",
    "setmetatable", "tonumber", "tostring", "type", "warn", "xpcall", "_VERSION",
}

local libraries = {
    string = { "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "pack", "packsize", "rep",
        "reverse", "sub", "unpack", "upper" },
    table = { "concat", "insert", "move", "pack", "remove", "sort", "unpack" },
    math = { "abs", "acos", "asin", "atan", "ceil", "cos", "deg", "exp", "floor", "fmod", "huge", "log", "max",
        "maxinteger", "min", "mininteger", "modf", "pi", "rad", "random", "randomseed", "sin", "sqrt", "tan",
        "tointeger", "type", "ult" },
    utf8 = { "char", "charpattern", "codepoint", "codes", "len", "offset" },
    coroutine = { "close", "create", "isyieldable", "resume", "running", "status", "wrap", "yield" },
    os = { "clock", "date", "difftime", "getenv", "remove", "rename", "time", "tmpname" },
    io = { "lines", "open", "read", "stderr", "stdout", "type", "write" },
}

-- What `require` gives as in any Lua program; everything else is a file beside the script.
local modules = { lpeg = true, re = true, cjson = true, ["cjson.safe"] = true }

local function text_only(load_env)
    return function(chunk, name, mode, env)
        if mode ~= nil and mode ~= "t" and mode ~= "bt" then
            error("bad argument 'mode' to 'load': source text only", 2)
        end
        return load(chunk, name, "t", env == nil and load_env or env)
    end
end

local function guarded_getmetatable(value)
    if type(value) ~= "table" and type(value) ~= "userdata" then
        return nil -- of strings: shared by all scripts
    end
    return getmetatable(value)
end

-- Files beside the script, each once, in the script's own environment.
local function local_modules(env, folder)
    local loaded, loading = {}, {}
    return function(name)
        local file = folder .. name:gsub("%.", "/") .. ".lua"
        if loading[file] then
            core.misuse(("module '%s' is being loaded: it requires itself, or another task is at it"):format(name))
        elseif loaded[file] == nil then
            local chunk, err = loadfile(file, "t", env)
            if not chunk then
                core.misuse(("module '%s' not found: none of ours, and %s"):format(name, err))
            end
            loading[file] = true
            local over <close> = setmetatable({}, { -- luacheck: ignore 211
                __close = function() loading[file] = nil end,
            })
            local value = chunk(name)
            loaded[file] = value == nil and true or value
        end
        return loaded[file]
    end
end

local function requirer(env, api, folder)
    local from_file = local_modules(env, folder)
    return function(name)
        if type(name) ~= "string" then
            error("bad argument 'name' to 'require': string expected, got " .. type(name), 2)
        elseif name == "moonwatch" then
            return api
        elseif libraries[name] then
            return env[name]
        elseif modules[name] or name ~= "moonwatch.core" and name:find "^moonwatch%.[%w_.]+$" then
            return require(name)
        elseif name == "debug" or name == "package" or not name:find "^[%w_][%w_.-]*$" then
            error(("module '%s' is not for scripts"):format(name), 2)
        end
        return from_file(name)
    end
end

--- A fresh environment in which `mw` is `api`. `require` finds the script's files in `folder` ("" or ending in "/").
---@param api table
---@param folder string
---@return table env
function M.environment(api, folder)
    local env = { mw = api }
    env._G = env
    for _, name in ipairs(plain) do
        env[name] = _G[name]
    end
    for library, names in pairs(libraries) do
        env[library] = {}
        for _, name in ipairs(names) do
            env[library][name] = _G[library][name]
        end
    end
    env.getmetatable = guarded_getmetatable
    env.load = text_only(env)
    env.collectgarbage = function(what)
        if what ~= nil and what ~= "count" then
            error("bad argument 'what' to 'collectgarbage': only \"count\" is for scripts", 2)
        end
        return collectgarbage "count"
    end
    env.require = requirer(env, api, folder)
    return env
end

--- What the compiler sees of a file, as in stock Lua: no byte order mark, and no "#!/usr/bin/env moonwatch".
---@param text string
---@return string
function M.source(text)
    return (text:gsub("^\xEF\xBB\xBF", ""):gsub("^#[^\n]*", ""))
end

--- Compile `source` (text only) as `name`, in a fresh environment.
---@return function? chunk
---@return table|string env   or what is wrong, with file and line
function M.compile(source, name, api)
    local env = M.environment(api, name:match "^(.*/)" or "")
    local chunk, err = load(M.source(source), "@" .. name, "t", env)
    if not chunk then
        return nil, err
    end
    return chunk, env
end

return M
