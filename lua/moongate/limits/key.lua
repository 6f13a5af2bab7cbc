-- Whose requests are counted together: the option `by` of the policies that limit, as a function of the request.
--
-- Keys are texts that people find again in Redis: the address, the subject, the header's value. Two different clients
-- never have the same: what a client chooses and could be taken for something else (an address, a hash), or is long,
-- is hashed.

local mg, s = require "moongate", require "moongate.schema"

local M = {}

local PLAIN_BYTES_MAX = 128

local ONE = s.any_of {
  s.enum { "ip", "subject", "consumer", "route" },
  s.expr { match = "%${", len = { 1, 1024 } },
}

-- The option, for a schema.
function M.option(default)
  return s.any_of {
    ONE, s.list(ONE, { len = { 1, 8 } }), default = default,
    help = "whose requests are counted together: `ip`, `subject`, `consumer`, `route`, an expression, or a list",
  }
end

-- ------------------------------------------------------------------------------------------------ values

-- A client with IPv6 has a network of at least 64 bits to choose addresses from, so all of that is one client. Takes
-- the text of RFC 5952.
local function network(ip)
  if not ip:find(":", 1, true) or ip:find(".", 1, true) then return ip end
  local groups, left, right = {}, ip:match "^(.-)::(.*)$"
  for group in (left or ip):gmatch "[^:]+" do groups[#groups + 1] = group end
  local _, colons = (right or ""):gsub(":", "")
  local after = (right or "") == "" and 0 or colons + 1
  if left then
    for _ = #groups + 1, 8 - after do groups[#groups + 1] = "0" end
    for group in right:gmatch "[^:]+" do groups[#groups + 1] = group end
  end
  return ("%s:%s:%s:%s::/64"):format(groups[1], groups[2], groups[3], groups[4])
end

M.network = network

-- Most names are told apart from all that by their ends: a look at two bytes costs less than four patterns.
local IN_ADDRESS, FIRST_OF_SHA, LAST_OF_NETWORK = {}, ("sha256:"):byte(), ("/64"):byte(-1)
for c in ("0123456789abcdefABCDEF:."):gmatch "." do IN_ADDRESS[c:byte()] = true end

local function is_ambiguous(value)
  if #value > PLAIN_BYTES_MAX or value == "unix" then return true end
  local first, last = value:byte(), value:byte(-1)
  return first == FIRST_OF_SHA and value:find("^sha256:") or last == LAST_OF_NETWORK and value:find "/64$"
    or IN_ADDRESS[first] and IN_ADDRESS[last] and value:find "^[%x.:]+$" and mg.ip.parse(value) ~= nil
end

-- What a client has chosen, so that it is no other's.
local function chosen(value)
  if is_ambiguous(value) then return "sha256:" .. mg.crypto.sha256(value) end
  return value
end

local READ = {
  ip = function(req) return network(req.client_ip) end,
  subject = function(req)
    local auth = req.auth
    local subject = auth and auth.subject
    if not subject or subject == "" then return network(req.client_ip) end
    return chosen(subject)
  end,
  route = function(req)
    local route = req.route
    return route and route.name or "-"
  end,
}
READ.consumer = READ.subject

local function reader(by)
  if READ[by] then return READ[by] end
  return function(req)
    local value = req:expr(by)
    if value == "" then return network(req.client_ip) end
    return chosen(value)
  end
end

-- ------------------------------------------------------------------------------------------------ compiling

-- A function of the request that gives the key. Whoever has none (nobody is logged in, the header is missing) is known
-- by the address.
function M.compile(by)
  if type(by) ~= "table" then return reader(by) end
  if #by == 1 then return reader(by[1]) end
  local readers, values = {}, {}
  for i, one in ipairs(by) do readers[i] = reader(one) end
  return function(req)
    -- One table is enough for all: nothing waits between filling and reading it.
    for i = 1, #readers do values[i] = readers[i](req) end
    return mg.key(table.unpack(values, 1, #readers))
  end
end

return M
