-- MySQL: a database of its own per harness on one MariaDB per process, and an account of its own per client, so that
-- one client can be cut off; with MOONWATCH_SPEC_PROXY behind a proxy that can lose an answer.

local Mysql = require "support.mysql"
local Proxy = require "support.proxy"
local Real = require "support.harness.real"
local sql = require "support.harness.sql"
local storms = require "support.harness.mysql_storms"

local usual = { "crash", "cut", "read_only", "lock_wait", "deadlock", "full", "frozen" }

local Backend = setmetatable({}, Real)
Backend.__index = Backend

local databases, accounts = 0, 0

-- How the packets of transactions that write and of locks begin.
Backend.writes = "START TRANSACTION;UPDATE mw_meta|INSERT INTO mw_locks"

--- `storm`: the only fault that `chaos` brings; otherwise the usual ones take turns.
function Backend:start(options)
  self.storms = options.storm and { options.storm } or usual
  databases = databases + 1
  self.server = Mysql.shared()
  self.database = "moonwatch_" .. databases
  self.accounts, self.proxies = {}, {}
  self.server:sql("CREATE DATABASE %s", self.database)
end

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
  proxy:tell(("drop-answer %s"):format(self.writes))
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
    self.storm = (self.storm or 0) % #self.storms + 1
    storms[self.storms[self.storm]](self)
  end
end

--- An operator gives a lock to the first who waits for it, while its holder lives.
function Backend:hand_over(path)
  self.server:sql([[USE %s; START TRANSACTION; UPDATE mw_meta SET revision = revision + 1 WHERE id = 1;
    INSERT INTO mw_changes (revision, kind, path, step, version, created, owner)
      SELECT revision, 3, '%s', 0, 0, 0, 0 FROM mw_meta WHERE id = 1;
    UPDATE mw_locks l JOIN mw_lock_waiters w ON w.path = l.path SET l.token = l.token + 1, l.holder = w.session,
      l.handle = w.handle, l.value = w.value, l.waiters = l.waiters - 1 WHERE l.path = '%s';
    DELETE w FROM mw_lock_waiters w JOIN mw_locks l ON l.handle = w.handle; COMMIT]], self.database, path, path)
end

--- What a client sends stays on the way until `pass`.
function Backend:hold_back(client) self.proxies[self:account(client)]:tell "freeze" end
function Backend:pass(client) self.proxies[self:account(client)]:tell "thaw" end

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
  self:end_proxies(problems)
end

--- What was to be lost must have been lost.
function Backend:end_proxies(problems)
  local wanted, dropped = 0, 0
  for _, proxy in pairs(self.proxies) do
    wanted = wanted + (proxy.to_drop or 0)
    dropped = dropped + tonumber(proxy:tell("stats"):match "dropped (%d+)")
    proxy:stop()
  end
  if self.answers_get_lost and dropped == 0 or not self.answers_get_lost and dropped ~= wanted then
    table.insert(problems, ("%d answers were lost, and %d were to be"):format(dropped, wanted))
  end
end

return function()
  return setmetatable({}, Backend)
end
