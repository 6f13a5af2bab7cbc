-- Bearer tokens (RFC 6750): where a request carries one, and how it is told that it lacks one.
--
--     local token = require "moongate.auth.token"
--     local text, refusal, code = token.find(req, { header = "Authorization", cookie = "sid", query = "access_token" })
--
-- A place that is not given is not looked at. What comes is what stands there, or nil and a response that says why not,
-- with one of the codes "missing" and "invalid_request" (more than one token). How it is written is for its verifier.

local mg, s = require "moongate", require "moongate.schema"

local M = {}

M.REALM = "moongate"

-- Whether anybody could have sent it as a bearer token: b64token of RFC 6750 2.1.
function M.is_written_right(text)
  return text:find "^[%w%-._~+/]+=*$" ~= nil
end

-- ------------------------------------------------------------------------------------------------ challenges

-- A quoted-string's inside (RFC 9110 5.6.4).
local function quoted(text)
  return '"' .. text:gsub('[%c\128-\255]', ""):gsub('["\\]', "\\%0") .. '"'
end

-- error_description has neither quotes nor backslashes (RFC 6750 3).
local function plain(text)
  return '"' .. text:gsub("[^\32-\126]", ""):gsub('["\\]', "'") .. '"'
end

-- The value of WWW-Authenticate. All but the realm may be left out; `scope` is a list with spaces.
function M.challenge(realm, code, description, scope)
  local parts = { "Bearer realm=" .. quoted(realm or M.REALM) }
  if code then parts[#parts + 1] = 'error="' .. code .. '"' end
  if description then parts[#parts + 1] = "error_description=" .. plain(description) end
  if scope then parts[#parts + 1] = "scope=" .. plain(scope) end
  return table.concat(parts, ", ")
end

local function refuse(status, slug, detail, challenge)
  return mg.problem(status, slug, detail, { headers = { ["WWW-Authenticate"] = challenge } })
end

-- 401: no token came, so no error is named (RFC 6750 3.1).
function M.missing(realm)
  return refuse(401, "no-token", "No token provided", M.challenge(realm))
end

-- 400: tokens came in more than one place, or twice.
function M.invalid_request(realm)
  return refuse(400, "invalid-request", "More than one token provided", M.challenge(realm, "invalid_request"))
end

-- 401: it is expired, revoked, malformed. `description` is for whoever wrote the client.
function M.invalid_token(realm, description)
  return refuse(401, "invalid-token", "Invalid token", M.challenge(realm, "invalid_token", description))
end

-- 403: it is good, but not for this. `scope` is what would be, with spaces.
function M.insufficient_scope(realm, scope)
  return refuse(403, "insufficient-scope", "Insufficient scope", M.challenge(realm, "insufficient_scope", nil, scope))
end

-- ------------------------------------------------------------------------------------------------ places

local COOKIE = s.string { required = true, match = "^[%w!#$%%&'*+.^_`|~-]+$", len = { 1, 128 },
  help = "a cookie of this name" }

local place = s.any_of {
  s.enum { "header" },
  s.record { header = s.header_name { required = true, help = "a field of this name" } },
  s.record { cookie = COOKIE },
  s.record { query = s.string { required = true, len = { 1, 128 }, help = "a query parameter of this name" } },
}

-- For a policy's schema: the option that says where tokens are looked for.
M.from = s.list(place, { single = true, len = { 1, 3 }, default = { "header" },
  help = "where it may come: header, cookie: NAME, query: NAME; in one of them" })

-- The same as `find` wants it.
function M.places(from, realm)
  local where = { realm = realm }
  for _, item in ipairs(from) do
    if item == "header" then item = { header = "Authorization" } end
    for kind, name in pairs(item) do
      if where[kind] then error(("from: two places of kind '%s'"):format(kind), 0) end
      where[kind] = name
    end
  end
  return where
end

-- Each gives the token's text, nil when there is none, and true as second result when there are several.

-- "Authorization" is for all schemes, another field is made for the token alone and may leave the scheme out.
local function in_header(req, name)
  local value = req:header(name)
  if not value then return nil end
  -- Fields of one name come joined by commas, and no token has a comma.
  if value:find(",", 1, true) and #req:header_values(name) > 1 then return value, true end
  local scheme, rest = value:match "^(%a+)%f[%s\0]%s*(.*)$"
  if scheme and scheme:lower() == "bearer" then return rest end
  if name:lower():find "authorization$" then return nil end
  return value
end

-- Whether a cookie of that name is there more than once: who can set cookies for a neighbour's domain could slip a
-- token of their own in.
local function is_repeated(req, name)
  local count = 0
  for _, field in ipairs(req:header_values "Cookie") do
    for pair in field:gmatch "[^;]+" do
      if pair:match "^%s*([^=]-)%s*=" == name then count = count + 1 end
    end
  end
  return count > 1
end

local function in_cookie(req, name)
  local value = req:cookie(name)
  return value, value and is_repeated(req, name)
end

local function in_query(req, name)
  if not req.query then return nil end
  local value = req:args()[name]
  if type(value) == "table" then return value[1], true end
  return value
end

-- In what is common to all three: nothing, and nothing between quotes, is no token.
local function look(find, req, name)
  if not name then return nil end
  local value, several = find(req, name)
  if value == "" and not several then return nil end
  return value, several
end

function M.find(req, where)
  local realm = where.realm
  local text, several = look(in_header, req, where.header)
  local other, others = look(in_cookie, req, where.cookie)
  local third, thirds = look(in_query, req, where.query)
  local count = (text and 1 or 0) + (other and 1 or 0) + (third and 1 or 0)
  if several or others or thirds or count > 1 then return nil, M.invalid_request(realm), "invalid_request" end
  text = text or other or third
  if not text then return nil, M.missing(realm), "missing" end
  return text
end

-- ------------------------------------------------------------------------------------------------ the way back

local function keep_private(res)
  local control = res:cache_control()
  if res.status <= 299 and not control["no-store"] and not control.private then
    res:add_header("Cache-Control", "private")
  end
end

-- What a step returns for the way back. RFC 6750 2.3: caches that many share keep no response to a URL with a token in
-- it. Ask before the token is removed.
function M.way_back(req, where)
  return where.query and req:arg(where.query) and keep_private or nil
end

-- ------------------------------------------------------------------------------------------------ hiding

local function without_cookie(field, name)
  local kept = {}
  for pair in field:gmatch "[^;]+" do
    if pair:match "^%s*([^=]-)%s*=" ~= name then kept[#kept + 1] = pair:match "^%s*(.-)%s*$" end
  end
  return table.concat(kept, "; ")
end

-- Takes the token out of the request, for backends that should not see it. What a header has for another scheme stays.
function M.remove(req, where)
  if where.header and in_header(req, where.header) then req:del_header(where.header) end
  if where.query and req:arg(where.query) then req:set_arg(where.query, nil) end
  if where.cookie and req:cookie(where.cookie) then
    local kept = {}
    for _, field in ipairs(req:header_values "Cookie") do
      local rest = without_cookie(field, where.cookie)
      if rest ~= "" then kept[#kept + 1] = rest end
    end
    req:set_header("Cookie", kept)
  end
end

return M
