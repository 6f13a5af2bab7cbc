-- Where limits are counted: in this gateway, or in a Redis with something to fall back on while it is down.

local mg = require "moongate"

local M = {}

local function failed(err)
  mg.log.error("requests cannot be counted", { why = err.code })
end

-- Makes take(req, cost), which gives what `limiter:take` of mg.shared gives; nil and `allow` or `deny` when nobody
-- could count. `limiter` counts here, `shared` (may be nil) everywhere; `conf` has `when_down`.
function M.new(conf, limiter, shared, key_of)
  local otherwise = conf.when_down == "allow" and "allow" or "deny"

  local function here(req, cost)
    local ok, field, retry_after, delay, which, remaining, reset = limiter:take(cost, key_of(req))
    if ok ~= nil then return ok, field, retry_after, delay, which, remaining, reset end
    failed(field)
    return nil, otherwise
  end
  if not shared then return here end

  local is_down = false
  return function(req, cost)
    local ok, field, retry_after, delay, which, remaining, reset = shared(cost, key_of(req))
    if ok ~= nil then
      if is_down then mg.log.info("limits are counted in Redis again", { store = conf.store }) end
      is_down = false
      return ok, field, retry_after, delay, which, remaining, reset
    end
    if not is_down then -- once, and not for each request
      mg.log.warn("limits cannot be counted in Redis",
        { store = conf.store, why = field.code, instead = conf.when_down })
    end
    is_down = true
    if conf.when_down == "local" then return here(req, cost) end
    return nil, otherwise
  end
end

return M
