-- What asks before it destroys, and what shows how far it is: in a real terminal.
local Program = require "support.program"
local Terminal = require "support.terminal"

describe("in a terminal", function()
  local p, t

  before_each(function()
    p = Program.new()
    t = Terminal.new(p)
  end)

  after_each(function()
    t:finish()
    p:finish()
  end)

  local function asked(command, question)
    t:start(command)
    t:sees(question .. "? [y/N] ")
  end

  local function there(path) return (p:run { "get", path }) == 0 end

  it("rm -r asks, and does it on yes", function()
    p:ok { "put", "/a/b", "1" }
    asked("moonwatch rm -r /a", "remove /a and 1 entry below it")
    t:line "y"
    assert.equal(0, (t:over()))
    assert.is_false(there "/a")
  end)

  for _, answer in ipairs { "n", "", "what" } do
    it(("changes nothing on %q"):format(answer), function()
      p:ok { "put", "/a/b", "1" }
      asked("moonwatch rm -r /a", "remove /a and 1 entry below it")
      t:line(answer)
      local code, screen = t:over()
      assert.equal(2, code)
      assert.matches("nothing was changed", screen)
      assert.is_true(there "/a/b")
    end)
  end

  it("changes nothing on Ctrl-C or Ctrl-D, and leaves the terminal as it was", function()
    p:ok { "put", "/a/b", "1" }
    for key, code in pairs { ["C-c"] = 130, ["C-d"] = 2 } do
      asked("stty -g >before; moonwatch rm -r /a; code=$?; stty -g >after; (exit $code)",
        "remove /a and 1 entry below it")
      t:key(key)
      assert.equal(code, (t:over()))
      assert.equal(p:read "before", p:read "after")
      assert.is_true(there "/a/b")
    end
  end)

  it("import asks before it replaces", function()
    p:ok { "put", "/a", "old" }
    p:write("dump", '{"path":"/a","value":"new"}\n')
    asked("moonwatch import dump", "replace 1 entry that is there")
    t:line "no"
    assert.equal(5, (t:over()))
    assert.equal("old", p:ok { "get", "/a" })
    asked("moonwatch import dump", "replace 1 entry that is there")
    t:line "yes"
    assert.equal(0, (t:over()))
    assert.equal("new", p:ok { "get", "/a" })
  end)

  -- The counts that `command` shows, each no smaller than the one before; the line is gone at its end.
  local function counts(command, what, total)
    t:record "log"
    t:line(command .. "; echo its-end")
    t:sees "\nits-end"
    local last, times = 0, 0
    for count in p:read("log"):gmatch(("\r%s (%%d+) of %d"):format(what, total)) do
      assert.is_true(tonumber(count) >= last)
      last, times = tonumber(count), times + 1
    end
    assert.is_true(times > 0, p:read "log")
    assert.is_nil(t:screen():find(what .. " %d+ of"))
    t:line "clear"
  end

  it("import, export and rm -r of thousands show how far they are", function()
    local lines = {}
    for i = 1, 3000 do
      lines[i] = ('{"path":"/many/%d","value":"v"}\n'):format(i)
    end
    p:write("dump", table.concat(lines))
    t:start "sh"
    counts("moonwatch import dump", "imported", 3000)
    counts("moonwatch export /many >out", "exported", 3001)
    local _, count = p:read("out"):gsub("\n", "")
    assert.equal(3001, count)
    counts("moonwatch rm -r --yes /many", "removed", 3000)
    assert.is_false(there "/many")
    t:line "exit"
    assert.equal(0, (t:over()))
  end)

  it("lock takes no Ctrl-Z, by which its command would go on without a lock", function()
    t:start "bash --norc --noprofile -i"
    t:line "moonwatch lock /l -- sh -c 'echo in; while :; do sleep 0.01; done'"
    t:sees "\nin\n"
    t:key "C-z"
    t:sees "^Z"
    t:key "C-c"
    t:line "echo code $?; exit"
    t:sees "\ncode 130"
    local _, screen = t:over()
    assert.is_nil(screen:find "Stopped")
  end)
end)
