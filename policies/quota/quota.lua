-- How much a client may ask for in an hour, a day, a week or a month of the calendar, in UTC.

local answer = require "moongate.limits.answer"
local cost = require "moongate.limits.cost"
local counter = require "moongate.limits.counter"
local keys = require "moongate.limits.key"
local mg, s = require "moongate", require "moongate.schema"
local redis = require "moongate.limits.redis"

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

local DAY = 86400

-- ------------------------------------------------------------------------------------------------ the calendar

-- Days since 1970 of the first day of a month; for years from 1970 on (month 1 to 13).
local function first_of(year, month)
  if month > 12 then year, month = year + 1, 1 end
  -- Years that begin in March have their odd day at the end.
  local y, m = month > 2 and year or year - 1, (month + 9) % 12
  return 365 * y + y // 4 - y // 100 + y // 400 + (153 * m + 2) // 5 - 719468
end

-- Each period: its name, of which the key is made, and when it ends, of a time in whole seconds since 1970.
local PERIOD = {
  hour = function(now) return os.date("!%Y-%m-%dT%H", now), (now // 3600 + 1) * 3600 end,
  day = function(now) return os.date("!%Y-%m-%d", now), (now // DAY + 1) * DAY end,
  -- 1970 began on a Thursday.
  week = function(now) return os.date("!%G-W%V", now), ((now // DAY + 3) // 7 * 7 + 4) * DAY end,
  month = function(now)
    local year, month = os.date("!%Y", now), os.date("!%m", now)
    return year .. "-" .. month, first_of(math.tointeger(year), math.tointeger(month) + 1) * DAY
  end,
}

local SECONDS = { hour = 3600, day = DAY, week = 7 * DAY, month = 31 * DAY }

-- Gives the period that is now, and when it ends; computed once in each.
local function calendar(period)
  local name, ends = "", 0
  return function()
    local now = math.floor(mg.now())
    if now >= ends then name, ends = PERIOD[period](now) end
    return name, ends
  end
end

-- ------------------------------------------------------------------------------------------------ the step

-- A window that begins with the first request and is as long as the longest period: what ends it in time is the period
-- in its key.
local function rule_of(conf)
  return { algorithm = "fixed-window", limit = conf.limit, window = SECONDS[conf.period], name = conf.name,
    prefix = mg.key(conf.name, conf.period) }
end

function M.new(conf)
  local rule, current, key_of = rule_of(conf), calendar(conf.period), mg.client_key(conf.by)
  local limiter, cost_of = mg.shared("quota"):limiter { rule }, cost.compile(conf.cost)
  local function name_in_redis(key) return conf.name .. ":" .. key end
  local shared = conf.store ~= "local" and redis.new(conf.store, rule, name_in_redis) or nil
  local take = counter.new(conf, limiter, shared, function(req) return current() .. ":" .. key_of(req) end)
  local policy = answer.policy_field { { name = conf.name, quota = conf.limit, window = rule.window } }

  local function tell(res, remaining, seconds)
    if not conf.headers then return res end
    res:add_header("RateLimit-Policy", policy)
    res:add_header("RateLimit", answer.field(conf.name, remaining, seconds))
    return res
  end

  return { request = function(req)
    local ok, why, _, _, _, remaining = take(req, cost_of(req))
    if ok == nil then
      if why == "allow" then return end
      return answer.overloaded "Requests cannot be counted at the moment"
    end
    local _, ends = current()
    local seconds = math.max(1, ends - mg.now())
    if ok then return function(res) tell(res, remaining, seconds) end end
    mg.log.info("over the quota", { quota = conf.name })
    local refused = answer.refused({ status = 429, message = conf.message, names = { conf.name } }, seconds)
    return tell(refused, remaining, seconds)
  end }
end

return M
