--- Results in the format that was asked for: a table for people; JSON, YAML and tab-separated values for programs.
local colour = require "moonwatch.console.colour"
local grid = require "moonwatch.console.grid"

local M = { formats = { "table", "json", "yaml", "tsv" } }

---@class moonwatch.Column
---@field name string                  the field, and the name that programs see
---@field title string?                for people; the name in capitals otherwise
---@field show (fun(value: any, row: table): string)?    for people
---@field give (fun(value: any): any)?    for programs, where the value as it stands would not do
---@field wide boolean?                may be cut to fit

local function show_cell(column, row)
    local value = row[column.name]
    if column.show then
        value = column.show(value, row)
    end
    return grid.cell(value, column.wide and 60 or nil)
end

local function as_table(rows, columns, colours)
    local titles, cells = {}, {}
    for i, column in ipairs(columns) do
        titles[i] = column.title or column.name:upper()
    end
    for i, row in ipairs(rows) do
        cells[i] = {}
        for j, column in ipairs(columns) do
            cells[i][j] = show_cell(column, row)
        end
    end
    return grid.render(titles, cells, colours) .. "\n"
end

local function given(column, row)
    local value = row[column.name]
    if value ~= nil and column.give then
        return column.give(value)
    end
    return value
end

-- One line each; tabs, newlines and backslashes escaped, so that a line is a row whatever the values hold.
local function as_tsv(rows, columns)
    local lines = {}
    for _, row in ipairs(rows) do
        local cells = {}
        for i, column in ipairs(columns) do
            local value = given(column, row)
            value = type(value) == "table" and M.json(value) or value == nil and "" or tostring(value)
            cells[i] = value:gsub("[\\\t\n\r]", { ["\\"] = "\\\\", ["\t"] = "\\t", ["\n"] = "\\n", ["\r"] = "\\r" })
        end
        lines[#lines + 1] = table.concat(cells, "\t") .. "\n"
    end
    return table.concat(lines)
end

-- Only the named fields, and texts that JSON can carry: other bytes go as base64 under NAME_base64.
local function plain(row, columns)
    local out = {}
    for _, column in ipairs(columns) do
        local value = given(column, row)
        if type(value) == "string" and not utf8.len(value) then
            out[column.name .. "_base64"] = require("moonwatch.console.base64").encode(value)
        else
            out[column.name] = value
        end
    end
    return out
end

function M.json(value)
    return require("moonwatch.json").encode(value)
end

--- The text of `rows` (tables) in `format`, with the fields that `columns` names.
---@param rows table[]
---@param columns moonwatch.Column[]
---@param format "table"|"json"|"yaml"|"tsv"
---@param colours moonwatch.Colours?
---@return string
function M.rows(rows, columns, format, colours)
    if format == "tsv" then
        return as_tsv(rows, columns)
    elseif format == "table" then
        return as_table(rows, columns, colours or colour.none)
    end
    local list = {}
    for i, row in ipairs(rows) do
        list[i] = plain(row, columns)
    end
    if format == "yaml" then
        return #list == 0 and "[]\n" or require("moonwatch.emit").yaml(list)
    end
    return (#list == 0 and "[]" or M.json(list)) .. "\n"
end

--- One row: an object instead of a list of one.
function M.row(row, columns, format, colours)
    if format == "json" then
        return M.json(plain(row, columns)) .. "\n"
    elseif format == "yaml" then
        return require("moonwatch.emit").yaml(plain(row, columns))
    elseif format == "tsv" then
        return as_tsv({ row }, columns)
    end
    colours = colours or colour.none
    local lines, widest = {}, 0
    for _, column in ipairs(columns) do
        widest = math.max(widest, #column.name)
    end
    for _, column in ipairs(columns) do
        lines[#lines + 1] = ("%s%s  %s\n"):format(colours:paint("bold", column.name),
            (" "):rep(widest - #column.name), show_cell(column, row))
    end
    return table.concat(lines)
end

--- "3 m ago" of seconds since 1970.
function M.ago(time, now)
    local seconds = math.max(0, math.floor((now or os.time()) - time))
    for _, unit in ipairs { { 86400, "d" }, { 3600, "h" }, { 60, "m" } } do
        if seconds >= unit[1] then
            return ("%d %s ago"):format(seconds // unit[1], unit[2])
        end
    end
    return seconds .. " s ago"
end

function M.session(id)
    return id and ("%x"):format(id) or "-"
end

return M
