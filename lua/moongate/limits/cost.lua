-- What a request costs: the option `cost` of the policies that count.

local s = require "moongate.schema"

local M = {}

M.MAX = 1000000

-- The option, for a schema.
function M.option()
  return s.any_of { s.number { ge = 0, le = M.MAX }, s.expr { match = "%${" }, default = 1,
    help = "units that a request takes, or an expression; what is no number counts as 1" }
end

-- A function of the request that gives the number.
function M.compile(cost)
  if type(cost) == "number" then return function() return cost end end
  return function(req)
    local value = tonumber(req:expr(cost))
    -- Whoever may say what a request costs must not give units back, or say what is no number at all.
    return value and value >= 0 and value <= M.MAX and value or 1
  end
end

return M
