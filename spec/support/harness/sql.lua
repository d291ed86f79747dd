-- What an operator would type into the tables that SQLite and MySQL share (backends/sql/catalog.c).

local sql = {}

--- The session is over: its owner learns at its next renewal, and anybody may take away its things.
function sql.expire(session)
  return ("UPDATE mw_sessions SET ended = 1, expires = 0 WHERE id = %d;"):format(session)
end

--- The log of changes is emptied: who is behind needs a snapshot.
function sql.forget_changes()
  return "UPDATE mw_meta SET floor = revision WHERE id = 1; DELETE FROM mw_changes;"
end

--- A lock's row goes, and raises the floor for its successors.
function sql.drop_lock(path)
  local bytes = path:gsub(".", function(char) return ("%02x"):format(char:byte()) end)
  return ([[UPDATE mw_meta SET lock_floor = (SELECT MAX(token) FROM mw_locks)
    WHERE id = 2 AND lock_floor < (SELECT MAX(token) FROM mw_locks);
    DELETE FROM mw_lock_waiters WHERE path = x'%s'; DELETE FROM mw_locks WHERE path = x'%s';]]):format(bytes, bytes)
end

return sql
