-- The rules of the history checker: each is given the history, its records in order of time, and reports breaches.

--- Attempts by id, in order: {id, client, path, lock, token, begun, ended?, outcome, revision?, found = {revisions}}.
local function writes_of(history, report)
  local writes, order = {}, {}
  for _, record in ipairs(history.records) do
    if record.what == "write" then
      if writes[record.id] then
        report("bad history", "write %s was begun twice", record.id)
      end
      writes[record.id] = {
        id = record.id, client = record.client, path = record.path, lock = record.lock,
        token = record.token, txn = record.txn, begun = record.time, outcome = "unknown", found = {},
      }
      table.insert(order, writes[record.id])
    elseif record.what == "answer" then
      local write = writes[record.id]
      if not write then
        report("bad history", "an answer to %s, which nobody wrote", record.id)
      elseif write.ended then
        report("answered twice", "write %s ended %s, then %s", record.id, write.outcome, record.outcome)
      else
        write.ended, write.outcome, write.revision = record.time, record.outcome, record.revision
      end
    end
  end
  return writes, order
end

--- Acknowledged writes are present exactly once, unknown ones at most once, refused ones never.
local function presence(history, report)
  local writes, order = writes_of(history, report)
  for _, found in ipairs(history.found or {}) do
    local write = writes[found.id]
    if write then
      table.insert(write.found, found.revision or 0)
    else
      report("phantom", "%s is present, and nobody wrote it", found.id)
    end
  end
  for _, write in ipairs(order) do
    local times = #write.found
    if times > 1 then
      report("doubled write", "%s (%s) is present %d times", write.id, write.outcome, times)
    elseif write.outcome == "ok" and times == 0 then
      report("lost write", "%s was acknowledged and is not present", write.id)
    elseif write.outcome == "refused" and times > 0 then
      report("refused write", "%s was refused and is present", write.id)
    elseif write.outcome == "ok" and write.revision and write.found[1] ~= 0 and write.revision ~= write.found[1] then
      report("wrong revision", "%s was acknowledged as %d and is present as %d", write.id, write.revision,
        write.found[1])
    end
  end
end

--- Of a txn all is present, or nothing.
local function whole_txns(history, report)
  local _, order = writes_of(history, function() end)
  local there, absent = {}, {}
  for _, found in ipairs(history.found or {}) do
    there[found.id] = true
  end
  for _, write in ipairs(order) do
    if write.txn and not there[write.id] then
      absent[write.txn] = write.id
    end
  end
  for _, write in ipairs(order) do
    if there[write.id] and absent[write.txn] then
      report("torn txn", "%s is present, and %s of the same txn is not", write.id, absent[write.txn])
      absent[write.txn] = nil
    end
  end
end

--- An acknowledged write has a larger revision than any that was acknowledged before it was begun.
local function real_time(history, report)
  local highest, floor = 0, {}
  for _, record in ipairs(history.records) do
    if record.what == "write" then
      floor[record.id] = highest
    elseif record.what == "answer" and record.revision then
      if record.revision <= (floor[record.id] or 0) then
        report("order of revisions", "%s got revision %d after %d had been acknowledged", record.id, record.revision,
          floor[record.id])
      end
      highest = math.max(highest, record.revision)
    end
  end
end

--- The writes that a lock guards are in the order of its tokens.
local function token_order(history, report)
  local writes = writes_of(history, function() end)
  local guarded = {}
  for _, found in ipairs(history.found or {}) do
    local write = writes[found.id]
    if write and write.lock and found.revision then
      guarded[write.lock] = guarded[write.lock] or {}
      table.insert(guarded[write.lock], { id = write.id, token = write.token, revision = found.revision })
    end
  end
  for lock, list in pairs(guarded) do
    table.sort(list, function(a, b) return a.revision < b.revision end)
    for i = 2, #list do
      if list[i].token < list[i - 1].token then
        report("token order", "%s: %s with token %d was written after %s with token %d", lock, list[i].id,
          list[i].token, list[i - 1].id, list[i - 1].token)
      end
    end
  end
end

local Holds = {}
Holds.__index = Holds

local function name_of(record)
  return table.concat({ record.client, record.lock, record.token }, " ")
end

