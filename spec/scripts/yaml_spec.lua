local yaml = require "moonwatch.yaml"

local function complaint(text)
    local value, err = yaml.parse(text, "f.yaml")
    assert.is_nil(value)
    return err
end

describe("yaml", function()
    it("reads mappings, sequences and scalars of the core schema", function()
        local value = assert(yaml.parse [[
text: plain text
quoted: "5"
number: 5
float: 2.5e3
hex: 0x1f
yes: yes
on: true
off: false
nothing: ~
empty:
list: [1, two, {three: 3}]
]])
        assert.same({
            text = "plain text", quoted = "5", number = 5, float = 2500.0, hex = 31, yes = "yes",
            on = true, off = false,
            nothing = yaml.null, empty = yaml.null, list = { 1, "two", { three = 3 } },
        }, value)
    end)

    it("takes as text what only looks like a number", function()
        local value = assert(yaml.parse "[0x1p4, 1.2.3, 1e, --1, 0xzz, 12:30, 1_000]")
        assert.same({ "0x1p4", "1.2.3", "1e", "--1", "0xzz", "12:30", "1_000" }, value)
    end)

    it("knows the place of every key and value", function()
        local value, where = yaml.parse "a: 1\nb:\n  - x\n  - {c: ü, d: 5}\n"
        assert.same({
            here = "1:1", keys = { a = "1:1", b = "2:1" }, values = { a = "1:4", b = "3:3" }, texts = { a = "1" },
        }, where[value])
        assert.same({ "3:5", "4:5" }, where[value.b].values)
        assert.equal("4:12", where[value.b[2]].keys.d)
    end)

    it("names file, line and column in every complaint", function()
        for text, wanted in pairs {
            ["a: 1\na: 2"] = "f.yaml:2:1: the key 'a' is already at 1:1",
            ["a: ["] = "f.yaml:2:1: did not find expected node content",
            ["a: &x 1"] = "f.yaml:1:4: anchors are not read; repeat the value",
            ["a: *x"] = "f.yaml:1:4: aliases are not read; repeat the value",
            ["*x : 1"] = "f.yaml:1:1: aliases are not read; repeat the value",
            ["a: !!str 1"] = "f.yaml:1:4: tags are not read; quote a text, write a number bare",
            ["--- 1\n--- 2"] = "f.yaml:2:1: a second document; one is read",
            ["? [a]\n: 1"] = "f.yaml:1:3: a key is a text",
            ["a:\n\tb: 1"] = "f.yaml:2:1: a tab; YAML is indented with spaces",
            ["a: @x"] = "f.yaml:1:4: found character that cannot start any token",
            ["a: 1\nb: \0"] = "f.yaml:2:4: control characters are not allowed",
            ["a: 1\n\n\xff"] = "f.yaml:3:1: invalid leading UTF-8 octet",
        } do
            assert.equal(wanted, complaint(text))
        end
    end)

    it("bounds depth and size", function()
        assert.equal("f.yaml:1:65: nested deeper than 64 levels", complaint(("["):rep(100)))
        assert.matches("nested deeper than 64 levels", complaint(("- "):rep(200000)))
        assert.matches("^f.yaml:1:1: 2000000 bytes; at most 1 MiB is read", complaint((" "):rep(2000000)))
        assert.equal(20000, #yaml.parse("[" .. ("1,"):rep(20000) .. "]"))
    end)

    it("gives an empty table for no document", function()
        assert.same({}, (yaml.parse ""))
        assert.same({}, (yaml.parse "# nothing\n"))
    end)

    it("raises over what is no text", function()
        assert.has_error(function() yaml.parse() end)
        assert.has_error(function() yaml.parse({}) end)
        assert.has_error(function() yaml.parse("a: 1", {}) end)
    end)
end)
