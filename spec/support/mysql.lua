-- A MariaDB server for specs: started once per process (support/mysql_server), ended with it.

local uv = require "luv"

---@class support.Mysql
---@field dir string
---@field port string
---@field socket string
local Mysql = {}
Mysql.__index = Mysql

local function run(...)
  local words = { os.getenv "MOONWATCH_SOURCE" .. "/spec/support/mysql_server" }
  for _, word in ipairs { ... } do
    table.insert(words, "'" .. tostring(word):gsub("'", "'\\''") .. "'")
  end
  local pipe = assert(io.popen(table.concat(words, " "), "r"))
  local output = pipe:read "a"
  assert(pipe:close(), "mysql_server " .. (...) .. " failed: " .. output)
  return output
end

--- A server of one's own; end it with `remove` (it ends with this process in any case).
---@param ... string  more options of mariadbd: "--log-bin=bin"
---@return support.Mysql
function Mysql.start(...)
  local dir = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/moonwatch-mysql-XXXXXX"))
  local self = setmetatable({ dir = dir }, Mysql)
  self.port, self.socket = run("start", dir, math.tointeger(uv.os_getpid()), ...):match "^(%S+) (%S+)"
  return self
end

--- On the same data and port, with these options instead of the former.
function Mysql:restart(...) run("restart", self.dir, ...) end
function Mysql:stop() run("stop", self.dir) end
function Mysql:kill() run("kill", self.dir) end
function Mysql:freeze() run("freeze", self.dir) end
function Mysql:thaw() run("thaw", self.dir) end
function Mysql:remove() run("remove", self.dir) end

--- Statements as root; rows as lines, cells separated by tabs.
---@return string
function Mysql:sql(format, ...)
  return run("sql", self.dir, format:format(...))
end

--- The same, without waiting for its end; what it answers is lost.
function Mysql:later(format, ...)
  os.execute(("'%s/spec/support/mysql_server' sql '%s' '%s' >/dev/null 2>&1 </dev/null &")
    :format(os.getenv "MOONWATCH_SOURCE", self.dir, format:format(...)))
end

--- A counter of SHOW GLOBAL STATUS.
---@return integer
function Mysql:status(name)
  return math.tointeger(tonumber(self:sql(
    "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = '%s'", name)))
end

local shared

--- The server that all specs of this process share, with one more option that $MOONWATCH_SPEC_MYSQL may hold.
---@return support.Mysql
function Mysql.shared()
  shared = shared or Mysql.start("--log-bin=bin", os.getenv "MOONWATCH_SPEC_MYSQL")
  return shared
end

return Mysql
