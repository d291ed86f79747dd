local size = require "moonwatch.size"

describe("size", function()
    it("reads numbers of bytes and texts with units", function()
        for text, bytes in pairs {
            [0] = 0, [17] = 17, ["17"] = 17, ["512B"] = 512, ["64KiB"] = 65536, ["1MB"] = 1000000, ["1.5MiB"] = 1572864,
            ["2 GiB"] = 2147483648, ["1kb"] = 1000, ["1TiB"] = 1 << 40,
        } do
            assert.equal(bytes, size.parse(text))
            assert.equal("integer", math.type(size.parse(text)))
        end
    end)

    it("says at which byte it went wrong", function()
        local units = "use B, KB, MB, GB, TB, KiB, MiB, GiB, TiB"
        for text, complaint in pairs {
            ["5XB"] = "size: '5XB' at byte 2: unknown unit 'XB'; " .. units,
            ["MB"] = "size: 'MB' at byte 1: a number and a unit were expected; " .. units,
            ["1.0001B"] = "size: '1.0001B' is not a number of bytes",
            ["99999999TiB"] = "size: '99999999TiB' is too large",
            [1.5] = "size: 1.5 is not a number of bytes",
            [-1] = "size: -1 is not a number of bytes",
            [""] = "size: it is empty",
            ["1\0MB"] = "size: '1\\x00MB' at byte 2: a control character",
        } do
            local value, err = size.parse(text)
            assert.is_nil(value)
            assert.equal(complaint, err)
        end
    end)

    it("refuses what is no size at all", function()
        for _, value in ipairs { 0 / 0, math.huge, false, {}, ("9"):rep(1e6), ("9"):rep(60) } do
            local bytes, err = size.parse(value)
            assert.is_nil(bytes)
            assert.matches("^size: ", err)
        end
    end)

    it("formats what it reads back", function()
        for bytes, text in pairs { [0] = "0B", [512] = "512B", [65536] = "64KiB", [1572864] = "1.5MiB",
            [1048575] = "1048575B" } do
            assert.equal(text, size.format(bytes))
            assert.equal(bytes, size.parse(text))
        end
    end)
end)
