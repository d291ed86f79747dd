local pattern = require "moonwatch.pattern"

local function matches(text, path)
    return assert(pattern.compile(text)).match(path)
end

describe("pattern", function()
    it("tells what to subscribe to", function()
        for text, wanted in pairs {
            ["/nodes/console/*"] = { "/nodes/console", "children" },
            ["/nodes/**"] = { "/nodes", "subtree" },
            ["/nodes/*/x"] = { "/nodes", "subtree" },
            ["/nodes/*/**"] = { "/nodes", "subtree" },
            ["/nodes/web-*"] = { "/nodes", "children" },
            ["/config"] = { "/config", "self" },
            ["/*"] = { "/", "children" },
            ["/**"] = { "/", "subtree" },
        } do
            local compiled = assert(pattern.compile(text))
            assert.same(wanted, { compiled.prefix, compiled.depth }, text)
        end
    end)

    it("matches one segment with *", function()
        assert.is_true(matches("/nodes/*", "/nodes/a"))
        assert.is_false(matches("/nodes/*", "/nodes/a/b"))
        assert.is_false(matches("/nodes/*", "/nodes"))
        assert.is_false(matches("/nodes/*", "/nodesx/a"))
        assert.is_true(matches("/nodes/*/up", "/nodes/a/up"))
        assert.is_false(matches("/nodes/*/up", "/nodes/a/upper"))
    end)

    it("matches a part of a segment with *", function()
        for path, wanted in pairs {
            ["/web-1"] = true, ["/web-"] = true, ["/web"] = false, ["/web-1/x"] = false, ["/aweb-1"] = false,
        } do
            assert.equal(wanted, matches("/web-*", path), path)
        end
        assert.is_true(matches("/*-b-*c", "/a-b-c-b-xcc"))
        assert.is_true(matches("/*.log", "/a.log.log"))
        assert.is_false(matches("/*.log", "/a.log.x"))
        assert.is_true(matches("/a*b/*", "/ab/c"))
        assert.is_false(matches("/a*b/*", "/abc/c"))
    end)

    it("matches everything below with **", function()
        assert.is_true(matches("/nodes/**", "/nodes/a"))
        assert.is_true(matches("/nodes/**", "/nodes/a/b/c"))
        assert.is_false(matches("/nodes/**", "/nodes"))
        assert.is_false(matches("/nodes/**", "/nodesx/a"))
    end)

    it("takes every other character as it is", function()
        assert.is_true(matches("/a.%d+", "/a.%d+"))
        assert.is_false(matches("/a.b", "/axb"))
    end)

    it("says at which byte it went wrong", function()
        for text, complaint in pairs {
            ["nodes/*"] = "pattern: 'nodes/*' at byte 1: it starts with '/'",
            ["/a//b"] = "pattern: '/a//b' at byte 4: a segment is empty",
            ["/a/"] = "pattern: '/a/' at byte 4: a segment is empty",
            ["/a/../b"] = "pattern: '/a/../b' at byte 4: '.' and '..' are no segments",
            ["/**/b"] = "pattern: '/**/b' at byte 2: '**' stands alone, as the last segment",
            ["/a**"] = "pattern: '/a**' at byte 2: '**' stands alone, as the last segment",
            ["/a\0b"] = "pattern: '/a\\x00b' at byte 3: a control character",
            ["/a\xff"] = "pattern: '/a\\xff' at byte 3: this is not UTF-8",
            [""] = "pattern: it is empty",
        } do
            assert.equal(complaint, select(2, pattern.compile(text)))
        end
        for _, value in ipairs { 5, {}, true, ("/a"):rep(1e5) } do
            assert.matches("^pattern: ", select(2, pattern.compile(value)))
        end
    end)

    it("bears as many segments and stars as a path can hold", function()
        assert.is_true(matches(("/*"):rep(512), ("/a"):rep(512)))
        assert.is_true(matches("/" .. ("*a"):rep(500), "/" .. ("xa"):rep(500)))
        assert.is_false(matches("/" .. ("*a"):rep(500), "/" .. ("a"):rep(499)))
    end)
end)
