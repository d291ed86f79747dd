-- MySQL: a database of its own per harness on one MariaDB per process, and an account of its own per client, so that
-- one client can be cut off; with MOONWATCH_SPEC_PROXY behind a proxy that can lose an answer.

local Mysql = require "support.mysql"
local Proxy = require "support.proxy"
local Real = require "support.harness.real"
local sql = require "support.harness.sql"

local Backend = setmetatable({}, Real)
Backend.__index = Backend

local databases, accounts = 0, 0

function Backend:start()
  databases = databases + 1
  self.server = Mysql.shared()
  self.database = "moonwatch_" .. databases
  self.accounts, self.proxies = {}, {}
  self.server:sql("CREATE DATABASE %s", self.database)
end

-- What may befall a server; each ends by itself or with `calm`.
local storms = {
  function(self) -- a crash in the middle of whatever is going on, and a restart
    self.server:kill()
    self.server:restart "--log-bin=bin"
  end,
  function(self) -- every connection is cut, wherever its transaction stands
    local ids = self.server:sql "SELECT ID FROM information_schema.PROCESSLIST WHERE USER LIKE 'client%%'"
    for id in ids:gmatch "%d+" do
      pcall(self.server.sql, self.server, "KILL HARD " .. id)
    end
  end,
  function(self) self.server:sql "SET GLOBAL read_only = ON" end,
  function(self) -- somebody sits on the revision row: lock waits time out (1205)
    self.server:later("USE %s; START TRANSACTION; UPDATE mw_meta SET epoch = epoch WHERE id = 1; DO SLEEP(2)",
      self.database)
  end,
  function(self) -- somebody takes the rows in the other order: deadlocks (1213)
    self.server:later([[USE %s; START TRANSACTION; UPDATE mw_sessions SET opened = opened; DO SLEEP(0.3);
      UPDATE mw_meta SET epoch = epoch; ROLLBACK]], self.database)
  end,
  function(self) self.server:sql "SET GLOBAL max_connections = 10" end,
  function(self)
    self.server:freeze()
    self.frozen = true
  end,
}

local function calm(self)
  if self.dark then
    return -- an outage is no storm: its end is the spec's to tell
  end
  if self.frozen then
    self.server:thaw()
    self.frozen = false
  end
  self.server:sql "SET GLOBAL read_only = OFF; SET GLOBAL max_connections = 151"
end

--- A storm ends when somebody comes in anew.
function Backend:options()
  calm(self)
  local account = self.dark and self.accounts[#self.accounts] or self:new_account()
  local port = self.server.port
  if os.getenv "MOONWATCH_SPEC_PROXY" then
    self.proxies[account] = self.proxies[account] or Proxy.start(port)
    port = self.proxies[account].port
  end
  return {
    backend = "mysql", name = account, session_timeout = "10s",
    url = ("jdbc:mysql://127.0.0.1:%s/%s?useSSL=false"):format(port, self.database),
    username = account, password = "s3cret",
  }
end

--- An account of its own for each client, so that one of them can be cut off.
function Backend:new_account()
  accounts = accounts + 1
  local account = "client" .. accounts
  table.insert(self.accounts, account)
  self.server:sql([[CREATE USER %s@'%%' IDENTIFIED BY 's3cret';
    GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX ON %s.* TO %s@'%%';
    GRANT REPLICATION SLAVE ON *.* TO %s@'%%']], account, self.database, account, account)
  return account
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

--- Of the next transaction that writes, or of the next lock: both are one packet.
function Backend:lose_next_reply(client)
  local proxy = self.proxies[self:account(client)]
  proxy:tell "drop-answer START TRANSACTION;UPDATE mw_meta|INSERT INTO mw_locks"
  proxy.to_drop = (proxy.to_drop or 0) + 1
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
  self.dark = on
  if on then
    self.server:freeze()
  else
    self.server:thaw()
  end
end

--- `on`: the next of the server's faults, in turn. The one before is over first.
function Backend:chaos(on)
  calm(self)
  if on then
    self.storm = (self.storm or 0) % #storms + 1
    storms[self.storm](self)
  end
end

--- The database and the accounts go.
function Backend:finish(problems)
  self.server:thaw()
  local tables = tonumber(self.server:sql(
    "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '%s'", self.database))
  if tables == 0 and not self.may_stay_empty then
    table.insert(problems, "no client made its tables")
  end
  self.server:sql("DROP DATABASE %s", self.database)
  for _, account in ipairs(self.accounts) do
    self.server:sql("DROP USER %s@'%%'", account)
  end
  for _, proxy in pairs(self.proxies) do
    local dropped = tonumber(proxy:tell("stats"):match "dropped (%d+)")
    if dropped ~= (proxy.to_drop or 0) then
      table.insert(problems, ("%d answers were to be lost, and %d were"):format(proxy.to_drop or 0, dropped))
    end
    proxy:stop()
  end
end

return function()
  return setmetatable({}, Backend)
end
