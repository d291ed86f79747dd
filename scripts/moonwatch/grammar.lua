--- What the small parsers share: bounded input, and complaints that quote it and name the byte.
local M = {}

M.longest = 4096

--- `text` with control bytes and invalid UTF-8 escaped: safe for a terminal and a log.
---@param text string
---@return string
function M.printable(text)
    local unsafe = utf8.len(text) and "[%c]" or "[%c\128-\255]"
    return (text:gsub(unsafe, function(char)
        return ("\\x%02x"):format(char:byte())
    end))
end

--- The same in quotes, shortened.
---@param text string
---@return string
function M.quote(text)
    if #text > 60 then
        text = text:sub(1, 57) .. "..."
    end
    return "'" .. M.printable(text) .. "'"
end

--- The result of a parser that gives up: nil and one line.
---@param kind string      "duration"
---@param text string      what was parsed
---@param at integer       the byte where it went wrong
---@param why string
---@return nil, string
function M.fail(kind, text, at, why)
    return nil, ("%s: %s at byte %d: %s"):format(kind, M.quote(text), at, why)
end

--- Is `text` something that a parser may look at? Otherwise nil and one line.
---@param kind string
---@param text any
---@param longest integer?
---@return true?, string?
function M.check(kind, text, longest)
    if type(text) ~= "string" then
        return nil, ("%s: a text was expected, not %s"):format(kind, text == nil and "nothing" or "a " .. type(text))
    elseif text == "" then
        return nil, kind .. ": it is empty"
    elseif #text > (longest or M.longest) then
        return nil, ("%s: it has %d bytes; at most %d are read"):format(kind, #text, longest or M.longest)
    end
    local control = text:find("%c")
    if control then
        return M.fail(kind, text, control, "a control character")
    end
    return true
end

return M
