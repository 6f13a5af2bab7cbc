-- Policies of Express Gateway as native steps.
--
-- Each is { fields = schemas of its action's keys, missing = { key = the value that changes nothing }, lift =
-- function(out, action, place) }. A key of `missing` that says anything else has no counterpart. out is
-- { lift =, native =, step(name, conf, place) }.

local expression = require "moongate.config.dialect.js_expression"
local lifts = require "moongate.config.dialect.lift"
local s = require "moongate.schema"
local walk = require "moongate.config.walk"

local M = {}

local function text(options) return s.string(options or { len = { 1 } }) end

-- "GET,POST" is a list of two.
local function names(lift, value, place)
  local list = lift:list(place)
  for item, at in lift:each(value, place) do
    for name in tostring(item):gmatch "[^,%s]+" do lift:append(list, name, at) end
  end
  return list
end

-- A text with ${req...}, as a native one.
local function template(lift, value, place)
  local out, fault = expression.template(value)
  if not out then lift:fail(place, fault) end
  return out
end

-- ------------------------------------------------------------------------------------------------ cors

local list_of_texts = s.any_of { s.list(text(), { single = true }), s.boolean() }

M.cors = {
  fields = {
    origin = list_of_texts, methods = s.list(text(), { single = true }), credentials = s.boolean(),
    allowedHeaders = s.list(text(), { single = true }), exposedHeaders = s.list(text(), { single = true }),
    maxAge = s.number { ge = 0 },
  },
  missing = { preflightContinue = false, optionsSuccessStatus = 204 },
  lift = function(out, action, place)
    local lift = out.lift
    local conf = lift:map(place)
    local function move(key, to)
      if walk.is_absent(action[key]) then return end
      local at = walk.child(place, action, key)
      lift:set(conf, to, names(lift, action[key], at), at)
    end
    if type(action.origin) == "boolean" then
      lift:fail(walk.child(place, action, "origin"), "must name origins; true and false have no counterpart")
    else
      lift:move(action, place, "origin", conf, "origins")
    end
    move("methods", "methods")
    move("allowedHeaders", "headers")
    move("exposedHeaders", "expose")
    lift:move(action, place, "credentials", conf, "credentials")
    if not walk.is_absent(action.maxAge) then
      lift:set(conf, "max_age", action.maxAge .. "s", walk.child(place, action, "maxAge"))
    end
    out.step("cors", conf, place)
  end,
}

-- ------------------------------------------------------------------------------------------------ jwt

-- Where the token is.
local function extractor(lift, action, place)
  local field, kind = action.jwtExtractorField, action.jwtExtractor
  local at = walk.child(place, action, walk.is_absent(kind) and "jwtExtractorField" or "jwtExtractor")
  if walk.is_absent(field) then field = nil end
  if walk.is_absent(kind) then kind = "header" end
  if kind == "authBearer" or (kind == "header" and (not field or field:lower() == "authorization")) then return nil end
  if kind ~= "query" and kind ~= "header" then
    return lift:fail(at, ("'%s' has no counterpart, only header, authBearer and query"):format(kind))
  end
  if not field then return lift:fail(at, "needs a 'jwtExtractorField'") end
  local one = lift:map(at)
  lift:set(one, kind, field, at)
  return one, at
end

M.jwt = {
  fields = {
    secretOrPublicKey = text(), secretOrPublicKeyFile = text(), audience = s.list(text(), { single = true }),
    issuer = s.list(text(), { single = true }), jwtExtractor = text(), jwtExtractorField = text(),
    checkCredentialExistence = s.boolean(),
  },
  missing = { passThrough = false },
  lift = function(out, action, place)
    local lift, keys = out.lift, out.keys()
    local file = not walk.is_absent(action.secretOrPublicKeyFile)
    local from = file and "secretOrPublicKeyFile" or "secretOrPublicKey"
    local at = walk.child(place, action, from)
    if walk.is_absent(action[from]) then
      return lift:fail(place, "needs one of 'secretOrPublicKey', 'secretOrPublicKeyFile'", action)
    end
    if not file and tostring(action[from]):find("-----BEGIN", 1, true) then
      return lift:fail(at, "a public key has to stand in a file: 'secretOrPublicKeyFile'")
    end
    if action.checkCredentialExistence ~= false then
      lift:fail(walk.child(place, action, "checkCredentialExistence"),
        "there is no store of credentials to look into; say false if a valid token is enough", action)
    end
    local key, name = lift:map(at), lifts.free_name("jwt", keys)
    lift:set(key, file and "public_key" or "secret", action[from], at)
    if not file then
      local algorithms = lift:list(at)
      for _, algorithm in ipairs { "HS256", "HS384", "HS512" } do lift:append(algorithms, algorithm, at) end
      lift:set(key, "algorithms", algorithms, at)
    end
    lift:set(keys, name, key, at)
    local conf = lift:map(place)
    lift:set(conf, "keys", name, at)
    lift:move(action, place, "audience", conf, "audience")
    lift:move(action, place, "issuer", conf, "issuer")
    local source, source_at = extractor(lift, action, place)
    lift:set(conf, "from", source, source_at)
    out.step("jwt", conf, place)
  end,
}

