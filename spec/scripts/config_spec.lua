local config = require "moonwatch.config"
local yaml = require "moonwatch.yaml"

-- The option tables of backends, as the real ones have them.
local tables = {
    memory = {},
    sqlite = {
        { key = "path", kind = "path", required = true, help = "the file" },
        { key = "session_timeout_ms", kind = "duration", initial = "10000" },
    },
    mysql = {
        { key = "url", kind = "string", help = "mysql://host:port/db" },
        { key = "username", kind = "string" },
        { key = "password", kind = "secret" },
        { key = "port", kind = "integer", initial = "3306" },
        { key = "database", kind = "string" },
    },
    zookeeper = {
        { key = "servers", kind = "string", required = true, help = "host:port,..." },
        { key = "session_timeout_ms", kind = "duration", initial = "30000" },
        { key = "digest", kind = "secret" },
        { key = "digest_file", kind = "path" },
    },
}

local function parse(text, env)
    return config.parse(text, "conf/application.yaml", {
        requirements = function(name)
            return tables[name], ("no backend '%s'"):format(name)
        end,
        getenv = function(name)
            return (env or {})[name]
        end,
    })
end

local function complaints(text, env)
    local parsed, list = parse(text, env)
    assert.is_nil(parsed)
    return list
end

local streampark = [[
server:
  port: 10000
spring:
  datasource: {username: x}
streampark:
  workspace: {local: /opt}
  registry:
    type: mysql
    zookeeper:
      servers: zk1:2181,zk2:2181/sp
      namespace: streampark
    mysql:
      url: jdbc:mysql://db:3306/sp?useSSL=false
      username: sp
      password: geheim
]]

