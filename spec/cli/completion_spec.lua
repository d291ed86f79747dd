-- Registry paths complete in real shells, and whoever presses Tab hears no complaint.
local Program = require "support.program"
local Terminal = require "support.terminal"

describe("the completion of registry paths", function()
  local p

  before_each(function()
    p = Program.new()
    p:ok { "put", "/services/web-console", "here" }
    p:ok { "put", "/services/web-proxy", "1" }
    p:ok { "put", "/servants", "1" }
  end)
  after_each(function() p:finish() end)

  local function offers(...)
    local words = { "complete-path", "--", "moonwatch", ... }
    local code, out, err = p:run(words)
    assert.equal(0, code)
    assert.equal("", err)
    return (out:gsub("\n", " "))
  end

  it("goes one level at a time, and asks for more where there is more", function()
    assert.equal("/servants /services ", offers("get", "/serv"))
    assert.equal("/services/ ", offers("get", "/servi"))
    assert.equal("/services/web-console /services/web-proxy ", offers("rm", "-r", "/servants", "/services/"))
    assert.equal("/services/web-proxy ", offers("get", "-o", "json", "/services/web-p"))
    assert.equal("/servants ", offers("lock", "--timeout", "5s", "/serva"))
  end)

  it("looks where the line says, and only for paths", function()
    p:ok { "put", "-b", "sqlite:other.db", "/elsewhere", "1" }
    assert.equal("/elsewhere ", offers("get", "-b", "sqlite:other.db", "/"))
    assert.equal("/elsewhere ", offers("get", "--backend=sqlite:other.db", "/"))
    assert.equal("/services/ ", offers("get", "--namespace", "/", "/servi"))
    assert.equal("", offers("get", "-n", "/serv"))
    assert.equal("", offers("put", "/servants", "/serv"))
    assert.equal("", offers("lock", "/l", "--", "/serv"))
    assert.equal("", offers("get", "--fr"))
    assert.equal("", offers("import", "/serv"))
    assert.equal("", offers("/serv"))
  end)

  it("knows which words bash would see, and quotes for the place", function()
    p:ok { "put", "/a b/it's: $x", "1" }
    local function answers(line)
      return (p:ok { "complete-path", "--line=moonwatch " .. line, "--breaks= \t\n\"'><=;|&(:" }):gsub("\n", "")
    end
    assert.equal([[/a\ b/]], answers "get /a")
    assert.equal([[/a\ b/it\'s:\ \$x]], answers [[get /a\ b/]])
    assert.equal([[/a b/it's: \$x]], answers [[get "/a b/it]])
    assert.equal([[/a b/it'\''s: $x]], answers [[get -o json '/a b/i]])
    assert.equal([[\ \$x]], answers [[get /a\ b/it\'s:]])
    assert.equal([[/a\ b/it\'s:\ \$x]], answers [[get "/a b/"i]])
    assert.equal("", answers "get /a b")
  end)

  it("is silent where there is no registry", function()
    assert.equal("", offers("get", "-b", "sqlite:absent.db", "/"))
    assert.equal("", offers("get", "-b", "zookeeper:127.0.0.1:1", "/"))
    assert.equal("", offers("get", "-c", "absent.yaml", "/"))
    assert.equal("", offers("get", "-b", "nonsense", "/"))
    assert.equal("", offers("get", "//"))
  end)

  -- How each is started without its user's files, and takes our script.
  local shells = {
    bash = "bash --norc --noprofile -i; true",
    zsh = "zsh -f -i; true",
    fish = "fish --no-config -i; true",
  }
  local settings = {
    bash = "PS1='ready '; source <(moonwatch completion bash)",
    zsh = "PS1='ready '; autoload -U compinit && compinit -u -d dump; source <(moonwatch completion zsh); "
      .. "compdef _moonwatch moonwatch",
    fish = "function fish_prompt; echo -n 'ready '; end; function fish_greeting; end; "
      .. "moonwatch completion fish | source",
  }

  for _, name in ipairs { "bash", "zsh", "fish" } do
    it("works in a real " .. name, function()
      local t <close> = Terminal.new(p)
      t:start(shells[name])
      t:line(settings[name])
      t:sees "\nready"
      t:line "clear"
      t:type "moonwatch get /servi"
      t:key "Tab"
      t:sees "get /services/"
      t:type "web-c"
      t:key "Tab"
      t:sees "/services/web-console"
      t:line "; exit"
      local _, screen = t:over()
      assert.matches("\nhere", screen)
    end)

    it("takes spaces and quotes for what they are in a real " .. name, function()
      p:ok { "put", "/shared files/it's $HOME: 1", "first" }
      p:ok { "put", "/shared files/other", "second" }
      local t <close> = Terminal.new(p)
      t:start(shells[name])
      t:line(settings[name])
      t:sees "\nready"
      t:line "clear"
      t:type "moonwatch get /sha"
      t:key "Tab"
      t:sees "/shared\\ files/"
      t:type "i"
      t:key "Tab"
      t:sees "/it\\'s\\ \\$HOME:\\ 1"
      t:key "Enter"
      t:sees "\nfirst"
      t:type "moonwatch get \"/shared files/o"
      t:key "Tab"
      t:sees '"/shared files/other"'
      t:line "; exit"
      local _, screen = t:over()
      assert.matches("\nsecond", screen)
    end)
  end
end)
