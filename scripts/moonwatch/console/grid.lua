--- Rows in columns.
local colour = require "moonwatch.console.colour"

local M = {}

-- Columns that a text takes on the screen: characters, near enough.
local function width_of(text)
    local plain = colour.strip(text)
    return utf8.len(plain) or #plain
end

--- One line of it: no control characters, and at most `longest` columns.
function M.cell(value, longest)
    local text = value == nil and "" or tostring(value)
    text = text:gsub("[\r\n\t]+", " "):gsub("%c", "?")
    if not utf8.len(text) then
        text = text:gsub("[\128-\255]", "?")
    end
    if longest and utf8.len(text) > longest then
        text = text:sub(1, utf8.offset(text, longest) - 1) .. "…"
    end
    return text
end

---@param titles string[]
---@param rows string[][]          cells, ready to print
---@param colours moonwatch.Colours
---@return string
function M.render(titles, rows, colours)
    local widths = {}
    for column, title in ipairs(titles) do
        widths[column] = width_of(title)
        for _, row in ipairs(rows) do
            widths[column] = math.max(widths[column], width_of(row[column]))
        end
    end
    local function line(cells, paint)
        local parts = {}
        for column, cell in ipairs(cells) do
            local padding = column < #cells and (" "):rep(widths[column] - width_of(cell)) or ""
            parts[column] = (paint and colours:paint(paint, cell) or cell) .. padding
        end
        return (table.concat(parts, "  "):gsub("%s+$", ""))
    end
    local lines = { line(titles, "bold") }
    for _, row in ipairs(rows) do
        lines[#lines + 1] = line(row)
    end
    return table.concat(lines, "\n")
end

return M
