--- The line that bash completes: its words, and how an answer stands in it. Nothing of it is evaluated.
local M = {}

-- What a backslash stands before, outside of quotes and in double ones; in single ones it is a plain character.
local special = { [""] = "[^%w_./:=@%%+,\128-\255-]", ['"'] = '[\\"$`]' }

local function quoted(text, quote)
    if quote == "'" then
        return (text:gsub("'", "'\\''"))
    end
    return (text:gsub(special[quote], "\\%0"))
end

--- The words of `line`, which ends at the cursor: the last one is being typed, and may be empty. Readline replaces only
--- what stands behind an open quote, or else behind the last of `breaks` that is not quoted: `quote` makes that of an
--- answer.
---@param line string
---@param breaks string     $COMP_WORDBREAKS
---@return string[] words
---@return fun(answer: string): string quote
function M.split(line, breaks)
    local words, word, open, opened, broken = {}, "", "", 0, 0
    local at, started = 1, false
    while at <= #line do
        local char = line:sub(at, at)
        if open ~= "'" and char == "\\" and (open == "" or line:find(special['"'], at + 1) == at + 1) then
            at, started = at + 1, true
            word = word .. line:sub(at, at)
        elseif char == open then
            open = ""
        elseif open == "" and (char == '"' or char == "'") then
            open, opened, started = char, #word, true
        elseif open == "" and char:find "%s" then
            words[#words + 1] = started and word or nil
            word, broken, started = "", 0, false
        else
            word, started = word .. char, true
            broken = open == "" and breaks:find(char, 1, true) and #word or broken
        end
        at = at + 1
    end
    words[#words + 1] = word
    local from = open ~= "" and opened or broken
    return words, function(answer) return quoted(answer:sub(from + 1), open) end
end

return M
