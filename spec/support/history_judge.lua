-- Judges a history that a C spec wrote down: one record a line, fields parted by blanks.
-- usage: lua5.4 history_judge.lua FILE     exit status 1 and one line per broken promise
--
--   write ID CLIENT [LOCK TOKEN]            answer ID ok|unknown|refused [REVISION]
--   held CLIENT LOCK TOKEN                  dropped CLIENT LOCK TOKEN            stalled CLIENT
--   event OBSERVER TYPE PATH VERSION REVISION CREATED OWNER
--   present ID REVISION                     entry PATH VERSION REVISION CREATED OWNER
package.path = arg[0]:match("^(.*)/support/[^/]*$") .. "/?.lua;" .. package.path
local History = require "support.history"

local now = 0
local history = History.new { clock = function()
  now = now + 1
  return now
end }

local entries = {}
local take = {}

function take.write(id, client, lock, token)
  history:record { what = "write", id = id, client = client, lock = lock, token = math.tointeger(token) }
end

function take.answer(id, outcome, revision)
  history:record { what = "answer", id = id, outcome = outcome, revision = math.tointeger(revision) }
end

function take.held(client, lock, token)
  history:record { what = "held", client = client, lock = lock, token = math.tointeger(token) }
end

function take.dropped(client, lock, token)
  history:record { what = "dropped", client = client, lock = lock, token = math.tointeger(token) }
end

function take.stalled(client)
  history:stalled(client)
end

local values = {}
function take.event(observer, type, path, version, revision, created, owner)
  local known = values[observer .. path]
  history:observer(observer)({
    type = type, path = path, value = "", previous = known and "", version = math.tointeger(version),
    revision = math.tointeger(revision), created = math.tointeger(created), owner = owner,
  })
  values[observer .. path] = type ~= "removed"
end

function take.present(id, revision)
  history:present(id, math.tointeger(revision))
end

function take.entry(path, version, revision, created, owner)
  table.insert(entries, {
    path = path, value = "", version = math.tointeger(version), revision = math.tointeger(revision),
    created = math.tointeger(created), owner = owner,
  })
end

local lines = 0
for line in io.lines(arg[1]) do
  local words = {}
  for word in line:gmatch("%S+") do
    table.insert(words, word)
  end
  take[words[1]](table.unpack(words, 2))
  lines = lines + 1
end
assert(lines > 0, "an empty history proves nothing")
history:final(entries)
local problems = history:check()
for _, problem in ipairs(problems) do
  print("# " .. problem)
end
os.exit(#problems == 0)