--- Applies `act` to the open holds of a client.
function Holds:each(client, act)
  for name, hold in pairs(self.open) do
    if hold.client == client then
      act(hold, name)
    end
  end
end

function Holds:held(record)
  local hold = { lock = record.lock, client = record.client, token = record.token, spans = { { from = record.time } } }
  self.open[name_of(record)] = hold
  table.insert(self.list, hold)
end

local function close(hold, time)
  local span = hold.spans[#hold.spans]
  span.to = span.to or time
end

function Holds:dropped(record, report)
  local hold = self.open[name_of(record)]
  if not hold then
    report("bad history", "%s dropped %s, which it did not hold", record.client, record.lock)
    return
  end
  close(hold, record.time)
  self.open[name_of(record)] = nil
end

function Holds:stalled(record)
  self:each(record.client, function(hold)
    close(hold, record.time)
    hold.stalled = true
  end)
end

function Holds:gone(record)
  self:each(record.client, function(hold, name)
    close(hold, record.time)
    self.open[name] = nil
  end)
end

--- Anything else that a client does after it was stopped.
function Holds:acts(record)
  self:each(record.client, function(hold)
    if hold.stalled then
      hold.stalled = false
      table.insert(hold.spans, { from = record.time })
    end
  end)
end

--- Each hold with the spans in which its client acted as the holder, in order of acquisition.
local function holds_of(history, report)
  local holds = setmetatable({ list = {}, open = {} }, Holds)
  for _, record in ipairs(history.records) do
    local act = record.client and (Holds[record.what] or Holds.acts)
    if act then
      act(holds, record, report)
    end
  end
  return holds.list
end

local function overlap(a, b)
  for _, one in ipairs(a.spans) do
    for _, other in ipairs(b.spans) do
      if one.from < (other.to or math.huge) and other.from < (one.to or math.huge) then
        return one, other
      end
    end
  end
end

--- Holders of one lock never overlap, and each has a larger token than those before it.
local function holders(history, report)
  local by_lock = {}
  for _, hold in ipairs(holds_of(history, report)) do
    by_lock[hold.lock] = by_lock[hold.lock] or {}
    table.insert(by_lock[hold.lock], hold)
  end
  for lock, list in pairs(by_lock) do
    for i, later in ipairs(list) do
      local before = list[i - 1]
      if before and later.token <= before.token then
        report("token growth", "%s: token %d (%s) came after %d (%s)", lock, later.token, later.client, before.token,
          before.client)
      end
      for j = 1, i - 1 do
        local one, other = overlap(list[j], later)
        if one then
          report("overlap", "%s: %s (token %d, from %.6f to %.6f) and %s (token %d, from %.6f)", lock, list[j].client,
            list[j].token, one.from, one.to or math.huge, later.client, later.token, other.from)
        end
      end
    end
  end
end

--- Within a session reads never go back.
local function monotonic_reads(history, report)
  local seen = {}
  for _, record in ipairs(history.records) do
    if record.what == "read" then
      local key = table.concat({ record.client, record.session or "", record.path }, " ")
      if record.revision < (seen[key] or 0) then
        report("read went back", "%s read %s as of %d after %d", record.client, record.path, record.revision, seen[key])
      end
      seen[key] = math.max(seen[key] or 0, record.revision)
    end
  end
end

--- A fresh read shows what anyone was acknowledged before it began, any read what its own client was.
local function reads_show_writes(history, report)
  local writes = writes_of(history, function() end)
  local acknowledged = {} -- by path, in order of time
  for _, record in ipairs(history.records) do
    local write = record.what == "answer" and record.revision and writes[record.id]
    if write and write.path then
      acknowledged[write.path] = acknowledged[write.path] or {}
      table.insert(acknowledged[write.path], write)
    end
    for _, before in ipairs(record.what == "read" and acknowledged[record.path] or {}) do
      local binding = record.fresh or before.client == record.client
      if binding and before.ended < record.begun and record.revision < before.revision then
        report("stale read", "%s read %s as of %d after %s was acknowledged as %d", record.client, record.path,
          record.revision, before.id, before.revision)
      end
    end
  end
end

local checks = { presence, whole_txns, real_time, token_order, holders, monotonic_reads, reads_show_writes }
for _, check in ipairs(require "support.history.views") do
  table.insert(checks, check)
end
return checks
