local cli = require "moonwatch.cli"

local M = {
    summary = "Print a completion script for a shell.",
    description = "bash: source <(moonwatch completion bash). zsh: moonwatch completion zsh > ~/.zfunc/_moonwatch. "
        .. "fish: moonwatch completion fish > ~/.config/fish/completions/moonwatch.fish. Registry paths are looked up "
        .. "as you type: in what -b, -c or $MOONWATCH_REGISTRY name, silently, within half a second.",
}

function M.configure(command)
    command:argument("shell", "bash, zsh or fish."):choices { "bash", "zsh", "fish" }
end

-- What argparse writes knows commands, options and choices; paths come from `moonwatch complete-path`, which is given
-- the words up to the cursor. A path that ends in "/" has more below it: no space behind it.
local ask = "moonwatch complete-path --"

-- Bash's own list of words is cut at what Readline takes for ends of words: `:` and `=` stand in registries and paths.
local bash = [=[
_moonwatch_paths() {
    local path
    while IFS= read -r path; do
        COMPREPLY+=("$path")
    done < <(moonwatch complete-path --line="${COMP_LINE:0:COMP_POINT}" --breaks="$COMP_WORDBREAKS" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == */ ]] && compopt -o nospace 2>/dev/null
}

_moonwatch_all() {
    COMPREPLY=()
    _moonwatch_paths
    [[ ${#COMPREPLY[@]} -gt 0 ]] || _moonwatch "$@"
}

complete -F _moonwatch_all -o bashdefault -o default moonwatch
]=]

-- The words of the whole line: where _arguments looks at an argument, $words begins with the command.
local zsh = [=[
_moonwatch_paths() {
  local -a found more
  found=("${(@f)$(ASK moonwatch "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
  more=(${(M)found:#*/})
  found=(${found:#*/})
  (( $#more )) && compadd -S "" -- "${(@)more}"
  (( $#found )) && compadd -- "${(@)found}"
  (( $#more + $#found ))
}
]=]

local fish = [=[
function __fish_moonwatch_paths
    ASK (commandline -opc) (commandline -ct | string unescape) 2>/dev/null
end
complete -c moonwatch -a '(__fish_moonwatch_paths)'
]=]

local function with_ask(text)
    return (text:gsub("ASK", ask))
end

-- For each command, the arguments named "path" complete as such.
local function zsh_script(parser)
    local text = parser:get_zsh_complete()
    for _, command in ipairs(parser._commands) do
        local first = command._arguments[1]
        if first and first._name == "path" then
            local section = ("\n    %s)\n"):format(command._name)
            local from = assert(text:find(section, 1, true))
            local head, tail = text:sub(1, from - 1), text:sub(from)
            text = head .. tail:gsub('\n( *)"(:?%*?:?) ?:? ?:_files" \\\n', '\n%1"%2 :_moonwatch_paths" \\\n', 1)
        end
    end
    return (text:gsub("\n_moonwatch%(%)", function() return "\n" .. with_ask(zsh) .. "\n_moonwatch()" end, 1))
end

function M.run(args)
    local parser = cli.parser(cli.commands)
    if args.shell == "zsh" then
        io.write(zsh_script(parser), "\n")
        return
    end
    local text = parser["get_" .. args.shell .. "_complete"](parser)
    if args.shell == "bash" then
        text = text:gsub("\ncomplete %-F [^\n]*\n", "\n")
    end
    io.write(text, "\n", with_ask(args.shell == "bash" and bash or fish))
end

return M
