local cli = require "moonwatch.cli"
local core = require "moonwatch.core"

local M = {
    summary = "Print the tables of a backend, for an administrator to create.",
    description = "Moonwatch makes its tables itself where it may, and brings up those of an older version; where it "
        .. "has no right to, run what this prints. Processes may run meanwhile, of the older version too.",
}

local function version(text)
    local number = text:match("^%d+$") and math.tointeger(text)
    if not number or number < 1 then
        return nil, ("--from: '%s' is no schema; they are numbered from 1 on"):format(text)
    end
    return number
end

function M.configure(command)
    command:argument("backend", "sqlite, mysql, or another one that is installed.")
    command:option("--from", "Print what brings up tables of this schema (the log of `run` names it), not new ones.")
        :argname("VERSION"):convert(version)
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
    local text = info.schema
    if args.from then
        text, err = core.backend_upgrade(args.backend, args.from)
    end
    if not text then
        cli.complain("%s", tostring(err))
        return cli.exit.failed
    end
    io.write(text)
end

return M
