-- Who the client is, by the certificate that it showed: which are let in, and what the backend is told.
--
-- The listener has verified the certificate (`client_auth`); here it is only asked whose it is.

local mg, s = require "moongate", require "moongate.schema"
local consumers = require "moongate.auth.consumers"

local M = {
  name = "client-cert", version = "1.0.0", summary = "Lets clients in by their TLS certificate, and knows them by it",
  provides = { "identity" }, guard = true,
}

local MANY = { 1, 10000 }
local TEXT = s.string { len = { 1, 1024 } }
local NAME_LENGTH = { 1, 253 } -- mutate: equal, the pattern wants a character as well
local DNS = s.string { match = "^%*?%.?[^*%s]+$", len = NAME_LENGTH }
local EMAIL = s.string { match = "^[^@%s]+@[^@%s]+$" }
local HEX = s.string { match = "^[%x:]+$" }
local CRITERIA = "any of 'subject', 'common_name', 'issuer', 'fingerprint' and 'san'"

M.schema = s.record {
  subject = s.list(TEXT, { single = true, len = MANY,
    help = "distinguished names, as RFC 4514 writes them: CN=ann,O=Example" }),
  common_name = s.list(DNS, { single = true, len = MANY, help = "common names, or *.example.com" }),
  issuer = s.list(TEXT, { single = true, len = MANY, help = "distinguished names of those who signed it" }),
  fingerprint = s.list(HEX, { single = true, len = MANY,
    help = "SHA-256 of the certificate, in hex, with colons or without" }),
  san = s.record({
    dns = s.list(DNS, { single = true, len = MANY, help = "names, or *.example.com" }),
    email = s.list(EMAIL, { single = true, len = MANY, help = "addresses" }),
    uri = s.list(TEXT, { single = true, len = MANY, help = "such as spiffe://example.com/orders" }),
    ip = s.list(s.cidr(), { single = true, len = MANY, help = "addresses or networks" }),
  }, { help = "subject alternative names" }):check(function(san)
    if not next(san) then return "needs 'dns', 'email', 'uri' or 'ip'" end
  end),
  match = s.enum { "all", "any", default = "all", help = "how many of the criteria above must hold" },
  optional = s.boolean { default = false, help = "true: clients without a certificate go on, unknown" },
  subject_from = s.enum { "common_name", "subject", "fingerprint", "san.dns", "san.email", "san.uri",
    default = "common_name", help = "what the client is called from here on" },
  consumers = consumers.option,
  forward = s.boolean { default = false, help = "tell the backend the certificate in Client-Cert (RFC 9440)" },
}:check(function(conf)
  for _, text in ipairs(conf.fingerprint or {}) do
    if #text:gsub(":", "") ~= 64 then
      return ("'%s' has not the 64 hex digits of a SHA-256"):format(text), "fingerprint"
    end
  end
  local has_criteria = conf.subject or conf.common_name or conf.issuer or conf.fingerprint or conf.san
  if conf.match == "any" and not has_criteria then return "needs " .. CRITERIA, "match" end
end)

-- ------------------------------------------------------------------------------------------------ criteria

-- Each kind of criterion: makes a function that says whether a value is in the list.

local function set_of(values, normal)
  local set = {}
  for _, value in ipairs(values) do set[normal and normal(value) or value] = true end
  return set
end

local function exactly(normal)
  return function(values)
    local set = set_of(values, normal)
    return function(value) return set[normal and normal(value) or value] == true end
  end
end

-- "*.example.com" is kept as ".example.com", and asked for at each dot of a name.
local function names(values)
  local set = set_of(values, function(name) return (name:lower():gsub("^%*", "")) end)
  return function(value)
    value = value:lower()
    if value:find "^%." then return false end
    if set[value] then return true end
    for dot in value:gmatch "()%." do
      if set[value:sub(dot)] then return true end
    end
    return false
  end
end

