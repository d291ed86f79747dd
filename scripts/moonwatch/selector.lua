--- Selectors: expressions over the fields of a node, such as `status == 'normal' and meta.zone == dead.meta.zone`.
--
--   or, and, not          as in Lua; only false and nothing are false
--   == ~= != < <= > >=    things that have no order (a text and a number, a missing field) are in none: false
--   in ('a', 'b')         one of these
--   + - * /               of numbers; of anything else: nothing
--   field.field           of the node, or of what the caller named (`dead`); missing ones are nothing
--   'text' "text" 12.5 true false nil ( )
--
-- No code is generated or loaded: an expression becomes closures, and evaluating one never raises.
local lpeg = require "lpeg"
local grammar = require "moonwatch.grammar"
local suggest = require "moonwatch.suggest"

local M = {}

--- How deep parentheses and `not` may nest.
M.deepest = 64

--- What a node has, for "did you mean".
M.fields = { "id", "address", "incarnation", "key", "started", "role", "status", "weight", "load", "meta" }

local P, R, S, C, Cp, Cc, Ct = lpeg.P, lpeg.R, lpeg.S, lpeg.C, lpeg.Cp, lpeg.Cc, lpeg.Ct

local space = S " \t" ^ 0
local word = (R("az", "AZ") + "_") * (R("az", "AZ", "09") + "_") ^ 0
local number = (R "09" ^ 1 * (P "." * R "09" ^ 1) ^ -1 * (S "eE" * S "+-" ^ -1 * R "09" ^ 1) ^ -1) / tonumber
local text = P "'" * C((1 - P "'") ^ 0) * P "'" + P '"' * C((1 - P '"') ^ 0) * P '"'
local symbol = P "==" + "~=" + "!=" + "<=" + ">=" + S "<>()+-*/.,"
local token = Ct(Cp() * (Cc "number" * number + Cc "text" * text + Cc "word" * C(word) + Cc "symbol" * C(symbol)))
local tokens = Ct((space * token) ^ 0) * space * Cp()

local reserved = { ["and"] = true, ["or"] = true, ["not"] = true, ["in"] = true, ["true"] = true, ["false"] = true,
    ["nil"] = true }
local constants = { ["true"] = true, ["false"] = false }

local function ordered(a, b)
    return type(a) == type(b) and (type(a) == "number" or type(a) == "string")
end

local function numbers(a, b)
    return type(a) == "number" and type(b) == "number"
end

-- precedence, and what it does with two values
local operators = {
    ["=="] = { 3, function(a, b) return a == b end },
    ["~="] = { 3, function(a, b) return a ~= b end },
    ["<"] = { 3, function(a, b) return ordered(a, b) and a < b end },
    ["<="] = { 3, function(a, b) return ordered(a, b) and a <= b end },
    [">"] = { 3, function(a, b) return ordered(a, b) and a > b end },
    [">="] = { 3, function(a, b) return ordered(a, b) and a >= b end },
    ["+"] = { 4, function(a, b) return numbers(a, b) and a + b or nil end },
    ["-"] = { 4, function(a, b) return numbers(a, b) and a - b or nil end },
    ["*"] = { 5, function(a, b) return numbers(a, b) and a * b or nil end },
    ["/"] = { 5, function(a, b) return numbers(a, b) and b ~= 0 and a / b or nil end },
    ["or"] = { 1 },
    ["and"] = { 2 },
    ["in"] = { 3 },
}
operators["!="] = operators["~="]

local function binary(name, left, right)
    if name == "and" then
        return function(node, scope) return left(node, scope) and right(node, scope) end
    elseif name == "or" then
        return function(node, scope) return left(node, scope) or right(node, scope) end
    end
    local apply = operators[name][2]
    return function(node, scope) return apply(left(node, scope), right(node, scope)) end
end

local Parser = {}
Parser.__index = Parser

-- Complaints leave the descent by error() with this table and are caught in M.compile.
function Parser:fail(why, item)
    error({ at = item and item[1] or self.stop, why = why }, 0)
end

function Parser:peek(value)
    local item = self.list[self.next]
    return item and item[2] ~= "text" and item[3] == value
end

function Parser:accept(value)
    if self:peek(value) then
        self.next = self.next + 1
        return true
    end
end

function Parser:expect(value, why)
    if not self:accept(value) then
        self:fail(("'%s' was expected%s"):format(value, why or ""), self.list[self.next])
    end
end

