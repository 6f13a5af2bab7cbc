-- Lets in clients by the scopes of their token (RFC 6750 3.1).

local s = require "moongate.schema"
local identity, token = require "moongate.auth.identity", require "moongate.auth.token"

local M = { name = "scopes", version = "1.0.0", summary = "Lets clients in by the scopes of their token",
  needs = { "identity" }, guard = true }

-- scope-token of RFC 6749 3.3.
-- mutate: equal, the pattern wants a character as well
local SCOPE = s.string { match = '^[^%c%s"\\\127-\255]+$', len = { 1, 256 } }

M.schema = s.record {
  all = s.list(SCOPE, { single = true, len = { 1, 100 }, help = "all of these must be there" }),
  any = s.list(SCOPE, { single = true, len = { 1, 100 }, help = "one of these must be there" }),
  realm = s.header_value { default = "moongate", len = { 1, 256 }, help = "of the WWW-Authenticate header" },
}:check(function(conf)
  if not conf.all and not conf.any then return "needs 'all' or 'any'" end
end)

-- What the step that verified the client found, else the claim of RFC 8693 4.2, which is a list with spaces.
local function scopes_of(auth)
  if auth.scopes then return auth.scopes end
  return identity.list(auth.claims and auth.claims.scope, "%s")
end

function M.new(conf)
  local all, any, realm = conf.all or {}, conf.any, conf.realm
  local words = table.move(any or {}, 1, #(any or {}), #all + 1, { table.unpack(all) })
  local told = table.concat(words, " ")

  return { request = function(req)
    local auth = req.auth
    if not auth then return identity.unauthenticated(realm) end
    local has = scopes_of(auth)
    if identity.has(has, all, true) and (not any or identity.has(has, any, false)) then return end
    return token.insufficient_scope(realm, told)
  end }
end

return M
