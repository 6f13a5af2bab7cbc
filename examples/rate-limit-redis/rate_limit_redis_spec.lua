-- The config in simulation, where there is no Redis: what becomes of requests then. tests/e2e/rate_limit_redis_spec.lua
-- runs it with a real one.

local T = require "moongate.test"

local FOLDER = debug.getinfo(1, "S").source:match "^@(.*/)"

describe("rate-limit-redis", function()
  it("lets no payment through without Redis, and counts all else by itself", function()
    local upstreams = { shop = { body = "ok" }, ["redis:main"] = { error = "refused" } }
    local t = T.load(FOLDER .. "moongate.yaml", { upstreams = upstreams })
    local function get(path) return t:request { path = path, listener = "gateway" } end
    assert.status(get "/api/payments/1", 503)
    for _ = 2, 100 do assert.status(get "/orders", 200) end
    local res = get "/orders"
    assert.status(res, 429)
    assert.matches('^{"error":"Too Many Requests","message":"Rate limit exceeded","retryAfter":%d+}$', res:text())
    assert.header(res, "X-RateLimit-Limit", "100")
    assert.header(res, "X-RateLimit-Remaining", "0")
    assert.matches("^%a+ Jan 01 2026 00:%d%d:%d%d GMT%+0000 %(Coordinated Universal Time%)$",
      res:header "X-RateLimit-Reset")
    assert.header(res, "Retry-After")
  end)
end)
