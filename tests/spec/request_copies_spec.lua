-- Steps behind an onion that hands on req:copy(): what they are told of the client is that of the request.

local T = require "moongate.test"

local ANN, BOB = { subject = "ann", claims = { team = "red" } }, { subject = "bob", claims = { team = "blue" } }

-- The steps see a copy, with or without what the step before them says of the client.
local function gateway(step, upstream)
  return T.new {
    policies = { function(req, next) return next(req:copy()) end, step },
    upstreams = { api = upstream or { body = "ok" } },
  }
end

describe("a copy of a request", function()
  for _, by in ipairs { "subject", "${claims.team}", "${auth.subject}-${ctx.kind}" } do
    it("is counted with its client's: " .. by, function()
      local t = gateway { ["rate-limit"] = { limit = 1, by = by } }
      assert.status(t:request { auth = ANN }, 200)
      assert.status(t:request { auth = BOB }, 200)
      assert.status(t:request { auth = ANN }, 429)
    end)
  end

  it("is answered from a cache with what its client's key has", function()
    local t = gateway({ cache = { key = "${path} ${auth.subject}", ttl = "1m" } }, function(req)
      return { body = "for " .. req:header "X-Who" }
    end)
    for _ = 1, 2 do
      for _, auth in ipairs { ANN, BOB } do
        local res = t:request { auth = auth, headers = { ["X-Who"] = auth.subject } }
        assert.equal("for " .. auth.subject, res:text())
      end
    end
    assert.called(t, "api", 2)
  end)

  it("has what steps keep for it", function()
    local t = T.new { policies = { function(req, next)
      local copy = req:copy()
      copy.ctx.tier = "gold"
      return next(copy)
    end, { ["rate-limit"] = { limit = 1, tier = "${ctx.tier}", tiers = { gold = { limit = 2 } } } } },
      upstreams = { api = { body = "ok" } } }
    for _, status in ipairs { 200, 200, 429 } do assert.status(t:request "/", status) end
  end)

  it("may go through the exchange of another request, and stays its own client's", function()
    local kept, seen = nil, {}
    local t = T.new { policies = { function(req, next)
      if kept then
        local res = next(kept)
        kept = nil
        return res
      end
      kept = req:copy()
      return next(kept)
    end, { ["rate-limit"] = { limit = 1, by = "subject" } } }, upstreams = { api = function(req)
      seen[#seen + 1] = req.path
      return { body = "ok" }
    end } }
    assert.status(t:request { path = "/a", auth = ANN }, 200)
    assert.status(t:request { path = "/b", auth = BOB }, 429) -- it is ann's again
    assert.status(t:request { path = "/c", auth = BOB }, 200)
    assert.same({ "/a", "/c" }, seen)
  end)

  it("may be in two exchanges at a time, and is its own client's in both", function()
    local copy
    local t = T.new { policies = {
      function(req, next)
        copy = copy or req:copy()
        return next(copy)
      end,
      { lua = [[local n = 0
        return { request = function()
          n = n + 1
          if n == 1 then mg.sleep(5) end
        end }]] },
      { ["claim-to-header"] = { claims = { sub = "X-Sub" } } },
      { ["rate-limit"] = { limit = 1, by = "subject" } },
    }, upstreams = { api = function(req) return { body = req:header "X-Sub" } end } }
    local first = t:start { path = "/a", auth = ANN }
    t:advance(1)
    assert.equal("ann", t:request({ path = "/b", auth = ANN }):text())
    t:advance(5)
    assert.status(first.res, 429)
  end)
end)
