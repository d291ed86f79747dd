-- Kinds of servers that are refused with one clear line, each played by MariaDB.
local Mysql = require "support.mysql"
local Proxy = require "support.proxy"
local expect = require "support.expect"
local mw = require "moonwatch"

describe("MySQL", function()
  local server, proxy

  after_each(function()
    if proxy then
      proxy:stop()
      proxy = nil
    end
    server:remove()
  end)

  local function open(port)
    return mw.open {
      backend = "mysql", url = ("mysql://127.0.0.1:%s/moonwatch?tls=off"):format(port), username = "mw",
      password = "s3cret", wait = "5s",
    }
  end

  local function refuses(words, port)
    local client, err = open(port or server.port)
    expect.failure("unsupported", client, err)
    assert.is_truthy(err.message:find(words, 1, true), err.message)
    assert.is_nil(err.message:find("s3cret", 1, true))
  end

  --- What a server answers that has these variables: MariaDB has no group replication.
  local function with_variables(variables)
    local selects = {}
    for _, variable in ipairs(variables) do
      table.insert(selects, ("SELECT '%s','%s'"):format(variable[1], variable[2]))
    end
    server = Mysql.start()
    proxy = Proxy.start(server.port)
    proxy:tell("ask-instead SHOW GLOBAL VARIABLES|" .. table.concat(selects, " UNION ALL "))
    return proxy.port
  end

  it("of Oracle before 5.7 is too old", function()
    server = Mysql.start "--version=5.6.51"
    refuses "the server is too old (5.6.51"
  end)

  it("in a group with several primaries is refused", function()
    refuses("group replication runs with several primaries", with_variables {
      { "group_replication_group_name", "aaaaaaaa-bbbb" }, { "group_replication_single_primary_mode", "OFF" },
    })
  end)

  it("in a group with one primary is taken", function()
    local client <close> = expect.ok(open(with_variables {
      { "group_replication_group_name", "aaaaaaaa-bbbb" }, { "group_replication_single_primary_mode", "ON" },
    }))
    expect.ok(client:put("/x", "v"))
  end)

  it("as a node of Galera is refused", function()
    refuses("a Galera cluster", with_variables { { "wsrep_on", "ON" } })
  end)
end)
