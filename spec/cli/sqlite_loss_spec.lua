-- A lock is lost while its command runs: somebody else keeps the whole SQLite file locked, so no renewal goes through.
local Program = require "support.program"

describe("moonwatch lock", function()
  local p

  before_each(function() p = Program.new() end)
  after_each(function() p:finish() end)

  -- Nobody else gets at the registry until the file "release" is there.
  local function block()
    p:write("block.sh", "(echo 'BEGIN EXCLUSIVE; SELECT 1;'; "
      .. "while [ -e block.sh ] && [ ! -e release ]; do sleep 0.01; done) "
      .. "| sqlite3 -cmd '.timeout 20000' \"$1\" >blocked\n")
    os.execute(("cd %s && sh block.sh %s &"):format(p.folder, p.registry:match "^sqlite:(.*)$"))
    Program.eventually("a blocked registry", function() return p:read "blocked" == "1\n" end)
  end

  it("ends the whole process group when the lock is lost, before another has it", function()
    local plain = p.registry
    p.registry = plain .. "?session_timeout=1500ms"
    local holder = p:start { "lock", "/l", "--", "bash", "-c",
      [[trap "" TERM; bash -c 'trap "" TERM; echo grandchild $$; while :; do sleep 0.01; done' & wait]] }
    holder.says "grandchild"
    local grandchild = holder.out():match "grandchild (%d+)"
    p.registry = plain
    block()
    assert.equal(12, holder.code())
    assert.matches("/l was lost; the command was ended\n$", holder.err())
    p:write("release", "")
    assert.equal("gone\n", p:ok { "lock", "/l", "--", "sh", "-c",
      ("kill -0 %s 2>/dev/null && echo alive || echo gone"):format(grandchild) })
  end)

  it("gives the command time to end by itself", function()
    local plain = p.registry
    p.registry = plain .. "?session_timeout=3s"
    local holder = p:start { "lock", "/l", "--", "sh", "-c",
      'trap "echo told; exit 0" TERM; echo in; while :; do sleep 0.01; done' }
    holder.says "in"
    p.registry = plain
    block()
    assert.equal(12, holder.code())
    assert.equal("in\ntold\n", holder.out())
    p:write("release", "")
    p:ok { "lock", "/l", "--", "true" }
  end)
end)
