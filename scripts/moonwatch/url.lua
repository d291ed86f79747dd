--- Where a server is: MySQL URLs (`mysql://`, and JDBC's as it stands) and ZooKeeper connect strings.
--
-- Complaints never quote what may be a password: credentials are blanked before anything is shown.
local lpeg = require "lpeg"
local grammar = require "moonwatch.grammar"

local M = {}

local P, R, S, C, Cp, Ct, Cg = lpeg.P, lpeg.R, lpeg.S, lpeg.C, lpeg.Cp, lpeg.Ct, lpeg.Cg

local name = R("az", "AZ", "09") + S "-._"
local port = P ":" * Cg(Cp(), "port_at") * Cg(C((1 - S ",/?") ^ 0), "port")
local bracketed = P "[" * Cg(C((R("09", "af", "AF") + S ":.%") ^ 1), "host") * P "]"
local server = Ct(Cg(Cp(), "at") * (bracketed + Cg(C(name ^ 1), "host")) * port ^ -1)
local servers = Ct(server * (P "," * P " " ^ 0 * server) ^ 0)

--- `text` with user, password and password parameters blanked: for complaints and logs. As many bytes as before.
---@param text string
---@return string
function M.redact(text)
    local function stars(secret)
        return ("*"):rep(#secret)
    end
    text = text:gsub("([?&;][^=&;]*[pP][aA][sS][sS][^=&;]*=)([^&;]*)", function(key, secret)
        return key .. stars(secret)
    end):gsub("([?&;]user=)([^&;]*)", function(key, user)
        return key .. stars(user)
    end):gsub("([?&;])([^=&;]+)%f[&;\0]", function(mark, rest) -- no parameter: the end of a password that holds a '&'
        return mark .. stars(rest)
    end)
    -- To the last @: a password may hold a '/', '?' or '@' that should have been written %2F, %3F or %40.
    return (text:gsub("//(.*)@", function(userinfo)
        return "//" .. stars(userinfo) .. "@"
    end))
end

local function complain(text, at, why)
    return grammar.fail("url", M.redact(text), at, why)
end

local function decode(text)
    return (text:gsub("%%(%x%x)", function(hex)
        return string.char(tonumber(hex, 16))
    end))
end

local function check_ports(kind, text, list, usual)
    for _, item in ipairs(list) do
        local number = item.port and item.port:match "^%d+$" and tonumber(item.port)
        if item.port and not (number and number >= 1 and number <= 65535) then
            return grammar.fail(kind, text, item.port_at, "a port from 1 to 65535 was expected")
        end
        item.port, item.at, item.port_at = number or usual, nil, nil
    end
    return list
end

local function parameters(text, query, at)
    local params = {}
    for from, pair in query:gmatch "()([^&]+)" do
        local key, value = pair:match "^([^=]+)=(.*)$"
        if not key then
            return complain(text, at + from - 1, "a parameter is written key=value")
        end
        params[decode(key)] = decode(value)
    end
    return params
end

local scheme = C(P "jdbc:mysql" + "jdbc:mariadb" + "mysql" + "mariadb") * P "://"
local userinfo = Cg(C((1 - S ":@/?") ^ 0), "username") * (P ":" * Cg(C((1 - S "@/?") ^ 0), "password")) ^ -1 * P "@"
local database = P "/" * Cg(C((1 - S "/?#") ^ 0), "database")
local query = P "?" * Cg(Cp(), "query_at") * Cg(C(P(1) ^ 0), "query")
local mysql = Ct(Cg(scheme, "scheme") * (userinfo + P(true)) * Cg(servers, "hosts") * (database ^ -1) * (query ^ -1)
    * Cg(Cp(), "stop"))

---@class moonwatch.MysqlUrl
---@field hosts {host: string, port: integer}[]
---@field database string?
---@field username string?
---@field password string?
---@field params table<string, string>

local function mysql_trouble(text)
    local jdbc = text:match "^jdbc:%a+:(%a+)://"
    if jdbc then
        local why = "JDBC's '%s' mode belongs to its own driver; name the one server, or a proxy, after jdbc:mysql://"
        return complain(text, 1, why:format(jdbc))
    elseif not scheme:match(text) then
        return complain(text, 1, "mysql://host:port/database or jdbc:mysql://host:port/database was expected")
    end
    local at = text:find("//", 1, true) + 2
    return complain(text, at, "a host was expected: host, host:port or [IPv6]:port, several separated by commas")
end

--- `jdbc:mysql://host:port[,host:port]/database?key=value`, or the same after `mysql://`, also with `user:password@`.
---@param text string
---@return moonwatch.MysqlUrl? url
---@return string? err
function M.mysql(text)
    local ok, err = grammar.check("url", type(text) == "string" and M.redact(text) or text)
    if not ok then
        return nil, err
    end
    local url = mysql:match(text)
    if not url then
        return mysql_trouble(text)
    elseif url.stop <= #text then
        return complain(text, url.stop, "this cannot stand here; expected /database or ?key=value")
    end
    ok, err = check_ports("url", M.redact(text), url.hosts, 3306)
    if not ok then
        return nil, err
    end
    url.params, err = parameters(text, url.query or "", url.query_at or 0)
    if not url.params then
        return nil, err
    end
    url.username = url.username and decode(url.username) or url.params.user
    url.password = url.password and decode(url.password) or url.params.password
    url.params.user, url.params.password = nil, nil
    url.database = url.database and url.database ~= "" and decode(url.database) or nil
    url.query, url.query_at, url.stop = nil, nil, nil
    return url
end

local connect = Ct(Cg(servers, "servers") * Cg(Cp(), "chroot_at") * Cg(C(P "/" * P(1) ^ 0), "chroot") ^ -1
    * Cg(Cp(), "stop"))

---@class moonwatch.ZookeeperServers
---@field servers {host: string, port: integer}[]
---@field chroot string?    "/app"; nil when there is none
---@field connect string    "a:2181,b:2181": the servers alone

--- `host:port,host:port/chroot`, or a list of `host:port`.
---@param text string|string[]
---@return moonwatch.ZookeeperServers? servers
---@return string? err
function M.zookeeper(text)
    if type(text) == "table" then
        for i = 1, #text do
            if type(text[i]) ~= "string" then
                return nil, ("servers: number %d is not a text"):format(i)
            end
        end
        text = table.concat(text, ",")
    end
    local ok, err = grammar.check("servers", text)
    if not ok then
        return nil, err
    end
    local parsed = connect:match(text)
    if not parsed then
        return grammar.fail("servers", text, 1, "host:port was expected, several separated by commas, then /chroot")
    elseif parsed.stop <= #text then
        return grammar.fail("servers", text, parsed.stop, "this cannot stand here; expected a comma or /chroot")
    end
    local list
    list, err = check_ports("servers", text, parsed.servers, 2181)
    if not list then
        return nil, err
    end
    local chroot = parsed.chroot ~= "/" and parsed.chroot or nil
    local bad = chroot and (chroot:find "//" or chroot:find "/%.%.?/" or chroot:find "/%.%.?$" or chroot:find "/$")
    if bad then
        return grammar.fail("servers", text, parsed.chroot_at + bad - 1, "the chroot is not a path such as /prod/app")
    end
    local names = {}
    for i, item in ipairs(list) do
        local host = item.host:find "[:%%]" and "[" .. item.host .. "]" or item.host -- % begins a zone
        names[i] = ("%s:%d"):format(host, item.port)
    end
    return { servers = list, chroot = chroot, connect = table.concat(names, ",") }
end

return M
