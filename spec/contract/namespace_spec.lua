local Events = require "support.events"
local Harness = require "support.harness"
local expect = require "support.expect"

describe("namespace", function()
  local h, inside, whole

  before_each(function()
    h = Harness.start()
    inside, whole = h:open { namespace = "/prod/app" }, h:open()
  end)

  after_each(function() h:finish() end)

  it("is created segment by segment when absent", function()
    expect.ok(inside:put("/a", "v"))
    assert.equal("", expect.ok(whole:get("/prod", { fresh = true })).value)
    assert.equal("", expect.ok(whole:get("/prod/app", { fresh = true })).value)
    assert.is_nil(expect.ok(whole:get("/prod/app", { fresh = true })).owner)
  end)

  it("is in front of every path, and seen in none", function()
    assert.equal("/a/b", expect.ok(inside:create("/a/b", "v")).path)
    assert.equal("/a/b", expect.ok(inside:get("/a/b")).path)
    assert.equal("/a", expect.ok(inside:stat("/a")).path)
    assert.same({ "a" }, expect.ok(inside:children("/")))
    assert.same({ "/a", "/a/b" }, expect.each("path", expect.ok(inside:list("/"))))
    assert.equal("v", expect.ok(whole:get("/prod/app/a/b", { fresh = true })).value)
  end)

  it("is seen in no error", function()
    for _, err in ipairs {
      expect.failure("not_found", inside:get("/none")),
      expect.failure("not_found", inside:txn():check("/none"):commit()),
      expect.failure("not_found", inside:delete("/none")),
    } do
      assert.equal("/none", err.path)
      assert.is_nil(tostring(err):find("prod", 1, true), tostring(err))
    end
  end)

  it("is seen in no event, queue or lock", function()
    local seen <close> = Events.of(h, inside, "/d")
    expect.ok(whole:create("/prod/app/d/x", "v"))
    seen:await("added", "/d/x")
    for _, event in ipairs(seen.list) do
      assert.is_nil(event.path:find("prod", 1, true), event.path)
    end
    local lock <close> = inside:lock("/l")
    expect.ok(lock:acquire())
    assert.equal("/l", lock.path)
    assert.same({ "/l" }, expect.each("path", expect.ok(inside:queue("/l", { fresh = true }))))
    assert.same({ "/l" }, expect.each("path", expect.ok(inside:queue("/", { recursive = true, fresh = true }))))
  end)

  it("does not keep apart what is the same lock", function()
    local lock <close> = inside:lock("/l")
    local same <close> = whole:lock("/prod/app/l")
    expect.ok(lock:acquire())
    expect.failure("busy", same:acquire { try = true })
    local another <close> = whole:lock("/l")
    expect.ok(another:acquire { try = true })
  end)

  it("keeps its neighbours out", function()
    local neighbour = h:open { namespace = "/prod/app2" }
    local seen <close> = Events.of(h, inside, "/", { depth = "subtree" })
    seen:synced()
    expect.ok(neighbour:create("/x", "v"))
    expect.ok(whole:create("/prod/app/mark", "v"))
    seen:await("added", "/mark")
    assert.same({}, seen:kinds "/x")
    assert.same({ "mark" }, expect.ok(inside:children("/", { fresh = true })))
  end)

  it("cannot be left", function()
    expect.failure("invalid", inside:get("/../other"))
    expect.failure("invalid", inside:put("/a/../../other", "v"))
  end)

  it("holds registrations and elections", function()
    local registration <close> = expect.ok(inside:register("/n/a", "v"))
    assert.is_true(registration.visible)
    expect.ok(whole:get("/prod/app/n/a", { fresh = true }))
    local election <close> = inside:elect("/e", { record = "one" })
    expect.ok(election:wait())
    assert.equal("/e/leader", expect.ok(election:leader()).path)
    assert.equal("one", expect.ok(whole:get("/prod/app/e/leader", { fresh = true })).value)
  end)

  it("is there again when it was deleted under a client", function()
    expect.ok(inside:put("/a", "1"))
    expect.ok(whole:delete("/prod", { recursive = true }))
    expect.ok(inside:put("/a", "2"))
    assert.equal("2", expect.ok(whole:get("/prod/app/a", { fresh = true })).value)
  end)

  it("must be a path", function()
    local mw = require "moonwatch"
    for _, bad in ipairs { "prod", "/prod/", "/../x", "/zookeeper/x", "/a\0b" } do
      local ok, result, err = pcall(mw.open, h:options { namespace = bad })
      assert.is_truthy(not ok or result == nil and err.code == "invalid", bad)
    end
  end)
end)
