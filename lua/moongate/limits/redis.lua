-- Limiters in a Redis, for all gateways that use it: what shared/limiter_rules.h does, as one script, so that asking
-- and taking are one step there too, of several keys at once. C runs it (src/gateway/rate_limit_redis.c).
-- Time is the server's: gateways need not agree on theirs. Each key lives no longer than until it would be as new.
--
--     general:127.0.0.1                one limit: its name, and the client
--     second:{127.0.0.1}               several limits of the same client: in one slot of a cluster
--     {routes[0].policies[0]}:a:ann    several limits that count different things: all in one slot
--
-- A fixed window is a number, so others can read and reset it; the other algorithms have hashes.

local M = {}

M.SCRIPT = [=[
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

return M
