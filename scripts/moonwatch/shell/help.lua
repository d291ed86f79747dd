--- help(x): from the LuaLS stubs, the same text that editors and the manual show.
local M = {}

---@class moonwatch.Help
---@field name string          "mw.sleep", "Registry:get"
---@field signature string
---@field text string[]        the lines of its comment

local function read_stubs()
    local lines = {}
    for _, name in ipairs { "moonwatch", "scripts" } do
        for line in io.lines(assert(package.searchpath("moonwatch.meta." .. name, package.path))) do
            lines[#lines + 1] = line
        end
    end
    return lines
end

-- "---@return string? value   why" as "returns string? value   why"
local function annotation(line)
    local kind, rest = line:match "^%-%-%-@(%a+)%s*(.*)$"
    if kind == "param" or kind == "return" or kind == "field" then
        return (kind == "return" and "returns " or kind == "param" and "takes " or "") .. rest
    end
    return nil
end

--- The documented functions, classes and values, by name.
---@param lines string[]?      for specs; the stubs otherwise
---@return table<string, moonwatch.Help>
function M.parse(lines)
    local found, comment = {}, {}
    for _, line in ipairs(lines or read_stubs()) do
        local class, about = line:match "^%-%-%-@class%s+([%w_.]+)%S*%s*(.*)$"
        local name, arguments = line:match "^function ([%w_.:]+)(%b())"
        if class then
            comment = { about ~= "" and about or nil }
            found[class] = { name = class, signature = class, text = comment }
        elseif name then
            found[name] = { name = name, signature = name .. arguments, text = comment }
            comment = {}
        elseif line:find "^%-%-%-@" then
            comment[#comment + 1] = annotation(line)
        elseif line:find "^%-%-%-" then
            comment[#comment + 1] = (line:gsub("^%-%-%-%s?", ""))
        else
            comment = {}
        end
    end
    return found
end

--- The function values of the public API, by what they are: so that help(mw.sleep) finds its name.
function M.names(mw)
    local names = {}
    local function add(prefix, separator, from)
        for key, value in pairs(from) do
            if type(key) == "string" and type(value) == "function" and not names[value] then
                names[value] = prefix .. separator .. key
            end
        end
    end
    local library = (getmetatable(mw) or {}).__index
    add("mw", ".", mw)
    add("mw", ".", type(library) == "table" and library or {})
    for _, part in ipairs { "log", "json" } do
        add("mw." .. part, ".", mw[part] or {})
    end
    for class, methods in pairs(require("moonwatch.core").classes or {}) do
        add(class:match "[^.]+$", ":", methods)
    end
    return names
end

local function similar(found, wanted)
    local names = {}
    for name in pairs(found) do
        if name:lower():find(wanted:lower(), 1, true) then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return names
end

local function show(entry, colours)
    local lines = { colours:paint("bold", entry.signature) }
    for _, line in ipairs(entry.text) do
        lines[#lines + 1] = "  " .. line
    end
    return table.concat(lines, "\n")
end

local function class_of(value)
    local meta = getmetatable(value)
    return type(meta) == "table" and rawget(meta, "__name") or nil
end

local function overview(found, colours)
    local names = similar(found, "mw.")
    return table.concat({
        colours:paint("bold",
            "Every line is Lua; a bare expression prints. Calls that wait just wait; Ctrl-C ends them."),
        "  cd ls tree cat stat watch unwatch nodes locks sessions   short forms; `help ls` and so on",
        "  mw.registry:get('/a')   mw.nodes()   mw.registry:lock('/l'):acquire()",
        "  help 'Registry:get', help(mw.sleep), help 'lock': what is documented",
        "Functions: " .. table.concat(names, " "),
    }, "\n")
end

--- The help on `what`: a name, a function, an object; nothing = an overview.
function M.about(what, mw, colours)
    local found = M.parse()
    if what == nil then
        return overview(found, colours)
    end
    local name = type(what) == "string" and what or M.names(mw)[what] or class_of(what)
    local method = name and found["Registry:" .. (name:match "^mw%.([%w_]+)$" or "")]
    if method and found[name] and #found[name].text == 0 then -- the same on the engine's own registry
        return show({ signature = found[name].signature, text = method.text }, colours)
    elseif name and found[name] then
        return show(found[name], colours)
    end
    local names = name and similar(found, name) or {}
    if #names == 1 then
        return show(found[names[1]], colours)
    elseif #names > 1 then
        return table.concat(names, "\n")
    end
    return ("nothing is documented about %s"):format(tostring(name or what))
end

return M
