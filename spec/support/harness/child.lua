-- The other process of real.lua: runs the chunks that come in on standard input, each as a task, until that is closed.

local mw = require "moonwatch"
local uv = require "luv"
local Room = require "support.harness.room"

local room
room = Room.new(function(more)
  local all = {}
  for key, value in pairs(room.env.base) do
    all[key] = value
  end
  for key, value in pairs(more or {}) do
    all[key] = value
  end
  return all
end)
room.env.room = room

local input, output = uv.new_pipe(false), uv.new_pipe(false)
input:open(0)
output:open(1)

local buffer, ended, requests = "", false, {}
input:read_start(function(err, data)
  if err or not data then
    ended = true
    return
  end
  buffer = buffer .. data
  while true do
    local length, rest = buffer:match("^(%d+)\n()")
    if not length or #buffer < rest + length - 1 then
      return
    end
    table.insert(requests, buffer:sub(rest, rest + length - 1))
    buffer = buffer:sub(rest + length)
  end
end)

local function answer(request)
  local number, packed = request:match("^(%d+) (.*)$")
  local text = number .. " " .. room:run(packed)
  output:write(#text .. "\n" .. text)
end

-- Two loops in one thread: libuv's default one for the pipes, and Moonwatch's own.
while not ended do
  uv.run "nowait"
  for _, request in ipairs(requests) do
    mw.spawn(answer, request)
  end
  requests = {}
  mw.sleep(0.001)
end
uv.run "nowait"
input:close()
output:close()
uv.run()
