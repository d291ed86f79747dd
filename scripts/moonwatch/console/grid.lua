--- Rows in columns.
local colour = require "moonwatch.console.colour"

local M = {}

-- Characters that take two columns (Unicode's East Asian Width W and F, in large), and those that take none.
local wide = {
    { 0x1100, 0x115F }, { 0x2E80, 0x303E }, { 0x3041, 0xA4CF }, { 0xAC00, 0xD7A3 }, { 0xF900, 0xFAFF },
    { 0xFE30, 0xFE6F }, { 0xFF00, 0xFF60 }, { 0xFFE0, 0xFFE6 }, { 0x1F300, 0x1F64F }, { 0x1F900, 0x1FAFF },
    { 0x20000, 0x3FFFD },
}
local none = { { 0x0300, 0x036F }, { 0x200B, 0x200F }, { 0xFE00, 0xFE0F } }

local function within(ranges, code)
    for _, range in ipairs(ranges) do
        if code >= range[1] and code <= range[2] then
            return true
        end
    end
    return false
end

--- Columns that a text takes on the screen.
---@param text string
---@return integer
function M.width(text)
    local plain = colour.strip(text)
    if not plain:find "[\128-\255]" or not utf8.len(plain) then
        return #plain
    end
    local columns = 0
    for _, code in utf8.codes(plain) do
        columns = columns + (within(wide, code) and 2 or within(none, code) and 0 or 1)
    end
    return columns
end

--- One line of it: no control characters, and at most `longest` columns.
function M.cell(value, longest)
    local text = value == nil and "" or tostring(value)
    text = text:gsub("[\r\n\t]+", " "):gsub("%c", "?")
    if not utf8.len(text) then
        text = text:gsub("[\128-\255]", "?")
    end
    text = text:gsub("\xc2[\x80-\x9f]", "?") -- terminals obey some of these control characters as well
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
        widths[column] = M.width(title)
        for _, row in ipairs(rows) do
            widths[column] = math.max(widths[column], M.width(row[column]))
        end
    end
    local function line(cells, paint)
        local parts = {}
        for column, cell in ipairs(cells) do
            local padding = column < #cells and (" "):rep(widths[column] - M.width(cell)) or ""
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
