-- One bar chart of benchmark rows, as PNG by gnuplot: each figure that has a target, by how much it is beyond it.
local chart = {}

-- What gnuplot would take for markup or for the end of the text
local function plain(text)
  return (text:gsub('[\\"]', ""))
end

-- How many times better than the target: 1 = just met, below 1 = missed. nil: the row has no target.
local function better(row)
  local figure, target = tonumber(row.figure), tonumber((row.target:gsub(",", "")):match("[%d.]+"))
  if not (figure and target and figure > 0 and target > 0) then
    return nil
  end
  return row.target:find("most") and target / figure or figure / target
end

local SCRIPT = [[
set terminal pngcairo noenhanced size 1200,%d font 'sans,10'
set output '%s.png'
set title 'Times better than the target: 1 = just met; left of it: missed'
set logscale x 2
set xrange [%g:%g]
set yrange [%d.5:0.5]
set xtics 2
set grid xtics
set tics scale 0
set border 1
set lmargin 60
set style fill solid 0.8
set arrow from 1,graph 0 to 1,graph 1 nohead lw 2 front
unset key
plot $rows using 3:1:4:5:($1-0.35):($1+0.35):6:ytic(2) with boxxyerror linecolor rgb variable, \
     $rows using 5:1:7 with labels left offset 0.7,0
]]

-- Write PATH.png; false when there is nothing to draw, or no gnuplot.
function chart.write(path, rows)
  local data, least, most = {}, 0.5, 2
  for _, row in ipairs(rows) do
    local ratio = better(row)
    if ratio then
      least, most = math.min(least, ratio), math.max(most, ratio)
      data[#data + 1] = ('%d "%s" %g %g %g %d "%s %s (%s)"'):format(#data + 1, plain(row.work), ratio,
        math.min(ratio, 1), math.max(ratio, 1), ratio < 1 and 0xd9822b or 0x3a6ea5, row.figure, plain(row.unit),
        plain(row.target))
    end
  end
  if #data == 0 then
    return false
  end
  local script = assert(io.open(path .. ".gnuplot", "w"))
  script:write("$rows << END\n", table.concat(data, "\n"), "\nEND\n")
  -- Room on the right for the text behind the longest bar
  script:write(SCRIPT:format(90 + 24 * #data, path, least / 1.2, most * (most / least) ^ 0.6, #data))
  script:close()
  return (os.execute(("gnuplot '%s.gnuplot'"):format(path)))
end

return chart
