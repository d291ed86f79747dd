local M = { summary = "Print the version." }

function M.configure() end

function M.run()
    print(("moonwatch %s (%s)"):format(require("moonwatch").version, _VERSION))
end

return M
