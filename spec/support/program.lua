-- The program as people start it: processes in a folder of their own, on a registry of the backend under test.
local Harness = require "support.harness"
local mw = require "moonwatch"

---@class support.Program
---@field folder string
---@field registry string     what `-b` takes
local Program = {}
Program.__index = Program

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- "sqlite:/path/file" and so on, of what mw.open would take.
local function registry_text(options)
  if options.backend == "sqlite" then
    return "sqlite:" .. options.path
  elseif options.backend == "zookeeper" then
    local servers = options.servers
    return "zookeeper:" .. (type(servers) == "table" and table.concat(servers, ",") or servers)
  end
  local place = options.url:match "^jdbc:mysql://([^?]*)"
  return ("mysql://%s:%s@%s"):format(options.username, options.password, place)
end

---@return support.Program
function Program.new()
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir -m 700 " .. folder))
  local harness = Harness.start()
  harness.driver.may_stay_empty = true -- some specs only look at what commands refuse
  return setmetatable({
    folder = folder, harness = harness, registry = registry_text(harness:options()), started = {}, number = 0,
  }, Program)
end

function Program:write(name, text)
  local file <close> = assert(io.open(self.folder .. "/" .. name, "w"))
  file:write(text)
end

function Program:read(name)
  local file <close> = io.open(self.folder .. "/" .. name)
  return file and file:read "a" or ""
end

-- Words are quoted; a table's `input` goes to standard input, `env` to the environment, `before` before the command.
local function command_line(self, words)
  local parts = {}
  for i, word in ipairs(words) do
    parts[i] = quote(word)
  end
  return ("cd %s && export MOONWATCH_REGISTRY=%s XDG_RUNTIME_DIR=%s %s"):format(self.folder, quote(self.registry),
    self.folder, words.env or ""), table.concat(parts, " ")
end

--- Run to the end: exit code, standard output, standard error.
---@param words table     { "get", "/a", input = "..." }
function Program:run(words)
  self:write("in", words.input or "")
  local setting, arguments = command_line(self, words)
  local _, how, code = os.execute(("%s && timeout 60 %s moonwatch %s <in >out 2>err"):format(setting,
    words.before or "", arguments))
  assert(how == "exit", "ended by a signal")
  return code, self:read "out", self:read "err"
end

--- Run, and fail unless it exits with 0: standard output.
function Program:ok(words)
  local code, out, err = self:run(words)
  assert(code == 0, ("%s: exit code %d: %s"):format(words[1], code, err))
  return out
end

local function eventually(what, condition)
  local late = mw.now() + 20
  while true do
    local value = condition()
    if value then
      return value
    end
    assert(mw.now() < late, what .. ": not within 20 s")
    mw.sleep "5ms"
  end
end

Program.eventually = eventually

--- Start in the background: a handle to signal and await. Its output is in files of its own.
function Program:start(words)
  self.number = self.number + 1
  local mine, before, arguments = tostring(self.number), command_line(self, words)
  os.execute(("%s && { moonwatch %s </dev/null >out.%s 2>err.%s & echo $! >pid.%s; wait $!; echo $? >code.%s; } "
    .. "2>/dev/null &"):format(before, arguments, mine, mine, mine, mine))
  local process = { pid = eventually("a process", function() return tonumber((self:read("pid." .. mine))) end) }
  function process.out() return self:read("out." .. mine) end
  function process.err() return self:read("err." .. mine) end
  function process.says(text)
    eventually(("%q of %s; %s"):format(text, words[1], process.err()), function()
      return process.out():find(text, 1, true)
    end)
  end
  function process.signal(name)
    os.execute(("kill -%s %d 2>/dev/null"):format(name, process.pid))
  end
  function process.ended() return tonumber((self:read("code." .. mine))) end
  function process.code()
    return eventually("the end of " .. words[1], process.ended)
  end
  table.insert(self.started, process)
  return process
end

--- Ends what still runs, and removes the folder.
function Program:finish()
  for _, process in ipairs(self.started) do
    if not process.ended() then
      process.signal "STOP"
      -- Killed, `lock` and `elect` would leave what they run.
      os.execute(("kill -KILL $(cat /proc/%d/task/%d/children) 2>/dev/null"):format(process.pid, process.pid))
      process.signal "KILL"
      process.code()
    end
  end
  os.execute("rm -rf " .. self.folder)
  self.harness:finish()
end

return Program
