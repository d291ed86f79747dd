-- `moonwatch lock` and `moonwatch elect`: a command runs only while what it runs under is held.
local Program = require "support.program"

describe("moonwatch lock", function()
  local p

  before_each(function() p = Program.new() end)
  after_each(function() p:finish() end)

  it("runs the command with path, token and deadline, and exits with its code", function()
    local out = p:ok { "lock", "/l", "--", "sh", "-c",
      'echo "$MOONWATCH_LOCK_PATH $MOONWATCH_LOCK_TOKEN $MOONWATCH_LOCK_DEADLINE"' }
    local token, deadline = out:match "^/l (%d+) (%d+)\n$"
    assert.is_true(tonumber(token) > 0)
    assert.is_true(tonumber(deadline) > os.time())
    local second = p:ok { "lock", "/l", "--", "sh", "-c", "echo $MOONWATCH_LOCK_TOKEN" }
    assert.is_true(tonumber(second) > tonumber(token))
    assert.equal(42, (p:run { "lock", "/l", "--", "sh", "-c", "exit 42" }))
    assert.equal(137, (p:run { "lock", "/l", "--", "sh", "-c", "kill -KILL $$" }))
    assert.equal(127, (p:run { "lock", "/l", "--", "no-such-program" }))
    assert.equal("[]\n", p:ok { "locks", "-o", "json" })
  end)

  it("excludes, shows who holds, and gives 11 when it is not acquired", function()
    local holder = p:start { "lock", "/l", "--value", "the first", "--", "sh", "-c", "echo in; exec sleep 1000" }
    holder.says "in"
    assert.matches("/l +held +%d+ +%x+ +the first", p:ok { "locks" })
    local code, _, err = p:run { "lock", "--try", "/l", "--", "echo", "never" }
    assert.equal(11, code)
    assert.matches("^moonwatch: [^\n]*moonwatch locks /l[^\n]*\n$", err)
    assert.equal(11, (p:run { "lock", "--timeout", "1s", "/l", "--", "echo", "never" }))
    local waiter = p:start { "lock", "/l", "--", "echo", "mine now" }
    Program.eventually("a waiter", function() return p:ok { "locks" }:find "waiting" end)
    holder.signal "TERM"
    assert.equal(143, holder.code())
    waiter.says "mine now"
    assert.equal(0, waiter.code())
  end)

  it("passes signals on, and waits for the command to end", function()
    local holder = p:start { "lock", "/l", "--", "sh", "-c",
      'trap "echo cleaned up; exit 9" INT; echo in; while :; do sleep 0.01; done' }
    holder.says "in"
    holder.signal "INT"
    assert.equal(9, holder.code())
    assert.equal("in\ncleaned up\n", holder.out())
  end)

  local function alive(pid) return os.execute(("kill -0 %s 2>/dev/null"):format(pid)) == true end

  it("ends what the command leaves in the background, and says so, before the lock is released", function()
    local code, out, err = p:run { "lock", "/l", "--", "bash", "-c",
      'sleep 1000 & echo $!; set -m; sleep 1000 & echo $!; exit 7' } -- the second in a group of its own
    assert.equal(7, code)
    for pid in out:gmatch "%d+" do
      assert.is_false(alive(pid))
    end
    assert.equal("moonwatch: /l: what the command has left in the background is ended\n", err)
  end)

  it("leaves alone what has begun a session of its own, and waits for who goes by himself", function()
    local code, out, err = p:run { "lock", "/l", "--", "bash", "-c",
      "setsid sleep 1000 >/dev/null 2>&1 & echo $!; exec > >(sleep 0.1; cat); echo the rest" }
    local pid = out:match "%d+"
    assert.equal(0, code)
    assert.is_true(alive(pid))
    os.execute("kill " .. pid)
    assert.matches("the rest\n$", out)
    assert.equal("", err)
  end)

  it("ends a command that is stopped, which gets to clean up first", function()
    local holder = p:start { "lock", "/l", "--", "sh", "-c",
      'trap "echo cleaned up; exit 9" TERM; echo in $$; while :; do sleep 0.01; done' }
    holder.says "in"
    os.execute("kill -STOP " .. holder.out():match "in (%d+)")
    holder.signal "TERM"
    assert.equal(9, holder.code())
    assert.matches("cleaned up\n$", holder.out())
  end)
end)

describe("moonwatch elect", function()
  local p

  before_each(function() p = Program.new() end)
  after_each(function() p:finish() end)

  it("runs the command while leading, with a record that others can read", function()
    local leader = p:start { "elect", "/e", "--record", "node one", "--", "sh", "-c",
      "echo leads $MOONWATCH_ELECTION_TOKEN; exec sleep 1000" }
    leader.says "leads"
    assert.equal("node one", p:ok { "get", "/e/leader" })
    assert.equal(11, (p:run { "elect", "/e", "--timeout", "1s", "--", "echo", "never" }))
    local next_one = p:start { "elect", "/e", "--", "sh", "-c", "echo leads; exit 3" }
    leader.signal "TERM"
    assert.equal(143, leader.code())
    assert.equal(3, next_one.code())
    assert.equal("leads\n", next_one.out())
  end)
end)
