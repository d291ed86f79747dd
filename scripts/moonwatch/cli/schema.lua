local cli = require "moonwatch.cli"
local core = require "moonwatch.core"

local M = {
    summary = "Print the tables of a backend, for an administrator to create.",
    description = "Moonwatch creates its tables itself where it may; where it has no right to, run what this prints.",
}

function M.configure(command)
    command:argument("backend", "sqlite, mysql, or another one that is installed.")
end

function M.run(args)
    local info, err = core.backend_info(args.backend)
    if not info then
        cli.complain("%s", tostring(err))
        return cli.exit.failed
    elseif not info.schema then
        cli.complain("%s has no tables: there is nothing to prepare", args.backend)
        return cli.exit.failed
    end
    io.write(info.schema)
end

return M
