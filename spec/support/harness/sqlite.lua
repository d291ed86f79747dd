-- SQLite: one file in a folder of its own.

local uv = require "luv"
local Real = require "support.harness.real"

local Sqlite = setmetatable({}, Real)
Sqlite.__index = Sqlite

function Sqlite:start()
  self.folder = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/moonwatch-spec-XXXXXX"))
  self.path = self.folder .. "/registry.db"
end

function Sqlite:options()
  return { backend = "sqlite", path = self.path, session_timeout = "10s" }
end

--- The file and what lies beside it go; anything but the database and its journal is a complaint.
function Sqlite:finish(problems)
  for name in assert(uv.fs_scandir_next and function(scan) return uv.fs_scandir_next(scan) end),
    uv.fs_scandir(self.folder) do
    if not name:find("^registry%.db") then
      table.insert(problems, "a file is left: " .. name)
    end
    os.remove(self.folder .. "/" .. name)
  end
  assert(uv.fs_rmdir(self.folder))
end

return function()
  return setmetatable({}, Sqlite)
end
