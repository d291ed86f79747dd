--- What people look at, as rows and columns: entries, trees, nodes, locks, sessions. Shared by shell and commands.
local output = require "moonwatch.console.output"

local M = {}

-- In hexadecimal for programs too: a 64-bit number does not survive their JSON.
local function owner(id)
    return output.session(id)
end

local function when(time)
    return time and output.ago(time) or "-"
end

---@type moonwatch.Column[]
M.entries = {
    { name = "path" },
    { name = "value", wide = true },
    { name = "version" },
    { name = "revision" },
    { name = "owner", show = owner, give = owner },
    { name = "mtime", title = "CHANGED", show = when },
}

---@type moonwatch.Column[]
M.entry = {
    { name = "path" }, { name = "value" }, { name = "version" }, { name = "revision" }, { name = "created" },
    { name = "owner", show = owner, give = owner }, { name = "ctime", show = when }, { name = "mtime", show = when },
}

--- All but the value.
---@type moonwatch.Column[]
M.stat = {}
for _, column in ipairs(M.entry) do
    M.stat[#M.stat + 1] = column.name ~= "value" and column or nil
end

--- What became of a write.
---@type moonwatch.Column[]
M.written = {
    { name = "path" }, { name = "version" }, { name = "revision" }, { name = "created" },
    { name = "owner", show = owner, give = owner },
}

local function share(value)
    return value and ("%d%%"):format(math.floor(value * 100 + 0.5)) or "-"
end

---@type moonwatch.Column[]
M.nodes = {
    { name = "role" },
    { name = "address" },
    { name = "status" },
    { name = "load", title = "CPU", show = function(load) return share(load and load.cpu) end },
    { name = "memory", title = "MEMORY", show = function(_, node) return share(node.load and node.load.memory) end },
    { name = "weight" },
    { name = "started", show = when },
    { name = "id", title = "MAC" },
    { name = "key", wide = true },
}

---@type moonwatch.Column[]
M.locks = {
    { name = "path" },
    { name = "state" },
    { name = "token", show = function(token) return token and token > 0 and tostring(token) or "-" end },
    { name = "owner", show = owner, give = owner },
    { name = "value", title = "WHO", wide = true },
    { name = "ctime", title = "SINCE", show = when },
}

---@type moonwatch.Column[]
M.sessions = {
    { name = "id", show = owner, give = owner },
    { name = "name" },
    { name = "opened", show = when },
    { name = "expires", show = function(time)
        return time and ("in %d s"):format(math.max(0, math.floor(time - os.time()))) or "-"
    end },
}

---@type moonwatch.Column[]
M.events = {
    { name = "type" }, { name = "path" }, { name = "value", wide = true }, { name = "previous", wide = true },
    { name = "version" }, { name = "revision" }, { name = "owner", show = owner, give = owner },
}

--- Members of lock queues, with who holds and who waits.
function M.queue_rows(members)
    local rows = {}
    for i, member in ipairs(members) do
        local row = setmetatable({ state = (member.token or 0) > 0 and "held" or "waiting" }, { __index = member })
        for _, column in ipairs(M.locks) do
            row[column.name] = row[column.name]
        end
        rows[i] = row
    end
    return rows
end

--- The lines of a tree below `root`, from its entries sorted by path.
---@param entries moonwatch.Entry[]
---@param root string
---@param colours moonwatch.Colours
function M.tree(entries, root, colours)
    local base = root == "/" and "" or root
    local children = {}
    for _, entry in ipairs(entries) do
        local parent = entry.path:match "^(.*)/[^/]+$"
        children[parent] = children[parent] or {}
        table.insert(children[parent], entry)
    end
    local lines = { colours:paint("bold", root) }
    local function walk(path, indent)
        local here = children[path] or {}
        for i, entry in ipairs(here) do
            local last = i == #here
            local value = entry.value ~= "" and colours:paint("grey", " = " .. require("moonwatch.console.grid")
                .cell(entry.value, 60)) or ""
            local mark = entry.owner and colours:paint("yellow", " *") or ""
            lines[#lines + 1] = ("%s%s%s%s%s"):format(indent, last and "└── " or "├── ",
                entry.path:match "[^/]+$", mark, value)
            walk(entry.path, indent .. (last and "    " or "│   "))
        end
    end
    walk(base, "")
    return table.concat(lines, "\n")
end

--- Lists of entries and nodes print as tables: their columns; nil when `value` is none.
function M.columns_of(value)
    local first = type(value) == "table" and rawget(value, 1)
    if type(first) ~= "table" then
        return nil
    elseif first.path and first.version and first.created then
        return M.entries
    elseif first.address and first.incarnation then
        return M.nodes
    elseif first.path and first.token then
        return M.locks
    end
end

return M
