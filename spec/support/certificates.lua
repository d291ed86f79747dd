-- Certificates of a spec's own, made with openssl in a folder: an authority with a server and a client that it signed,
-- and an authority that is a stranger to both.

local uv = require "luv"

---@class support.Certificates
---@field folder string
local Certificates = {}
Certificates.__index = Certificates

local commands = [[
cd %s
for authority in ca stranger; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=$authority \
    -keyout $authority-key.pem -out $authority.pem
done
for name in server client; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
    -keyout $name-key.pem -out $name.csr
  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -out $name.pem
done
]]

---@return support.Certificates
function Certificates.new()
  local folder = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/moonwatch-certificates-XXXXXX"))
  assert(os.execute(("{ set -e; %s } >%s/log 2>&1"):format(commands:format(folder), folder)), "openssl failed")
  return setmetatable({ folder = folder }, Certificates)
end

---@param name "ca"|"stranger"|"server"|"server-key"|"client"|"client-key"
function Certificates:path(name)
  return ("%s/%s.pem"):format(self.folder, name)
end

function Certificates:remove()
  os.execute("rm -rf " .. self.folder)
end

return Certificates
