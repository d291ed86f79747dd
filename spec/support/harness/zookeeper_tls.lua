-- ZooKeeper by its secure port (ZK_TLS, spec/support/zookeeper_server.sh), for a build whose client library has TLS.
-- The proxies see nothing of what goes through them: a spec can break connections, but neither lose one answer nor end
-- one client's session.

local Proxy = require "support.proxy"
local plain = require "support.harness.zookeeper"

local function options(self)
  local files = os.getenv "ZK_DIR" .. "/tls/"
  local proxy = Proxy.start(tonumber(os.getenv "ZK_SECURE_SERVERS":match ":(%d+)"))
  table.insert(self.proxies, proxy)
  return {
    backend = "zookeeper", servers = ("127.0.0.1:%s%s"):format(proxy.port, self.root), session_timeout = "10s",
    tls = true, tls_ca = files .. "ca.pem", tls_cert = files .. "client.pem", tls_key = files .. "client-key.pem",
  }
end

return function()
  local driver = plain()
  driver.options = options
  return driver
end