-- ------------------------------------------------------------------------------------------------ key-auth

M["key-auth"] = {
  fields = {
    apiKeyHeader = text(), apiKeyHeaderScheme = s.string(), apiKeyField = text(), disableHeaders = s.boolean(),
    disableHeadersScheme = s.boolean(), disableQueryParam = s.boolean(),
  },
  missing = { passThrough = false },
  lift = function(out, action, place)
    local lift = out.lift
    local from = lift:list(place)
    local function add(kind, name)
      local one = lift:map(place)
      lift:set(one, kind, name, place)
      lift:append(from, one, place)
    end
    if lift.value.consumers == nil then
      lift:fail(place,
        "clients and their keys have to stand in this file: 'consumers' and 'secrets', as in a native one")
    end
    local bare = action.disableHeadersScheme == true or action.apiKeyHeaderScheme == ""
    if action.disableHeaders ~= true and not bare then
      lift:fail(place, "a scheme before the key has no counterpart; say 'disableHeadersScheme: true' and an "
        .. "'apiKeyHeader', or 'disableHeaders: true'", action)
    end
    if action.disableHeaders ~= true then add("header", action.apiKeyHeader or "Authorization") end
    if action.disableQueryParam ~= true then add("query", action.apiKeyField or "apikey") end
    local conf = lift:map(place)
    lift:set(conf, "from", from, place)
    out.step("key-auth", conf, place)
  end,
}

-- ------------------------------------------------------------------------------------------------ rate-limit

M["rate-limit"] = {
  fields = {
    max = s.integer { ge = 1 }, windowMs = s.integer { ge = 1 }, rateLimitBy = text(), message = text(),
    statusCode = s.status(), headers = s.boolean(),
  },
  missing = { delayAfter = 0, delayMs = 0, skipFailedRequests = false, skipSuccessfulRequests = false },
  lift = function(out, action, place)
    local lift = out.lift
    local conf = lift:map(place)
    local function set(key, value, from) lift:set(conf, key, value, walk.child(place, action, from)) end
    set("limit", action.max or 5, "max")
    set("window", (action.windowMs or 60000) .. "ms", "windowMs")
    if not walk.is_absent(action.rateLimitBy) then
      local at = walk.child(place, action, "rateLimitBy")
      local by = template(lift, action.rateLimitBy, at)
      lift:set(conf, "by", by == "${client_ip}" and "ip" or by == "${auth.subject}" and "subject" or by, at)
    end
    set("message", action.message or "Too many requests, please try again later.", "message")
    lift:move(action, place, "statusCode", conf, "status")
    if action.headers == false then set("headers", false, "headers") else set("legacy_headers", true, "headers") end
    out.step("rate-limit", conf, place)
  end,
}

-- ------------------------------------------------------------------------------------------------ headers, terminate

M.headers = {
  fields = { headersPrefix = s.string(), forwardHeaders = s.map(s.any_of { s.string(), s.number(), s.boolean() }) },
  missing = {},
  lift = function(out, action, place)
    local lift = out.lift
    local at, prefix = walk.child(place, action, "forwardHeaders"), action.headersPrefix
    local set, request, conf = lift:map(at), lift:map(at), lift:map(place)
    for name, value, where in lift:pairs(action.forwardHeaders, at) do
      lift:set(set, (walk.is_absent(prefix) and "" or prefix) .. name, template(lift, tostring(value), where), where)
    end
    lift:set(request, "set", set, at)
    lift:set(conf, "request", request, at)
    out.step("headers", conf, place)
  end,
}

M.terminate = {
  fields = { statusCode = s.status(), message = s.string() },
  missing = {},
  ends = true,
  lift = function(out, action, place)
    local lift = out.lift
    local conf = lift:map(place)
    lift:set(conf, "status", action.statusCode or 400, walk.child(place, action, "statusCode"))
    lift:set(conf, "body", action.message or "Terminated", walk.child(place, action, "message"))
    out.step("respond", conf, place)
  end,
}

-- What there is in Express Gateway and has no counterpart; others may be policies of one's own, of that name.
M.without = {
  ["basic-auth"] = "its credentials are in the store of Express Gateway; the native policy takes them from `consumers`",
  expression = "code cannot be lifted; write a step of one's own, `lua`",
  log = "each request is in the log already; what else it should say is for a step of one's own, `lua`",
  oauth2 = "the gateway issues no tokens; `jwt` and `oauth-introspect` verify those of others",
  ["oauth2-introspect"] = "the native policy is `oauth-introspect`",
  ["request-transformer"] = "the native policies are `transform`, `headers` and `query`",
  ["response-transformer"] = "the native policies are `transform` and `headers`",
  rewrite = "the native key is `rewrite` of a route",
  ["json-schema"] = "the native policy is `validate`",
}

return M
