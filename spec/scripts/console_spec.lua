local colour = require "moonwatch.console.colour"
local emit = require "moonwatch.emit"
local grid = require "moonwatch.console.grid"
local help = require "moonwatch.shell.help"
local views = require "moonwatch.console.views"
local yaml = require "moonwatch.yaml"

describe("what people read", function()
    it("stands in columns as wide as the screen shows them", function()
        assert.equal("A     B\n日本  1\nß     2\ne\u{301}     3",
            grid.render({ "A", "B" }, { { "日本", "1" }, { "ß", "2" }, { "e\u{301}", "3" } }, colour.none))
        assert.equal(4, grid.width "\27[31m日本\27[0m")
        assert.equal(2, grid.width "\255\254")
    end)

    it("holds no control character for the terminal, whatever the value holds", function()
        assert.equal("a?b c?d", grid.cell "a\27b\nc\u{9b}d")
    end)

    it("is YAML that reads back as the same, whatever the value holds", function()
        for _, text in ipairs { "a\u{85}b", "\u{2028}\u{2029}", "\u{feff}x", "\u{9b}31m", "yes", "007", "- a",
            "a: b #c", "\0\1\127", "l1\n  l2\n", "'\"\\", "ünï 日本" } do
            assert.same({ value = text }, (yaml.parse(emit.yaml { value = text }, "spec")))
        end
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
