-- Knows clients by a token that its issuer is asked about (RFC 7662).

local mg, s = require "moongate", require "moongate.schema"
local identity, token = require "moongate.auth.identity", require "moongate.auth.token"
local consumers = require "moongate.auth.consumers"

local M = {
  name = "oauth-introspect", version = "1.0.0", summary = "Knows clients by a token that its issuer is asked about",
  provides = { "identity" }, guard = true,
}

local TEXT = s.string { len = { 1, 1024 } }

M.schema = s.record {
  service = s.service { help = "the issuer; or 'url'" },
  path = s.string { match = "^/[^%s#]*$", help = "of the service that is asked; default: /introspect" },
  url = s.url { help = "that is asked, in place of 'service' and 'path'" },
  client_id = s.string { required = true, len = { 1, 1024 }, help = "what the issuer knows the gateway by" },
  client_secret = s.secret { required = true, help = "that goes with it" },
  client_auth = s.enum { "basic", "post", default = "basic", help = "how the two are sent (RFC 6749 2.3.1)" },
  from = token.from,
  optional = s.boolean { default = false, help = "true: clients without a token go on, unknown" },
  forward = s.boolean { default = true, help = "false: the backend does not see the token" },
  issuer = s.list(TEXT, { single = true, len = { 1, 100 }, help = "that 'iss' must be one of" }),
  audience = s.list(TEXT, { single = true, len = { 1, 100 }, help = "that 'aud' must have one of" }),
  subject = s.string { default = "sub", len = { 1, 256 }, help = "the claim that says whose the token is" },
  consumers = consumers.option,
  cache = s.duration { default = "10s", le = 3600, help = "how long an answer holds for a good token, 'exp' at most" },
  negative_cache = s.duration { default = "10s", le = 3600, help = "the same for others" },
  timeout = s.duration { default = "5s", gt = 0, le = 300, help = "for the answer" },
  on_error = s.enum { "deny", "allow", default = "deny", help = "without an answer: 503, or go on, unknown" },
  realm = s.header_value { default = token.REALM, len = { 1, 256 }, help = "of the WWW-Authenticate header" },
}:check(function(conf)
  if (conf.service == nil) == (conf.url == nil) then return "needs one of 'service' and 'url'" end
  if conf.url and conf.path then return "goes with 'service'; a URL has its own", "path" end
end)

-- Longer ones are not worth the question.
local TOKEN_MAX = 8192

-- ------------------------------------------------------------------------------------------------ the question

-- How the issuer is asked: a function of the token that gives its answer, or nil and why there is none.
local function compile_question(conf)
  local target, path = conf.service or conf.url, conf.service and (conf.path or "/introspect")
  local secret = mg.secret(conf.client_secret)
  local fields = { ["Content-Type"] = "application/x-www-form-urlencoded", Accept = "application/json" }
  local id = {}
  if conf.client_auth == "post" then
    id = { client_id = conf.client_id, client_secret = secret }
  else -- both are form-encoded before they are joined
    local pair = mg.url.encode(conf.client_id) .. ":" .. mg.url.encode(secret)
    fields.Authorization = "Basic " .. mg.crypto.base64(pair)
  end

  return function(text)
    local form = mg.url.query { token = text, token_type_hint = "access_token",
      client_id = id.client_id, client_secret = id.client_secret }
    local res, err = mg.fetch(target, { method = "POST", path = path or nil, headers = fields, body = form,
      timeout = conf.timeout })
    if not res then return nil, tostring(err) end
    if res.status ~= 200 then return nil, "status " .. res.status end
    local answer = res:json()
    if type(answer) ~= "table" or type(answer.active) ~= "boolean" then return nil, "no answer as of RFC 7662" end
    return answer
  end
end

-- ------------------------------------------------------------------------------------------------ the answer

local function has_any(value, wanted)
  return identity.has(identity.list(value), wanted, false)
end

-- A time of a claim; false when it is something else.
local function time_of(value)
  if value == nil or value == mg.json.null then return nil end
  return type(value) == "number" and value
end

-- Nil when the token is good, else what is wrong with it.
local function fault_of(claims, conf)
  if claims.active ~= true then return "the token is not active" end
  local ends, begins = time_of(claims.exp), time_of(claims.nbf)
  if ends == false or begins == false then return "the token's times are no numbers" end
  if ends and ends <= mg.now() then return "the token has expired" end
  if begins and begins > mg.now() then return "the token is not valid yet" end
  if conf.issuer and not has_any(claims.iss, conf.issuer) then return "the token is of another issuer" end
  if conf.audience and not has_any(claims.aud, conf.audience) then return "the token is for somebody else" end
  local subject = claims[conf.subject]
  if subject ~= nil and subject ~= mg.json.null and type(subject) ~= "string" then return "the subject is no text" end
end

local function identity_of(claims, conf)
  local subject = claims[conf.subject]
  return {
    scheme = "oauth", subject = type(subject) == "string" and subject or nil, claims = claims,
    scopes = identity.list(claims.scope, "%s"), roles = {},
  }
end

-- What the issuer said, in all workers. Tokens are not in there, only their digests.
local function open_cache(conf)
  local answers = mg.shared "oauth-introspect"
  local prefix = mg.key(conf.service or conf.url, conf.path, conf.client_id)
  local cache = {}

  function cache.key(text)
    return mg.crypto.sha256(mg.key(prefix, mg.crypto.sha256(text, "raw")))
  end

  function cache.find(key)
    local text = answers:get(key)
    return text and mg.json.decode(text)
  end

  function cache.keep(key, answer)
    local seconds = answer.active and conf.cache or conf.negative_cache
    local ends = time_of(answer.exp)
    if answer.active and ends then seconds = math.min(seconds, ends - mg.now()) end
    if seconds > 0 then answers:set(key, mg.json.encode(answer.active and answer or { active = false }), seconds) end
  end

  return cache
end

-- ------------------------------------------------------------------------------------------------ the step

local function failed(conf, reason)
  mg.log.error("the token's issuer gives no answer", { reason = reason, on_error = conf.on_error })
  if conf.on_error == "allow" then return nil end
  return mg.problem(503, "introspection-unavailable", "Nobody can tell whether the token is good")
end

function M.new(conf)
  local where = token.places(conf.from, conf.realm)
  local ask, cache, is_consumer = compile_question(conf), open_cache(conf), consumers.matcher(conf.consumers)

  local function claims_of(text)
    local key = cache.key(text)
    local claims = cache.find(key)
    if claims then return claims end
    local reason
    claims, reason = ask(text)
    if claims then cache.keep(key, claims) end
    return claims, reason
  end

  local function refuse(fault)
    mg.log.info("token refused", { reason = fault })
    return token.invalid_token(conf.realm, fault)
  end

  return { request = function(req)
    local text, refusal, code = token.find(req, where)
    if not text then
      if code == "missing" and conf.optional then return end
      return refusal
    end
    if not token.is_written_right(text) then return refuse "the token is malformed" end
    if #text > TOKEN_MAX then return refuse "the token is too long" end
    local claims, reason = claims_of(text)
    local back = token.way_back(req, where)
    if not conf.forward then token.remove(req, where) end
    if not claims then return failed(conf, reason) end
    local fault = fault_of(claims, conf)
    if fault then return refuse(fault) end
    local auth = identity_of(claims, conf)
    if not is_consumer(auth) then
      mg.log.info("token refused", { reason = "it is no consumer's" })
      return mg.problem(403, "consumer-refused", "The token is good, but not for here")
    end
    req.auth = auth
    return back
  end }
end

return M
