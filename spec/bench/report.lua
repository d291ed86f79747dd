-- Runs the benchmarks that `list` in the given folder names, prints one table, and writes results.csv (and results.png
-- where gnuplot is). usage: report.lua FOLDER [NAME]    NAME: only those whose name holds it
package.path = arg[0]:gsub("[^/]*$", "?.lua;") .. package.path
local chart = require "chart"

local folder, only = arg[1], arg[2] or os.getenv("BENCH") or ""

local function run(command)
  local pipe = assert(io.popen(". ./env.sh; " .. command))
  local rows = {}
  for line in pipe:lines() do
    local work, figure, unit, target, verdict = line:match("^(.-)%s*|%s*(.-)%s*|%s*(.-)%s*|%s*(.-)%s*|%s*(.-)%s*$")
    if work then
      rows[#rows + 1] = { work = work, figure = figure, unit = unit, target = target, verdict = verdict }
    end
  end
  return rows, pipe:close()
end

local function show(row)
  print(("%-62s %14s %-12s %-18s %s"):format(row.work, row.figure, row.unit, row.target, row.verdict))
end

local function write_csv(rows)
  local file = assert(io.open(folder .. "/results.csv", "w"))
  file:write("bench,work,figure,unit,target,verdict\n")
  for _, row in ipairs(rows) do
    file:write(("%s,\"%s\",%s,%s,\"%s\",%s\n"):format(row.bench, row.work, row.figure, row.unit, row.target,
      row.verdict))
  end
  file:close()
end

local rows, failed = {}, {}
print(("%-62s %14s %-12s %-18s %s"):format("work", "figure", "unit", "target", "verdict"))
for line in io.lines(folder .. "/list") do
  local name, command = line:match("^(.-)|(.+)$")
  if name and name:find(only, 1, true) then
    print("-- " .. name)
    local found, ok = run(command)
    if not ok or #found == 0 then failed[#failed + 1] = name end
    for _, row in ipairs(found) do
      row.bench = name
      rows[#rows + 1] = row
      show(row)
    end
  end
end
write_csv(rows)
if not chart.write(folder .. "/results", rows) then
  io.stderr:write("report: no chart was drawn\n")
end
local missed = 0
for _, row in ipairs(rows) do missed = missed + (row.verdict == "missed" and 1 or 0) end
print(("\n%d figures, %d targets missed%s"):format(#rows, missed,
  #failed > 0 and "; failed: " .. table.concat(failed, ", ") or ""))
os.exit(#failed == 0)
