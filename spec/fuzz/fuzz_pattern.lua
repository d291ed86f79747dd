--- Path patterns against a matcher that tries everything.
local pattern = require "moonwatch.pattern"
local promises = require "promises"

local function split(path)
    local list = {}
    for segment in path:sub(2):gmatch "[^/]*" do
        list[#list + 1] = segment
    end
    return list
end

local function glob(wanted, text)
    if wanted == "" then
        return text == ""
    elseif wanted:sub(1, 1) ~= "*" then
        return wanted:sub(1, 1) == text:sub(1, 1) and glob(wanted:sub(2), text:sub(2))
    end
    for skip = 0, #text do
        if glob(wanted:sub(2), text:sub(skip + 1)) then
            return true
        end
    end
    return false
end

local function naive(wanted, path)
    local open = wanted[#wanted] == "**"
    if open and #path < #wanted or not open and #path ~= #wanted then
        return false
    end
    for i, one in ipairs(wanted) do
        if not (open and i == #wanted) and not glob(one, path[i]) then
            return false
        end
    end
    return true
end

local function covered(compiled, path)
    local below = compiled.prefix == "/" and path or path:sub(#compiled.prefix + 1)
    if compiled.depth == "self" then
        return path == compiled.prefix
    end
    return below:sub(1, 1) == "/" and (compiled.prefix == "/" or path:sub(1, #compiled.prefix) == compiled.prefix)
        and (compiled.depth == "subtree" or not below:find("/", 2, true))
end

return function(text)
    local compiled, err = pattern.compile(text)
    if not compiled then
        return promises.complaint(err, "pattern: ")
    end
    local wanted = split(text)
    local simple = select(2, text:gsub("%*", "*")) <= 4 and #text <= 64 -- the naive matcher is exponential
    for _, filler in ipairs { "x", "xy", "x/y", "a", "ab" } do
        local path = text:gsub("%*+", filler)
        local matched = compiled.match(path)
        if simple then
            assert(matched == naive(wanted, split(path)), "the naive matcher disagrees about " .. path)
        end
        assert(not matched or covered(compiled, path), "a match that its subscription would not see: " .. path)
        compiled.match(path:sub(1, -2))
    end
end
