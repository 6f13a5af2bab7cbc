-- What a request costs: the option `cost` of the policies that count. The gateway reads it (src/gateway/rate_limit.c).

local s = require "moongate.schema"

local M = {}

M.MAX = 1000000000000 -- the most that a limit may be

-- The option, for a schema.
function M.option()
  return s.any_of { s.number { ge = 0, le = M.MAX }, s.expr { match = "%${" }, default = 1,
    help = "units that a request takes, or an expression; what is no number counts as 1" }
end

return M
