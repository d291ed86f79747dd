-- Who is refused hears why, in one line and with exit code 7, whatever was asked for.
local Program = require "support.program"

-- For each backend: what to put before `moonwatch`, and a registry that does not let us in.
local refusal = {
  sqlite = function(p) -- a file that we may not write; root may, but for this capability
    os.execute("chmod 0444 " .. p.registry:match "^sqlite:(.*)$")
    local pipe <close> = io.popen "id -u"
    local root = pipe:read "n" == 0
    return root and "setpriv --bounding-set=-dac_override" or "", p.registry
  end,
  mysql = function(p) return "", (p.registry:gsub(":[^:@]*@", ":not-the-password@")) end,
  zookeeper = function(p)
    p:ok { "put", "-b", p.registry .. "?digest=alice:secret", "/private/a", "1" }
    return "", p.registry .. "/private?digest=bob:guessed"
  end,
}

-- What doctor says to each: why, what is to be done, and what was a warning when it connected.
local told = {
  sqlite = { "let this user write the file" }, mysql = { "`moonwatch schema mysql` says which" },
  zookeeper = { "an ACL does not admit us", "give the `digest` of who made", "lost replies will stay unknown" },
}

describe("who is refused", function()
  local backend = os.getenv "MOONWATCH_SPEC_BACKEND"
  local p, before

  before_each(function()
    p = Program.new()
    p:ok { "put", "/a", "1" }
    local own = p.registry
    before, p.registry = refusal[backend](p)
    p.own = own
  end)
  after_each(function() p:finish() end)

  local function denied(words)
    words.before = before
    local code, out, err = p:run(words)
    assert.equal(7, code, words[1] .. ": " .. err)
    assert.equal("", out)
    assert.matches("^moonwatch: denied: [^\n]+\n$", err)
    return err
  end

  it("gets exit code 7 and one line from every command", function()
    for _, words in ipairs {
      { "get", "/a" }, { "ls", "/a" }, { "put", "/a", "2" }, { "rm", "/a" }, { "watch", "/a", "--count", "1" },
      { "txn", "put /a 2" }, { "lock", "--timeout", "20s", "/l", "--", "echo", "never" }, { "export", "/a" },
      { "elect", "--timeout", "20s", "/e", "--", "echo", "never" } } do
      denied(words)
    end
    assert.equal("1", p:ok { "get", "-b", p.own, "/a" })
  end)

  it("is told by doctor, too, with what is to be done", function()
    local code, out = p:run { "doctor", "-o", "json", before = before }
    assert.equal(1, code)
    assert.matches('"result":"fail"', out)
    assert.matches("denied: ", out)
    for _, text in ipairs(told[backend]) do
      assert.matches(text, out, 1, true)
    end
  end)
end)
