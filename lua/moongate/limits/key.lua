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

return M
