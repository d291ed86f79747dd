-- What a command runs under is lost: somebody else keeps the whole SQLite file locked, so no renewal goes through; or
-- an operator takes it away.
local Program = require "support.program"
local sql = require "support.harness.sql"

describe("what a command runs under is lost:", function()
  local p, file

  before_each(function()
    p = Program.new()
    file = p.registry:match "^sqlite:(.*)$"
  end)
  after_each(function() p:finish() end)

  -- Nobody else gets at the registry until the file "release" is there.
  local function block()
    p:write("block.sh", "(echo 'BEGIN EXCLUSIVE; SELECT 1;'; "
      .. "while [ -e block.sh ] && [ ! -e release ]; do sleep 0.01; done) "
      .. "| sqlite3 -cmd '.timeout 20000' \"$1\" >blocked\n")
    os.execute(("cd %s && sh block.sh %s &"):format(p.folder, file))
    Program.eventually("a blocked registry", function() return p:read "blocked" == "1\n" end)
  end

  local function hold(timeout, words)
    local plain = p.registry
    p.registry = ("%s?session_timeout=%s"):format(plain, timeout)
    local holder = p:start(words)
    p.registry = plain
    return holder
  end

  -- Whether process `pid` lives, asked by the next holder while it holds.
  local function seen_by_the_next(verb, path, pid)
    return p:ok { verb, path, "--", "sh", "-c", ("kill -0 %s 2>/dev/null && echo alive || echo gone"):format(pid) }
  end

  local stubborn = [[trap "" TERM; echo grandchild $$; while :; do sleep 0.01; done]]

  for _, case in ipairs { { "lock", "/l" }, { "elect", "/e" } } do
    local verb, path = table.unpack(case)
    it(verb .. " ends the whole process group before another has it", function()
      local holder = hold("1500ms", { verb, path, "--", "bash", "-c",
        ([[trap "" TERM; bash -c '%s' & wait]]):format(stubborn) })
      holder.says "grandchild"
      local grandchild = holder.out():match "grandchild (%d+)"
      block()
      assert.equal(12, holder.code())
      assert.matches("^moonwatch: " .. path .. " was lost; the command was ended\n$", holder.err())
      p:write("release", "")
      assert.equal("gone\n", seen_by_the_next(verb, path, grandchild))
    end)
  end

  it("also who has left the group or the session ends, with all that he has started", function()
    local holder = hold("1500ms", { "lock", "/l", "--", "bash", "-c",
      ([[set -m; bash -c '%s' & setsid bash -c '%s' & wait]]):format(stubborn, stubborn) })
    Program.eventually("both", function() return select(2, holder.out():gsub("grandchild", "")) == 2 end)
    block()
    assert.equal(12, holder.code())
    p:write("release", "")
    for grandchild in holder.out():gmatch "grandchild (%d+)" do
      assert.equal("gone\n", seen_by_the_next("lock", "/l", grandchild))
    end
  end)

  it("who does not go at TERM is killed, also when the command itself has gone", function()
    local holder = hold("1500ms", { "lock", "/l", "--", "bash", "-c",
      ([[trap 'exit 0' TERM; bash -c '%s' & while :; do sleep 0.01; done]]):format(stubborn) })
    holder.says "grandchild"
    local grandchild = holder.out():match "grandchild (%d+)"
    block()
    assert.equal(12, holder.code())
    p:write("release", "")
    assert.equal("gone\n", seen_by_the_next("lock", "/l", grandchild))
  end)

  it("the command gets time to end by itself", function()
    local holder = hold("3s", { "lock", "/l", "--", "sh", "-c",
      'trap "echo told; exit 0" TERM; echo in; while :; do sleep 0.01; done' })
    holder.says "in"
    block()
    assert.equal(12, holder.code())
    assert.equal("in\ntold\n", holder.out())
    p:write("release", "")
    p:ok { "lock", "/l", "--", "true" }
  end)

  it("with --again it stands anew behind the others, and Ctrl-C ends the standing", function()
    local first = hold("1500ms", { "elect", "/e", "--again", "--", "sh", "-c", "echo leads; exec sleep 1000" })
    first.says "leads\n"
    local second = p:start { "elect", "/e", "--", "sh", "-c", "echo leads; exec sleep 1000" }
    local function waiting() return p:ok { "locks", "-o", "tsv" }:find "waiting" end
    Program.eventually("a second candidate", waiting)
    block()
    Program.eventually("the loss", function() return first.err():find "was lost" end)
    p:write("release", "")
    second.says "leads\n"
    Program.eventually("the first in the queue again", waiting)
    first.signal "INT"
    assert.equal(130, first.code())
    assert.equal("leads\n", first.out())
    second.signal "TERM" -- killed, it would leave what it runs
    assert.equal(143, second.code())
  end)

  it("an operator's `session ended` kills it at once, and tells", function()
    local holder = hold("1500ms", { "elect", "/e", "--", "sh", "-c",
      "trap '' TERM; echo in; while :; do sleep 0.01; done" })
    holder.says "in"
    local id = p:ok { "locks", "-o", "json" }:match '"owner":"(%x+)"'
    p:write("end.sql", ".timeout 20000\nBEGIN IMMEDIATE;\n" .. sql.expire(tonumber(id, 16)) .. "\nCOMMIT;\n")
    os.execute(("cd %s && sqlite3 -batch %s <end.sql"):format(p.folder, file))
    assert.equal(12, holder.code())
    assert.matches("/e was lost", holder.err())
  end)

  it("who watches hears that what is shown may be old, and when it is not any more", function()
    p:ok { "put", "/w", "1" }
    local watchers = {}
    for i, words in ipairs { { "watch" }, { "get", "-w", "/w" }, { "watch", "-q" } } do
      watchers[i] = hold("1500ms", words)
      watchers[i].says "1"
    end
    block()
    for i = 1, 2 do
      Program.eventually("silence", function()
        return watchers[i].err():find "^moonwatch: %d%d:%d%d:%d%d registry %l+: [^\n]+; what is shown may be old\n"
      end)
    end
    p:write("release", "")
    for i = 1, 2 do
      Program.eventually("the end of it", function()
        return watchers[i].err():find "\nmoonwatch: [%d:]+ registry %l+; changes are shown again\n$"
      end)
    end
    p:ok { "put", "/w", "2" }
    for _, watcher in ipairs(watchers) do
      watcher.says "2"
    end
    assert.equal("", watchers[3].err())
  end)
end)