describe("configuration", function()
    it("reads StreamPark's layout as it stands", function()
        local parsed = assert(parse(streampark))
        assert.equal("mysql", parsed.registry.type)
        local open = parsed:open_options()
        assert.equal("mysql", open.backend)
        assert.equal("jdbc:mysql://db:3306/sp?useSSL=false", open.url)
        assert.equal("geheim", open.password)
        local other = parsed:open_options "zookeeper"
        assert.equal("/streampark", other.namespace)
        assert.equal(10, other.op_timeout)
    end)

    it("reads backends beside registry, and keys at the top or below moonwatch", function()
        local beside = assert(parse "streampark:\n  registry: {type: sqlite}\n  sqlite: {path: r.db}\n")
        assert.equal("conf/r.db", beside:open_options().path)
        local top = assert(parse "registry: {sqlite: {path: /r.db}}\nscripts: [a.lua, /b.lua]\n")
        assert.same({ "conf/a.lua", "/b.lua" }, top.scripts)
        assert.equal("/r.db", top:open_options().path)
        local mixed = assert(parse(streampark .. "moonwatch: {scripts: watch.lua, node: {role: console}}\n"))
        assert.same({ "conf/watch.lua" }, mixed.scripts)
        assert.equal("console", mixed.node.role)
        assert.equal("mysql", mixed.registry.type)
    end)

    it("chooses zookeeper of several when no type is given, the only one of one, sqlite of none", function()
        local several = streampark:gsub("    type: mysql\n", "")
        assert.equal("zookeeper", parse(several).registry.type)
        assert.equal("memory", parse("registry: {memory: {}}").registry.type)
        assert.equal("sqlite", parse("").registry.type)
        assert.same({ "conf/application.yaml:1:11: several backends (memory, sqlite): 'type' must say which" },
            complaints "registry: {memory: {}, sqlite: {path: x}}")
    end)

    it("complains about unknown keys with file, line, column and what was meant", function()
        for text, wanted in pairs {
            ["registry:\n  sqlite: {path: x, sesion_timeout: 5s}"] =
                "conf/application.yaml:2:21: unknown key 'sesion_timeout'; did you mean 'session_timeout'?",
            ["registry:\n  sqllite: {path: x}"] =
                "conf/application.yaml:2:3: unknown key 'sqllite'; did you mean 'sqlite'?",
            ["regsitry: {}"] = "conf/application.yaml:1:1: unknown key 'regsitry'; did you mean 'registry'?",
            ["streampark: {regsitry: {}}"] =
                "conf/application.yaml:1:14: unknown key 'regsitry'; did you mean 'registry'?",
            ["node: {busy: {cpus: 1}}"] = "conf/application.yaml:1:15: unknown key 'cpus'; did you mean 'cpu'?",
        } do
            assert.same({ wanted }, complaints(text))
        end
        assert.matches("unknown key 'zebra'; known here: ", complaints("node: {zebra: 1}")[1])
    end)

    it("complains about all wrong values at once, with their places", function()
        local list = complaints [[
registry:
  type: zookeeper
  sqlite: {session_timeout: 5x, path: x}
  zookeeper: {servers: a:0}
on_script_error: stopp
memory_limit: 5 cows
node: {weight: 1.5}
scripts: {a: b}
]]
        assert.same({ -- in the order of the file
            "conf/application.yaml:3:29: duration: '5x' at byte 2: unknown unit 'x'; use ms, s, m, h, d",
            "conf/application.yaml:4:24: servers: 'a:0' at byte 3: a port from 1 to 65535 was expected",
            "conf/application.yaml:5:18: 'stopp' is none of stop, skip; did you mean 'stop'?",
            "conf/application.yaml:6:15: size: '5 cows' at byte 3: unknown unit 'cows'; use B, KB, MB, GB, TB, KiB, "
                .. "MiB, GiB, TiB",
            "conf/application.yaml:7:16: a whole number was expected, not 1.5",
            "conf/application.yaml:8:10: a list was expected, not a mapping",
        }, list)
    end)

    it("complains about a list where a backend's options were expected", function()
        assert.same({ "conf/application.yaml:1:34: a mapping was expected, not a list" },
            complaints "registry: {type: sqlite, sqlite: [a.lua]}")
    end)

    it("complains about a list where all of ours was expected", function()
        assert.same({ "conf/application.yaml:2:1: 'moonwatch': a mapping was expected, not a list" },
            select(2, parse "other: 1\nmoonwatch:\n- node: {}\n"))
    end)

    it("names what is missing", function()
        assert.same({ "conf/application.yaml:1:23: 'servers' is missing: host:port,..." },
            complaints "registry: {zookeeper: {}}")
        for text, column in pairs {
            ["registry: {type: mysql}"] = 18,
            ["registry: {mysql: {port: 3307}}"] = 19,
            ["registry: {mysql: {url: 'mysql://db:3306'}}"] = 25,
        } do
            assert.same({ ("conf/application.yaml:1:%d: which database? "):format(column)
                .. "'url: jdbc:mysql://host:port/database' names it, or 'database'" }, complaints(text))
        end
        assert(parse "registry: {mysql: {database: here}}")
        assert.same({ "conf/application.yaml:1:18: no backend 'etcd'" },
            complaints "registry: {type: etcd}")
        assert.same({ "conf/application.yaml:1:18: no backend 'zokeeper'; did you mean 'zookeeper'?" },
            complaints "registry: {type: zokeeper}")
    end)

    it("takes values from the environment", function()
        local parsed = assert(parse("registry: {sqlite: {path: '${DIR}/$${x}/${NAME:-r}.db', session_timeout: '${T}'}}",
            { DIR = "/data", T = "7s" }))
        assert.equal("/data/${x}/r.db", parsed:open_options().path)
        assert.equal(7, parsed:open_options().session_timeout)
        assert.same({ "conf/application.yaml:1:27: the environment has no DIR; set it, or write ${DIR:-otherwise}" },
            complaints "registry: {sqlite: {path: '${DIR}'}}")
        assert.matches("names no variable", complaints("registry: {sqlite: {path: '${1 2}'}}")[1])
        assert.same({ "conf/application.yaml:1:27: '${DIR/r.db' has no '}'; a plain '${' is written '$${'" },
            complaints("registry: {sqlite: {path: '$${a}${DIR/r.db'}}", { DIR = "/data" }))
    end)

    it("takes a text that looks like a number as it was written", function()
        local parsed = assert(parse [[
registry:
  namespace: 0042
  mysql: {url: "mysql://h/d", username: 0x1F, password: 007}
node: {role: 1e3, id: 12345678901234567890}
attach: 1.50
]])
        assert.same({ "0x1F", "007", "/0042" },
            { parsed:open_options().username, parsed:open_options().password, parsed:open_options().namespace })
        assert.same({ "1e3", "12345678901234567890", "1.50" }, { parsed.node.role, parsed.node.id, parsed.attach })
    end)

    it("reads a secret from a file, and says when it cannot", function()
        local name = os.tmpname()
        local file = assert(io.open(name, "w"))
        file:write "geheim\n"
        file:close()
        local parsed = assert(parse("registry: {mysql: {url: mysql://h/d, password_file: " .. name .. "}}"))
        os.remove(name)
        assert.equal("geheim", parsed:open_options().password)
        assert.same({ "conf/application.yaml:1:53: the secret cannot be read: /no/such: No such file or directory" },
            complaints "registry: {mysql: {url: mysql://h/d, password_file: /no/such}}")
        assert.matches("unknown key 'url_file'", complaints("registry: {mysql: {database: d, url_file: /x}}")[1])
        assert.matches("cannot be read: /dev/null is empty",
            complaints("registry: {mysql: {url: mysql://h/d, password_file: /dev/null}}")[1], 1, true)
        assert.matches("cannot be read: /tmp: Is a directory",
            complaints("registry: {mysql: {url: mysql://h/d, password_file: /tmp}}")[1], 1, true)
        assert.matches("1:66: password and password_file: give one of them",
            complaints("registry: {mysql: {url: mysql://h/d, password: x, password_file: /proc/version}}")[1], 1, true)
    end)

    it("looks at the file of a secret also where the backend reads it itself", function()
        local parsed = assert(parse "registry: {zookeeper: {servers: a, digest_file: /proc/version}}")
        assert.equal("/proc/version", parsed:open_options().digest_file)
        assert.is_nil(parsed:open_options().digest)
        assert.same({ "conf/application.yaml:1:49: the secret cannot be read: conf/no: No such file or directory" },
            complaints "registry: {zookeeper: {servers: a, digest_file: no}}")
    end)

    it("refuses spans and sizes with which nothing can work, and texts that are none", function()
        for text, wanted in pairs {
            ["node: {period: 0s}"] = "1:16: duration: '0s' is less than 100ms",
            ["task_budget: 0"] = "1:14: duration: '0' is less than 10ms",
            ["registry: {op_timeout: 0s}"] = "1:24: duration: '0s' is less than 1ms",
            ["memory_limit: 1MiB"] = "1:15: size: '1MiB' is less than 16MiB",
            ["scripts: ['']"] = "1:11: the name of a file was expected, not an empty text",
            ["registry: {sqlite: {path: 5}}"] = "1:27: the name of a file was expected, not a number; quote it",
            ['registry: {sqlite: {path: "a\\0b"}}'] =
                "1:27: the name of a file was expected; byte 2 is a control character",
            ['registry: {type: "memory\\0"}'] = "1:18: a text of one line was expected; byte 7 is a control character",
        } do
            assert.equal("conf/application.yaml:" .. wanted, complaints(text)[1])
        end
    end)

    it("hands on to a backend what the file says, not the backend's own defaults", function()
        local url = "registry: {mysql: {url: 'mysql://h:3307/d', username: u%s}}"
        local plain = assert(parse(url:format ""))
        assert.is_nil(plain:open_options().port) -- it would override the address
        assert.is_nil(plain:view().registry.mysql.port)
        assert.equal(3308, parse(url:format ", port: 3308"):open_options().port)
        local sqlite = assert(parse "registry: {sqlite: {path: r, session-timeout: 7s}}")
        assert.equal(7, sqlite:open_options().session_timeout)
        assert.is_nil(parse("registry: {sqlite: {path: r}}"):open_options().session_timeout)
        assert.equal("10s", parse("registry: {sqlite: {path: r}}"):view().registry.sqlite.session_timeout)
    end)

    it("never prints a secret, wherever it stands", function()
        local parsed = assert(parse([[
registry:
  type: memory
  mysql: {url: "mysql://u:geheim@h/d?password=geheim", username: u, password: "${P}"}
  zookeeper: {servers: a, digest: "u:geheim"}
app: {smtp_password: geheim, api: {token: [geheim], hook: "http://u:geheim@h/"}, colour: red}
]], { P = "geheim" }))
        local text = parsed:print()
        assert.is_nil(text:find("geheim", 1, true), text)
        assert.equal("***", parsed:view().registry.mysql.password)
        assert.equal("red", parsed:view().app.colour)
    end)

    it("keeps a secret of a backend that cannot be loaded", function()
        local parsed = assert(config.parse("registry: {type: memory, mysql: {password: geheim}}", "f", {
            requirements = function(name)
                return name == "memory" and {} or nil, "its client library is missing"
            end,
        }))
        assert.is_nil(parsed:print():find("geheim", 1, true))
        assert.equal("its client library is missing", select(2, parsed:open_options "mysql"))
    end)

    it("prints the effective configuration as YAML that reads back", function()
        local printed = yaml.parse(assert(parse(streampark)):print())
        assert.equal("***", printed.registry.mysql.password)
        assert.equal("30s", printed.registry.zookeeper.session_timeout)
        assert.equal("10s", printed.node.period)
        assert.equal("256MiB", printed.memory_limit)
    end)

    it("refuses what is no configuration", function()
        for _, text in ipairs { "- a", "5", "a: [", "registry: 5", "registry: [a]", "registry: {sqlite: 5}",
            "node: 5", "\0", ("{a: "):rep(100), "registry: {sqlite: {path: [[x]]}}", "scripts: [[a]]" } do
            assert.matches("^conf/application.yaml:%d+:%d+: ", complaints(text)[1])
        end
        assert.matches("No such file", select(2, config.load "/no/such.yaml")[1])
        assert.matches("directory", select(2, config.load "/tmp")[1])
    end)
end)
