-- Limits how much a client may ask for. What is counted is in shared/limiter.h, or in Redis for many gateways
-- (moongate.limits.redis).

local answer = require "moongate.limits.answer"
local cost = require "moongate.limits.cost"
local keys = require "moongate.limits.key"
local mg, s = require "moongate", require "moongate.schema"
local sets = require "moongate.limits.set"

local M = {
  name = "rate-limit", version = "1.0.0", summary = "Limits how many requests a client may make in a time",
  after = keys.after,
}

local NAME = { match = "^[%w][%w _.-]*$", len = { 1, 64 } }

-- ------------------------------------------------------------------------------------------------ schema

local function named(help)
  return s.string { match = NAME.match, len = NAME.len, help = help }
end

local function limit_fields()
  return {
    algorithm = s.enum { "fixed-window", "sliding-window", "token-bucket", "leaky-bucket",
      help = "how it is counted; that of the step when left out" },
    limit = s.integer { ge = 1, le = 1000000000000, help = "units in a window; a request is one unit" },
    window = s.duration { ge = 0.001, le = 31622400, help = "that of the step when left out" },
    burst = s.integer { ge = 1, le = 1000000000000,
      help = "of buckets: units at once; `limit` of a token bucket, 1 of a leaky one when left out" },
    queue = s.any_of { s.integer { ge = 0, le = 1000000 },
      s.record { size = s.integer { required = true, ge = 0, le = 1000000, help = "units that may wait" },
        time = s.duration { required = true, ge = 0, le = 3600, help = "how long the last of them may" } },
      help = "of the leaky bucket: units that may wait for their turn, or `{ size, time }`; others are refused" },
    name = named "what clients, and keys in Redis, call it",
    by = keys.option(),
  }
end

-- What the last in the queue waits, in seconds.
local function queue_time(queue, each)
  if type(queue) == "table" then return math.min(queue.size * each, queue.time) end
  return (queue or 0) * each
end

-- What is wrong with one limit, whose algorithm and window may be those of the step.
local function check_limit(limit, conf)
  local algorithm, window = limit.algorithm or conf.algorithm, limit.window or conf.window
  if limit.burst and not algorithm:find "bucket" then return "is for buckets", "burst" end
  if limit.queue and algorithm ~= "leaky-bucket" then return "is for `algorithm: leaky-bucket`", "queue" end
  local each = window / limit.limit
  local refill, wait = (limit.burst or 1) * each, queue_time(limit.queue, each)
  if refill > 1e9 then return "takes more than 30 years to be there again", "burst" end
  if refill + wait > 1e9 then return "takes more than 30 years to be empty again", "queue" end
end

local function check_limits(limits, conf, where)
  for name, limit in pairs(limits or {}) do
    local fault, field = check_limit(limit, conf)
    if fault then
      return ("%s of '%s' %s"):format(field, math.type(name) and name - 1 or name, fault), where
    end
  end
end

local ITEM = limit_fields()
ITEM.limit.required = true
local TIER = limit_fields()
TIER.limit.required, TIER.name, TIER.by = true, nil, nil

local fields = limit_fields()
fields.algorithm = s.enum { "fixed-window", "sliding-window", "token-bucket", "leaky-bucket", "adaptive",
  default = "fixed-window", help = "how it is counted" }
fields.window = s.duration { default = "60s", ge = 0.001, le = 31622400, help = "the time that `limit` is for" }
fields.by = keys.option "ip"
fields.limits = s.list(s.record(ITEM), { len = { 1, 8 },
  help = "several limits, in place of `limit`: a request takes from all of them, or from none" })
fields.tier = s.any_of { s.enum { "group" }, s.expr { match = "%${" },
  help = "which of `tiers` a client has: an expression, or `group`: the first group of the consumer that is one" }
fields.tiers = s.map(s.record(TIER), { len = { 1, 64 },
  help = "limits in place of `limit`, by name; who has none of them has `limit`" })
fields.cost = cost.option()
fields.store = s.any_of { s.enum { "local" }, s.redis(), default = "local",
  help = "`local`: all workers of this gateway count together; or a name of `redis`: all gateways do" }
fields.when_down = s.enum { "allow", "deny", "local", default = "local",
  help = "while Redis does not answer: let all pass, answer 503, or count in this gateway" }
fields.batch = s.integer { default = 1, ge = 1, le = 10000,
  help = "units that are taken from Redis at a time, to be used up here before it is asked again" }
fields.headers = s.boolean { default = true, help = "send RateLimit-Policy and RateLimit" }
fields.legacy_headers = s.any_of { s.boolean(), s.enum { "refused" }, default = false,
  help = "send X-RateLimit-Limit, -Remaining and -Reset: always, or only when refused" }