function Parser:field(item)
    local root, path = item[3], {}
    if not self.scope[root] and self.fields and not self.fields[root] then
        local known = table.move(self.names, 1, #self.names, 1, {})
        self:fail(("unknown field '%s'%s"):format(root, suggest.hint(root, known)), item)
    end
    while self:accept "." do
        local part = self.list[self.next]
        if not part or part[2] ~= "word" then
            self:fail("a field's name was expected after '.'", part)
        end
        path[#path + 1], self.next = part[3], self.next + 1
    end
    local named = self.scope[root]
    return function(node, scope)
        local value = (named and scope or node)[root]
        for i = 1, #path do
            if type(value) ~= "table" then
                return nil
            end
            value = rawget(value, path[i])
        end
        return value
    end
end

function Parser:operand(depth)
    local item = self.list[self.next]
    if not item then
        self:fail "a value was expected, the expression ends here"
    elseif depth > M.deepest then
        self:fail(("nested deeper than %d"):format(M.deepest), item)
    end
    self.next = self.next + 1
    local kind, value = item[2], item[3]
    if kind == "number" or kind == "text" then
        return function() return value end
    elseif value == "(" then
        local inner = self:expression(1, depth + 1)
        self:expect(")", (" to close the '(' at byte %d"):format(item[1]))
        return inner
    elseif value == "not" then
        local inner = self:expression(3, depth + 1)
        return function(node, scope) return not inner(node, scope) end
    elseif value == "-" then
        local inner = self:operand(depth + 1)
        return function(node, scope)
            local found = inner(node, scope) -- once: a row of signs would double the work with each
            return type(found) == "number" and -found or nil
        end
    elseif value == "nil" or constants[value] ~= nil then
        local constant = constants[value]
        return function() return constant end
    elseif kind == "word" and not reserved[value] then
        return self:field(item)
    end
    self:fail(("a value was expected, not '%s'"):format(value), item)
end

function Parser:membership(left)
    local set = {}
    self:expect("(", " after 'in'")
    repeat
        local item = self.list[self.next]
        if not item or (item[2] ~= "text" and item[2] ~= "number") then
            self:fail("a text or a number was expected in the list", item)
        end
        set[item[3]], self.next = true, self.next + 1
    until not self:accept ","
    self:expect(")", " at the end of the list")
    return function(node, scope)
        local value = left(node, scope)
        return value ~= nil and set[value] == true
    end
end

-- Precedence climbing: everything that binds at least as tightly as `least`.
function Parser:expression(least, depth)
    local left = self:operand(depth)
    while true do
        local item = self.list[self.next]
        local operator = item and item[2] ~= "text" and operators[item[3]]
        if not operator or operator[1] < least then
            return left
        end
        self.next = self.next + 1
        if item[3] == "in" then
            left = self:membership(left)
        else
            left = binary(item[3], left, self:expression(operator[1] + 1, depth + 1))
        end
        self.chain = self.chain + 1
        if self.chain > 200 then -- each link is a closure around the last: evaluating them must not overflow the stack
            self:fail("more than 200 operators", item)
        end
    end
end

local function parser(source, options)
    local list, stop = tokens:match(source)
    local self = setmetatable({ list = list, next = 1, stop = stop, chain = 0, scope = {}, names = {} }, Parser)
    for _, name in ipairs(options.names or {}) do
        self.scope[name] = true
        table.insert(self.names, name)
    end
    if options.fields ~= false then
        self.fields = {}
        for _, name in ipairs(options.fields or M.fields) do
            self.fields[name] = true
            table.insert(self.names, name)
        end
    end
    return self
end

---@class moonwatch.SelectorOptions
---@field names string[]?          what the caller puts in scope beside the node's fields: { "dead" }
---@field fields string[]|false?   the known fields; false = any

--- Compile `source` into a function of a node and of what the caller named, `{ dead = node }`.
---@param source string
---@param options moonwatch.SelectorOptions?
---@return (fun(node: table, scope: table?): any)? selector
---@return string? err
function M.compile(source, options)
    local ok, err = grammar.check("selector", source, 2048)
    if not ok then
        return nil, err
    end
    local self = parser(source, options or {})
    if self.stop <= #source then
        return grammar.fail("selector", source, self.stop, "this character means nothing here")
    end
    local compiled, evaluate = pcall(self.expression, self, 1, 1)
    local rest = compiled and self.list[self.next]
    if rest then
        compiled, evaluate = false, { at = rest[1], why = "an operator was expected" }
    end
    if not compiled then
        if type(evaluate) ~= "table" then
            error(evaluate, 0)
        end
        return grammar.fail("selector", source, evaluate.at, evaluate.why)
    end
    local empty = {}
    return function(node, scope)
        return evaluate(node, scope or empty)
    end
end

return M
