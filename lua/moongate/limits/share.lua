-- Shares of requests: `10%`, or a number from 0 to 1.

local s = require "moongate.schema"

local M = {}

-- The option, for a schema: { default =, required =, help = }.
function M.option(options)
  return s.any_of { s.number { ge = 0, le = 1 }, s.string { match = "^%d[%d.]*%%$", len = { 2, 16 } },
    default = options.default, required = options.required, help = options.help }
end

-- The number, from 0 to 1; nil and what is wrong when there are more than all.
function M.number(share)
  if type(share) == "number" then return share end
  local percent = tonumber(share:sub(1, -2))
  if not percent or percent > 100 then return nil, "must be from 0% to 100%" end
  return percent / 100
end

-- A function that says yes to that share of its calls, by lot.
function M.lot(share)
  local number = M.number(share)
  if number >= 1 then return function() return true end end
  return function() return math.random() < number end
end

return M