-- Only the domain of an address has no case (RFC 5321 2.4).
local function email(text)
  local mailbox, domain = text:match "^(.*@)([^@]*)$"
  return mailbox and mailbox .. domain:lower() or text
end

local function hex(text)
  return (text:lower():gsub(":", ""))
end

local FIELDS = { subject = exactly(), common_name = names, issuer = exactly(), fingerprint = exactly(hex) }
local SANS = { dns = names, email = exactly(email), uri = exactly(), ip = mg.ip.matcher }

-- The criteria of a config as functions of a certificate.
local function compile(conf)
  local criteria = {}
  for field, make in pairs(FIELDS) do
    local has = conf[field] and make(conf[field])
    if has then
      criteria[#criteria + 1] = function(cert) return cert[field] ~= nil and has(cert[field]) end
    end
  end
  for kind, make in pairs(SANS) do
    local has = conf.san and conf.san[kind] and make(conf.san[kind])
    if has then
      criteria[#criteria + 1] = function(cert)
        for _, value in ipairs(cert.sans[kind] or {}) do
          if has(value) then return true end
        end
        return false
      end
    end
  end
  return criteria
end

-- Whether a certificate fulfils all of them, or any; without criteria each does.
local function judge(criteria, match)
  local decides = match == "any"
  return function(cert)
    for i = 1, #criteria do
      if criteria[i](cert) == decides then return decides end
    end
    return not decides
  end
end

-- ------------------------------------------------------------------------------------------------ identity

local function subject_of(cert, from)
  local kind = from:match "^san%.(.*)$"
  if kind then return cert.sans[kind] and cert.sans[kind][1] end
  return cert[from]
end

local function identity(cert, subject)
  return {
    scheme = "mtls", subject = subject, scopes = {}, roles = {},
    claims = {
      subject = cert.subject, common_name = cert.common_name, issuer = cert.issuer, serial = cert.serial,
      fingerprint = cert.fingerprint, not_before = cert.not_before, not_after = cert.not_after, san = cert.sans,
    },
  }
end

-- ------------------------------------------------------------------------------------------------ forwarding

-- A client that sends these itself could pretend to be anybody.
local OURS = { "Client-Cert", "Client-Cert-Chain" }

-- RFC 9440 2.2: a byte sequence (RFC 9651 3.3.5) of the DER form, which is what PEM has between its lines.
local function field_value(pem)
  return ":" .. pem:gsub("%-%-%-%-%-[^\n]*", ""):gsub("%s", "") .. ":"
end

-- ------------------------------------------------------------------------------------------------ the step

local function refuse(cert, reason)
  mg.log.info("client certificate refused", {
    reason = reason, subject = cert.subject, issuer = cert.issuer, fingerprint = cert.fingerprint,
  })
  return mg.problem(403, "client-certificate-refused", "The client certificate is not accepted here")
end

function M.new(conf)
  local allows = judge(compile(conf), conf.match)
  local optional, from, forward = conf.optional, conf.subject_from, conf.forward
  local is_consumer = consumers.matcher(conf.consumers)

  return { request = function(req)
    for i = 1, #OURS do req:del_header(OURS[i]) end
    local tls = req.tls
    local cert = tls and tls.client_cert
    if not cert then
      if optional then return end
      return mg.problem(403, "client-certificate-required", "A client certificate is required here")
    end
    -- Connections and sessions may outlive what was valid when they began.
    if cert.not_after < mg.now() then return refuse(cert, "it has expired") end
    if not allows(cert) then return refuse(cert, "it is not in the lists") end
    local subject = subject_of(cert, from)
    if not subject or subject == "" then return refuse(cert, "it has no " .. from) end
    local auth = identity(cert, subject)
    if not is_consumer(auth) then return refuse(cert, "it is no consumer's") end
    req.auth = auth
    if forward then req:set_header("Client-Cert", field_value(cert.pem)) end
  end }
end

return M
