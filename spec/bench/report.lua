-- Runs the benchmarks that `list` in the given folder names, prints one table, and writes results.csv (and results.png
-- where gnuplot is). usage: report.lua FOLDER [NAME]    NAME: only those whose name holds it
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

-- The chart shows how far each figure with a target is beyond it: 1 = just met.
local function write_chart(rows)
  local data = assert(io.open(folder .. "/chart.dat", "w"))
  local count = 0
  for _, row in ipairs(rows) do
    local figure, target = tonumber(row.figure), tonumber(row.target:match("[%d.]+"))
    if figure and target and figure > 0 and target > 0 then
      count = count + 1
      local ratio = row.target:find("most") and target / figure or figure / target
      data:write(("%d \"%s\" %g\n"):format(count, row.work:sub(1, 60), ratio))
    end
  end
  data:close()
  if count == 0 then return end
  local plot = ([[set terminal pngcairo size 1100,%d; set output '%s/results.png'; set yrange [%d:0]; set grid x;
    set logscale x 2; set xlabel 'times better than the target (1 = just met)'; set style fill solid 0.7; unset key;
    set arrow from 1,0.4 to 1,%d nohead lw 2; set lmargin 52;
    plot '%s/chart.dat' using (1):1:(1):3:($1-0.35):($1+0.35):ytic(2) with boxxyerror lc rgb '#3366aa']])
    :format(120 + 26 * count, folder, count + 1, count + 1, folder)
  os.execute(("gnuplot -e %q >/dev/null 2>&1"):format(plot:gsub("\n%s*", " ")))
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
write_chart(rows)
local missed = 0
for _, row in ipairs(rows) do missed = missed + (row.verdict == "missed" and 1 or 0) end
print(("\n%d figures, %d targets missed%s"):format(#rows, missed,
  #failed > 0 and "; failed: " .. table.concat(failed, ", ") or ""))
os.exit(#failed == 0)
