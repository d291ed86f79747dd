local duration = require "moonwatch.duration"

describe("duration", function()
    it("reads numbers of seconds and texts with units", function()
        for text, seconds in pairs {
            [0] = 0, [2.5] = 2.5, ["500ms"] = 0.5, ["5s"] = 5, ["1m30s"] = 90, ["2h"] = 7200, ["1.5h"] = 5400,
            ["7d"] = 604800, ["1d2h3m4s5ms"] = 93784.005, ["0"] = 0,
        } do
            assert.near(seconds, duration.parse(text), 1e-9)
        end
    end)

    it("says at which byte it went wrong, and what it knows", function()
        for text, complaint in pairs {
            ["5x"] = "duration: '5x' at byte 2: unknown unit 'x'; use ms, s, m, h, d",
            ["5"] = "duration: '5' at byte 2: a unit is missing; use ms, s, m, h, d",
            ["s"] = "duration: 's' at byte 1: a number and a unit were expected; use ms, s, m, h, d",
            ["1m2"] = "duration: '1m2' at byte 4: a unit is missing; use ms, s, m, h, d",
            ["30s1m"] = "duration: '30s1m' at byte 4: larger units come first, each once",
            ["1s1s"] = "duration: '1s1s' at byte 3: larger units come first, each once",
            ["1s 2ms"] = "duration: '1s 2ms' at byte 3: a digit was expected",
            [""] = "duration: it is empty",
            ["5s\0"] = "duration: '5s\\x00' at byte 3: a control character",
            ["-5s"] = "duration: '-5s' at byte 1: a number and a unit were expected; use ms, s, m, h, d",
            [-1] = "duration: -1 is not a time to wait",
            ["999999999999d"] = "duration: '999999999999d' is longer than 100 years",
        } do
            local value, err = duration.parse(text)
            assert.is_nil(value)
            assert.equal(complaint, err)
        end
    end)

    it("refuses what is no duration at all", function()
        for _, value in ipairs { 0 / 0, math.huge, true, {}, print, ("9"):rep(1e6), ("1s"):rep(1000) } do
            local seconds, err = duration.parse(value)
            assert.is_nil(seconds)
            assert.matches("^duration: ", err)
        end
        assert.equal("duration: a text was expected, not nothing", select(2, duration.parse(nil)))
    end)

    it("quotes bytes that are no text without passing them on", function()
        local _, err = duration.parse "5\xff\xfe"
        assert.equal([[duration: '5\xff\xfe' at byte 2: unknown unit '\xff\xfe'; use ms, s, m, h, d]], err)
    end)

    it("formats what it reads back", function()
        for seconds, text in pairs { [0.25] = "250ms", [5] = "5s", [90] = "1m30s", [93784] = "1d2h3m4s" } do
            assert.equal(text, duration.format(seconds))
            assert.near(seconds, duration.parse(text), 1e-9)
        end
    end)
end)
