-- How much a client may ask for in an hour, a day, a week or a month of the calendar, in UTC.

local cost = require "moongate.limits.cost"
local keys = require "moongate.limits.key"
local mg, s = require "moongate", require "moongate.schema"
local sets = require "moongate.limits.set"

local M = { name = "quota", version = "1.0.0", summary = "Limits what a client may ask for in a day or a month",
  after = keys.after }

M.schema = s.record {
  limit = s.integer { required = true, ge = 1, le = 1000000000000, help = "units in a period; a request is one unit" },
  period = s.enum { "hour", "day", "week", "month", default = "day",
    help = "of the calendar, in UTC; weeks begin on Monday" },
  by = keys.option "consumer",
  name = s.string { default = "quota", match = "^[%w][%w _.-]*$", len = { 1, 64 },
    help = "what clients, and keys in Redis, call it. Steps with the same name count together" },
  cost = cost.option(),
  store = s.any_of { s.enum { "local" }, s.redis(), default = "local",
    help = "`local`: this gateway, until it is restarted; or a name of `redis`" },
  when_down = s.enum { "allow", "deny", "local", default = "local",
    help = "while Redis does not answer: let all pass, answer 503, or count in this gateway" },
  headers = s.boolean { default = true, help = "send RateLimit-Policy and RateLimit" },
  message = s.string { len = { 1, 4096 }, help = "the body of a refusal; a problem when left out" },
}

-- ------------------------------------------------------------------------------------------------ in C

local DAY = 86400
local SECONDS = { hour = 3600, day = DAY, week = 7 * DAY, month = 31 * DAY }

-- A limit (src/gateway/rate_limit.c) whose keys have the period in them. Its window begins with the first request of a
-- period and is as long as the longest one, so it never ends before that.
M.native = "rate-limit"

function M.native_conf(conf, env)
  local limit = { limit = conf.limit, window = SECONDS[conf.period], algorithm = "fixed-window" }
  local set = sets.plan(conf, limit, env)
  set.limits[1].prefix = mg.key(conf.name, conf.period)
  local out = sets.options(conf, { set }, "quota")
  out.calendar = conf.period
  return out
end

return M
