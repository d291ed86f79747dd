local json = require "moonwatch.json"

describe("json", function()
    it("leaves slashes as they are, whatever stands before them", function()
        assert.equal([["/a/b"]], json.encode "/a/b")
        for _, text in ipairs { "/", "\\/", "\\\\/", "\\\\", '"/"', "a\n/\0", "/\\" } do
            assert.equal(text, json.decode(json.encode(text)))
            assert.is_nil(json.encode(text):gsub("\\\\", ""):find("\\/", 1, true))
        end
    end)
end)
