-- The limits that one request takes from, all at once: their rules, their keys, and where they are counted.

local answer = require "moongate.limits.answer"
local keys = require "moongate.limits.key"
local mg = require "moongate"

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
  local rule = { algorithm = algorithm, limit = limit.limit, window = window, burst = limit.burst }
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
local function keys_of(conf, list)
  local readers, all_same = {}, true
  for i, limit in ipairs(list) do
    local by = limit.by or conf.by
    readers[i] = keys.compile(by)
    all_same = all_same and by == (list[1].by or conf.by)
  end
  local first = readers[1]
  if #list == 1 then return first, all_same end
  if all_same then
    return function(req)
      local key = first(req)
      return key, key, key, key, key, key, key, key
    end, all_same
  end
  return function(req)
    local values = {}
    for i = 1, #readers do values[i] = readers[i](req) end
    return table.unpack(values)
  end, all_same
end

-- ------------------------------------------------------------------------------------------------ the set

-- Makes { take =, policy =, names =, quotas = }. `conf` is the policy's config and `limits` where its limits stand: the
-- config itself, or one of its tiers. take(req, cost) gives what `limiter:take` of mg.shared gives; nil and `allow` or
-- `deny` when nobody could count.
function M.new(conf, limits, env, dict, tier)
  local list, set = limits.limits or { limits }, { names = {}, quotas = {} }
  local rules, told = {}, {}
  for i, limit in ipairs(list) do
    local rule, quota, every = rule_of(conf, limit)
    rule.name = name_of(conf, limit, i, #list, tier)
    -- One step of the file is one limiter, also when many routes have it; a name makes one of several steps.
    rule.prefix = mg.key(limit.name or conf.name or env.path, i, tier)
    rules[i], set.names[i], set.quotas[i] = rule, rule.name, limit.limit
    told[i] = { name = rule.name, quota = quota, window = every }
  end
  set.policy = answer.policy_field(told)

  local key_of = keys_of(conf, list)
  local limiter = dict:limiter(rules)
  function set.take(req, cost)
    local ok, field, retry_after, delay, which, remaining, reset = limiter:take(cost, key_of(req))
    if ok == nil then
      mg.log.error("requests cannot be counted", { why = field.code })
      return nil, conf.when_down == "allow" and "allow" or "deny"
    end
    return ok, field, retry_after, delay, which, remaining, reset
  end
  return set
end

return M