fields.legacy_reset = s.enum { "epoch", "date", "seconds", default = "epoch",
  help = "what X-RateLimit-Reset is: seconds since 1970, a date as JavaScript prints it, or seconds from now" }
fields.status = s.status { default = 429, ge = 400, help = "of a refusal" }
fields.message = s.string { len = { 1, 4096 }, help = "the body of a refusal; a problem when left out" }
fields.min = s.integer { default = 1, ge = 1, le = 1000000, help = "of `adaptive`: the least it may become" }
fields.max = s.integer { default = 1000, ge = 1, le = 1000000, help = "of `adaptive`: the most" }
fields.dry_run = s.boolean { default = false, help = "count and log, but refuse nobody" }

-- They are part of what clients call a limit.
local function check_tier_names(tiers)
  for name in pairs(tiers or {}) do
    if #name > 64 or not name:find "^[ -~]+$" then
      return ("'%s' is no name: 1 to 64 printable characters of ASCII"):format(name), "tiers"
    end
  end
end

local NOT_ADAPTIVE = { "limits", "tier", "tiers", "burst", "queue" }

M.schema = s.record(fields):check(function(conf)
  if conf.algorithm == "adaptive" then
    for _, name in ipairs(NOT_ADAPTIVE) do
      if conf[name] then return "cannot be with `algorithm: adaptive`", name end
    end
    if conf.store ~= "local" then return "must be local with `algorithm: adaptive`", "store" end
    local initial = conf.limit or math.min(math.max(20, conf.min), conf.max)
    if conf.min > initial or initial > conf.max then return "must be from 'min' to 'max'", "limit" end
    return
  end
  if conf.batch > 1 and (conf.limits or conf.store == "local") then
    return "is for one limit in Redis", "batch"
  end
  if conf.limits and (conf.limit or conf.tiers) then return "cannot be with 'limit' or 'tiers'", "limits" end
  if not (conf.limits or conf.limit) then return "needs 'limit' or 'limits'" end
  if (conf.tier == nil) ~= (conf.tiers == nil) then return "needs both 'tier' and 'tiers'" end
  if conf.limits then return check_limits(conf.limits, conf, "limits") end
  local fault, field = check_limit(conf, conf)
  if not fault then fault, field = check_tier_names(conf.tiers) end
  if fault then return fault, field end
  return check_limits(conf.tiers, conf, "tiers")
end)

-- ------------------------------------------------------------------------------------------------ in C

-- The gateway itself runs it (src/gateway/rate_limit.c), but for the limit that looks at the backend.
function M.native(conf)
  if conf.algorithm ~= "adaptive" then return "rate-limit" end
end

function M.native_conf(conf, env)
  local list = { sets.plan(conf, conf, env) }
  for name, tier in pairs(conf.tiers or {}) do list[#list + 1] = sets.plan(conf, tier, env, name) end
  local out = sets.options(conf, list, "rate-limit")
  out.tier = conf.tier ~= "group" and conf.tier or nil
  return out
end

-- ------------------------------------------------------------------------------------------------ adaptive

-- How many requests are under way at once; the limit is found from the backend's latency and failures.
function M.new(conf, env)
  local dict = mg.shared "rate-limit"
  local initial = conf.limit or math.min(math.max(20, conf.min), conf.max)
  local limiter = dict:adaptive { min = conf.min, max = conf.max, initial = initial }
  local key_of, prefix = mg.client_key(conf.by), mg.key("adaptive", conf.name or env.key)
  local grants = {} -- the key of this step's grants in req.ctx

  local function judge(grant, res)
    if res.source ~= "upstream" and not (res.source == "gateway" and res.error and res.upstream) then return end
    grant.seconds = mg.monotonic() - grant.began
    grant.failed = res.source == "gateway" or res.status >= 500
  end

  return {
    request = function(req)
      -- Remembered before it is granted: a place that nobody remembers would be taken for ever.
      local list = req.ctx[grants] or {}
      local grant = { key = prefix .. key_of(req), began = mg.monotonic() }
      grant.held, grant.seconds, grant.failed = false, false, false
      req.ctx[grants], list[#list + 1] = list, grant
      local ok, held, limit = limiter:acquire(grant.key)
      if ok == nil then return answer.overloaded("There are too many clients at the moment") end
      if not ok then
        mg.log.info("over the adaptive limit", { held = held, limit = limit, dry_run = conf.dry_run })
        if not conf.dry_run then return answer.overloaded "The service is at its limit" end
        return
      end
      grant.held = true
      return function(res) judge(grant, res) end
    end,
    finish = function(req)
      for _, grant in ipairs(req.ctx[grants] or {}) do
        if grant.held then limiter:release(grant.key, grant.seconds or nil, grant.failed) end
      end
    end,
  }
end

return M
