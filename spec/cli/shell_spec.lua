-- The shell in a real terminal: tmux types the keys and captures the screen.
local Program = require "support.program"

describe("the shell in a terminal", function()
  local p, socket

  local function tmux(arguments)
    local command = ("cd %s && tmux -L %s -f /dev/null %s 2>&1"):format(p.folder, socket, arguments)
    local pipe <close> = assert(io.popen(command))
    return pipe:read "a"
  end

  local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

  -- Text as it is; `key` for those with names: Enter, Tab, C-c, C-d, Up.
  local function type_text(text) tmux("send-keys -t main -l " .. quote(text)) end
  local function key(name) tmux("send-keys -t main " .. name) end
  local function line(text)
    type_text(text)
    key "Enter"
  end

  local function screen(options) return (tmux("capture-pane -p -J -t main " .. (options or ""))) end

  -- Waits until the screen holds `text` `times` times (default once).
  local function sees(text, times)
    local last
    local ok = pcall(Program.eventually, text, function()
      last = screen()
      local count, at = 0, 1
      repeat
        local from, to = last:find(text, at, true)
        count, at = count + (from and 1 or 0), to and to + 1
      until not from
      return count >= (times or 1)
    end)
    assert(ok, ("the screen does not show %q:\n%s"):format(text, last))
  end

  local function start(words)
    local command = ("export HOME=%s MOONWATCH_HISTORY=%s/history XDG_RUNTIME_DIR=%s; unset NO_COLOR; "
      .. "exec moonwatch shell %s"):format(p.folder, p.folder, p.folder, words or "")
    tmux(("new-session -d -s main -x 100 -y 40 %s"):format(quote(command)))
    tmux "set-option -g remain-on-exit on"
    sees "/> "
  end

  local function over()
    Program.eventually("the end of the shell", function()
      return tmux("display-message -p -t main '#{pane_dead}'"):find "1"
    end)
    tmux "kill-session -t main"
  end

  before_each(function()
    p = Program.new()
    socket = p.folder:gsub("[^%w]", "")
    p:write("application.yaml", ("registry: {sqlite: {path: '%s'}}\n"):format(p.registry:match "^sqlite:(.*)$"))
  end)

  after_each(function()
    tmux "kill-server"
    p:finish()
  end)

  it("prints values, waits in calls, shows tables, and leaves on Ctrl-D", function()
    start()
    line "1 + 41"
    sees "\n42\n"
    line "{ a = 1, 'x' }"
    sees "{ \"x\", a = 1 }"
    line "for i = 1, 2 do"
    line "mw.registry:put('/p/' .. i, 'value ' .. i)"
    line "end"
    line "mw.registry:list '/p'"
    sees "PATH"
    sees "/p/2"
    line "tree /p"
    sees "└── 2 = value 2"
    assert.is_truthy(screen("-e"):find "\27%[", "colour")
    key "C-d"
    over()
  end)

  it("cancels what runs with Ctrl-C, and goes on", function()
    start()
    line "mw.sleep(1000)"
    key "C-c"
    sees "cancelled"
    line "7 * 6"
    sees "\n42\n"
    type_text "half a li"
    key "C-c"
    line "6 * 7 + 1"
    sees "\n43\n"
    key "C-d"
    over()
  end)

  it("completes Lua names, methods and registry paths", function()
    p:ok { "put", "/services/web-console", "here" }
    start()
    type_text "mw.regis"
    key "Tab"
    sees "mw.registry"
    type_text ":get('/serv"
    key "Tab"
    sees "mw.registry:get('/services"
    type_text "/web"
    key "Tab"
    sees "/services/web-console"
    line "').value"
    sees "\n\"here\"\n"
    type_text "cat /services/w"
    key "Tab"
    sees "cat /services/web-console"
    key "Enter"
    sees "\nhere\n"
    key "C-d"
    over()
  end)

  it("shows changes above the prompt while something is being typed", function()
    start()
    line "watch /w"
    sees "synced"
    type_text "1 + 1"
    p:ok { "put", "/w/a", "changed" }
    sees "/w/a = changed"
    sees "/> 1 + 1"
    key "Enter"
    sees "\n2\n"
    key "C-d"
    over()
  end)

  it("remembers lines across runs", function()
    start()
    line "'some' .. 'thing'"
    sees '"something"'
    key "C-d"
    over()
    start()
    key "Up"
    sees "'some' .. 'thing'"
    key "Enter"
    sees '"something"'
    key "C-d"
    over()
  end)

  it("tells errors in short, and helps", function()
    start()
    line "local function f() error 'broken' end f()"
    sees "shell:1: broken"
    assert.is_nil(screen():find("session.lua", 1, true))
    line "mw.registry:get '/absent'"
    sees "not_found"
    line "help(mw.sleep)"
    sees "mw.sleep(duration)"
    line "help 'Registry:put'"
    sees "Creates or replaces"
    key "C-d"
    over()
  end)

  it("goes on after a script with -i, and attaches to a running engine", function()
    p:write("engine.lua", "answer = 42 print 'ready'")
    local engine = p:start { "run", "--attach", "spec", "engine.lua" }
    engine.says "ready"
    start "--attach spec"
    line "answer"
    sees "\n42\n"
    line "mw.sleep(1000)"
    key "C-c"
    sees "cancelled"
    engine.signal "TERM"
    engine.code()
    line "answer"
    sees "the engine has gone"
    over()
    start "-i -e 'print \"first\"'"
    sees "first"
    line "2 + 3"
    sees "\n5\n"
    key "C-d"
    over()
  end)
end)
