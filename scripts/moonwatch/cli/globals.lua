--- Which globals a script reads and sets, without running it: from the compiled chunk, as `luac -l` does. Exact where
--- it speaks (no local is taken for a global); a function with more than 255 constants may hide some.
local M = {}

-- Layout and numbers of Lua 5.4's bytecode (lopcodes.h, ldump.c).
local header = "\27Lua\x54\0"
local get_op, set_op = 11, 15

local function reader(bytes)
    local at = #header + 7 -- "\x19\x93\r\n\x1a\n", then sizes of instruction, integer and number
    local self = {}
    function self.byte()
        at = at + 1
        return bytes:byte(at - 1)
    end
    function self.take(size)
        at = at + size
        return bytes:sub(at - size, at - 1)
    end
    function self.number() -- seven bits a byte, the last one marked
        local value = 0
        repeat
            local byte = self.byte()
            value = value << 7 | byte & 0x7f
        until byte & 0x80 ~= 0
        return value
    end
    function self.text()
        local size = self.number()
        return size > 0 and self.take(size - 1) or nil
    end
    return self
end

local function read_constants(r)
    local constants = {}
    for i = 1, r.number() do
        local kind = r.byte()
        if kind == 0x04 or kind == 0x14 then
            constants[i] = r.text()
        elseif kind == 0x03 or kind == 0x13 then
            r.take(8)
        end
    end
    return constants
end

local function read_lines(r, first, count)
    local deltas, lines = { r.take(r.number()):byte(1, -1) }, {}
    local absolute = {}
    for _ = 1, r.number() do
        local at = r.number()
        absolute[at + 1] = r.number()
    end
    local line = first
    for i = 1, count do
        local delta = deltas[i] or 0
        line = absolute[i] or line + (delta > 127 and delta - 256 or delta)
        lines[i] = line
    end
    return lines
end

local read_function

-- What follows the code: constants, upvalues, inner functions, debug information.
local function read_rest(r, found, code, first)
    local constants = read_constants(r)
    local upvalues = r.number()
    r.take(3 * upvalues)
    for _ = 1, r.number() do
        read_function(r, found)
    end
    local lines = read_lines(r, first, #code)
    for _ = 1, r.number() do
        r.text()
        r.number()
        r.number()
    end
    local names = {}
    for i = 1, r.number() do
        names[i] = r.text()
    end
    for i, instruction in ipairs(code) do
        local op, a = instruction & 0x7f, instruction >> 7 & 0xff
        local b, c = instruction >> 16 & 0xff, instruction >> 24 & 0xff
        if op == get_op and names[b + 1] == "_ENV" then
            table.insert(found.reads, { name = constants[c + 1], line = lines[i] })
        elseif op == set_op and names[a + 1] == "_ENV" then
            found.sets[constants[b + 1]] = true
        end
    end
end

function read_function(r, found)
    r.text()
    local first = r.number()
    r.number()
    r.take(3)
    local code = {}
    for i = 1, r.number() do
        code[i] = string.unpack("<I4", r.take(4))
    end
    read_rest(r, found, code, first)
end

--- The globals of a compiled chunk; nil where its bytecode is not the one that we know.
---@param chunk function
---@return {reads: {name: string, line: integer}[], sets: table<string, true>}?
function M.of(chunk)
    local bytes = string.dump(chunk)
    if bytes:sub(1, #header) ~= header then
        return nil
    end
    local r, found = reader(bytes), { reads = {}, sets = {} }
    r.take(3 + 8 + 8 + 1) -- sizes, a known integer and number, the count of upvalues
    local ok = pcall(read_function, r, found)
    return ok and found or nil
end

return M
