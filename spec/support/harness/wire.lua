-- Plain data between processes, as Lua source text: nil, booleans, numbers, strings, tables of these.

local wire = {}

local write

local function write_table(value, out, depth)
  if depth > 20 then
    error("nested too deeply to be sent", 0)
  end
  table.insert(out, "{")
  for key, item in pairs(value) do
    table.insert(out, "[")
    write(key, out, depth)
    table.insert(out, "]=")
    write(item, out, depth)
    table.insert(out, ",")
  end
  table.insert(out, "}")
end

function write(value, out, depth)
  local kind = type(value)
  if kind == "table" and not getmetatable(value) then
    write_table(value, out, depth + 1)
  elseif kind == "table" or kind == "userdata" then
    -- Errors of Moonwatch travel as what they say.
    write(tostring(value), out, depth)
  elseif kind == "function" or kind == "thread" then
    error("a " .. kind .. " cannot be sent", 0)
  else
    -- On one line: %q writes a newline as a backslash and itself.
    table.insert(out, (("%q"):format(value):gsub("\\\n", "\\n")))
  end
end

--- Any number of values as one text.
---@return string
function wire.pack(...)
  local out = { "return " .. select("#", ...) .. "," }
  write({ ... }, out, 0)
  return table.concat(out)
end

--- The values again.
function wire.unpack(text)
  local count, values = assert(load(text, "=wire", "t", {}))()
  return table.unpack(values, 1, count)
end

return wire
