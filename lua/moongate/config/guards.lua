-- The fields of a service that protect it and its backends. Each is off when it is left out.

local s = require "moongate.schema"

local M = {}

-- 20%, or 20: a whole number from 1 to 100.
local percent = s.define("percent", {
  wants = { string = true, integer = true },
  describe = function(_, short) return short and "percentage" or "percentage (1% to 100%)" end,
  check = function(schema, value, place, w)
    local n = math.tointeger(type(value) == "string" and tonumber(value:match "^(%d%d?%d?)%%$") or value)
    if n and n >= 1 and n <= 100 then return n end
    return w:fail_expected(schema, value, place)
  end,
})

M.circuit_breaker = s.record {
  failures = s.integer { default = 5, ge = 0, le = 1000000, help = "in a row, that open it; 0: not looked at" },
  open_for = s.duration { default = 10, ge = 0.001, le = 86400 },
  ratio = percent { help = "of failures among the answers of `window`, that opens it" },
  min_requests = s.integer { default = 20, ge = 1, le = 1000000, help = "fewer in the window tell nothing" },
  window = s.duration { default = 10, ge = 0.1, le = 3600 },
  slow = s.duration { gt = 0, help = "an answer that took longer is a failure" },
}:check(function(value)
  if value.failures == 0 and not value.ratio then return "needs 'failures' or 'ratio'", "failures" end
end)

return M
