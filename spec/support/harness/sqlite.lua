-- SQLite: one file in a folder of its own. The shell `sqlite3` plays the operator who ends a session, and the process
-- that holds the file's lock and does not let go. Where connections and answers must get lost, clients come through the
-- driver that loses them (spec/backends/sql/faulty_plugin.c): a fault is a file whose name says whose and which.

local uv = require "luv"
local Real = require "support.harness.real"
local sql = require "support.harness.sql"

local Sqlite = setmetatable({}, Real)
Sqlite.__index = Sqlite

function Sqlite:start(options)
  self.folder = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/moonwatch-spec-XXXXXX"))
  self.path = self.folder .. "/registry.db"
  self.faults = ("%s/fault-%d-"):format(self.folder, options.seed or 1)
  self.clients, self.cuts, self.late = 0, {}, {}
end

function Sqlite:options()
  local options = { backend = "sqlite", path = self.path, session_timeout = "10s" }
  if self.faulty then
    self.clients = self.clients + 1
    options.backend, options.name, options.faults = "sqlite_faulty", tostring(self.clients), self.faults .. self.clients
  end
  return options
end

--- Runs the shell with `statements` as its input, to which more may be written unless it is `whole`; `ended` in the
--- result tells when it is done.
function Sqlite:shell(statements, whole)
  local shell = { stdin = uv.new_pipe(false), output = "" }
  local stdout = uv.new_pipe(false)
  local handle, pid
  handle, pid = uv.spawn("sqlite3", { args = { "-batch", self.path }, stdio = { shell.stdin, stdout, 2 } },
    function(code)
      shell.ended = code
      handle:close()
    end)
  assert(handle, pid)
  stdout:read_start(function(_, data)
    shell.output = shell.output .. (data or "")
    if not data then
      stdout:close()
    end
  end)
  shell.stdin:write(".timeout 30000\n" .. statements .. "\n")
  if whole then
    shell.stdin:shutdown()
  end
  return shell
end

local function until_true(what, predicate)
  local deadline = uv.hrtime() + 40e9
  while not predicate() do
    assert(uv.hrtime() < deadline, what)
    uv.run "once"
  end
end

function Sqlite:transaction(statements)
  return self:shell("BEGIN IMMEDIATE;\n" .. statements .. "\nCOMMIT;", true)
end

local function output_of(shell)
  until_true("sqlite3 does not end", function() return shell.ended end)
  shell.stdin:close()
  assert(shell.ended == 0)
  return shell.output
end

function Sqlite:run(statements)
  return output_of(self:transaction(statements))
end

function Sqlite:expire(client)
  self:run(sql.expire(client:session()))
end

function Sqlite:drop_lock(path)
  self:run(sql.drop_lock(path))
end

--- Who was stopped amid a commit holds the lock of the file until the spec lets it go on: then this is late.
function Sqlite:forget_changes()
  local shell, deadline = self:transaction(sql.forget_changes()), uv.hrtime() + 1e9
  table.insert(self.late, shell)
  while not shell.ended and uv.hrtime() < deadline do
    uv.run "nowait"
    uv.sleep(1)
  end
end

--- The number of the client, which is its name among the sessions.
local function number_of(self, client)
  return self:run(("SELECT name FROM mw_sessions WHERE id = %d;"):format(client:session())):match "^(%d+)\n$"
end

local function begin_fault(self, number, which)
  assert(assert(io.open(self.faults .. number .. "." .. which, "w")):close())
end

local function end_fault(self, number, which)
  assert(os.remove(self.faults .. number .. "." .. which))
end

function Sqlite:cut(client)
  self.cuts[client] = number_of(self, client)
  begin_fault(self, self.cuts[client], "down")
end

function Sqlite:mend(client)
  end_fault(self, self.cuts[client], "down")
end

function Sqlite:lose_next_reply(client)
  begin_fault(self, number_of(self, client), "lose-reply")
end

--- `on`: batches are late, refused and cut off before and after, of all who are there now.
function Sqlite:chaos(on)
  for _, number in ipairs(self.stricken or {}) do
    end_fault(self, number, "chaos")
  end
  self.stricken = {}
  for number = 1, on and self.clients or 0 do
    begin_fault(self, number, "chaos")
    table.insert(self.stricken, number)
  end
end

--- The copy, and going back to it in place, under the feet of those who are connected.
function Sqlite:backup()
  output_of(self:shell(".backup " .. self.path .. "-copy", true))
end

function Sqlite:restore()
  output_of(self:shell(".restore " .. self.path .. "-copy", true))
end

--- Another process has the file locked.
function Sqlite:outage(on)
  if on then
    self.holder = self:shell "BEGIN EXCLUSIVE;\nSELECT 'held';"
    until_true("sqlite3 does not get the lock", function() return self.holder.output:find "held" end)
  else
    self.holder.stdin:write "ROLLBACK;\n"
    self.holder.stdin:shutdown()
    until_true("sqlite3 does not end", function() return self.holder.ended end)
    self.holder.stdin:close()
    self.holder = nil
  end
end

--- The file and what lies beside it go; anything but the database and its journal is a complaint: a fault, say, that
--- nobody met.
function Sqlite:finish(problems)
  if self.holder then
    self:outage(false)
  end
  for _, shell in ipairs(self.late) do
    output_of(shell)
  end
  local scan = assert(uv.fs_scandir(self.folder))
  for name in uv.fs_scandir_next, scan do
    if not name:find "^registry%.db" then
      table.insert(problems, "a file is left: " .. name)
    end
    os.remove(self.folder .. "/" .. name)
  end
  assert(uv.fs_rmdir(self.folder))
  uv.run "nowait" -- what was closed is closed
end

return function(driver)
  return setmetatable(driver, Sqlite)
end
