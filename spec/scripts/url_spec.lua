local url = require "moonwatch.url"

describe("mysql url", function()
    it("reads JDBC's form as it stands", function()
        local parsed = assert(url.mysql
            "jdbc:mysql://db1:3307,db2/streampark?useSSL=false&serverTimezone=GMT%2B8&user=sp&password=s%40crt")
        assert.same({
            scheme = "jdbc:mysql", hosts = { { host = "db1", port = 3307 }, { host = "db2", port = 3306 } },
            database = "streampark", username = "sp", password = "s@crt",
            params = { useSSL = "false", serverTimezone = "GMT+8" },
        }, parsed)
    end)

    it("reads the plain form with credentials and IPv6", function()
        local parsed = assert(url.mysql "mysql://root:p%3Aw@[::1]:13306/db")
        assert.same({
            scheme = "mysql", hosts = { { host = "::1", port = 13306 } }, database = "db", params = {},
            username = "root", password = "p:w",
        }, parsed)
        assert.is_nil(url.mysql("mysql://h").database)
    end)

    it("says at which byte it went wrong", function()
        for text, complaint in pairs {
            ["postgres://h/d"] = "at byte 1: mysql://host:port/database or jdbc:mysql://",
            ["mysql://"] = "at byte 9: a host was expected",
            ["mysql://h:99999/d"] = "at byte 11: a port from 1 to 65535 was expected",
            ["mysql://h:x/d"] = "at byte 11: a port from 1 to 65535 was expected",
            ["mysql://h/d?nonsense"] = "at byte 13: a parameter is written key=value",
            ["mysql://h/d/e"] = "at byte 12: this cannot stand here",
            ["jdbc:mysql:loadbalance://a,b/d"] = "JDBC's 'loadbalance' mode belongs to its own driver",
            ["mysql://h/\0"] = "at byte 11: a control character",
            [""] = "it is empty",
        } do
            local value, err = url.mysql(text)
            assert.is_nil(value)
            assert.equal(1, select(2, err:gsub("^url: ", "")))
            assert.truthy(err:find(complaint, 1, true), err)
        end
    end)

    it("never shows a password in a complaint", function()
        for _, text in ipairs {
            "mysql://u:geheim@h:x/d", "mysql://u:geheim@/d", "jdbc:mysql://h:x/d?password=geheim",
            "mysql://h/d?user=u&password=geheim&x", "mysql://u:geheim@h/d\0", "mysql://u:geheim@h/d/e",
            "mysql://u:1/geheim@h/d", "mysql://u:1?geheim@h/d", "mysql://u:1@geheim/2@h:x/d", "mysql://u:geheim#@h:x",
            "mysql://h/d?password=1&geheim", "jdbc:mysql://h:x/d?user=a@b&password=1@geheim",
            "mysql://h/d?trustStorePassword=geheim&x", "mysql://u:geheim@h/" .. ("d"):rep(5000),
        } do
            local value, err = url.mysql(text)
            assert.is_nil(value)
            assert.is_nil(err:find("geheim", 1, true), err)
        end
    end)

    it("refuses what is no text, and text without end", function()
        for _, value in ipairs { 5, true, {}, ("mysql://" .. ("h,"):rep(1e6)) } do
            assert.is_nil((url.mysql(value)))
        end
        assert.is_nil((url.mysql(nil)))
    end)
end)

describe("zookeeper connect string", function()
    it("reads servers and chroot", function()
        assert.same({
            servers = { { host = "a", port = 2181 }, { host = "b", port = 2182 } }, chroot = "/prod/app",
            connect = "a:2181,b:2182",
        }, url.zookeeper "a,b:2182/prod/app")
        assert.equal("[::1]:2181", url.zookeeper("[::1]").connect)
        assert.is_nil(url.zookeeper("a:1/").chroot)
    end)

    it("writes in brackets what can only be read in them", function()
        for _, text in ipairs { "[::1]:2181", "[fe80::1%2]:2181", "[e8%2]:2090" } do
            assert.equal(text, url.zookeeper(text).connect)
        end
    end)

    it("reads a list, the chroot at the end of the last", function()
        assert.equal("a:2181,b:2181", url.zookeeper({ "a", "b/x" }).connect)
        assert.equal("/x", url.zookeeper({ "a", "b/x" }).chroot)
    end)

    it("says at which byte it went wrong", function()
        for text, complaint in pairs {
            ["a:0"] = "servers: 'a:0' at byte 3: a port from 1 to 65535 was expected",
            ["a b"] = "servers: 'a b' at byte 2: this cannot stand here; expected a comma or /chroot",
            ["a//x"] = "servers: 'a//x' at byte 2: the chroot is not a path such as /prod/app",
            ["a/x/../y"] = "servers: 'a/x/../y' at byte 4: the chroot is not a path such as /prod/app",
            [","] = "servers: ',' at byte 1: host:port was expected, several separated by commas, then /chroot",
        } do
            assert.equal(complaint, select(2, url.zookeeper(text)))
        end
        assert.equal("servers: number 2 is not a text", select(2, url.zookeeper { "a", 5 }))
        assert.equal("servers: it is empty", select(2, url.zookeeper {}))
    end)
end)
