-- Whose requests are counted together: the option `by` of the policies that limit, for mg.client_key.

local s = require "moongate.schema"

local M = {}

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

local function is_of_identity(by)
  if type(by) == "table" then
    for _, one in ipairs(by) do
      if is_of_identity(one) then return true end
    end
    return false
  end
  return by == "subject" or by == "consumer" or by ~= nil and by:find "%${%s*auth%." ~= nil
    or by ~= nil and by:find "%${%s*claims%." ~= nil
end

-- The field `after` of a policy with that option, alone or for each of its `limits`.
function M.after(conf)
  local found = is_of_identity(conf.by)
  for _, limit in pairs(conf.limits or {}) do found = found or is_of_identity(limit.by) end
  return found and { identity = "it counts by who the client is, and nobody is known before" } or nil
end

return M
