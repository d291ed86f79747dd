--- Path patterns: `*` is one segment (or a part of one: `web-*`), `**` any number of segments at the end.
local lpeg = require "lpeg"
local grammar = require "moonwatch.grammar"

local M = {}

local longest = 1024 -- as a path

---@class moonwatch.Pattern
---@field text string
---@field prefix string                         the literal part: what to subscribe to
---@field depth "self"|"children"|"subtree"     and how deep
---@field match fun(path: string): boolean

local function segments(text)
    if text:sub(1, 1) ~= "/" then
        return grammar.fail("pattern", text, 1, "it starts with '/'")
    elseif not utf8.len(text) then
        return grammar.fail("pattern", text, select(2, utf8.len(text)), "this is not UTF-8")
    end
    local list = {}
    for at, segment in text:sub(2):gmatch "()([^/]*)" do
        list[#list + 1] = segment
        if segment == "" then
            return grammar.fail("pattern", text, at + 1, "a segment is empty")
        elseif segment == "." or segment == ".." then
            return grammar.fail("pattern", text, at + 1, "'.' and '..' are no segments")
        elseif segment:find("**", 1, true) and (segment ~= "**" or at + #segment < #text) then
            return grammar.fail("pattern", text, at + 1, "'**' stands alone, as the last segment")
        end
    end
    return list
end

-- A piece after a star is found at its first place, the last one at the end of the segment: no backtracking is needed.
local function segment_matcher(segment)
    local inside, stop = 1 - lpeg.P "/", -lpeg.P(1) + #lpeg.P "/"
    local first, rest = segment:match "^([^*]*)(.*)$"
    local matcher = lpeg.P(first)
    while rest ~= "" do
        local piece, after = rest:match "^%*([^*]*)(.*)$"
        local wanted = after == "" and lpeg.P(piece) * stop or lpeg.P(piece)
        matcher, rest = matcher * (inside - wanted) ^ 0 * wanted, after
    end
    return matcher
end

local function compile(list)
    local matcher, some = lpeg.P(true), (1 - lpeg.P "/") ^ 1
    for _, segment in ipairs(list) do
        local one = segment == "*" and some
            or segment == "**" and lpeg.P(1) ^ 1
            or segment:find("*", 1, true) and #lpeg.P(1 - lpeg.P "/") * segment_matcher(segment)
            or lpeg.P(segment)
        matcher = matcher * lpeg.P "/" * one
    end
    return matcher * -lpeg.P(1)
end

local function literal_prefix(list)
    local prefix, count = "", 0
    for _, segment in ipairs(list) do
        if segment:find("*", 1, true) then
            break
        end
        prefix, count = prefix .. "/" .. segment, count + 1
    end
    return prefix, count
end

--- Compile `text`; the same pattern again costs nothing that matters.
---@param text string
---@return moonwatch.Pattern? pattern
---@return string? err
function M.compile(text)
    local ok, err = grammar.check("pattern", text, longest)
    if not ok then
        return nil, err
    end
    local list
    list, err = segments(text)
    if not list then
        return nil, err
    end
    local prefix, literal = literal_prefix(list)
    local rest = #list - literal
    local depth = rest == 0 and "self" or list[#list] ~= "**" and rest == 1 and "children" or "subtree"
    local matcher = compile(list)
    return {
        text = text,
        prefix = prefix == "" and "/" or prefix,
        depth = depth,
        match = function(path)
            return matcher:match(path) ~= nil
        end,
    }
end

return M
