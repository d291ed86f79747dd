-- The record of what clients did and saw, and the judge of it (DESIGN, section 2).
--
-- Clients record what they attempt before they attempt it, and the answer when it comes; a client that dies in between
-- leaves an attempt without an answer, which counts as unknown. At the end the workload tells what it found with fresh
-- reads, and `check` names each broken promise. Every write carries an id that can be found again in the registry: an
-- entry of its own, or one word in a value to which writers append.
--
-- Records are flat tables with the time of a clock that all clients share, so a process can send its own elsewhere
-- (`sink`) and another can take them in (`add`).

local checks = require "support.history.checks"

---@class support.History
local History = {}
History.__index = History

---@param options {clock: (fun(): number), sink: (fun(record: table))?}
function History.new(options)
  return setmetatable({ records = {}, clock = options.clock, sink = options.sink }, History)
end

function History:record(record)
  record.time = record.time or self.clock()
  if self.sink then
    self.sink(record)
  else
    self:add(record)
  end
end

function History:add(record)
  record.index = #self.records + 1
  self.records[record.index] = record
end

---@class support.history.Write
local Write = {}
Write.__index = Write

--- A write that is about to be sent. `id` names it; `lock` and `token` say what guards it; `path` is the entry that it
--- changes, when reads of that entry are recorded too; writes with the same `txn` happen together or not at all.
---@param details {id: string, client: string, path: string?, lock: string?, token: integer?, txn: string?}
---@return support.history.Write
function History:write(details)
  self:record {
    what = "write", id = details.id, client = details.client, path = details.path, lock = details.lock,
    token = details.token, txn = details.txn,
  }
  return setmetatable({ history = self, id = details.id }, Write)
end

local function answer(write, outcome, revision, code)
  write.history:record { what = "answer", id = write.id, outcome = outcome, revision = revision, code = code }
end

function Write:ok(revision) answer(self, "ok", revision) end
function Write:unknown() answer(self, "unknown") end
function Write:refused(code) answer(self, "refused", nil, code) end

--- What a call returned, told apart: `write:returned(registry:create(...))`.
function Write:returned(result, err)
  if result then
    self:ok(result.revision)
  elseif err.code == "unknown" then
    self:unknown()
  else
    self:refused(err.code)
  end
  return result, err
end

--- From now on this client acts as the holder. Returns what to call when it stops acting as such.
---@param details {client: string, lock: string, token: integer}
---@return fun() ended
function History:hold(details)
  local hold = { what = "held", client = details.client, lock = details.lock, token = details.token }
  self:record(hold)
  return function()
    self:record { what = "dropped", client = hold.client, lock = hold.lock, token = hold.token }
  end
end

--- The client cannot run (SIGSTOP) for a while. It acts as the holder again with the first thing that it does, unless
--- that is to hear that it is not.
function History:stalled(client) self:record { what = "stalled", client = client } end

--- The client never runs again (SIGKILL).
function History:gone(client) self:record { what = "gone", client = client } end

--- A read of an entry that is never deleted. Returns what to call with its result.
---@param details {client: string, session: integer, path: string, fresh: boolean}
function History:read(details)
  local begun = self.clock()
  return function(entry)
    self:record {
      what = "read", client = details.client, session = details.session, path = details.path, fresh = details.fresh,
      begun = begun, revision = entry and entry.revision or 0,
    }
  end
end

--- A subscriber: returns what to call with each of its events.
---@param name string
---@param details {client: string?, covers: (fun(path: string): boolean)?}?  `covers`: which of the final entries it
---must show, default all
---@return fun(event: table)
function History:observer(name, details)
  self.covers = self.covers or {}
  self.covers[name] = details and details.covers
  return function(event)
    self:record {
      what = "event", observer = name, client = details and details.client,
      type = event.type, path = event.path, value = event.value, previous = event.previous,
      version = event.version, revision = event.revision, created = event.created, owner = event.owner,
    }
  end
end

--- At the end: a write was found, in the state as of `revision` (the one that brought it).
function History:present(id, revision)
  self.found = self.found or {}
  table.insert(self.found, { id = id, revision = revision })
end

--- At the end: the entries as a fresh read shows them.
function History:final(entries)
  self.entries = entries
end

--- The broken promises, one line each, `rule: what happened`; empty when all were kept.
---@return string[]
function History:check()
  local problems = {}
  local function report(rule, format, ...)
    table.insert(problems, rule .. ": " .. string.format(format, ...))
  end
  table.sort(self.records, function(a, b)
    if a.time ~= b.time then
      return a.time < b.time
    end
    return a.index < b.index
  end)
  for _, check in ipairs(checks) do
    check(self, report)
  end
  return problems
end

return History
