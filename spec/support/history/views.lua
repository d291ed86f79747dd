-- The rules for what subscribers see.

local fields = { "value", "version", "revision", "created", "owner" }

local function show(value)
  if type(value) == "string" and #value > 40 then
    value = value:sub(1, 40) .. "..."
  end
  return value == nil and "nothing" or type(value) == "string" and ("%q"):format(value) or tostring(value)
end

--- Takes one event into the observer's view of the tree, and reports what cannot follow what it saw before.
local function apply(view, event, report)
  local known = view.entries[event.path]
  local function wrong(format, ...)
    report("order of events", "%s: %s of %s " .. format, view.name, event.type, event.path, ...)
  end
  if event.type == "synced" then
    view.synced = true
    return
  end
  if event.type == "added" and known then
    wrong("while it is there")
  elseif event.type ~= "added" and not known then
    wrong("while it is not there")
  elseif event.type == "updated" and event.created ~= known.created then
    wrong("with another incarnation (%s, before %s)", show(event.created), show(known.created))
  elseif event.type == "updated" and event.previous ~= known.value then
    wrong("tells %s as the value before, which was %s", show(event.previous), show(known.value))
  elseif event.type == "updated" and event.version <= known.version then
    wrong("with version %s after %s", show(event.version), show(known.version))
  elseif event.type == "removed" and event.value ~= known.value then
    wrong("tells %s as the last value, which was %s", show(event.value), show(known.value))
  end
  local last = view.last[event.path] or 0
  if event.revision < last or event.type == "updated" and event.revision == last then
    wrong("with revision %d after %d", event.revision, last)
  end
  view.last[event.path] = event.revision
  view.entries[event.path] = event.type ~= "removed" and event or nil
end

local function views_of(history, report)
  local views, order, gone = {}, {}, {}
  for _, record in ipairs(history.records) do
    if record.what == "gone" then
      gone[record.client] = true
    elseif record.what == "event" then
      local view = views[record.observer]
      if not view then
        view = { name = record.observer, client = record.client, entries = {}, last = {} }
        views[record.observer] = view
        table.insert(order, view)
      end
      apply(view, record, report)
    end
  end
  return order, gone
end

--- Every subscriber's final state equals a fresh read.
local function final_state(view, covers, entries, report)
  local expected = {}
  for _, entry in ipairs(entries) do
    if not covers or covers(entry.path) then
      expected[entry.path] = entry
      local seen = view.entries[entry.path]
      if not seen then
        report("view", "%s never heard of %s", view.name, entry.path)
      end
      for _, field in ipairs(seen and fields or {}) do
        if seen[field] ~= entry[field] then
          report("view", "%s shows %s of %s as %s, and it is %s", view.name, field, entry.path, show(seen[field]),
            show(entry[field]))
        end
      end
    end
  end
  for path in pairs(view.entries) do
    if not expected[path] then
      report("view", "%s still shows %s, and it is gone", view.name, path)
    end
  end
end

local function views(history, report)
  local order, gone = views_of(history, report)
  for _, view in ipairs(order) do
    local alive = not gone[view.client]
    if alive and not view.synced then
      report("view", "%s never heard that the present state is complete", view.name)
    elseif alive and history.entries then
      final_state(view, (history.covers or {})[view.name], history.entries, report)
    end
  end
end

return { views }
