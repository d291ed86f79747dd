-- What people wait for: a command from its start to its first output, and Tab on a large directory.
-- One row per figure, as report.lua reads them; medians of 15.
local complete = require "moonwatch.shell.complete"
local mw = require "moonwatch"
local system = require "moonwatch.system"

local RUNS, PATHS = 15, 10000

local function row(name, most, run)
    local values = {}
    for i = 1, RUNS do
        local begun = system.time()
        run()
        values[i] = (system.time() - begun) * 1000
    end
    table.sort(values)
    local figure = values[(RUNS + 1) // 2]
    local verdict = not most and "-" or figure <= most and "met" or "missed"
    print(("%s | %.1f | ms | %s | %s"):format(name, figure, most and "at most " .. most or "-", verdict))
end

-- Run `command` until its first byte of output; its end is not waited for within the figure.
local function first_output(command)
    local pipes = {}
    return function()
        local pipe = assert(io.popen(command))
        assert(pipe:read(1), command)
        pipes[#pipes + 1] = pipe
        if #pipes == RUNS then
            for _, one in ipairs(pipes) do
                one:close()
            end
        end
    end
end

local file = os.tmpname()
os.remove(file)
local registry = assert(mw.open { backend = "sqlite", path = file })
for i = 1, PATHS, 500 do
    local txn = registry:txn()
    for j = i, i + 499 do
        txn:put(("/services/instance-%05d"):format(j), "value")
    end
    assert(txn:commit())
end

local target = "-b sqlite:" .. file
row("a shell that only echoes: the floor of starting anything", nil, first_output "echo floor")
row("moonwatch version: start to first output", 25, first_output "moonwatch version")
row("moonwatch get on SQLite: start to first output", 25,
    first_output("moonwatch get /services/instance-00001 " .. target))
row("moonwatch locks on SQLite: start to first output", 25, first_output("moonwatch locks -o json " .. target))
row("moonwatch nodes on SQLite: start to first output", 25, first_output("moonwatch nodes -o json " .. target))
row("moonwatch --help: all commands", 25, first_output "moonwatch --help")

row(("Tab in bash, zsh or fish on %d paths: start to first output"):format(PATHS), 50,
    first_output(("moonwatch complete-path -- moonwatch get %s /services/instance-0"):format(target)))

local function children(path)
    return assert(registry:children(path))
end
row(("Tab in a directory of %d paths, on SQLite"):format(PATHS), 50, function()
    local found = complete.complete("cat /services/instance-0", {}, "/", { "cat" }, children)
    assert(#found.candidates > 0)
end)
row(("Tab that leaves ten of %d paths"):format(PATHS), 50, function()
    assert(complete.complete("mw.registry:get('/services/instance-0999", {}, "/", {}, children).insert == "")
end)

registry:close()
for _, suffix in ipairs { "", "-journal", "-wal", "-shm" } do
    os.remove(file .. suffix)
end
