-- ZooKeeper: a chroot of its own on a real server (spec/support/zookeeper_server.sh run), each client behind a proxy of
-- its own (spec/support/tcp_proxy.c), by which it can be cut off.

local uv = require "luv"
local Proxy = require "support.proxy"
local Real = require "support.harness.real"

local await = Proxy.await

local CREATE2, MULTI, GET_CHILDREN, DELETE, CLOSE_SESSION = 15, 14, 8, 2, -11

local ZooKeeper = setmetatable({}, Real)
ZooKeeper.__index = ZooKeeper
local count = 0

function ZooKeeper:start()
  count = count + 1
  self.port = tonumber(assert(os.getenv "ZK_SERVERS", "ZK_SERVERS: run me beside a server"):match ":(%d+)")
  self.root = ("/contract/%d-%d"):format(uv.os_getpid(), count)
  self.proxies, self.cuts = {}, {}
end

function ZooKeeper:options()
  local proxy = Proxy.start(self.port)
  table.insert(self.proxies, proxy)
  return {
    backend = "zookeeper", servers = ("127.0.0.1:%s%s"):format(proxy.port, self.root), session_timeout = "10s",
  }
end

--- For programs that bring their own client.
function ZooKeeper.direct()
  return os.getenv "ZK_SERVERS"
end

function ZooKeeper:proxy_of(client)
  local id = ("%016x"):format(assert(client:session()))
  for _, proxy in ipairs(self.proxies) do
    local session, password = proxy:tell("session"):match "(%x+) (%x+)"
    if session == id then
      return proxy, client:session(), password
    end
  end
  error "no proxy knows this client's session"
end

function ZooKeeper:cut(client)
  self.cuts[client] = self:proxy_of(client)
  self.cuts[client]:tell "refuse"
  self.cuts[client]:tell "reset"
end

function ZooKeeper:mend(client)
  self.cuts[client]:tell "accept"
end

function ZooKeeper:lose_next_reply(client)
  self:proxy_of(client):tell(("drop-reply 1 %d %d"):format(CREATE2, MULTI))
end

--- Takes the session over with its password, as a client that comes from another address would, and closes it.
function ZooKeeper:expire(client)
  local _, session, password = self:proxy_of(client)
  password = password:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end)
  local greeting = string.pack(">i4i8i4i8s4B", 0, 0, 10000, session, password, 0)
  local tcp, answers = uv.new_tcp(), 0
  tcp:connect("127.0.0.1", self.port, function()
    tcp:read_start(function(err, data) answers = answers + ((err or not data) and 2 or 1) end)
    tcp:write(string.pack(">s4", greeting))
  end)
  await("the session to move", function() return answers >= 1 end)
  tcp:write(string.pack(">s4", string.pack(">i4i4", 1, CLOSE_SESSION)))
  await("the session to end", function() return answers >= 2 end)
  tcp:close()
  uv.run "nowait"
end

--- One request of the bare protocol over a session of its own: the reply behind its header.
local function plainly(port, requests)
  local tcp, buffer = uv.new_tcp(), ""
  local function reply()
    local packet
    await("the server", function()
      packet = #buffer >= 4 and #buffer >= 4 + string.unpack(">i4", buffer) and string.unpack(">s4", buffer)
      return packet
    end)
    buffer = buffer:sub(5 + #packet)
    return packet
  end
  local connected
  tcp:connect("127.0.0.1", port, function() connected = true end)
  await("a connection", function() return connected end)
  tcp:read_start(function(_, data) buffer = buffer .. (data or "") end)
  tcp:write(string.pack(">s4", string.pack(">i4i8i4i8s4B", 0, 0, 10000, 0, ("\0"):rep(16), 0)))
  reply()
  requests(function(opcode, body)
    tcp:write(string.pack(">s4", string.pack(">i4i4", 1, opcode) .. body))
    return reply():sub(17)
  end)
  tcp:write(string.pack(">s4", string.pack(">i4i4", 2, CLOSE_SESSION)))
  reply()
  tcp:close()
  uv.run "nowait"
end

--- What an operator does with zkCli.sh: the members of the queue are deleted, whoever they belong to.
function ZooKeeper:drop_lock(path)
  local lock = self.root .. path
  plainly(self.port, function(ask)
    local names = ask(GET_CHILDREN, string.pack(">s4B", lock, 0))
    local members, place = string.unpack(">i4", names)
    for _ = 1, members do
      local name
      name, place = string.unpack(">s4", names, place)
      ask(DELETE, string.pack(">s4i4", lock .. "/" .. name, -1))
    end
  end)
end

--- The server stands still; its clock does not.
function ZooKeeper.outage(_, on)
  local file <close> = assert(io.open(os.getenv "ZK_DIR" .. "/1.pid"))
  assert(uv.kill(file:read "n", on and "sigstop" or "sigcont"))
end

--- `on`: every connection is reset again and again, what goes through it is late, and the answer to some write of each
--- client never arrives although the server has done it.
function ZooKeeper:chaos(on)
  for i, proxy in ipairs(self.proxies) do
    if not proxy.ended then
      proxy:tell(on and "delay 1 5" or "delay 0")
      proxy:tell(on and ("drop-reply %d %d %d"):format(i % 3 + 1, CREATE2, MULTI) or "drop-reply 0")
      proxy:tell("reset-every " .. (on and 300 + 70 * (i % 5) or 0))
    end
  end
end

--- The server keeps no log of changes: who comes back is told the present state anyhow.
function ZooKeeper.forget_changes() end

function ZooKeeper:finish()
  for _, proxy in ipairs(self.proxies) do
    proxy:stop()
  end
end

return function()
  return setmetatable({}, ZooKeeper)
end
