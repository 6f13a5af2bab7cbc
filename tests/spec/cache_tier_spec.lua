-- The second tier of caches in simulation: gateways with one Redis between them. There is more, with a real one, in
-- tests/e2e/cache_redis_spec.lua.

local T = require "moongate.test"

-- The second gateway plays with the Redis of the first. Each has a clock of its own, so they are moved together.
local function gateways(conf, answer, more)
  local count = 0
  local function origin(req)
    count = count + 1
    local made = answer and answer(req, count) or {}
    made.body = made.body or tostring(count)
    return made
  end
  local function gateway(redis)
    local config = {
      caches = { default = { size = "16MiB", redis = "main" } }, redis = { main = { address = "redis:6379" } },
    }
    for key, value in pairs(more or {}) do config[key] = value end
    return T.new { policies = { { cache = conf or {} } }, upstreams = { api = origin }, redis = { main = redis },
      config = config }
  end
  local first = gateway(true)
  local second = gateway(function(...) return first:redis("main"):command(...) end)
  return first, second, function() return count end
end

local function advance(seconds, ...)
  for _, t in ipairs { ... } do t:advance(seconds) end
end

local FRESH = { ["Cache-Control"] = "max-age=60" }
local function fresh() return { headers = FRESH } end

describe("a cache with a second tier", function()
  it("finds what another gateway has fetched, with its age", function()
    local a, b, count = gateways({}, fresh)
    assert.header(a:request "/a", "Cache-Status", "moongate;fwd=uri-miss;fwd-status=200;stored")
    advance(20, a, b)
    local res = b:request "/a"
    assert.equal("1", res:text())
    assert.header(res, "Age", "20")
    assert.header(res, "Cache-Status", "moongate;hit;ttl=40;detail=redis")
    assert.header(b:request "/a", "Cache-Status", "moongate;hit;ttl=40")
    assert.equal(1, count())
  end)

  it("asks the origin for what is over by then", function()
    local a, b, count = gateways({}, fresh)
    a:request "/a"
    advance(61, a, b)
    assert.equal("2", b:request("/a"):text())
    assert.equal(2, count())
  end)

  it("keeps in Redis what is fresh, or within a stale window, no longer", function()
    local a = gateways({ stale_while_revalidate = 30 }, fresh)
    a:request "/a"
    a:advance(0.1)
    local redis = a:redis "main"
    local key = redis:command("KEYS", "moongate:default:*")[1]
    assert.matches("^moongate:default:{%x+}$", key)
    assert.is_true(math.abs(redis:command("PTTL", key) - 90000) < 1000)
  end)

  it("answers with what is stale elsewhere, and refreshes it for all", function()
    local a, b, count = gateways({ stale_while_revalidate = 30 }, fresh)
    a:request "/a"
    advance(70, a, b)
    local stale = b:request "/a"
    assert.equal("1", stale:text())
    assert.header(stale, "Cache-Status", "moongate;hit;ttl=-10;detail=redis")
    b:settle()
    assert.equal(2, count())
    advance(0.1, a, b)
    -- What the first one has is stale, and it finds that somebody was quicker.
    assert.equal("1", a:request("/a"):text())
    a:settle()
    assert.equal("2", a:request("/a"):text())
    assert.equal(2, count())
  end)

  it("tells by which fields responses vary", function()
    local a, b, count = gateways({}, function(req)
      return { headers = { ["Cache-Control"] = "max-age=60", Vary = "X-Plan" }, body = req:header "X-Plan" }
    end)
    local function ask(t, plan) return t:request({ path = "/a", headers = { ["X-Plan"] = plan } }):text() end
    assert.equal("free", ask(a, "free"))
    assert.equal("paid", ask(a, "paid"))
    advance(0.1, a, b)
    assert.equal("paid", ask(b, "paid"))
    assert.equal("free", ask(b, "free"))
    assert.equal(2, count())
  end)

  it("does not ask Redis about what is not to be cached", function()
    local a, _, count = gateways()
    a:advance(0.1)
    local before = #a:redis("main").commands
    a:request { method = "POST", path = "/a", body = "x" }
    a:request { path = "/a", headers = { ["Cache-Control"] = "no-store" } }
    for i = before + 1, #a:redis("main").commands do
      assert.is_nil(table.concat(a:redis("main").commands[i], " "):find("GETRANGE", 1, true))
    end
    assert.equal(2, count())
  end)

  it("makes purges at one gateway those of the other", function()
    local a, b, count = gateways({ tags_from = "Cache-Tag" }, function()
      return { headers = { ["Cache-Control"] = "max-age=60", ["Cache-Tag"] = "all" } }
    end)
    a:request "/a"
    advance(0.1, a, b)
    assert.equal("1", b:request("/a"):text())
    a:request { method = "POST", path = "/a", body = "x" } -- 2
    advance(0.5, a, b)
    assert.equal("3", b:request("/a"):text())
    assert.equal(3, count())
  end)

  it("goes on without Redis, and says so once", function()
    local a = gateways({}, fresh)
    a:request "/a"
    a:redis("main"):down()
    for i = 1, 5 do assert.equal(tostring(i + 1), a:request("/down" .. i):text()) end
    assert.equal("1", a:request("/a"):text())
    a:advance(5)
    assert.equal(1, #a:log '"cache error"')
    a:redis("main"):up()
    a:advance(10)
    a:request "/up"
    a:advance(0.1)
    assert.is_true(#a:redis("main"):command("KEYS", "moongate:default:{*}") > 1)
  end)

  it("waits no longer than the time-out of Redis", function()
    local a = gateways({}, fresh, { redis = { main = { address = "redis:6379", timeout = "50ms" } } })
    a:request "/a"
    a:redis("main"):hang()
    local from = a:now()
    assert.equal("2", a:request("/b"):text())
    assert.is_true(a:now() - from < 0.2)
    a:redis("main"):up()
  end)

  it("takes an error for a miss", function()
    local a = gateways({}, fresh)
    a:request "/a"
    a:redis("main").fail = "NOPERM this user has no permissions to run the 'eval' command"
    assert.equal("2", a:request("/b"):text())
    assert.equal(1, #a:log "NOPERM this user")
  end)
end)
