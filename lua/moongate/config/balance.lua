-- The fields of a service that say which of its backends gets a request.

local percentage = require "moongate.config.percentage"
local s = require "moongate.schema"

local M = {}

local threshold = percentage(0)

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
