-- The shell in a real terminal.
local Program = require "support.program"
local Terminal = require "support.terminal"

describe("the shell in a terminal", function()
  local p, t

  local function start(words)
    t:start("moonwatch shell " .. (words or ""))
    t:sees "/> "
  end

  before_each(function()
    p = Program.new()
    t = Terminal.new(p)
    p:write("application.yaml", ("registry: {sqlite: {path: '%s'}}\n"):format(p.registry:match "^sqlite:(.*)$"))
  end)

  after_each(function()
    t:finish()
    p:finish()
  end)

  it("prints values, waits in calls, shows tables, and leaves on Ctrl-D", function()
    start()
    t:line "1 + 41"
    t:sees "\n42\n"
    t:line "{ a = 1, 'x' }"
    t:sees "{ \"x\", a = 1 }"
    t:line "for i = 1, 2 do"
    t:line "mw.registry:put('/p/' .. i, 'value ' .. i)"
    t:line "end"
    t:line "mw.registry:list '/p'"
    t:sees "PATH"
    t:sees "/p/2"
    t:line "tree /p"
    t:sees "└── 2 = value 2"
    assert.is_truthy(t:screen("-e"):find "\27%[", "colour")
    t:key "C-d"
    assert.equal(0, (t:over()))
  end)

  it("cancels what runs with Ctrl-C, and goes on", function()
    start()
    t:line "print 'begun' mw.sleep(1000)"
    t:sees "\nbegun" -- the terminal drops, at Ctrl-C, what nobody has read yet
    t:key "C-c"
    t:sees "cancelled"
    t:line "7 * 6"
    t:sees "\n42\n"
    t:type "half a li"
    t:key "C-c"
    t:line "6 * 7 + 1"
    t:sees "\n43\n"
    t:key "C-d"
    assert.equal(0, (t:over()))
  end)

  it("ends a line that never waits with Ctrl-C, also one that catches what ends it", function()
    start()
    t:line "print 'begun' while true do end"
    t:sees "\nbegun"
    t:key "C-c"
    t:sees "interrupted"
    t:line "print 'again' while true do print(pcall(function() while true do end end)) end"
    t:sees "\nagain"
    t:key "C-c"
    t:sees("interrupted", 2)
    t:key "C-c"
    t:sees "cancelled"
    t:line "7 * 6"
    t:sees "\n42\n"
    assert.is_nil(t:screen():find("ran for", 1, true))
    t:key "C-d"
    assert.equal(0, (t:over()))
  end)

  it("completes Lua names, methods and registry paths", function()
    p:ok { "put", "/services/web-console", "here" }
    start()
    t:type "mw.regis"
    t:key "Tab"
    t:sees "mw.registry"
    t:type ":get('/serv"
    t:key "Tab"
    t:sees "mw.registry:get('/services"
    t:type "/web"
    t:key "Tab"
    t:sees "/services/web-console"
    t:line "').value"
    t:sees "\n\"here\"\n"
    t:type "cat /services/w"
    t:key "Tab"
    t:sees "cat /services/web-console"
    t:key "Enter"
    t:sees "\nhere\n"
    t:key "C-d"
    assert.equal(0, (t:over()))
  end)

  it("takes and completes paths with spaces and quotes, in short forms and in Lua", function()
    p:ok { "put", "/shared files/it's here", "yes" }
    start()
    t:type "ls /sha"
    t:key "Tab"
    t:sees "ls /shared\\ files"
    t:key "Enter"
    t:sees "\nit's here"
    t:type [[cat "/shared files/i]]
    t:key "Tab"
    t:sees [["/shared files/it's here]]
    t:line '"'
    t:sees "\nyes\n"
    t:type "mw.registry:get('/shared files/i"
    t:key "Tab"
    t:sees "/it\\'s here"
    t:line "').value"
    t:sees '\n"yes"\n'
    t:key "C-d"
    assert.equal(0, (t:over()))
  end)

  it("shows changes above the prompt while something is being typed", function()
    start()
    t:line "watch /w"
    t:sees "synced"
    t:type "1 + 1"
    p:ok { "put", "/w/a", "changed" }
    t:sees "/w/a = changed"
    t:sees "/> 1 + 1"
    t:key "Enter"
    t:sees "\n2\n"
    t:key "C-d"
    assert.equal(0, (t:over()))
  end)

  it("draws a line of several rows again as it was: below a change, in another width, ended by Ctrl-C", function()
    start()
    t:line "watch /w"
    t:sees "synced"
    t:type(("x"):rep(150))
    p:ok { "put", "/w/a", "changed" }
    t:sees "/w/a = changed"
    t:resize(60, 40)
    p:ok { "put", "/w/b", "changed" }
    t:sees "/w/b = changed"
    t:sees("/> " .. ("x"):rep(150))
    assert.equal(150, select(2, t:screen():gsub("x", "")))
    t:key "C-a"
    t:type "yy"
    t:sees("/> yy" .. ("x"):rep(150))
    t:key "C-c"
    t:sees "x^C"
    t:line "('z'):rep(50), { ('a'):rep(30), ('b'):rep(30) }"
    t:sees('\n  "' .. ("a"):rep(30) .. '"') -- not in one line of 80
    t:key "C-d"
    assert.equal(0, (t:over()))
  end)

  it("takes what is pasted as it is", function()
    start()
    t:paste "local mw.regist\t= 1\nfor i = 1, 2 do\n\tprint(i,\ti)\nend\n"
    t:sees "mw.regist  "
    t:sees "\n2       2"
  end)

  it("takes what is typed while a line still runs, Ctrl-D too", function()
    start()
    t:line "mw.sleep(0.3)"
    t:line "20 + 22"
    t:sees "\n42\n"
    t:line "mw.registry:put('/running', '1') mw.sleep(0.3)"
    Program.eventually("the line", function() return (p:run { "get", "/running" }) == 0 end)
    t:key "C-d"
    assert.equal(0, (t:over()))
  end)

  it("remembers lines across runs", function()
    start()
    t:line "'some' .. 'thing'"
    t:sees '"something"'
    t:key "C-d"
    assert.equal(0, (t:over()))
    start()
    t:key "Up"
    t:sees "'some' .. 'thing'"
    t:key "Enter"
    t:sees '"something"'
    t:key "C-d"
    assert.equal(0, (t:over()))
  end)

  it("remembers a line of several as it was typed, beside those of another shell", function()
    local other <close> = Terminal.new(p, "other")
    start()
    other:start "moonwatch shell"
    other:sees "/> "
    t:line "for i = 1, 1 do -- once"
    t:line "  print('n' .. i)"
    t:line "end"
    t:sees "\nn1"
    other:line "'of the ' .. 'other'"
    other:sees '"of the other"'
    t:key "C-d"
    assert.equal(0, (t:over()))
    start()
    t:key "Up"
    t:sees "'of the ' .. 'other'"
    t:key "Up"
    t:sees "-- once\n  print('n' .. i)\nend"
    t:key "Enter"
    t:sees "\nn1"
    t:key "C-d"
    assert.equal(0, (t:over()))
  end)

  it("tells errors in short, and helps", function()
    start()
    t:line "local function f() error 'broken' end f()"
    t:sees "shell:1: broken"
    assert.is_nil(t:screen():find("session.lua", 1, true))
    t:line "mw.registry:get '/absent'"
    t:sees "not_found"
    t:line "help(mw.sleep)"
    t:sees "mw.sleep(duration)"
    t:line "help 'Registry:put'"
    t:sees "Creates or replaces"
    t:key "C-d"
    assert.equal(0, (t:over()))
  end)

  it("is there before its registry is, and shows that it is not", function()
    t:start "moonwatch shell -b zookeeper:127.0.0.1:1"
    t:sees "zookeeper connecting /> "
    t:line "1 + 1"
    t:sees "\n2\n"
    t:line "mw.registry:get '/a'"
    t:sees "mw.registry:get '/a'"
    t:key "C-c"
    t:sees "cancelled"
    t:key "C-d"
    assert.equal(0, (t:over()))
  end)

  it("leaves when its terminal goes or it is told to, whatever runs", function()
    for _, signal in ipairs { "HUP", "TERM" } do
      t:start "sh -c 'echo $$ >pid; exec moonwatch shell'"
      t:sees "/> "
      t:line "print 'begun' mw.sleep(1000)"
      t:sees "\nbegun"
      os.execute(("kill -%s %s"):format(signal, p:read "pid"))
      assert.equal(0, (t:over()))
    end
  end)

  it("goes on after a script with -i, and attaches to a running engine", function()
    p:write("engine.lua", "answer = 42 print 'ready'")
    local engine = p:start { "run", "--attach", "spec", "engine.lua" }
    engine.says "ready"
    start "--attach spec"
    t:line "answer"
    t:sees "\n42\n"
    t:line "print 'begun' mw.sleep(1000)"
    t:sees "\nbegun"
    t:key "C-c"
    t:sees "cancelled"
    engine.signal "TERM"
    engine.code()
    t:line "answer"
    t:sees "the engine has gone"
    assert.equal(0, (t:over()))
    start "-i -e 'print \"first\"'"
    t:sees "first"
    t:line "2 + 3"
    t:sees "\n5\n"
    t:key "C-d"
    assert.equal(0, (t:over()))
  end)
end)
