local suggest = require "moonwatch.suggest"

describe("did you mean", function()
    local known = { "servers", "namespace", "session_timeout", "url" }

    it("finds the nearest word", function()
        assert.equal("servers", suggest.nearest("serves", known))
        assert.equal("servers", suggest.nearest("sevrers", known))
        assert.equal("session_timeout", suggest.nearest("session-timeout", known))
        assert.equal("session_timeout", suggest.nearest("sessionTimeout", known))
        assert.equal("url", suggest.nearest("ulr", known))
    end)

    it("keeps silent when nothing is near", function()
        assert.is_nil(suggest.nearest("password", known))
        assert.is_nil(suggest.nearest("x", known))
        assert.is_nil(suggest.nearest(("s"):rep(10000), known))
        assert.equal("", suggest.hint("password", known))
    end)
end)
