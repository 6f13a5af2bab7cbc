-- Who the client is, by the key that it sends: one of those that a consumer of the config has.

local mg, s = require "moongate", require "moongate.schema"

local M = {
  name = "key-auth", version = "1.0.0", summary = "Lets clients in by an API key, and knows them by it",
  provides = { "identity" }, guard = true,
}

local KEY_BYTES_MAX = 4096
local PLACES = { "header", "cookie", "query" }
local NAMES = { 1, 128 }

M.schema = s.record {
  from = s.list(s.record {
    header = s.header_name { help = "a field; of Authorization what follows 'Bearer'" },
    cookie = s.string { match = "^[%w!#$%%&'*+.^_`|~-]+$", len = NAMES, help = "a cookie" },
    query = s.string { len = NAMES, help = "an argument of the query; it ends up in logs on the way" },
  }:check(function(place)
    local found = 0
    for _, kind in ipairs(PLACES) do found = found + (place[kind] and 1 or 0) end
    if found ~= 1 then return "needs one of 'header', 'cookie', 'query'" end
  end), { single = true, len = { 1, 8 }, default = { { header = "X-API-Key" } },
    help = "where keys are looked for; who sends two gets 400" }),
  consumers = s.list(s.string { len = NAMES }, { single = true, len = { 1, 10000 },
    help = "names of those who may come in; all that have keys when left out" }),
  realm = s.string { default = "moongate", match = "^[^%c\"\\\127-\255]+$", help = "what WWW-Authenticate says" },
  optional = s.boolean { default = false, help = "true: requests without a key go on, unknown" },
  forward = s.boolean { default = false, help = "leave the key in the request, for the backend to see" },
}

-- ------------------------------------------------------------------------------------------------ places

-- Each kind of place: how it finds all keys there (a key that comes twice is two), and how it takes them away.

local function bearer(value)
  return value:match "^[Bb][Ee][Aa][Rr][Ee][Rr] +(.*)$"
end

local function header_place(name)
  local is_authorization = name:lower() == "authorization"
  return {
    find = function(req, found)
      for _, value in ipairs(req:header_values(name)) do
        if is_authorization then value = bearer(value) end
        if value then found[#found + 1] = value end
      end
    end,
    remove = function(req)
      -- Other schemes than ours are not ours to take away.
      if not is_authorization or bearer(req:header(name) or "") then req:del_header(name) end
    end,
  }
end

-- Calls fn(pair, name, value) for each cookie.
local function each_cookie(req, fn)
  for _, field in ipairs(req:header_values "Cookie") do
    for pair in field:gmatch "[^;]+" do
      pair = pair:match "^%s*(.-)%s*$"
      local name, value = pair:match "^([^=]-)%s*=%s*(.*)$"
      fn(pair, name, value)
    end
  end
end

local function cookie_place(wanted)
  return {
    find = function(req, found)
      each_cookie(req, function(_, name, value)
        if name == wanted then found[#found + 1] = value:match '^"(.*)"$' or value end
      end)
    end,
    remove = function(req)
      local rest, count = {}, 0
      each_cookie(req, function(pair, name)
        count = count + 1
        if name ~= wanted then rest[#rest + 1] = pair end
      end)
      if #rest < count then req:set_header("Cookie", rest[1] and table.concat(rest, "; ")) end
    end,
  }
end

local function query_place(name)
  return {
    find = function(req, found)
      if not req.query then return end
      local value = req:args()[name]
      if type(value) == "table" then
        table.move(value, 1, #value, #found + 1, found)
      elseif value ~= nil then
        found[#found + 1] = value
      end
    end,
    remove = function(req)
      if req:arg(name) then req:set_arg(name, nil) end
    end,
  }
end

local MAKE = { header = header_place, cookie = cookie_place, query = query_place }

local function places_of(conf)
  local places = {}
  for i, place in ipairs(conf.from) do
    for kind, make in pairs(MAKE) do
      if place[kind] then places[i] = make(place[kind]) end
    end
  end
  return places
end

-- RFC 6750 3 where the key comes as it says; there is no registered scheme for the rest.
local function scheme_of(conf)
  for _, place in ipairs(conf.from) do
    if place.header and place.header:lower() == "authorization" then return "Bearer" end
  end
  return "Key"
end

-- ------------------------------------------------------------------------------------------------ consumers

local function chosen(conf)
  local all, by_name = mg.consumers(), {}
  for _, consumer in ipairs(all) do by_name[consumer.name] = consumer end
  if not conf.consumers then return all end
  local out = {}
  for i, name in ipairs(conf.consumers) do
    out[i] = by_name[name] or error(("unknown consumer '%s'"):format(name), 0)
    if not out[i].keys then error(("consumer '%s' has no keys"):format(name), 0) end
  end
  return out
end

-- Consumers by the HMAC of their keys. What a comparison of texts would tell by its time is then about the HMAC of what
-- the client sent, under a secret of this process, and of no use to anybody.
local function table_of(conf, digest)
  local by_digest, count = {}, 0
  for _, consumer in ipairs(chosen(conf)) do
    for _, name in ipairs(consumer.keys or {}) do
      local key = mg.secret(name)
      if #key > KEY_BYTES_MAX then error(("the key '%s' is longer than %d bytes"):format(name, KEY_BYTES_MAX), 0) end
      local other = by_digest[digest(key)]
      if other and other ~= consumer then
        error(("'%s' and '%s' have the same key"):format(other.name, consumer.name), 0)
      end
      by_digest[digest(key)] = consumer
      count = count + 1
    end
  end
  if count == 0 then error("no consumer has keys", 0) end
  return by_digest
end

local function copy(list)
  return table.move(list, 1, #list, 1, {})
end

local function identity(consumer)
  return {
    scheme = "key", subject = consumer.name, scopes = {}, roles = copy(consumer.roles),
    claims = { groups = copy(consumer.groups) },
  }
end

-- ------------------------------------------------------------------------------------------------ the step

function M.new(conf)
  local pepper = mg.crypto.random(32)
  local function digest(key) return mg.crypto.hmac_sha256(pepper, key, "raw") end
  local by_digest, places = table_of(conf, digest), places_of(conf)
  local challenge = ('%s realm="%s"'):format(scheme_of(conf), conf.realm)

  local function refuse(status, slug, detail, code)
    local value = code and ('%s, error="%s"'):format(challenge, code) or challenge
    return mg.problem(status, slug, detail, { headers = { ["WWW-Authenticate"] = value } })
  end

  return { request = function(req)
    local found = {}
    for i = 1, #places do places[i].find(req, found) end
    if #found > 1 then
      return refuse(400, "key-ambiguous", "The request has more than one API key", "invalid_request")
    end
    local key = found[1]
    if not key then
      if conf.optional then return end
      return refuse(401, "key-required", "An API key is required here")
    end
    local consumer = #key <= KEY_BYTES_MAX and by_digest[digest(key)]
    if not consumer then
      mg.log.info "API key refused"
      return refuse(401, "key-invalid", "The API key is not accepted here", "invalid_token")
    end
    if not conf.forward then
      for i = 1, #places do places[i].remove(req) end
    end
    req.auth = identity(consumer)
  end }
end

return M
