local selector = require "moonwatch.selector"

local node = {
    role = "console", status = "normal", weight = 2, load = { cpu = 0.25, jobs = 4 },
    meta = { zone = "a", spare = false },
}

local function value(text, scope)
    return assert(selector.compile(text, { names = { "dead" } }))(node, scope)
end

describe("selector", function()
    it("picks a node by its fields and those of another", function()
        local where = "status == 'normal' and meta.zone == dead.meta.zone"
        assert.is_true(value(where, { dead = { meta = { zone = "a" } } }))
        assert.is_false(value(where, { dead = { meta = { zone = "b" } } }))
        assert.is_false(value(where, { dead = {} }))
    end)

    it("binds as Lua does", function()
        for text, wanted in pairs {
            ["1 + 2 * 3 == 7"] = true,
            ["(1 + 2) * 3"] = 9,
            ["10 - 3 - 2"] = 5,
            ["not status == 'busy'"] = true,
            ["true or false and false"] = true,
            ["-weight + 3"] = 1,
            ["weight * (1 - load.cpu)"] = 1.5,
            ["weight != 3 and weight ~= 4"] = true,
            ["role in ('web', 'console')"] = true,
            ["role in ('web') or weight in (2)"] = true,
            ["meta.spare == false"] = true,
            ['role == "console"'] = true,
            ["1e3"] = 1000,
        } do
            assert.equal(wanted, value(text), text)
        end
    end)

    it("looks once behind each of many signs", function()
        assert.equal(1, value(("-"):rep(60) .. "1"))
    end)

    it("never raises over what is missing or has no order", function()
        for _, text in ipairs {
            "meta.rack < 5", "role < 5", "meta < meta", "load.gpu + 1 > 0", "meta.zone.deeper == 'x'", "weight / 0 > 1",
            "-role == 1", "meta.rack in ('a')",
        } do
            assert.falsy(value(text), text)
        end
        assert.is_nil(value "load.gpu")
        assert.is_true(value "load.gpu == nil")
    end)

    it("reads fields only: no methods, no metatables, no globals", function()
        local guarded = setmetatable({}, { __index = function() error "looked through a metatable" end })
        assert.is_nil(selector.compile("meta.x.y")({ meta = { x = guarded } }))
        assert.is_nil((selector.compile "os.exit()"))
        assert.is_nil((selector.compile "role:upper()"))
    end)

    it("says at which byte it went wrong", function()
        for text, complaint in pairs {
            ["stauts == 1"] = "selector: 'stauts == 1' at byte 1: unknown field 'stauts'; did you mean 'status'?",
            ["status = 1"] = "selector: 'status = 1' at byte 8: this character means nothing here",
            ["status =="] = "selector: 'status ==' at byte 10: a value was expected, the expression ends here",
            ["(status"] = "selector: '(status' at byte 8: ')' was expected to close the '(' at byte 1",
            ["status weight"] = "selector: 'status weight' at byte 8: an operator was expected",
            ["status and or"] = "selector: 'status and or' at byte 12: a value was expected, not 'or'",
            ["meta."] = "selector: 'meta.' at byte 6: a field's name was expected after '.'",
            ["role in 5"] = "selector: 'role in 5' at byte 9: '(' was expected after 'in'",
            ["role == 'x"] = [[selector: 'role == 'x' at byte 9: this character means nothing here]],
            ["role == '\0'"] = [[selector: 'role == '\x00'' at byte 10: a control character]],
            [""] = "selector: it is empty",
        } do
            assert.equal(complaint, select(2, selector.compile(text)))
        end
        for _, text in ipairs { 5, {}, true, ("1+"):rep(1e5) } do
            assert.matches("^selector: ", select(2, selector.compile(text)))
        end
    end)

    it("bounds nesting and length, so that no input overflows a stack", function()
        local deep = ("("):rep(900) .. "1" .. (")"):rep(900)
        assert.matches("nested deeper than 64", select(2, selector.compile(deep)))
        assert.matches("nested deeper than 64", select(2, selector.compile(("not "):rep(500) .. "true")))
        assert.matches("nested deeper than 64", select(2, selector.compile(("-"):rep(500) .. "1")))
        assert.matches("more than 200 operators", select(2, selector.compile(("1+"):rep(300) .. "1")))
        assert.equal(200, selector.compile(("1+"):rep(199) .. "1")(node))
        assert.equal(1, selector.compile(("("):rep(60) .. "1" .. (")"):rep(60))(node))
    end)

    it("takes any field where none is known", function()
        assert.is_true(selector.compile("colour == 'red'", { fields = false })({ colour = "red" }))
    end)
end)
