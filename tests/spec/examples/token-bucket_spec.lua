-- luacheck: no max line length
local T = require "moongate.test"

describe("token-bucket", function()
  it("refills with time, per consumer, and answers 429 with RateLimit fields", function()
    local t = T.new { policies = { { ["token-bucket"] = { rate = 1, burst = 2 } } }, upstreams = { api = { body = "ok" } } }
    local ann, bob = { subject = "ann", claims = {} }, { subject = "bob", claims = {} }
    assert.header(t:request { auth = ann }, "RateLimit", '"consumer";r=1;t=1')
    assert.status(t:request { auth = ann }, 200)
    local res = t:request { auth = ann }
    assert.status(res, 429)
    assert.header(res, "Retry-After", "1")
    assert.status(t:request { auth = bob }, 200)
    t:advance(60)
    assert.header(t:request { auth = ann }, "RateLimit", '"consumer";r=1;t=1')
  end)

  it("names the path of a bad field", function()
    local ok, err = T.validate(require "token-bucket", { rat = 1, burst = 2 })
    assert.is_nil(ok)
    assert.matches("token-bucket.rat: unknown field, did you mean 'rate'?", err, 1, true)   -- plain search
  end)
end)
