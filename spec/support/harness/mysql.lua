-- MySQL: a database of its own per harness on one MariaDB per process, and an account of its own per client, so that
-- one client can be cut off.

local Mysql = require "support.mysql"
local Real = require "support.harness.real"
local sql = require "support.harness.sql"

local Backend = setmetatable({}, Real)
Backend.__index = Backend

local databases, accounts = 0, 0

function Backend:start()
  databases = databases + 1
  self.server = Mysql.shared()
  self.database = "moonwatch_" .. databases
  self.accounts = {}
  self.server:sql("CREATE DATABASE %s", self.database)
end

function Backend:options()
  accounts = accounts + 1
  local account = "client" .. accounts
  table.insert(self.accounts, account)
  self.server:sql([[CREATE USER %s@'%%' IDENTIFIED BY 's3cret';
    GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX ON %s.* TO %s@'%%';
    GRANT REPLICATION SLAVE ON *.* TO %s@'%%']], account, self.database, account, account)
  return {
    backend = "mysql", name = account, session_timeout = "10s",
    url = ("jdbc:mysql://127.0.0.1:%s/%s?useSSL=false"):format(self.server.port, self.database),
    username = account, password = "s3cret",
  }
end

function Backend:account(client)
  return (self.server:sql("SELECT name FROM %s.mw_sessions WHERE id = %d", self.database, client:session())
    :gsub("%s+$", ""))
end

function Backend:cut(client)
  self.cut_off = self.cut_off or {}
  self.cut_off[client] = self:account(client)
  self.server:sql([[GRANT USAGE ON *.* TO %s@'%%' WITH MAX_USER_CONNECTIONS -1; KILL HARD USER %s]],
    self.cut_off[client], self.cut_off[client])
end

function Backend:mend(client)
  self.server:sql([[GRANT USAGE ON *.* TO %s@'%%' WITH MAX_USER_CONNECTIONS 0]], self.cut_off[client])
end

function Backend:expire(client)
  self.server:sql("UPDATE %s.mw_sessions SET ended = 1, expires = 0 WHERE id = %d", self.database, client:session())
end

function Backend:forget_changes()
  self.server:sql([[USE %s; START TRANSACTION; UPDATE mw_meta SET revision = revision + 1 WHERE id = 1;
    UPDATE mw_meta SET floor = revision WHERE id = 1; DELETE FROM mw_changes; COMMIT]], self.database)
end

function Backend:drop_lock(path)
  self.server:sql("USE %s; START TRANSACTION; %s COMMIT", self.database, sql.drop_lock(path))
end

function Backend:outage(on)
  if on then
    self.server:freeze()
  else
    self.server:thaw()
  end
end

--- The database and the accounts go.
function Backend:finish(problems)
  self.server:thaw()
  local tables = tonumber(self.server:sql(
    "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '%s'", self.database))
  if tables == 0 then
    table.insert(problems, "no client made its tables")
  end
  self.server:sql("DROP DATABASE %s", self.database)
  for _, account in ipairs(self.accounts) do
    self.server:sql("DROP USER %s@'%%'", account)
  end
end

return function()
  return setmetatable({}, Backend)
end
