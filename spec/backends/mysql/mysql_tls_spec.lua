-- TLS against a server with certificates of our own. What an account `REQUIRE`s shows what the server saw.
local Certificates = require "support.certificates"
local Mysql = require "support.mysql"
local expect = require "support.expect"
local mw = require "moonwatch"

describe("TLS to MySQL", function()
  local certificates, server, plain

  setup(function()
    certificates = Certificates.new()
    server = Mysql.start("--ssl-ca=" .. certificates:path "ca", "--ssl-cert=" .. certificates:path "server",
      "--ssl-key=" .. certificates:path "server-key")
    plain = Mysql.start "--skip-ssl"
    for account, needs in pairs { encrypted = "SSL", certified = "X509" } do
      server:sql([[CREATE USER %s@'%%' IDENTIFIED BY 's3cret' REQUIRE %s; GRANT ALL ON moonwatch.* TO %s@'%%']],
        account, needs, account)
    end
  end)

  teardown(function()
    server:remove()
    plain:remove()
    certificates:remove()
  end)

  local function open(options)
    local all = {
      backend = "mysql", host = "localhost", port = tonumber(server.port), database = "moonwatch",
      username = "encrypted", password = "s3cret", wait = "5s",
    }
    for key, value in pairs(options) do
      all[key] = value
    end
    return mw.open(all)
  end

  local function works(options)
    local client <close> = expect.ok(open(options))
    expect.ok(client:put("/x", "v"))
  end

  --- One line that says what is wrong, without the password.
  local function refuses(code, words, options)
    local client, err = open(options)
    expect.failure(code, client, err)
    assert.is_truthy(err.message:find(words, 1, true), err.message)
    assert.is_nil(err.message:find("s3cret", 1, true))
  end

  it("encrypts where the server can, without being asked", function()
    works {}
    works { tls = "required" }
  end)

  it("is off when it is switched off, and an account that needs it is refused", function()
    refuses("denied", "the server refuses the account 'encrypted'", { tls = "off" })
    works { tls = "off", username = "mw" }
  end)

  it("verifies the server by the authority that is named", function()
    works { tls = "verify", tls_ca = certificates:path "ca" }
  end)

  it("refuses a server that another authority signed", function()
    refuses("denied", "the server's certificate is refused",
      { tls = "verify", tls_ca = certificates:path "stranger" })
  end)

  it("refuses a server whose certificate has another name", function()
    refuses("denied", "the server's certificate is refused",
      { tls = "verify", tls_ca = certificates:path "ca", host = "127.0.0.1" })
  end)

  it("shows a certificate of ours", function()
    refuses("denied", "the server refuses the account 'certified'", { username = "certified" })
    works {
      username = "certified", tls = "verify", tls_ca = certificates:path "ca", tls_cert = certificates:path "client",
      tls_key = certificates:path "client-key",
    }
  end)

  it("names a file of ours that cannot be used", function()
    refuses("invalid", "tls_ca: /nonexistent/ca.pem", { tls = "verify", tls_ca = "/nonexistent/ca.pem" })
    refuses("invalid", "tls_key: /nonexistent/key.pem", {
      tls_cert = certificates:path "client", tls_key = "/nonexistent/key.pem",
    })
    refuses("denied", "tls_ca", { tls = "verify", tls_ca = certificates:path "client-key" })
    refuses("invalid", "tls_cert and tls_key", {
      tls_cert = certificates:path "client", tls_key = certificates:path "server-key",
    })
    refuses("invalid", "tls_cert and tls_key", {
      tls_cert = certificates:path "client", tls_key = certificates:path "client",
    })
  end)

  it("says when it is required and the server has none, and does without where it is only preferred", function()
    refuses("unsupported", "TLS is required", { tls = "required", port = tonumber(plain.port), username = "mw" })
    works { port = tonumber(plain.port), username = "mw" }
  end)

  it("carries the reader of the binary log as well", function()
    server:stop()
    server:restart("--log-bin=bin", "--ssl-ca=" .. certificates:path "ca",
      "--ssl-cert=" .. certificates:path "server", "--ssl-key=" .. certificates:path "server-key")
    server:sql "GRANT REPLICATION SLAVE ON *.* TO encrypted@'%%'"
    local client <close> = expect.ok(open { tls = "verify", tls_ca = certificates:path "ca" })
    local late = mw.now() + 20
    repeat
      mw.sleep "10ms"
      assert.is_true(mw.now() < late, "no reader of the binary log")
      local readers = server:sql "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND = 'Binlog Dump'"
    until tonumber(readers) == 1
    assert.equal("connected", client:state())
  end)
end)
