local cli = require "moonwatch.cli"

local M = {
    summary = "Print a completion script for a shell.",
    description = "bash: source <(moonwatch completion bash). zsh: moonwatch completion zsh > ~/.zfunc/_moonwatch. "
        .. "fish: moonwatch completion fish > ~/.config/fish/completions/moonwatch.fish.",
}

function M.configure(command)
    command:argument("shell", "bash, zsh or fish."):choices { "bash", "zsh", "fish" }
end

function M.run(args)
    local parser = cli.parser(cli.commands)
    io.write(parser["get_" .. args.shell .. "_complete"](parser), "\n")
end

return M
