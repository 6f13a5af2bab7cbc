-- The limits that one request takes from, all at once: their rules and their names, for C, which counts.

local answer = require "moongate.limits.answer"
local cost = require "moongate.limits.cost"
local mg = require "moongate"
local redis = require "moongate.limits.redis"

local M = {}

-- ------------------------------------------------------------------------------------------------ rules

local function queue_of(limit, rate)
  local queue = limit.queue or 0
  if type(queue) == "table" then queue = math.min(queue.size, math.floor(queue.time * rate)) end
  return queue
end

-- A rule as mg.shared's limiters take it, and what it grants to who has not used it.
local function rule_of(conf, limit)
  local algorithm, window = limit.algorithm or conf.algorithm, limit.window or conf.window
  local rate, quota, every = limit.limit / window, limit.limit, window
  local rule = { algorithm = algorithm, limit = limit.limit, window = window, burst = limit.limit, queue = 0 }
  if algorithm == "token-bucket" then
    rule.burst = limit.burst or limit.limit
    quota, every = rule.burst, rule.burst / rate
  elseif algorithm == "leaky-bucket" then
    rule.burst, rule.queue = limit.burst or 1, queue_of(limit, rate)
    quota = rule.burst + rule.queue
    every = quota / rate
  end
  return rule, quota, every
end

-- The names of limits are different, as clients and Redis tell limits apart by them.
local function name_of(conf, limit, i, count, tier)
  local name = limit.name or conf.name or "default"
  if not limit.name and count > 1 then name = ("%s-%d"):format(name, i) end
  return tier and name .. "-" .. tier or name
end

-- ------------------------------------------------------------------------------------------------ Redis

-- What keys begin with. Those of several limits stand together in a cluster, in the slot that is chosen by what is in
-- braces: the client where all limits count by the same, else the step.
local function name_in_redis(rule, set, count, step)
  if count == 1 then
    rule.redis_head = step .. ":"
  else
    rule.redis_head = ("{%s}:%s:"):format(step, rule.name)
    rule.redis_client = set.one_key and rule.name .. ":{" or nil
  end
end

-- What the script wants to know of each limit.
local function redis_args(rules)
  local out = {}
  for _, rule in ipairs(rules) do
    for _, value in ipairs { rule.algorithm, rule.limit, math.ceil(rule.window * 1000), rule.burst, rule.queue } do
      out[#out + 1] = tostring(value)
    end
  end
  return out
end

-- ------------------------------------------------------------------------------------------------ the set

-- What a conf says of the limits that stand at `limits` (the conf itself, or one of its tiers), as
-- src/script/native_rate_limit.c reads it:
--
--     tier      whose they are; nil: all others'
--     policy    the value of RateLimit-Policy
--     one_key   all of them count by the same
--     limits    { { algorithm =, limit =, window =, burst =, queue =, name =, by = { ... }, prefix =, members =,
--               redis_head =, redis_client =? }, ... }: prefix is that of keys here, redis_head and redis_client those
--               of keys in Redis; members are of a refusal's problem
--     redis_args  of the script, behind the cost
function M.plan(conf, limits, env, tier)
  local list = limits.limits or { limits }
  local out, told, first = { tier = tier, one_key = true, limits = {} }, {}, list[1].by or conf.by
  for i, limit in ipairs(list) do
    local rule, quota, every = rule_of(conf, limit)
    rule.name = name_of(conf, limit, i, #list, tier)
    -- One step of the file is one limiter, also when many routes have it; a name makes one of several steps.
    rule.prefix = mg.key(limit.name or conf.name or env.key, i, tier)
    rule.members = answer.violated { rule.name }
    local by = limit.by or conf.by
    out.one_key = out.one_key and by == first
    rule.by = type(by) == "table" and by or { by }
    out.limits[i] = rule
    told[i] = { name = rule.name, quota = quota, window = every }
  end
  for _, rule in ipairs(out.limits) do name_in_redis(rule, out, #list, conf.name or env.key) end
  out.policy, out.redis_args = answer.policy_field(told), redis_args(out.limits)
  return out
end

-- The rest of what it reads: how the conf, that of a policy that counts in this dictionary, wants things told and done.
function M.options(conf, list, dictionary)
  local in_redis = conf.store ~= "local"
  return {
    sets = list, dictionary = dictionary,
    redis = in_redis and conf.store or nil, script = in_redis and redis.SCRIPT or nil, batch = conf.batch or 1,
    when_down = conf.when_down, cost = tonumber(conf.cost), cost_max = cost.MAX,
    cost_expr = type(conf.cost) == "string" and conf.cost or nil,
    headers = conf.headers, legacy_headers = conf.legacy_headers, legacy_reset = conf.legacy_reset,
    status = conf.status or 429, message = conf.message,
    message_type = conf.message and answer.content_type_of(conf.message), dry_run = conf.dry_run,
  }
end

return M
