-- Locks shared with Apache Curator's InterProcessMutex, and a registry that ZooKeeper's own command line can read.

local Harness = require "support.harness"
local expect = require "support.expect"
local mw = require "moonwatch"
local uv = require "luv"

local jars = {}
for _, name in ipairs { "curator-recipes", "curator-framework", "curator-client", "zookeeper", "guava", "slf4j-api",
  "slf4j-nop" } do
  table.insert(jars, "/usr/share/java/" .. name .. ".jar")
end
local class_path = table.concat(jars, ":")

--- A Java program that answers a line with a line.
local Curator = {}
Curator.__index = Curator

function Curator.start(servers, path)
  local self = setmetatable({ buffer = "" }, Curator)
  self.stdin, self.stdout = uv.new_pipe(false), uv.new_pipe(false)
  self.handle = assert(uv.spawn("java", {
    args = {
      "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", class_path,
      os.getenv "MOONWATCH_SOURCE" .. "/spec/backends/zookeeper/Curator.java", servers, path,
    },
    stdio = { self.stdin, self.stdout, 2 },
  }, function()
    self.ended = true
    self.handle:close()
  end))
  self.stdout:read_start(function(_, data) self.buffer = self.buffer .. (data or "") end)
  return self
end

function Curator:say(line)
  self.stdin:write(line .. "\n")
end

--- The next line of its answers; the loop of the registry runs meanwhile.
function Curator:hear(harness)
  return harness:wait("an answer of Curator", function()
    uv.run "nowait"
    local line, rest = self.buffer:match "^([^\n]*)\n(.*)$"
    self.buffer = rest or self.buffer
    return line
  end)
end

function Curator:stop(harness)
  self:say "quit"
  harness:wait("the end of Curator", function()
    uv.run "nowait"
    return self.ended
  end)
  self.stdin:close()
  self.stdout:close()
  uv.run "nowait"
end

describe("a lock shared with Curator", function()
  local h, client, curator

  before_each(function()
    h = Harness.start()
    client = h:open()
    curator = Curator.start(h.driver.direct(), h.driver.root .. "/shared")
    assert.equal("ready", curator:hear(h))
  end)
  after_each(function()
    curator:stop(h)
    h:finish()
  end)

  it("is ours only after Curator released it", function()
    local lock <close> = client:lock("/shared")
    curator:say "acquire"
    assert.equal("acquired", curator:hear(h))
    expect.failure("busy", lock:acquire { try = true })
    local token
    mw.spawn(function() token = lock:acquire() end)
    h:wait("us in the queue", function() return #expect.ok(client:queue("/shared")) == 2 end)
    assert.is_nil(token)
    curator:say "release"
    assert.equal("released", curator:hear(h))
    h:wait("our turn", function() return token end)
  end)

  it("is Curator's only after we released it", function()
    local lock <close> = client:lock("/shared")
    local token = expect.ok(lock:acquire())
    curator:say "try"
    assert.equal("busy", curator:hear(h))
    curator:say "participants"
    assert.equal("1", curator:hear(h))
    curator:say "acquire"
    h:wait("Curator in the queue", function() return #expect.ok(client:queue("/shared")) == 2 end)
    expect.ok(client:txn():check(lock):put("/guarded", "v"):commit())
    expect.ok(lock:release())
    assert.equal("acquired", curator:hear(h))
    curator:say "release"
    assert.equal("released", curator:hear(h))
    assert.is_true(expect.ok(lock:acquire()) > token)
  end)
end)

describe("zkCli.sh", function()
  it("reads who holds a lock, and values", function()
    local h = Harness.start()
    local client = h:open { name = "reader" }
    expect.ok(client:create("/plain", "in clear"))
    local lock = client:lock("/l", { value = "me" })
    expect.ok(lock:acquire())
    local command = ("java -Xmx128m -cp %s org.apache.zookeeper.ZooKeeperMain -server %s %%s 2>&1"):format(
      class_path, h.driver.direct())
    local function ask(words)
      local pipe <close> = assert(io.popen(command:format(words)))
      return pipe:read "a"
    end
    assert.matches("in clear", ask("get " .. h.driver.root .. "/plain"), 1, true)
    assert.matches("_c_%x+%-%x+%-%x+%-%x+%-%x+%-lock%-%d+", ask("ls " .. h.driver.root .. "/l"))
    lock:close()
    h:finish()
  end)
end)
