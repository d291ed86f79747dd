--- "did you mean": the known word nearest to a misspelt one.
local M = {}

-- Optimal string alignment: insertions, deletions, replacements, and two neighbours swapped.
local function distance(a, b)
    local before, last, row = {}, {}, {}
    for j = 0, #b do
        last[j] = j
    end
    for i = 1, #a do
        row[0] = i
        for j = 1, #b do
            local cost = a:byte(i) == b:byte(j) and 0 or 1
            row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost)
            if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
                row[j] = math.min(row[j], before[j - 2] + 1)
            end
        end
        before, last, row = last, row, before
    end
    return last[#b]
end

--- The one of `known` (a list) that is near enough to `word`, or nil. `-` and `_` and capitals do not count.
---@param word string
---@param known string[]
---@return string?
function M.nearest(word, known)
    if #word > 64 then
        return nil
    end
    local function plain(text)
        return (text:lower():gsub("[-_]", ""))
    end
    local best, least = nil, math.max(1, #word // 3) + 1
    for _, candidate in ipairs(known) do
        local d = distance(plain(word), plain(candidate))
        if d < least or (d == least and best and candidate < best) then
            best, least = candidate, d
        end
    end
    return best
end

--- "; did you mean 'x'?" or "".
---@param word string
---@param known string[]
---@return string
function M.hint(word, known)
    local best = M.nearest(word, known)
    return best and ("; did you mean '%s'?"):format(best) or ""
end

return M
