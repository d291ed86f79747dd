--- Colour for people: nothing at all when the output is no terminal or $NO_COLOR is set.
local M = {}

local codes = {
    red = "31", green = "32", yellow = "33", blue = "34", magenta = "35", cyan = "36", grey = "90", bold = "1",
}

---@class moonwatch.Colours
---@field enabled boolean
local Colours = {}
Colours.__index = Colours

--- `text` in the colour `name`.
function Colours:paint(name, text)
    if not self.enabled then
        return text
    end
    return ("\27[%sm%s\27[0m"):format(codes[name], text)
end

--- The same for a prompt, where the editor must know which bytes take no room on the screen.
function Colours:paint_prompt(name, text)
    if not self.enabled then
        return text
    end
    return ("\1\27[%sm\1%s\1\27[0m\1"):format(codes[name], text)
end

---@param terminal boolean    whether the output is one
---@return moonwatch.Colours
function M.new(terminal)
    local no_colour = os.getenv "NO_COLOR"
    return setmetatable({ enabled = terminal and not (no_colour and no_colour ~= "") }, Colours)
end

M.none = M.new(false)

--- Bytes that show on the screen: `text` without colour.
function M.strip(text)
    return (text:gsub("\27%[[%d;]*m", ""))
end

return M
