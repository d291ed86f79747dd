-- Wrong arguments: misuse raises and names the argument; nothing is sent and nothing is lost.
local mw = require "moonwatch"
local Harness = require "support.harness"
local expect = require "support.expect"

describe("bad input", function()
  local h, client

  before_each(function()
    h = Harness.start()
    client = h:open()
  end)

  after_each(function()
    -- Whatever was thrown at it, it goes on working.
    expect.ok(client:put("/works", "v"))
    assert.equal("v", expect.ok(client:get("/works")).value)
    h:finish()
  end)

  local not_strings = { 42, true, {}, print, io.stdout }
  local not_tables = { 42, true, "text", print }

  for _, name in ipairs { "get", "stat", "children", "list", "create", "put", "set", "delete", "queue" } do
    it(name .. " refuses a path that is no string", function()
      for _, wrong in ipairs(not_strings) do
        expect.misuse("path", function() client[name](client, wrong, "v") end)
      end
      expect.misuse("path", function() client[name](client) end)
    end)
  end

  for _, name in ipairs { "get", "stat", "children", "list", "delete", "queue" } do
    it(name .. " refuses options that are no table, unknown ones, and those of a wrong type", function()
      for _, wrong in ipairs(not_tables) do
        expect.misuse(name, function() client[name](client, "/a", wrong) end)
      end
      expect.misuse("timeuot", function() client[name](client, "/a", { timeuot = 1 }) end)
      expect.misuse("timeout", function() client[name](client, "/a", { timeout = {} }) end)
      expect.misuse("timeout", function() client[name](client, "/a", { timeout = "soon" }) end)
      expect.misuse("timeout", function() client[name](client, "/a", { timeout = -1 }) end)
      expect.misuse("timeout", function() client[name](client, "/a", { timeout = 0 / 0 }) end)
    end)
  end

  for _, name in ipairs { "create", "put", "set" } do
    it(name .. " refuses a value that is no string, and wrong options", function()
      for _, wrong in ipairs { true, {}, print } do
        expect.misuse("value", function() client[name](client, "/a", wrong) end)
      end
      expect.misuse("bogus", function() client[name](client, "/a", "v", { bogus = true }) end)
      for _, wrong in ipairs(not_tables) do
        expect.misuse(name, function() client[name](client, "/a", "v", wrong) end)
      end
    end)
  end

  it("versions are integers that are not negative", function()
    expect.ok(client:create("/a", "v"))
    for _, wrong in ipairs { "one", 1.5, true, {}, -1, -2, math.mininteger } do
      expect.misuse("version", function() client:set("/a", "w", { version = wrong }) end)
      expect.misuse("version", function() client:delete("/a", { version = wrong }) end)
      expect.misuse("version", function() client:txn():check("/a", { version = wrong }) end)
      expect.misuse("version", function() client:txn():set("/a", "w", { version = wrong }) end)
      expect.misuse("version", function() client:txn():delete("/a", { version = wrong }) end)
    end
    assert.equal("v", expect.ok(client:get("/a")).value)
  end)

  it("ephemeral and other switches are booleans", function()
    expect.misuse("ephemeral", function() client:create("/a", "v", { ephemeral = 1 }) end)
    expect.misuse("fresh", function() client:get("/a", { fresh = "yes" }) end)
    expect.misuse("recursive", function() client:delete("/a", { recursive = 1 }) end)
    expect.misuse("fail_fast", function() client:get("/a", { fail_fast = 0 }) end)
  end)

  it("a txn refuses wrong steps", function()
    expect.misuse("path", function() client:txn():create(42, "v") end)
    expect.misuse("value", function() client:txn():put("/a", {}) end)
    expect.misuse("check", function() client:txn():check({}) end)
    expect.misuse("check", function() client:txn():check(io.stdout) end)
    expect.misuse("check", function() client:txn():check(client) end)
    expect.misuse("bogus", function() client:txn():check("/a", { bogus = 1 }) end)
    expect.misuse("absent", function() client:txn():check("/a", { absent = "yes" }) end)
  end)

  it("subscribe refuses what it cannot follow", function()
    expect.misuse("path", function() client:subscribe(42, {}, print) end)
    expect.misuse("depth", function() client:subscribe("/a", { depth = "deep" }, print) end)
    expect.misuse("overlap", function() client:subscribe("/a", { overlap = "maybe" }, print) end)
    expect.misuse("limit", function() client:subscribe("/a", { limit = "many" }, print) end)
    expect.misuse("bogus", function() client:subscribe("/a", { bogus = 1 }, print) end)
    expect.misuse("reaction", function() client:subscribe("/a", {}, 42) end)
  end)

  it("lock, guard and elect refuse wrong arguments", function()
    expect.misuse("path", function() client:lock(42) end)
    expect.misuse("value", function() client:lock("/l", { value = {} }) end)
    expect.misuse("on_lost", function() client:lock("/l", { on_lost = 42 }) end)
    expect.misuse("bogus", function() client:lock("/l", { bogus = 1 }) end)
    expect.misuse("body", function() client:guard("/l", {}, 42) end)
    expect.misuse("body", function() client:guard("/l", {}) end)
    expect.misuse("lead", function() client:elect("/e", {}, 42) end)
    expect.misuse("record", function() client:elect("/e", { record = {} }) end)
    local lock <close> = client:lock("/l")
    expect.misuse("timeout", function() lock:acquire { timeout = "soon" } end)
    expect.misuse("try", function() lock:acquire { try = "yes" } end)
    expect.misuse("bogus", function() lock:acquire { bogus = 1 } end)
  end)

  it("register and on_connection refuse wrong arguments", function()
    expect.misuse("path", function() client:register(42, "v") end)
    expect.misuse("value", function() client:register("/a", {}) end)
    expect.misuse("timeout", function() client:register("/a", "v", { timeout = {} }) end)
    expect.misuse("reaction", function() client:on_connection(42) end)
    expect.misuse("reaction", function() client:on_connection() end)
    local registration <close> = expect.ok(client:register("/a", "v"))
    expect.misuse("value", function() registration:set(nil) end)
    expect.misuse("value", function() registration:set({}) end)
  end)

  it("methods refuse another object as their own", function()
    local lock <close> = client:lock("/l")
    for _, wrong in ipairs { 42, "text", {}, io.stdout, lock } do
      expect.misuse("get", function() client.get(wrong, "/a") end)
    end
    expect.misuse("acquire", function() lock.acquire(client) end)
    expect.misuse("get", function() client.get() end)
  end)

  it("open refuses wrong options", function()
    expect.misuse("options", function() mw.open(42) end)
    expect.misuse("options", function() mw.open() end)
    expect.misuse("backend", function() mw.open {} end)
    for _, wrong in ipairs { { bogus_option = "1" }, { session_timeout = "never" }, { session_timeout = {} },
      { wait = {} }, { namespace = 42 }, { name = {} }, { op_timeout = "soon" } } do
      local key = next(wrong)
      local ok, result, err = pcall(mw.open, h:options(wrong))
      assert.is_truthy(not ok or result == nil, key)
      assert.is_truthy(tostring(ok and err or result):find(key, 1, true), key .. ": " .. tostring(ok and err or result))
    end
  end)

  it("open of an unknown backend names it", function()
    local ok, result, err = pcall(mw.open, { backend = "nosuch" })
    assert.is_truthy(not ok or result == nil)
    assert.is_truthy(tostring(ok and err or result):find("nosuch", 1, true))
  end)

  it("huge, nested and strange values pass or are refused in one line", function()
    expect.failure("invalid", client:get(("/x"):rep(100000)))
    expect.failure("invalid", client:put("/" .. ("x"):rep(1e6), "v"))
    expect.failure("invalid", client:get("/\0"))
    expect.failure("too_large", client:put("/a", ("x"):rep(8 * 1024 * 1024)))
    expect.ok(client:put("/deep" .. ("/d"):rep(50), "v"))
    assert.equal(51, #expect.ok(client:list("/")))
    expect.ok(client:delete("/deep", { recursive = true }))
  end)
end)
