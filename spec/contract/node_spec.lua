-- Node records on a registry of one's own: what mw.node and mw.nodes do on the engine's.
local Events = require "support.events"
local Harness = require "support.harness"
local expect = require "support.expect"
local json = require "moonwatch.json"
local node = require "moonwatch.node"

describe("node record", function()
  local h, client, other

  before_each(function()
    h = Harness.start()
    client, other = h:open(), h:open()
  end)

  after_each(function() h:finish() end)

  local function register(options)
    local all = { role = "console", address = "10.0.0.1:8080", id = "02:42:ac:11:00:02", period = 1 }
    for key, value in pairs(options or {}) do
      all[key] = value
    end
    return expect.ok(node.register(client, all))
  end

  local function stored(registration)
    local path = ("/nodes/%s/%s"):format(registration.node.role, registration.node.key)
    local entry = expect.ok(other:get(path, { fresh = true }))
    return json.decode(entry.value), entry
  end

  it("is an ephemeral with every field when register completes", function()
    local one <close> = register { weight = 3, meta = { zone = "a" }, load = function() return { queue = 7 } end }
    local record, entry = stored(one)
    assert.equal(client:session(), entry.owner)
    assert.equal("02:42:ac:11:00:02", record.id)
    assert.equal("10.0.0.1:8080", record.address)
    assert.equal("console", record.role)
    assert.equal(3, record.weight)
    assert.equal("integer", math.type(expect.ok(node.decode(entry.value)).weight))
    assert.same({ zone = "a" }, record.meta)
    assert.equal(7, record.load.queue)
    for _, name in ipairs { "cpu", "memory", "disk", "average" } do
      assert.is_number(record.load[name])
    end
    assert.is_number(record.started)
    assert.is_string(record.incarnation)
    assert.is_truthy(record.status == "normal" or record.status == "busy")
    assert.is_number(record.format)
    assert.is_number(record.reader)
  end)

  it("takes the address of the machine's card where none is given", function()
    local one <close> = expect.ok(node.register(client, { role = "console" }))
    assert.is_truthy(one.node.id:match "^%x%x:%x%x:%x%x:%x%x:%x%x:%x%x$", one.node.id)
    assert.is_truthy(one.node.address:match "^.+:%d+$", one.node.address)
  end)

  it("has a key of id, address and incarnation", function()
    local one <close> = register { incarnation = "i1" }
    local two <close> = register { incarnation = "i2" }
    assert.not_equal(one.node.key, two.node.key)
    for _, part in ipairs { one.node.id, one.node.address, "i1" } do
      assert.is_truthy(one.node.key:find(part, 1, true))
    end
  end)

  it("is written again each period", function()
    local one <close> = register()
    local _, before = stored(one)
    h:wait("a second version", function() return select(2, stored(one)).version > before.version end)
  end)

  it("is written at once when its status changes, and back only below the threshold with a margin", function()
    local cpu = 0.2
    local seen <close> = Events.of(h, other, "/nodes/console")
    local one <close> = register { period = 1000, load = function() return { cpu = cpu, memory = 0, disk = 0 } end }
    assert.equal("normal", stored(one).status)
    cpu = 0.95
    h:wait("busy", function() return stored(one).status == "busy" end)
    local _, busy = stored(one)
    assert.equal(1, busy.version)
    cpu = 0.85
    h:wait("a look at the load", function() return one.node.load.cpu == 0.85 end)
    assert.equal("busy", stored(one).status)
    cpu = 0.1
    h:wait("normal", function() return stored(one).status == "normal" end)
    local states = {}
    h:wait("three events", function() return #seen:kinds(select(2, stored(one)).path) == 3 end)
    for _, event in ipairs(seen.list) do
      if event.type ~= "synced" then
        table.insert(states, json.decode(event.value).status)
      end
    end
    assert.same({ "normal", "busy", "normal" }, states)
  end)

  it("can be updated, and is written at once", function()
    local one <close> = register { period = 1000 }
    one:update { weight = 5, meta = { zone = "b" } }
    h:wait("the update", function() return stored(one).weight == 5 end)
    assert.same({ zone = "b" }, stored(one).meta)
    expect.misuse("role", function() one:update { role = "other" } end)
    expect.misuse("weight", function() one:update { weight = "heavy" } end)
  end)

  it("is listed with those of its role, sorted by key", function()
    local one <close> = register { incarnation = "b" }
    local two <close> = register { incarnation = "a" }
    local three <close> = register { role = "worker", incarnation = "c" }
    local consoles = expect.ok(node.list(client, "console"))
    assert.same({ two.node.key, one.node.key }, expect.each("key", consoles))
    assert.equal("console", consoles[1].role)
    assert.equal(3, #expect.ok(node.list(client)))
    assert.same({ three.node.key }, expect.each("key", expect.ok(node.list(client, "worker"))))
    assert.same({}, expect.ok(node.list(client, "nobody")))
  end)

  it("goes when it is closed", function()
    local one = register()
    one:close()
    h:wait("its end", function() return #expect.ok(node.list(other, "console")) == 0 end)
  end)

  it("is what subscribers can decode", function()
    local seen <close> = Events.of(h, other, "/nodes/console")
    local one <close> = register()
    local record = expect.ok(node.decode(seen:await "added".value))
    assert.equal(one.node.key, record.key)
    assert.equal("10.0.0.1:8080", record.address)
  end)

  it("goes with a killed process, and subscribers see who it was", function()
    local seen <close> = Events.of(h, other, "/nodes/console")
    local process = h:process()
    local key = process:eval([[
      client = open { session_timeout = ... }
      one = assert(require "moonwatch.node".register(client, { role = "console", meta = { zone = "z" } }))
      return one.node.key
    ]], h.short)
    seen:await "added"
    process:kill()
    local record = expect.ok(node.decode(seen:await "removed".value))
    assert.equal(key, record.key)
    assert.same({ zone = "z" }, record.meta)
  end)

  it("that cannot be read is left out", function()
    local one <close> = register()
    expect.ok(other:create("/nodes/console/broken", "{", { ephemeral = true }))
    expect.ok(other:create("/nodes/console/newer", '{"format":99,"reader":99}', { ephemeral = true }))
    assert.same({ one.node.key }, expect.each("key", expect.ok(node.list(client, "console"))))
  end)

  it("refuses wrong options", function()
    expect.misuse("role", function() node.register(client, {}) end)
    expect.misuse("rôle", function() node.register(client, { role = "x", ["rôle"] = "y" }) end)
    expect.misuse("address", function() node.register(client, { role = "x", address = 8080 }) end)
    expect.misuse("role", function() node.register(client, { role = "a/b" }) end)
    assert.equal(0, client:handles())
  end)
end)
