-- Limiters in a Redis, for all gateways that use it: what shared/limiter_rules.h does, as one script, so that asking
-- and taking are one step there too, of several keys at once. Time is the server's: gateways need not agree on theirs.
-- Each key has a time to live: it goes when it would be as new.
--
--     general:127.0.0.1                one limit: its name, and the client
--     second:{127.0.0.1}               several limits of the same client: in one slot of a cluster
--     {routes[0].policies[0]}:a:ann    several limits that count different things: all in one slot
--
-- A fixed window is a number, so others can read and reset it; the other algorithms have hashes.

local answer = require "moongate.limits.answer"
local mg = require "moongate"

local M = {}

local SCRIPT = [=[
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local cost = tonumber(ARGV[1])
local CELLS, SLACK = 16, 1e-6

local function text(number) return string.format('%.17g', number) end

local function fixed(key, limit, window)
  local count = tonumber(redis.call('GET', key) or '0')
  local left = redis.call('PTTL', key)
  if left < 0 then left = window end
  local ok = count + cost <= limit + SLACK
  return ok, limit - count - (ok and cost or 0), left, left, 0, function()
    redis.call('INCRBYFLOAT', key, text(cost))
    if redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, window) end
  end
end

local function sliding(key, limit, window)
  local cell = math.ceil(window / (CELLS - 1))
  local newest, used, counts = math.floor(now / cell), 0, {}
  local fields = redis.call('HGETALL', key)
  local same = true
  for i = 1, #fields, 2 do same = same and (fields[i] ~= 'cell' or tonumber(fields[i + 1]) == cell) end
  for i = 1, #fields, 2 do
    if fields[i] ~= 'cell' then
      local number = same and math.min(tonumber(fields[i]), newest) or newest
      if number > newest - CELLS then
        counts[number] = (counts[number] or 0) + tonumber(fields[i + 1])
        used = used + tonumber(fields[i + 1])
      end
    end
  end
  local ok, last = used + cost <= limit + SLACK, newest
  if ok and cost > 0 then
    counts[newest] = (counts[newest] or 0) + cost
    used = used + cost
  end
  while last > newest - CELLS and not counts[last] do last = last - 1 end
  local reset, retry = math.max(0, (last + CELLS) * cell - now), 0
  if not ok then
    retry = reset
    local freed = 0
    for number = newest - CELLS + 1, newest do
      freed = freed + (counts[number] or 0)
      if freed + SLACK >= used + cost - limit then
        retry = (number + CELLS) * cell - now
        break
      end
    end
    if cost > limit then retry = CELLS * cell end
  end
  return ok, limit - used, reset, retry, 0, function()
    redis.call('DEL', key)
    redis.call('HSET', key, 'cell', cell)
    for number, count in pairs(counts) do redis.call('HSET', key, text(number), text(count)) end
    redis.call('PEXPIRE', key, math.max(1, reset))
  end
end

-- What is in the bucket, poured in and not leaked out yet. A token bucket is one that is looked at from the other side.
local function bucket(key, limit, window, burst, queue)
  local rate, room = limit / window, burst + queue
  local state = redis.call('HMGET', key, 'level', 'at')
  local level = tonumber(state[1] or '0') - math.max(0, now - tonumber(state[2] or '0')) * rate
  level = math.max(0, level)
  local ok, retry = level + cost <= room + SLACK, 0
  if ok then level = level + cost else retry = (cost > room and room or level + cost - room) / rate end
  local delay = ok and math.max(0, level - burst) / rate or 0
  return ok, room - level, level / rate, retry, delay, function()
    redis.call('HSET', key, 'level', text(level), 'at', now)
    redis.call('PEXPIRE', key, math.max(1, math.ceil(level / rate)))
  end
end

local DECIDE = {
  ['fixed-window'] = fixed, ['sliding-window'] = sliding, ['token-bucket'] = bucket, ['leaky-bucket'] = bucket,
}

local function decide_all()
  local plans, granted = {}, true
  for i, key in ipairs(KEYS) do
    local at = 2 + (i - 1) * 5
    local limit, window, burst, queue =
      tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
    plans[i] = { DECIDE[ARGV[at]](key, limit, window, burst, queue) }
    granted = granted and plans[i][1]
  end
  return plans, granted
end

local plans, granted = decide_all()
local refused
if granted then
  if cost > 0 then
    for _, plan in ipairs(plans) do plan[6]() end
  end
else
  -- Nothing is taken; what alone would have been granted is told as it is.
  refused, cost = plans, 0
  plans = decide_all()
  for i, plan in ipairs(refused) do
    if not plan[1] then plans[i] = plan end
  end
end
local out = {}
for _, plan in ipairs(plans) do
  out[#out + 1] = plan[1] and 1 or 0
  out[#out + 1] = math.max(0, math.floor(plan[2] + SLACK))
  for j = 3, 5 do out[#out + 1] = math.ceil(plan[j] - SLACK) end
end
return out
]=]

local FIELDS = 5 -- of each limit in the reply

-- Which of the rules an answer is about, as `limiter:take` of mg.shared says: where its part of the reply begins.
local function tightest(reply)
  local best = 1
  for at = 1 + FIELDS, #reply, FIELDS do
    local tighter
    if reply[at] ~= reply[best] then
      tighter = reply[at] == 0
    elseif reply[at] == 0 then
      tighter = reply[at + 3] > reply[best + 3]
    else
      tighter = reply[at + 1] < reply[best + 1]
    end
    if tighter then best = at end
  end
  return best
end

local function results(rules, reply)
  local best, delay, items = tightest(reply), 0, {}
  for i, rule in ipairs(rules) do
    local at = (i - 1) * FIELDS
    delay = math.max(delay, reply[at + 5])
    items[i] = answer.field(rule.name, reply[at + 2], reply[at + (reply[at + 1] == 1 and 3 or 4)] / 1000)
  end
  local ok = reply[best] == 1
  return ok, table.concat(items, ", "), ok and 0 or reply[best + 3] / 1000, delay / 1000, best // FIELDS + 1,
    reply[best + 1], reply[best + 2] / 1000
end

-- Makes a function of (cost, key, ...) that gives what `limiter:take` of mg.shared gives, or nil and an error; waits.
-- `rules` are as that limiter takes them; the prefix of each is what stands in front of its keys.
function M.new(store, rules)
  local redis = mg.redis(store)
  local script, fixed_args = redis:script(SCRIPT), {}
  for _, rule in ipairs(rules) do
    table.move({ rule.algorithm, rule.limit, math.ceil(rule.window * 1000), rule.burst or rule.limit, rule.queue or 0 },
      1, 5, #fixed_args + 1, fixed_args)
  end
  return function(cost, ...)
    local keys, args = {}, table.move(fixed_args, 1, #fixed_args, 2, { cost })
    for i, rule in ipairs(rules) do keys[i] = rule.redis_key((select(i, ...))) end
    local reply, err = script:run(keys, args)
    if not reply then return nil, err end
    return results(rules, reply)
  end
end

-- The same with `batch` units taken at a time, and those that are left kept in `dict` for all workers, until the limit
-- is as new at the latest. One rule only.
function M.batched(take, rule, batch, dict)
  local function left_key(key) return mg.key("left", rule.prefix, key) end
  local function told_key(key) return mg.key("told", rule.prefix, key) end

  -- From what is here. Only who finds it not below zero has it; the others put back what they took.
  local function from_here(cost, key)
    local left = dict:incr(left_key(key), -cost)
    if not left then return nil end
    local told = left >= 0 and dict:get(told_key(key))
    if not told then
      dict:incr(left_key(key), cost)
      return nil
    end
    local there, until_at = told:match "^(%d+) (%S+)$"
    local remaining = math.floor(tonumber(there) + left)
    return remaining, math.max(0, tonumber(until_at) - mg.monotonic())
  end

  return function(cost, key)
    local remaining, reset = from_here(cost, key)
    if remaining then return true, answer.field(rule.name, remaining, reset), 0, 0, 1, remaining, reset end
    if cost >= batch then return take(cost, key) end
    local ok, field, retry_after, delay, which, there, seconds = take(batch, key)
    if ok == nil then return nil, field end
    if not ok then return take(cost, key) end -- fewer are left than a batch
    dict:incr(left_key(key), batch - cost, 0, math.max(0.001, seconds))
    dict:set(told_key(key), ("%d %.3f"):format(there, mg.monotonic() + seconds), math.max(0.001, seconds))
    there = there + batch - cost
    return ok, answer.field(rule.name, there, seconds), retry_after, delay, which, there, seconds
  end
end

return M
