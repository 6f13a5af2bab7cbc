-- Who is it: verifies a JSON Web Token (RFC 7519) and makes its claims the request's identity.

local mg, s = require "moongate", require "moongate.schema"
local bearer = require "moongate.auth.token"
local identities = require "moongate.auth.identity"

local M = {
  name = "jwt", version = "1.0.0",
  summary = "Verifies a bearer token and makes its claims the identity",
  provides = { "identity" }, guard = true,
}

local ALGORITHMS = {
  "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

-- Seconds: about as long as it takes until an issuer is asked again.
local RETRY_AFTER = "5"

local function texts(help)
  return s.list(s.string { len = { 1 } }, { single = true, len = { 1, 64 }, help = help })
end

M.schema = s.record {
  keys = s.list(s.key(), { single = true, required = true, len = { 1, 16 },
    help = "which of the config's keys are good" }),
  issuer = texts "who may have made it (iss); that of the keys when left out",
  audience = texts "for whom it must be (aud)",
  algorithms = s.list(s.enum(ALGORITHMS), { single = true, len = { 1 },
    help = "none but these; else what the keys are for" }),
  typ = texts "its typ, such as at+jwt",
  profile = s.enum { "plain", "access-token", default = "plain", help = "access-token: RFC 9068" },
  required = texts "claims that it must have",
  from = bearer.from,
  leeway = s.duration { default = 0, ge = 0, le = 60, help = "for clocks that differ" },
  max_age = s.duration { gt = 0, help = "since it was made (iat)" },
  optional = s.boolean { default = false, help = "true: requests without a token go on without an identity" },
  forward = s.boolean { default = true, help = "false: the backend does not see the token" },
  subject = s.string { default = "sub", len = { 1 }, help = "the claim that says who it is" },
  roles = s.list(s.string { len = { 1 } },
    { single = true, default = { "roles", "role" }, help = "claims with roles; a.b: inside of others" }),
  realm = s.string { default = bearer.REALM, match = "^[\32-\126]*$", help = "in WWW-Authenticate" },
}

-- ------------------------------------------------------------------------------------------------ its config

local function seconds(duration)
  return duration and math.ceil(duration)
end

local function verifier(conf)
  return mg.jwt.verifier {
    keys = conf.keys, issuer = conf.issuer, audience = conf.audience, algorithms = conf.algorithms, typ = conf.typ,
    profile = conf.profile, required = conf.required, leeway = seconds(conf.leeway), max_age = seconds(conf.max_age),
  }
end

-- ------------------------------------------------------------------------------------------------ its claims

-- No keys yet: that is not the client's fault, and passes.
local function not_yet(err)
  mg.log.warn("Token cannot be verified: " .. tostring(err))
  return mg.problem(503, "keys-unavailable", "Tokens cannot be verified at present",
    { headers = { ["Retry-After"] = RETRY_AFTER } })
end

-- Readers of the claims with roles.
local function readers(names)
  local out = {}
  for i, name in ipairs(names) do out[i] = identities.reader(name) end
  return out
end

-- A text is one role, whatever is in it; only a scope is a text with blanks (RFC 8693 4.2).
local function roles_of(identity, from)
  if not from[2] then return identities.list(from[1](identity)) end
  local out = {}
  for _, read in ipairs(from) do
    local found = identities.list(read(identity))
    table.move(found, 1, #found, #out + 1, out)
  end
  return out
end

local function identity_of(claims, conf, roles)
  local subject = claims[conf.subject]
  if type(subject) == "number" then subject = tostring(subject) end
  local identity = {
    scheme = "jwt", subject = type(subject) == "string" and subject or nil, claims = claims,
    scopes = identities.list(claims.scope or claims.scp, " "),
  }
  identity.roles = roles_of(identity, roles)
  return identity
end

function M.new(conf)
  local where, verify, roles = bearer.places(conf.from, conf.realm), verifier(conf), readers(conf.roles)

  return { request = function(req)
    local token, refusal, why = bearer.find(req, where)
    if not token then
      if conf.optional and why == "missing" then return end
      return refusal
    end
    local claims, err = verify:verify(token)
    if not claims and err.code == "unavailable" then return not_yet(err) end
    if not claims then
      mg.log.info("Token verification failed: " .. tostring(err), { reason = err.code })
      return bearer.invalid_token(conf.realm, tostring(err))
    end
    req.auth = identity_of(claims, conf, roles)
    local back = bearer.way_back(req, where)
    if not conf.forward then bearer.remove(req, where) end
    return back
  end }
end

return M
