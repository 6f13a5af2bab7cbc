-- TLS on the sockets of specs, by LuaSec. A socket that was secured has the same calls as before
-- (moongate.e2e.socket), and `s.tls`: { version=, cipher= (OpenSSL's names), protocol= (of ALPN), sni= (at a
-- server), certificate= (the peer's, or nil) } with certificates as { subject=, name= (common name), names= (DNS names
-- and addresses), serial=, fingerprint=, pem= }, in lower-case hex.
--
-- What calls give when it ends: "closed" after a goodbye of the other side (close_notify), "truncated" without one,
-- "reset", or OpenSSL's words for what is wrong ("tlsv1 alert unknown ca").

local luasocket = require "socket"
local loop = require "moongate.e2e.loop"
local socket = require "moongate.e2e.socket"

local M = {}

-- LuaSec, Debian's lua-sec: specs without TLS do without it.
local function luasec()
  return require "ssl"
end

local Socket = socket.Socket
local Secure = setmetatable({}, { __index = Socket })
Secure.__index = Secure

-- ------------------------------------------------------------------------------------------------ its end

-- Calls a method of the TCP socket below. It has no descriptor otherwise: that is LuaSec's.
local function tcp(self, name, ...)
  self.tcp:setfd(self.raw:getfd())
  self.tcp[name](self.tcp, ...)
  self.tcp:setfd(-1)
end

function Secure:truncate()
  tcp(self, "shutdown", "send")
end

function Secure:raw_send(bytes)
  tcp(self, "send", bytes)
end

-- LuaSec has no call for it.
function Secure:half_close()
  error("a TLS socket cannot end one direction only; see truncate", 2)
end

-- LuaSec's close says goodbye, and waits until it can.
function Secure:close()
  local raw = self.raw
  if not raw then return end
  local _, writable = luasocket.select(nil, { raw }, 0)
  if not writable[raw] then self:truncate() end
  self.raw = nil
  raw:close()
  loop.forget(raw)
end

function Secure:reset()
  local raw = self.raw
  tcp(self, "setoption", "linger", { on = true, timeout = 0 })
  tcp(self, "close")
  self.raw = nil
  raw:close()
  loop.forget(raw)
end

local ENDS = {
  closed = "closed", ["unexpected eof while reading"] = "truncated", ["Connection reset by peer"] = "reset",
}

function Secure:_end_of(fault)
  return ENDS[fault] or fault
end

-- ------------------------------------------------------------------------------------------------ its beginning

local VERSIONS = { ["1.0"] = "tlsv1", ["1.1"] = "tlsv1_1", ["1.2"] = "tlsv1_2", ["1.3"] = "tlsv1_3" }

-- OpenSSL speaks the old versions only when told that security does not matter.
local function ciphers_of(options)
  local old = options.version == "1.0" or options.version == "1.1"
  return (options.ciphers or old and "ALL" or nil) and (options.ciphers or "ALL") .. (old and ":@SECLEVEL=0" or "")
end

local function context(mode, options, verify)
  return assert(luasec().newcontext {
    mode = mode, protocol = VERSIONS[options.version] or "any", verify = verify,
    options = { "no_sslv2", "no_sslv3" }, cafile = options.ca,
    certificate = options.cert, key = options.key, password = options.password,
    ciphers = ciphers_of(options), curveslist = options.curves, alpn = options.alpn,
  })
end

local ASKING = { request = { "peer" }, require = { "peer", "fail_if_no_peer_cert" } }

-- For M.server: options are cert and key (files), password, ca and request ("request" or "require") for clients'
-- certificates, version (only that one), ciphers, alpn.
function M.server_context(options)
  return context("server", options, options.request and ASKING[options.request] or "none")
end

local function describe(x509)
  local subject, name = {}, nil
  for _, part in ipairs(x509:subject()) do
    subject[#subject + 1] = ("%s=%s"):format(part.name, part.value)
    if part.name == "commonName" then name = part.value end
  end
  local names = {}
  local alternatives = (x509:extensions() or {})["2.5.29.17"] or {}
  for _, kind in ipairs { "dNSName", "iPAddress" } do
    for _, value in ipairs(alternatives[kind] or {}) do names[#names + 1] = value end
  end
  return {
    subject = table.concat(subject, ","), name = name, names = names, serial = x509:serial():lower(),
    fingerprint = x509:digest("sha256"):lower(), pem = x509:pem(),
  }
end

-- What a PEM text says.
function M.describe(pem)
  return describe(assert(luasec().loadcertificate(pem)))
end

local function shake(s, ctx, sni)
  local deadline = loop.deadline(s.timeout)
  s.tcp = s.raw
  s.raw = assert(luasec().wrap(s.tcp, ctx))
  s.raw:settimeout(0)
  setmetatable(s, Secure)
  if sni then s.raw:sni(sni) end
  while true do
    if not s.raw then return nil, "closed" end
    local ok, fault = s.raw:dohandshake()
    if ok then break end
    local how = s:_wait(fault, "read", deadline)
    if how ~= "ready" then
      s:close()
      return nil, how or s:_end_of(fault)
    end
  end
  local info, peer = s.raw:info(), s.raw:getpeercertificate()
  s.tls = {
    version = info.protocol, cipher = info.cipher, protocol = s.raw:getalpn(), sni = s.raw:getsniname(),
    certificate = peer and describe(peer),
  }
  return s
end

-- Secures a socket that was accepted. The socket, or nil and why; it is closed then.
function M.server(s, ctx)
  return shake(s, ctx)
end

-- Secures a socket that was connected. options: sni, ca (file; left out: whoever answers is right), cert and key
-- (files), password, version (only that one), ciphers, curves, alpn (a list). Names are not compared: see s.tls.
function M.client(s, options)
  return shake(s, context("client", options, options.ca and "peer" or "none"), options.sni)
end

return M
