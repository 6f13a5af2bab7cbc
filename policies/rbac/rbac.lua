-- Lets in clients by the roles that they have.

local mg, s = require "moongate", require "moongate.schema"
local identity = require "moongate.auth.identity"

local M = { name = "rbac", version = "1.0.0", summary = "Lets clients in by their roles",
  needs = { "identity" }, guard = true }

local TEXT = s.string { len = { 1, 256 } }
local SEPARATORS = { comma = ",", space = "%s" }

M.schema = s.record {
  roles = s.list(TEXT, { single = true, len = { 1, 1000 }, help = "who has one of them may pass" }),
  all_roles = s.list(TEXT, { single = true, len = { 1, 1000 }, help = "who lacks one of them may not" }),
  claim = s.list(TEXT, { single = true, len = { 1, 10 },
    help = "where the roles are, with dots inside of others: realm_access.roles; the first that is there counts" }),
  separator = s.enum { "comma", "space", help = "between the roles of a claim that is one text; else it is one role" },
  realm = s.header_value { default = "moongate", len = { 1, 256 }, help = "of the WWW-Authenticate header" },
}:check(function(conf)
  if not conf.roles and not conf.all_roles then return "needs 'roles' or 'all_roles'" end
end)

-- Without a claim in the config: what the step that verified the client says, else what tokens usually call it.
local USUAL = { "role", "roles" }

local function compile(claims, separator)
  local readers = {}
  for i, claim in ipairs(claims or USUAL) do readers[i] = identity.reader(claim) end
  return function(auth)
    if not claims and auth.roles and #auth.roles > 0 then return auth.roles end
    for i = 1, #readers do
      local value = readers[i](auth)
      if value ~= nil then return identity.list(value, separator) end
    end
    return {}
  end
end

function M.new(conf)
  local roles_of = compile(conf.claim, SEPARATORS[conf.separator])
  local any, all, realm = conf.roles, conf.all_roles or {}, conf.realm

  return { request = function(req)
    local auth = req.auth
    if not auth then return identity.unauthenticated(realm) end
    local has = roles_of(auth)
    if identity.has(has, all, true) and (not any or identity.has(has, any, false)) then return end
    mg.log.info("role refused", { subject = auth.subject })
    return mg.problem(403, "insufficient-permissions", "Insufficient permissions")
  end }
end

return M
