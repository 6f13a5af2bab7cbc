-- Certificate authorities for specs, made by the program `openssl`:
--
--     local ca = E.authority()
--     local leaf = ca:issue { names = { "a.test", "127.0.0.1" } }    leaf.cert, leaf.key: files
--     ca:revoke(leaf)
--     ca:crl()                                                      a file, as things stand
--     local below = ca:authority()                                  its leaves have its certificate with them
--
-- `ca.cert` is its certificate. All lies in a folder that goes with the block of the spec.

local process = require "moongate.e2e.process"
local scope = require "moongate.e2e.scope"
local tls = require "moongate.e2e.tls"

local M = {}

local Authority = {}
Authority.__index = Authority

local DAY = 86400

-- ------------------------------------------------------------------------------------------------ openssl

local CONFIG = [[
[ca]
default_ca = this
[this]
database = index
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
rand_serial = yes
default_md = sha256
default_days = 365
unique_subject = no
email_in_dn = yes
policy = any
[any]
commonName = optional
organizationName = optional
organizationalUnitName = optional
countryName = optional
emailAddress = optional
[req]
distinguished_name = none
string_mask = utf8only
utf8 = yes
[none]
]]

local function quote(word)
  return "'" .. tostring(word):gsub("'", [['\'']]) .. "'"
end

-- Runs openssl in a folder; it is quick, so nothing else runs meanwhile.
local function openssl(folder, ...)
  local words = {}
  for i, word in ipairs { ... } do words[i] = quote(word) end
  local command = ("cd %s && openssl %s 2>&1 </dev/null"):format(quote(folder), table.concat(words, " "))
  local pipe = assert(io.popen(command))
  local said = pipe:read("a")
  if not pipe:close() then error(("openssl %s: %s"):format(table.concat(words, " "), said), 0) end
end

local function new_key(kind)
  if kind:find("^rsa") then return "-newkey", kind == "rsa" and "rsa:2048" or kind end
  return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:" .. kind, "-pkeyopt", "ec_param_enc:named_curve"
end

-- Seconds from now.
local function date(seconds)
  return os.date("!%Y%m%d%H%M%SZ", math.floor(os.time() + seconds))
end

-- ------------------------------------------------------------------------------------------------ certificates

local function kind_of(name)
  return (name:find("^[%d.]+$") or name:find(":", 1, true)) and "IP" or "DNS"
end

local function alternatives_of(options)
  local out = {}
  for _, name in ipairs(options.names or {}) do out[#out + 1] = kind_of(name) .. ":" .. name end
  for _, email in ipairs(options.emails or {}) do out[#out + 1] = "email:" .. email end
  for _, uri in ipairs(options.uris or {}) do out[#out + 1] = "URI:" .. uri end
  return out
end

local function extensions_of(options)
  local lines = { "basicConstraints = critical,CA:" .. (options.is_authority and "TRUE" or "FALSE") }
  local alternatives = alternatives_of(options)
  if options.is_authority then lines[#lines + 1] = "keyUsage = critical,keyCertSign,cRLSign" end
  if #alternatives > 0 then lines[#lines + 1] = "subjectAltName = " .. table.concat(alternatives, ",") end
  if options.usage then lines[#lines + 1] = "extendedKeyUsage = " .. options.usage end
  return table.concat(lines, "\n") .. "\n"
end

local function issue(self, options, file)
  local name = options.name or options.names and options.names[1] or "test"
  local folder = self.folder
  local secrecy = options.password and "-passout=pass:" .. options.password or "-nodes"
  openssl(folder, "req", "-new", "-config", "config", "-utf8", "-subj", options.subject or "/CN=" .. name,
    "-keyout", file .. ".key", "-out", file .. ".csr", secrecy, new_key(options.key or "P-256"))
  process.write(folder .. "/extensions", extensions_of(options))
  openssl(folder, "ca", "-batch", "-preserveDN", "-notext", "-config", "config", "-in", file .. ".csr",
    "-out", file .. ".pem", "-extfile", "extensions",
    "-startdate", date(options.from or -3600), "-enddate",
    date(options.to or 365 * DAY))
  return folder .. "/" .. file
end

-- A certificate and its key. options: names (hosts, addresses), name (the common name; else the first of the names),
-- subject (all of it, "/O=Example/CN=ann"), emails, uris, key ("P-256", another curve, "rsa" or "rsa:3072"), password
-- (of the key's file), from and to (seconds from now), usage ("clientAuth").
-- Members of what it gives: cert (a file: it, and the authorities between it and the root), key (a file), and what
-- moongate.e2e.tls says of certificates.
function Authority:issue(options)
  self.issued = self.issued + 1
  local path = issue(self, options or {}, ("leaf%d"):format(self.issued))
  local leaf = tls.describe(process.read(path .. ".pem"))
  leaf.alone = path .. ".pem"
  leaf.cert, leaf.key = leaf.alone, path .. ".key"
  if self.chain ~= "" then
    leaf.cert = path .. ".chain.pem"
    process.write(leaf.cert, process.read(leaf.alone) .. self.chain)
  end
  return leaf
end

function Authority:revoke(leaf)
  openssl(self.folder, "ca", "-config", "config", "-revoke", leaf.alone)
end

-- A file with the list of those that were revoked so far. options: from and to (seconds from now).
function Authority:crl(options)
  options = options or {}
  self.lists = self.lists + 1
  local file = ("list%d.pem"):format(self.lists)
  openssl(self.folder, "ca", "-config", "config", "-gencrl", "-crl_lastupdate", date(options.from or -3600),
    "-crl_nextupdate", date(options.to or 30 * DAY), "-out", file)
  return self.folder .. "/" .. file
end

-- ------------------------------------------------------------------------------------------------ authorities

local function new(chain)
  local folder = process.folder()
  process.write(folder .. "/config", CONFIG)
  process.write(folder .. "/index", "")
  process.write(folder .. "/index.attr", "unique_subject = no\n")
  return scope.add(setmetatable({
    folder = folder, cert = folder .. "/ca.pem", issued = 0, lists = 0, chain = chain,
  }, Authority))
end

-- An authority that this one vouches for. options: name, subject, key, from, to.
function Authority:authority(options)
  self.issued = self.issued + 1
  local whole = setmetatable({ is_authority = true }, { __index = options or { name = "Test CA below" } })
  local path = issue(self, whole, ("leaf%d"):format(self.issued))
  local pem = process.read(path .. ".pem")
  local below = new(pem .. self.chain)
  process.write(below.cert, pem)
  process.write(below.folder .. "/ca.key", process.read(path .. ".key"))
  below.alone = path .. ".pem"
  return below
end

-- One that vouches for itself. options: name, key.
function M.new(options)
  options = options or {}
  local self = new("")
  openssl(self.folder, "req", "-x509", "-config", "config", "-subj", "/CN=" .. (options.name or "Test CA"), "-days",
    "365", "-nodes", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    "-keyout", "ca.key", "-out", "ca.pem", new_key(options.key or "P-256"))
  return self
end

function Authority:close()
  process.remove_folder(self.folder)
end

return M
