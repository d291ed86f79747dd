local colour = require "moonwatch.console.colour"
local grid = require "moonwatch.console.grid"
local help = require "moonwatch.shell.help"
local views = require "moonwatch.console.views"

describe("what people read", function()
    it("stands in columns as wide as the screen shows them", function()
        assert.equal("A     B\n日本  1\nß     2\ne\u{301}     3",
            grid.render({ "A", "B" }, { { "日本", "1" }, { "ß", "2" }, { "e\u{301}", "3" } }, colour.none))
        assert.equal(4, grid.width "\27[31m日本\27[0m")
        assert.equal(2, grid.width "\255\254")
    end)

    it("is looked at without calling anything of it", function()
        local touched
        local value = setmetatable({}, { __index = function() touched = true end })
        assert.is_nil(views.columns_of(value))
        assert.is_nil(touched)
    end)

    it("explains what the engine does with its own registry", function()
        local mw = { guard = function() end }
        local text = help.about(mw.guard, mw, colour.none)
        assert.matches("^mw.guard%(path, options, body%)\n", text)
        assert.matches("Acquire, run", text)
    end)
end)
