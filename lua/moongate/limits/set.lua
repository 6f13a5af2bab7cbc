-- The limits that one request takes from, all at once: their rules, their keys, and where they are counted.

local answer = require "moongate.limits.answer"
local counter = require "moongate.limits.counter"
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

-- ------------------------------------------------------------------------------------------------ keys

-- A function of the request that gives the keys of all limits.
local function keys_of(plan)
  local readers = {}
  for i, limit in ipairs(plan.limits) do readers[i] = mg.client_key(limit.by) end
  local first = readers[1]
  if #readers == 1 then return first end
  if plan.one_key then
    return function(req)
      local key = first(req)
      return key, key, key, key, key, key, key, key
    end
  end
  return function(req)
    local values = {}
    for i = 1, #readers do values[i] = readers[i](req) end
    return table.unpack(values)
  end
end

-- How keys are called in Redis. In a cluster all keys of one call have to lie in one slot, which what stands in braces
-- chooses: the client where all limits count the same, else the step.
local function name_in_redis(rules, names, all_same, step)
  for i, rule in ipairs(rules) do
    local name = #rules == 1 and step or names[i]
    if #rules == 1 then
      rule.redis_key = function(key) return name .. ":" .. key end
    else
      rule.redis_key = function(key)
        -- A client without a key, or one that closes the braces at once, would tear its keys apart.
        if all_same and key:find "^[^}]" then return ("%s:{%s}"):format(name, key) end
        return ("{%s}:%s:%s"):format(step, name, key)
      end
    end
  end
end

-- ------------------------------------------------------------------------------------------------ the set

-- What a conf says of the limits that stand at `limits` (the conf itself, or one of its tiers), as plain data:
--
--     { tier =?, policy =, one_key =, limits = { { algorithm =, limit =, window =, burst =, queue =, name =, prefix =,
--       members =, by = { ... } }, ... } }
--
-- policy is the value of RateLimit-Policy, one_key says that all count by the same, and members are those of a
-- refusal's problem. src/script/native_rate_limit.c reads it as well.
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
  out.policy = answer.policy_field(told)
  return out
end

-- Makes { take =, policy =, names =, quotas = }. `conf` is the policy's config and `limits` where its limits stand: the
-- config itself, or one of its tiers. take(req, cost) gives what `limiter:take` of mg.shared gives; nil and `allow` or
-- `deny` when nobody could count.
function M.new(conf, limits, env, dict, tier)
  local plan = M.plan(conf, limits, env, tier)
  local set, rules = { policy = plan.policy, names = {}, quotas = {} }, {}
  for i, limit in ipairs(plan.limits) do
    set.names[i], set.quotas[i] = limit.name, limit.limit
    rules[i] = { algorithm = limit.algorithm, limit = limit.limit, window = limit.window, burst = limit.burst,
      queue = limit.queue, name = limit.name, prefix = limit.prefix }
  end
  local key_of = keys_of(plan)
  local limiter = dict:limiter(rules)
  name_in_redis(rules, set.names, plan.one_key, conf.name or env.key)
  local shared = redis.new(conf.store, rules)
  if conf.batch > 1 then shared = redis.batched(shared, rules[1], conf.batch, dict) end
  set.take = counter.new(conf, limiter, shared, key_of)
  return set
end

return M
