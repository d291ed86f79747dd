-- What `lock`, `elect` and `watch` run on a terminal has that to itself, as under a shell.
local Program = require "support.program"
local sql = require "support.harness.sql"
local Terminal = require "support.terminal"

describe("on a terminal,", function()
  local p, t

  before_each(function()
    p = Program.new()
    t = Terminal.new(p)
  end)
  after_each(function()
    t:finish()
    p:finish()
  end)

  -- Also who comes before the registry is there.
  local function await_holder()
    Program.eventually("a holder", function()
      local _, out = p:run { "locks" }
      return out:find "held"
    end)
  end

  -- As sudo and ssh ask.
  local ask = [[printf 'name? ' >/dev/tty; read name </dev/tty; echo "hello $name"]]

  for verb, words in pairs {
    lock = "lock /l --", elect = "elect /e --", watch = "watch / --changes --count 1 --",
  } do
    it("what " .. verb .. " runs may ask", function()
      t:start(("moonwatch %s sh -c '%s'"):format(words, ask:gsub("'", "'\\''")))
      if verb == "watch" then
        Program.eventually("a question", function()
          p:ok { "put", "/a", "x" }
          return t:screen():find("name?", 1, true)
        end)
      end
      t:sees "name?"
      t:line "ada"
      t:sees "hello ada"
      assert.equal(0, (t:over()))
    end)
  end

  it("it may ask at the beginning of a pipeline, too, whose reader gets the terminal after it", function()
    p:write("ask.sh", "printf 'name? ' >/dev/tty; read name </dev/tty; echo >asked\n"
      .. 'read more </dev/tty; echo "hello $name $more"\n')
    p:write("reader.sh", "until [ -s asked ]; do sleep 0.01; done; echo $$ >reader\n"
      .. 'read line </dev/tty; cat; echo "then $line"\n')
    t:start "bash --norc --noprofile -i"
    t:line "moonwatch lock /l -- sh ask.sh | sh reader.sh"
    t:sees "name?"
    t:line "ada"
    Program.eventually("a reader that is stopped for asking", function()
      local pid = p:read("reader"):match "%d+"
      local stat <close> = pid and io.open(("/proc/%s/stat"):format(pid))
      return stat and stat:read("a"):match "%) T "
    end)
    t:line "more"
    t:sees "more\n"
    Program.eventually("a reader that goes on", function()
      local stat <close> = assert(io.open(("/proc/%s/stat"):format(p:read("reader"):match "%d+")))
      return not stat:read("a"):match "%) T "
    end)
    t:line "eve"
    t:sees "hello ada more\nthen eve"
    t:line "exit 0"
    assert.equal(0, (t:over()))
  end)

  it("Ctrl-C goes to the command, and to the script that we are in if it ends of that", function()
    t:start "bash --norc --noprofile -i"
    t:line [[sh -c 'moonwatch lock /l -- sh -c "echo in; exec sleep 1000"; echo went on']]
    t:sees "\nin\n"
    t:key "C-c"
    t:line "echo code $?; exit 0"
    t:sees "\ncode 130"
    local _, screen = t:over()
    assert.is_nil(screen:find "\nwent on")
  end)

  it("Ctrl-C that the command takes for itself is no end of ours", function()
    p:write("catch.sh", 'trap "echo caught; exit 9" INT; echo in; while :; do sleep 0.01; done\n')
    t:start "sh -c 'moonwatch lock /l -- sh catch.sh; echo went on with $?'"
    t:sees "in"
    t:key "C-c"
    t:sees "caught\nwent on with 9"
    assert.equal(0, (t:over()))
  end)

  it("Ctrl-Z does not stop what holds a lock", function()
    t:start [[moonwatch lock /l -- sh -c 'trap "echo goes on" CONT; echo in; while :; do sleep 0.01; done']]
    t:sees "in"
    t:key "C-z"
    t:sees "goes on"
    t:key "C-c"
    assert.equal(130, (t:over()))
  end)

  it("Ctrl-Z stops watch with its command, and fg both", function()
    t:start "bash --norc --noprofile -i"
    t:line("moonwatch watch / --changes --count 1 -- bash -c '" .. [[trap "echo goes on" CONT; echo in; read line; ]]
      .. [[echo "got $line"']])
    Program.eventually("an event", function()
      p:ok { "put", "/a", "x" }
      return t:screen():find "\nin\n"
    end)
    t:key "C-z"
    t:sees "Stopped"
    t:line "echo prompt is $((1+1)) back"
    t:sees "prompt is 2 back"
    t:line "fg"
    t:sees "goes on"
    t:line "ada"
    t:sees "got ada"
    t:line "exit 0"
    assert.equal(0, (t:over()))
  end)

  it("begun in the background it asks as soon as it is brought to the front", function()
    t:start "bash --norc --noprofile -i"
    t:line(("moonwatch lock /l -- sh -c '%s' &"):format(ask:gsub("'", "'\\''")))
    await_holder()
    t:line "echo prompt is $((1+1)) here"
    t:sees "prompt is 2 here"
    t:line "fg"
    t:line "ada"
    t:sees "hello ada"
    t:line "exit 0"
    assert.equal(0, (t:over()))
  end)

  it("a shell that loses its lock goes with what it runs, and the terminal comes back", function()
    t:start "bash --norc --noprofile -i"
    t:line "sh -c 'moonwatch lock /l -- bash --norc --noprofile -i; read line; echo got $line'"
    await_holder()
    t:line "sh -c 'echo in; exec sleep 1000'" -- in a group of its own, which has the terminal
    t:sees "\nin\n"
    local id = p:ok { "locks", "-o", "json" }:match '"owner":"(%x+)"'
    p:write("end.sql", ".timeout 20000\nBEGIN IMMEDIATE;\n" .. sql.expire(tonumber(id, 16)) .. "\nCOMMIT;\n")
    os.execute(("cd %s && sqlite3 -batch %s <end.sql"):format(p.folder, p.registry:match "^sqlite:(.*)$"))
    t:sees "/l was lost; the command was ended"
    t:line "ada"
    t:sees "got ada"
    t:line "exit 0"
    assert.equal(0, (t:over()))
  end)

  it("the modes of a command that was killed do not stay", function()
    p:write("silent.sh", "stty -echo; kill -KILL $$\n")
    t:start [[sh -c 'moonwatch lock /l -- sh silent.sh; echo code $?; stty -a | grep -o " echo "']]
    t:sees "code 137\n echo"
    assert.equal(0, (t:over()))
  end)
end)
