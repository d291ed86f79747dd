--- Where in a file our configuration stands: an application's has parts of ours, a file of our own is nothing else.
local settings = require "moonwatch.settings"

local M = {}

---@class moonwatch.ConfigRoot
---@field map table
---@field name string?     nil: it is the whole file
---@field open boolean     what we do not know may stand beside

--- The parts of the file that speak of us, and how strict to be with what stands beside.
---@param tree table
---@return moonwatch.ConfigRoot[]
function M.find(tree)
    local found = {}
    for _, name in ipairs { "moonwatch", "streampark" } do
        if type(tree[name]) == "table" then
            found[#found + 1] = { map = tree[name], name = name, open = name == "streampark" }
        end
    end
    return #found > 0 and found or { { map = tree, open = false } }
end

--- Outside of our parts all is the application's. What bears one of our names may be meant for us, and would silently
--- not be read. Remarks, no complaints: the application may have such a key.
---@param reader table     of moonwatch.schema
---@param tree table
---@param list moonwatch.ConfigRoot[]
---@return string[]
function M.remarks(reader, tree, list)
    local remarks = {}
    for name in pairs(list[1].map == tree and {} or tree) do
        if name == "registry" or settings.sections[name] and name ~= "app" then
            remarks[#remarks + 1] = ("%s:%s: '%s' is not read here: ours stands below 'moonwatch:'"):format(
                reader.file, reader:place(tree, name), name)
        end
    end
    table.sort(remarks)
    return remarks
end

return M
