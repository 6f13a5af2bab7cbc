-- The fields of a service that say which of its backends gets a request.

local s = require "moongate.schema"

local M = {}

-- 50%, or 50: a whole number from 0 to 100.
local threshold = s.define("threshold", {
  wants = { string = true, integer = true },
  describe = function(_, short) return short and "percentage" or "percentage (0% to 100%)" end,
  check = function(schema, value, place, w)
    local n = math.tointeger(type(value) == "string" and tonumber(value:match "^(%d%d?%d?)%%$") or value)
    if n and n >= 0 and n <= 100 then return n end
    return w:fail_expected(schema, value, place)
  end,
})

local WAYS = { "round-robin", "random", "least-requests", "two-choices", "latency", default = "round-robin" }

M.zone = s.string { match = "^[%w_.-]+$", len = { 1, 64 } }

M.backend = {
  weight = s.integer { default = 1, ge = 1, le = 65535 },
  zone = M.zone,
  priority = s.integer { default = 0, ge = 0, le = 100, help = "those of 0 come first" },
}

M.service = {
  balance = s.any_of {
    s.enum(WAYS),
    s.record { hash = s.expr { required = true, len = { 1, 1024 }, help = "equal values go to the same backend" } },
    default = "round-robin",
  },
  sticky = s.record {
    cookie = s.string { required = true, match = "^[%w!#$%%&'*+.^_`|~-]+$", len = { 1, 128 } },
    ttl = s.duration { ge = 1, le = 86400 * 400, help = "as long as the browser runs when left out" },
    secure = s.boolean { default = false, help = "the cookie is sent over TLS only" },
    path = s.string { default = "/", match = "^/[^%c;,%s]*$", len = { 1, 256 } },
    secret = s.secret { help = "that several gateways share; a new one with each start when left out" },
  },
  slow_start = s.duration { gt = 0, le = 86400, help = "how long a new or recovered backend gets a growing share" },
  panic_threshold = threshold { default = 50, help = "fewer usable members: the next ones, or else all; 0%: never" },
  require_zone = s.boolean { default = false, help = "nothing leaves the zone of this gateway" },
}

return M
