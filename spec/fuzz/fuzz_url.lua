local url = require "moonwatch.url"
local promises = require "promises"

local secret = "S3cretS3cret"

local function check_hosts(hosts)
    assert(#hosts >= 1)
    for _, one in ipairs(hosts) do
        assert(type(one.host) == "string" and one.host ~= "")
        assert(math.type(one.port) == "integer" and one.port >= 1 and one.port <= 65535)
    end
end

local function mysql(text)
    local parsed, err = url.mysql(text)
    if parsed then
        check_hosts(parsed.hosts)
        assert(parsed.database ~= "" and type(parsed.params) == "table")
        return
    end
    promises.complaint(err, "url: ")
    return err
end

local function zookeeper(text)
    local parsed, err = url.zookeeper(text)
    if not parsed then
        return promises.complaint(err, "servers: ")
    end
    check_hosts(parsed.servers)
    local again = assert(url.zookeeper(parsed.connect .. (parsed.chroot or "")))
    assert(again.connect == parsed.connect and again.chroot == parsed.chroot)
end

return function(text)
    assert(#url.redact(text) == #text)
    mysql(text)
    zookeeper(text)
    if not text:find(secret, 1, true) then
        local forms = { "mysql://user:%s@", "mysql://h/db?password=%s&", "jdbc:mysql://h/db?user=u&sslPass=%s&" }
        for _, form in ipairs(forms) do
            local err = mysql(form:format(secret) .. text)
            assert(not (err and err:find(secret, 1, true)), "a complaint shows the password")
        end
    end
end
