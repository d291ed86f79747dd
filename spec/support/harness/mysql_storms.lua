-- What may befall a MySQL server while a swarm is at work (support/harness/mysql.lua).

-- The server's wall clock (spec/support/shifted_clock.c): of the file no byte may be missing while it is in use.
local function set_clock(seconds)
  local file <close> = assert(io.open(os.getenv("MOONWATCH_CLOCK"):match " (.*)$", "r+"))
  file:write(("%-16d"):format(seconds))
end

-- Each ends by itself or with `calm` of the harness.
---@type table<string, fun(self: table)>  `self` is the harness's driver
local storms = {}

function storms.crash(self) -- in the middle of whatever is going on, and a restart
  self.server:kill()
  self.server:restart "--log-bin=bin"
end

function storms.cut(self) -- every connection, wherever its transaction stands
  local ids = self.server:sql "SELECT ID FROM information_schema.PROCESSLIST WHERE USER LIKE 'client%%'"
  for id in ids:gmatch "%d+" do
    pcall(self.server.sql, self.server, "KILL HARD " .. id)
  end
end

function storms.read_only(self) self.server:sql "SET GLOBAL read_only = ON" end

function storms.lock_wait(self) -- somebody sits on the revision row: lock waits time out (1205)
  self.server:later("USE %s; START TRANSACTION; UPDATE mw_meta SET epoch = epoch WHERE id = 1; DO SLEEP(2)",
    self.database)
end

function storms.deadlock(self) -- somebody takes the rows in the other order (1213)
  self.server:later([[USE %s; START TRANSACTION; UPDATE mw_sessions SET opened = opened; DO SLEEP(0.3);
    UPDATE mw_meta SET epoch = epoch; ROLLBACK]], self.database)
end

function storms.full(self) self.server:sql "SET GLOBAL max_connections = 10" end

function storms.frozen(self)
  self.server:freeze()
  self.frozen = true
end

function storms.outage(self) -- longer than two of a swarm's sessions
  self.server:freeze()
  self.mw.sleep "3200ms"
  self.server:thaw()
end

function storms.lost_answers(self) -- of the next commit of each
  for _, proxy in pairs(self.proxies) do
    proxy:tell(("drop-answer %s"):format(self.writes))
  end
  self.answers_get_lost = true
end

function storms.clock(self) -- an hour ahead, and back
  self.ahead = not self.ahead
  set_clock(self.ahead and 3600 or 0)
end

return storms
