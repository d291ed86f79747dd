-- Help, completion and manual come from one definition: nothing may be missing in any of them.
local function capture(command)
  local pipe <close> = assert(io.popen(command .. " 2>&1; echo \"code=$?\""))
  local text = pipe:read "a"
  return text:gsub("code=%d+\n$", ""), tonumber(text:match "code=(%d+)\n$")
end

-- Each command with the long names of its options, as its --help lists them.
local function commands()
  local found = {}
  for name in capture("moonwatch --help"):match("Commands:\n(.*)$"):gmatch "\n?   (%l+) +%S" do
    found[#found + 1] = name
  end
  return found
end

local function options_of(name)
  local help, options = capture(("moonwatch %s --help"):format(name)), {}
  for option in (help:match "Options:(.*)$" or ""):gsub("\nExamples:.*", ""):gmatch "%-%-[%l-]+" do
    options[option] = true
  end
  return options, help
end

describe("every command", function()
  it("is named by the help, and there are as many as the issue asks for", function()
    local names = table.concat(commands(), " ")
    assert.equal("run check doctor init shell get put ls tree stat rm watch txn nodes locks sessions lock elect export "
      .. "import schema completion man version", names)
  end)

  it("helps, with code 0", function()
    for _, name in ipairs(commands()) do
      local text, code = capture(("moonwatch %s --help"):format(name))
      assert.equal(0, code, name)
      assert.matches("^Usage: moonwatch " .. name, text)
    end
  end)

  it("is in the completion of each shell, with every option", function()
    for _, shell in ipairs { "bash", "zsh", "fish" } do
      local text, code = capture("moonwatch completion " .. shell)
      assert.equal(0, code)
      for _, name in ipairs(commands()) do
        assert.is_truthy(text:find(name, 1, true), shell .. ": " .. name)
        for option in pairs(options_of(name)) do
          local word = shell == "fish" and "-l " .. option:sub(3) or option
          assert.is_truthy(text:find(word, 1, true), ("%s: %s %s"):format(shell, name, option))
        end
      end
    end
  end)

  it("completes in a real bash", function()
    local text = capture([[bash -c 'source <(moonwatch completion bash); COMP_WORDS=(moonwatch dow); COMP_CWORD=1
      COMP_WORDS=(moonwatch do); _moonwatch; echo "${COMPREPLY[@]}"']])
    assert.matches("doctor", text)
  end)

  it("is in the manual page, with every option, and the page is clean roff", function()
    local page, code = capture "moonwatch man"
    assert.equal(0, code)
    for _, name in ipairs(commands()) do
      local section = page:match("\n%.SS " .. name .. "\n(.-)\n%.S[SH] ")
      assert.is_truthy(section, name)
      for option in pairs(options_of(name)) do
        assert.is_truthy(section:find(option:gsub("%-", "\\-"), 1, true), ("man: %s %s"):format(name, option))
      end
    end
    -- groff does not survive a preloaded AddressSanitizer
    local warnings = capture "moonwatch man | env -u LD_PRELOAD groff -man -Tutf8 -ww -z"
    assert.equal("", warnings)
  end)

  it("has no example that it would not take itself", function()
    package.preload["moonwatch.child"] = function() return {} end -- only the program has it; nothing is started here
    local cli = require "moonwatch.cli"
    for name, examples in pairs(require "moonwatch.cli.examples") do
      local _, text = options_of(name)
      for _, example in ipairs(examples) do
        assert.is_truthy(text:find(example, 1, true), example)
        local words = {}
        local plain = example:gsub("'[^']*'", "quoted"):gsub('"[^"]*"', "quoted"):gsub("%$%b()", "host")
        for word in plain:match("moonwatch [^|<>)]+"):gmatch "%S+" do
          words[#words + 1] = word
        end
        assert.equal(name, words[2])
        local ok, err = cli.parser({ name }):pparse({ table.unpack(words, 2) })
        assert.is_true(ok, ("%s: %s"):format(example, err))
      end
    end
  end)

  it("documents every exit code", function()
    local page = capture "moonwatch man"
    for _, code in pairs(require("moonwatch.cli").exit) do
      assert.is_truthy(page:find((".B %d\n"):format(code), 1, true), code)
    end
  end)
end)
