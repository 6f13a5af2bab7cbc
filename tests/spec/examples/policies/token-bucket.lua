local mg, s = require "moongate", require "moongate.schema"
local M = { name = "token-bucket", version = "1.0.0" }

M.schema = s.record {
  rate  = s.number { required = true, gt = 0 },    -- tokens per second
  burst = s.integer { required = true, gt = 0 },
  by    = s.string { default = "consumer", one_of = { "consumer", "ip" } },
}

function M.new(conf)
  local buckets = mg.shared("token-bucket")
  local window = math.ceil(conf.burst / conf.rate)
  local policy = ('"%s";q=%d;w=%d'):format(conf.by, conf.burst, window)

  return { request = function(req)
    local user = conf.by == "consumer" and req.auth
    local key = user and mg.key("user", user.subject) or mg.key("ip", req.client_ip)
    local b = buckets:take(key, conf.rate, conf.burst)
    local limit = ('"%s";r=%d;t=%d'):format(conf.by, b.remaining, math.ceil(b.reset))
    if not b.ok then
      return mg.problem(429, "quota-exceeded", nil, {
        headers = { ["Retry-After"] = math.ceil(b.retry_after), ["RateLimit-Policy"] = policy, RateLimit = limit },
        members = { ["violated-policies"] = { conf.by } },
      })
    end
    return function(res)                           -- runs on the way back
      res:add_header("RateLimit-Policy", policy)
      res:add_header("RateLimit", limit)
    end
  end }
end
return M
