-- Who held a lock died, and its session has run out; nobody has been connected for long enough to end it.
local Program = require "support.program"

describe("a lock whose holder is gone", function()
  local p

  before_each(function() p = Program.new() end)
  after_each(function() p:finish() end)

  local function sql(text)
    local backend = p.harness.driver
    return backend.server:sql(text, backend.database)
  end

  it("is waited for even by who would not wait for a living one", function()
    local holder = p:start { "lock", "/l", "--", "sh", "-c", "echo holds $$; exec sleep 1000" }
    holder.says "holds"
    local _, _, err = p:run { "lock", "--try", "/l", "--", "true" }
    assert.matches("shows who has it\n$", err)
    holder.signal "KILL"
    holder.code()
    os.execute("kill " .. holder.out():match "holds (%d+)")
    sql "UPDATE %s.mw_sessions SET expires = 1"
    local code, out
    code, _, err = p:run { "elect", "--timeout", "50ms", "/l", "--", "true" }
    assert.equal(11, code)
    assert.matches("; who has it is not connected any more: [^\n]+ %(%-%-timeout 30s%) [^\n]+\n$", err)
    code, out, err = p:run { "lock", "--try", "/l", "--", "echo", "had" }
    assert.equal(0, code)
    assert.equal("had\n", out)
    assert.matches("not connected any more; waiting", err)
  end)
end)
