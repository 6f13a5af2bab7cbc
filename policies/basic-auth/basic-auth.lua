-- Who the client is, by name and password (RFC 7617): those of the consumers in the config.

local mg, s = require "moongate", require "moongate.schema"

local M = {
  name = "basic-auth", version = "1.0.0",
  summary = "Lets clients in by name and password, and knows them by their name",
  provides = { "identity" }, guard = true,
}

local MINUTE = 60

M.schema = s.record {
  consumers = s.list(s.string { len = { 1, 128 } }, { single = true, len = { 1, 10000 },
    help = "names of those who may come in; all that have a password when left out" }),
  realm = s.string { default = "moongate", match = "^[^%c\"\\\127-\255]+$", help = "what WWW-Authenticate says" },
  remember = s.duration { default = "60s", le = 3600,
    help = "how long a password that was right is not hashed again; 0: never" },
  tries = s.integer { default = 20, ge = 1, le = 100000,
    help = "wrong passwords of one address in a minute; 429 above it" },
  optional = s.boolean { default = false, help = "true: requests without credentials go on, unknown" },
  forward = s.boolean { default = false, help = "leave the password in the request, for the backend to see" },
}

-- ------------------------------------------------------------------------------------------------ credentials

-- The credentials of the scheme, still encoded; nil: none; false: more than one, which servers read in different ways.
local function encoded(req)
  local values = req:header_values "Authorization"
  if #values > 1 then return false end
  local scheme, rest = (values[1] or ""):match "^([%a]+) *(.*)$"
  return scheme and scheme:lower() == "basic" and rest or nil
end

-- RFC 7617 2: the name ends at the first colon; neither has control characters; UTF-8, as the challenge says.
local function decode(text)
  local pair = mg.crypto.base64.decode(text)
  if not pair or pair:find "%c" or not utf8.len(pair) then return nil end
  return pair:match "^([^:]*):(.*)$"
end

-- ------------------------------------------------------------------------------------------------ consumers

local function may_come(conf)
  if not conf.consumers then
    return function(consumer) return consumer.password end
  end
  local wanted = {}
  for _, name in ipairs(conf.consumers) do wanted[name] = true end
  return function(consumer) return wanted[consumer.name] end
end

local function user_of(consumer)
  if not consumer.password then error(("consumer '%s' has no password"):format(consumer.name), 0) end
  local hash = mg.secret(consumer.password)
  local cost, err = mg.crypto.password_cost(hash)
  if not cost then error(("the password of '%s' is %s"):format(consumer.name, tostring(err)), 0) end
  return { name = consumer.name, hash = hash, cost = cost, roles = consumer.roles, groups = consumer.groups }
end

-- The users, by name and as a list.
local function users_of(conf)
  local by_name, list, comes = {}, {}, may_come(conf)
  for _, consumer in ipairs(mg.consumers()) do
    if comes(consumer) then
      list[#list + 1] = user_of(consumer)
      by_name[consumer.name] = list[#list]
    end
  end
  for _, name in ipairs(conf.consumers or {}) do
    if not by_name[name] then error(("unknown consumer '%s'"):format(name), 0) end
  end
  if #list == 0 then error("no consumer has a password", 0) end
  return by_name, list
end

-- Somebody to check the password against when there is no such user, so that it takes as long. With hashes of several
-- costs a name gets always the same one: a time that changes would tell that nobody has that name.
local function stand_in(list)
  local salt = list[1].hash
  return function(name)
    local bytes = mg.crypto.hmac_sha256(salt, name, "raw")
    return list[string.unpack("<I4", bytes) % #list + 1]
  end
end

local function copy(list)
  return table.move(list, 1, #list, 1, {})
end

local function identity(user)
  return {
    scheme = "basic", subject = user.name, scopes = {}, roles = copy(user.roles),
    claims = { groups = copy(user.groups) },
  }
end

-- ------------------------------------------------------------------------------------------------ what was checked

-- What was right is kept as an HMAC whose key is the hash: with a new password comes a new hash, and what was kept for
-- the old one is found no more.
local function memory(dict, seconds)
  local function key(user, password)
    return mg.key("right", user.name, mg.crypto.hmac_sha256(user.hash, password, "raw"))
  end
  if seconds == 0 then return function() return false end, function() end end
  return function(user, password) return dict:get(key(user, password)) == true end,
    function(user, password) dict:set(key(user, password), true, seconds) end
end

-- ------------------------------------------------------------------------------------------------ the step

function M.new(conf)
  local by_name, list = users_of(conf)
  local other = stand_in(list)
  local dict = mg.shared "basic-auth"
  local knows, remember = memory(dict, conf.remember)
  local challenge = ('Basic realm="%s", charset="UTF-8"'):format(conf.realm)

  local function refuse(status, slug, detail)
    return mg.problem(status, slug, detail, { headers = { ["WWW-Authenticate"] = challenge } })
  end

  -- The bucket of the address: `cost` 0 only looks.
  local function tries_left(req, cost)
    return dict:take(mg.key("wrong", req.client_ip), conf.tries / MINUTE, conf.tries, cost)
  end

  -- The user; or nil and a response.
  local function judge(req, text)
    local name, password = decode(text)
    if not name then return nil, refuse(401, "credentials-invalid", "The credentials cannot be read") end
    -- The same is done for a name that nobody has, to the end.
    local user, stand_for = by_name[name], other(name)
    local checked = user or stand_for
    if knows(checked, password) and user then return user end
    local left = tries_left(req, 0)
    if left and left.remaining < 1 then
      return nil, mg.problem(429, "too-many-tries", "Too many wrong passwords came from this address", {
        headers = { ["Retry-After"] = math.ceil(MINUTE / conf.tries) },
      })
    end
    if not mg.crypto.password_verify(checked.hash, password) or not user then
      tries_left(req, 1)
      mg.log.info "name or password refused"
      return nil, refuse(401, "credentials-invalid", "Name or password is wrong")
    end
    remember(user, password)
    return user
  end

  return { request = function(req)
    local text = encoded(req)
    if text == false then return refuse(400, "credentials-ambiguous", "The request has more than one Authorization") end
    if not text then
      if conf.optional then return end
      return refuse(401, "credentials-required", "Name and password are required here")
    end
    local user, answer = judge(req, text)
    if not user then return answer end
    if not conf.forward then req:del_header "Authorization" end
    req.auth = identity(user)
  end }
end

return M
