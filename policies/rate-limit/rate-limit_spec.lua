local T = require "moongate.test"
local mg = require "moongate"

local NEW_YEAR = 1767225600 -- of 2026, when the clock of the kit begins

local OK = { api = { body = "ok" } }

-- Where requests are counted: what a client sees is the same.
local STORES = {
  { name = "counted here" },
  { name = "counted in Redis", store = "main" },
  { name = "counted here, as Redis is down", store = "main", down = true },
}
local counted = STORES[1]

local function with_store(conf)
  local out = { store = counted.store }
  for key, value in pairs(conf) do out[key] = value end
  return out
end

local function gateway(conf, more)
  more = more or {}
  local after = more.after and { ["rate-limit"] = with_store(more.after) }
  local t = T.new {
    policies = { { ["rate-limit"] = with_store(conf) }, after }, redis = counted.store and { main = true },
    upstreams = more.upstreams or OK, service = "api", config = more.config,
  }
  if counted.down then t:redis("main"):down() end
  return t
end

local function from(ip, path, headers) return { path = path or "/", client_ip = ip, headers = headers } end

-- How many of n requests pass.
local function admitted(t, n, what)
  local count = 0
  for _ = 1, n do
    if t:request(what or "/").status == 200 then count = count + 1 end
  end
  return count
end

describe("rate-limit", function()
  describe("schema", function()
    local function fails(conf, what)
      local ok, err = T.validate(require "rate-limit", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    it("has defaults", function()
      assert.same({ algorithm = "fixed-window", batch = 1, by = "ip", cost = 1, dry_run = false, headers = true,
        legacy_headers = false, legacy_reset = "epoch", limit = 5, max = 1000, min = 1, status = 429, store = "local",
        when_down = "local", window = 60 }, T.validate(require "rate-limit", { limit = 5 }))
    end)

    it("names the path of a bad field", function()
      fails({}, "rate-limit: needs 'limit' or 'limits'")
      fails({ limt = 1 }, "rate-limit.limt: unknown field, did you mean 'limit'?")
      fails({ limit = 0 }, "rate-limit.limit")
      fails({ limit = 1, window = 0 }, "rate-limit.window")
      fails({ limit = 1, burst = 2 }, "rate-limit.burst: is for buckets")
      fails({ limit = 1, algorithm = "token-bucket", queue = 2 }, "rate-limit.queue: is for")
      fails({ limit = 1, algorithm = "token-bucket", window = "1d", burst = 1000000 },
        "rate-limit.burst: takes more than")
      fails({ limit = 1, algorithm = "leaky-bucket", window = "1d", queue = 1000000 },
        "rate-limit.queue: takes more than")
      fails({ limit = 1, by = "client" }, "rate-limit.by")
      fails({ limit = 1, by = {} }, "rate-limit.by")
      fails({ limit = 1, limits = { { limit = 1 } } }, "rate-limit.limits: cannot be with")
      fails({ limits = { { window = "1s" } } }, "rate-limit.limits[0].limit: is required")
      fails({ limits = { { limit = 1, burst = 2 } } }, "rate-limit.limits: burst of '0' is for buckets")
      fails({ limit = 1, tiers = { gold = { limit = 2 } } }, "needs both 'tier' and 'tiers'")
      fails({ limit = 1, tier = "group", tiers = { gold = { limit = 2, queue = 1 } } },
        "rate-limit.tiers: queue of 'gold' is for")
      fails({ limit = 1, tier = "group", tiers = { ["gölden"] = { limit = 2 } } },
        "rate-limit.tiers: 'gölden' is no name")
      fails({ algorithm = "adaptive", limit = 2, min = 3 }, "rate-limit.limit: must be from 'min' to 'max'")
      fails({ algorithm = "adaptive", burst = 3 }, "rate-limit.burst: cannot be with")
      fails({ algorithm = "adaptive", store = "main" }, "rate-limit.store: must be local")
      fails({ limit = 1, name = 'a"b' }, "rate-limit.name")
    end)
  end)

  for _, store in ipairs(STORES) do
    describe(store.name, function()
      setup(function() counted = store end)
      teardown(function() counted = STORES[1] end)

      describe("allowed", function()
        it("as many as the limit says, for each address, and again in the next window", function()
          local t = gateway { limit = 3, window = "10s" }
          assert.equal(3, admitted(t, 10))
          assert.equal(3, admitted(t, 10, from "192.0.2.9"))
          t:advance(10)
          assert.equal(3, admitted(t, 10))
        end)

        it("tells what is left", function()
          local t = gateway { limit = 3, window = "10s", name = "general" }
          local res = t:request "/"
          assert.header(res, "RateLimit-Policy", '"general";q=3;w=10')
          assert.header(res, "RateLimit", '"general";r=2;t=10')
          assert.is_nil(res:header "X-RateLimit-Limit")
          assert.is_nil(res:header "Retry-After")
          t:advance(4.5)
          assert.header(t:request "/", "RateLimit", '"general";r=1;t=6')
        end)

        it("says nothing when it shall not", function()
          local t = gateway { limit = 1, headers = false }
          for _ = 1, 2 do
            local res = t:request "/"
            assert.is_nil(res:header "RateLimit")
            assert.is_nil(res:header "RateLimit-Policy")
          end
        end)

        it("a token bucket: its burst, then its rate", function()
          local t = gateway { algorithm = "token-bucket", limit = 1, window = "1s", burst = 5 }
          assert.header(t:request "/", "RateLimit-Policy", '"default";q=5;w=5')
          assert.equal(4, admitted(t, 10))
          t:advance(2)
          assert.equal(2, admitted(t, 10))
        end)

        it("a sliding window: no double burst at an edge", function()
          local t = gateway { algorithm = "sliding-window", limit = 10, window = "60s" }
          t:advance(59)
          assert.equal(10, admitted(t, 20))
          t:advance(2)
          assert.equal(0, admitted(t, 20))
          t:advance(62)
          assert.equal(10, admitted(t, 20))
        end)

        it("a leaky bucket that drops what comes too early", function()
          local t = gateway { algorithm = "leaky-bucket", limit = 10, window = "1s" }
          assert.equal(1, admitted(t, 5))
          t:advance(0.1)
          assert.equal(1, admitted(t, 5))
        end)

        it("a leaky bucket that lets wait, and lets out evenly", function()
          local t = gateway { algorithm = "leaky-bucket", limit = 10, window = "1s", queue = 3 }
          local handles = {}
          for i = 1, 6 do handles[i] = t:start "/" end
          t:settle()
          local at = {}
          for _, handle in ipairs(handles) do
            if handle.res.status == 200 then at[#at + 1] = handle.at end
          end
          table.sort(at)
          assert.equal(4, #at)
          for i = 1, 4 do assert.near((i - 1) / 10, at[i] - at[1], 1e-6) end
        end)

        it("waits no longer than the queue may", function()
          local queue = { size = 100, time = "200ms" }
          local t = gateway { algorithm = "leaky-bucket", limit = 10, window = "1s", queue = queue }
          local handles = {}
          for i = 1, 10 do handles[i] = t:start "/" end
          t:settle()
          local passed = 0
          for _, handle in ipairs(handles) do passed = passed + (handle.res.status == 200 and 1 or 0) end
          assert.equal(3, passed)
        end)
      end)

      describe("refused", function()
        it("with 429, when to come back, and a problem", function()
          local t = gateway { limit = 1, window = "60s", name = "general" }
          t:request "/"
          t:advance(0.5)
          local res = t:request "/"
          assert.problem(res, 429, "quota-exceeded")
          assert.header(res, "Retry-After", "60")
          assert.header(res, "RateLimit", '"general";r=0;t=60')
          assert.header(res, "RateLimit-Policy", '"general";q=1;w=60')
          local body = res:json()
          assert.equal("https://iana.org/assignments/http-problem-types#quota-exceeded", body.type)
          assert.same({ "general" }, body["violated-policies"])
          assert.called("api", 1)
        end)

        it("never tells to come back before there is more", function()
          local t = gateway { algorithm = "token-bucket", limit = 10, window = "60s", burst = 5 }
          for _ = 1, 7 do
            local res = t:request "/"
            if res.status == 429 then
              local seconds = tonumber(res:header "RateLimit":match "t=(%d+)")
              assert.is_true(tonumber(res:header "Retry-After") >= seconds)
            end
          end
          t:advance(6)
          assert.status(t:request "/", 200)
        end)

        it("in the simple form, exactly", function()
          local t = gateway({ limit = 1, legacy_headers = "refused", headers = false },
            { config = { errors = { format = "simple" } } })
          assert.is_nil((t:request "/"):header "X-RateLimit-Limit")
          local res = t:request "/"
          assert.equal('{"error":"Too Many Requests","message":"Rate limit exceeded","retryAfter":60}', res:text())
          assert.header(res, "Content-Type", "application/json")
          assert.header(res, "Retry-After", "60")
          assert.header(res, "X-RateLimit-Limit", "1")
          assert.header(res, "X-RateLimit-Remaining", "0")
        end)

        it("with a message of one's own", function()
          local text = "Too many requests from this IP, please try again later"
          local t = gateway { limit = 1, window = "15m", message = text, legacy_headers = true, status = 420 }
          t:request "/"
          local res = t:request "/"
          assert.status(res, 420)
          assert.equal(text, res:text())
          assert.header(res, "Content-Type", "text/plain; charset=utf-8")
          assert.header(res, "Retry-After", "900")
          for message, kind in pairs { ['{"a":1}'] = "application/json", ["<p>no</p>"] = "text/html; charset=utf-8" } do
            t = gateway { limit = 1, message = message }
            t:request "/"
            assert.header(t:request "/", "Content-Type", kind)
          end
        end)

        it("what costs more than there can ever be", function()
          local t = gateway { limit = 3, cost = 4 }
          assert.status(t:request "/", 429)
        end)

        it("but not in a dry run, which tells the log", function()
          local t = gateway { limit = 1, dry_run = true, legacy_headers = true }
          assert.equal(5, admitted(t, 5))
          assert.equal(4, #t:log "over the limit")
          assert.is_nil((t:request "/"):header "RateLimit")
        end)
      end)

      describe("X-RateLimit-*", function()
        it("are on every answer", function()
          local t = gateway { limit = 2, window = "15m", legacy_headers = true }
          for i = 1, 3 do
            local res = t:request "/"
            assert.header(res, "X-RateLimit-Limit", "2")
            assert.header(res, "X-RateLimit-Remaining", tostring(math.max(0, 2 - i)))
            local reset = tonumber(res:header "X-RateLimit-Reset")
            assert.equal(NEW_YEAR + 900, reset)
          end
        end)

        it("have a date where that is wanted", function()
          local t = gateway { limit = 2, legacy_headers = true, legacy_reset = "date" }
          assert.matches("^%a%a%a %a%a%a %d%d %d%d%d%d %d%d:%d%d:%d%d GMT%+0000 %(Coordinated Universal Time%)$",
            (t:request "/"):header "X-RateLimit-Reset")
          t = gateway { limit = 2, legacy_headers = true, legacy_reset = "seconds" }
          assert.header(t:request "/", "X-RateLimit-Reset", "60")
        end)

        it("are of the limit with the fewest units left", function()
          local t = gateway({ name = "general", limit = 100, legacy_headers = true },
            { after = { name = "payment", limit = 20, legacy_headers = true } })
          local res = t:request "/"
          assert.header(res, "X-RateLimit-Limit", "20")
          assert.header(res, "RateLimit", '"payment";r=19;t=60, "general";r=99;t=60')
          assert.equal(19, admitted(t, 30))
          res = t:request "/"
          assert.status(res, 429)
          assert.header(res, "X-RateLimit-Limit", "20")
          assert.header(res, "X-RateLimit-Remaining", "0")
        end)
      end)

      describe("by", function()
        it("subject, or the address of who has none", function()
          local t = gateway { limit = 1, by = "subject" }
          local ann, bob = { subject = "ann", claims = {} }, { subject = "bob", claims = {} }
          assert.status(t:request { auth = ann }, 200)
          assert.status(t:request { auth = ann, client_ip = "192.0.2.1" }, 429)
          assert.status(t:request { auth = bob }, 200)
          assert.status(t:request "/", 200)
          assert.status(t:request "/", 429)
          assert.status(t:request(from "192.0.2.9"), 200)
        end)

        it("a header, and a list", function()
          local t = gateway { limit = 1, by = { "ip", "${header.x-api-key}" } }
          local function key(value, ip) return from(ip or "192.0.2.1", "/", { ["X-API-Key"] = value }) end
          assert.status(t:request(key "a"), 200)
          assert.status(t:request(key "a"), 429)
          assert.status(t:request(key "b"), 200)
          assert.status(t:request(key("a", "192.0.2.2")), 200)
        end)

        it("route", function()
          local t = gateway { limit = 1, by = "route" }
          assert.status(t:request "/", 200)
          assert.status(t:request(from "192.0.2.9"), 429)
        end)

        it("takes a network of IPv6 for one client", function()
          local t = gateway { limit = 1 }
          assert.status(t:request(from "2001:db8:1:2::1"), 200)
          assert.status(t:request(from "2001:db8:1:2:ffff::9"), 429)
          assert.status(t:request(from "2001:db8:1:3::1"), 200)
          assert.status(t:request(from "2001:db8::1"), 200)
          assert.status(t:request(from "2001:db8::2"), 429)
          assert.status(t:request(from "::1"), 200)
        end)

        it("is not to be fooled by names that look like somebody else", function()
          local t = gateway { limit = 1, by = "subject" }
          assert.status(t:request(from "192.0.2.7"), 200)
          local long = ("x"):rep(200)
          local names = { "192.0.2.7", "2001:db8:1:2::/64", long, "sha256:" .. mg.crypto.sha256(long), "unix" }
          for _, name in ipairs(names) do
            assert.status(t:request { auth = { subject = name, claims = {} }, client_ip = "192.0.2.8" }, 200)
          end
          local t2 = gateway { limit = 1, by = { "${header.a}", "${header.b}" } }
          assert.status(t2:request(from(nil, "/", { a = "x", b = "yz" })), 200)
          assert.status(t2:request(from(nil, "/", { a = "xy", b = "z" })), 200)
        end)
      end)

      describe("several limits", function()
        local LIMITS = { limits = {
          { name = "second", limit = 2, window = "1s" }, { name = "minute", limit = 5, window = "60s" },
        } }

        it("take from all or from none", function()
          local t = gateway(LIMITS)
          local res = t:request "/"
          assert.header(res, "RateLimit-Policy", '"second";q=2;w=1, "minute";q=5;w=60')
          assert.header(res, "RateLimit", '"second";r=1;t=1, "minute";r=4;t=60')
          assert.equal(1, admitted(t, 20))
          t:advance(1)
          assert.equal(2, admitted(t, 20))
          t:advance(1)
          assert.equal(1, admitted(t, 20))
          res = t:request "/"
          assert.same({ "minute" }, res:json()["violated-policies"])
          assert.header(res, "Retry-After", "58")
        end)

        it("may count different things", function()
          local t = gateway { limits = { { limit = 1, by = "${header.x-user}" }, { limit = 2, by = "ip" } } }
          local function user(name) return from("192.0.2.1", "/", { ["X-User"] = name }) end
          assert.header(t:request(user "a"), "RateLimit", '"default-1";r=0;t=60, "default-2";r=1;t=60')
          assert.status(t:request(user "a"), 429)
          assert.status(t:request(user "b"), 200)
          assert.status(t:request(user "c"), 429)
        end)
      end)

      it("has tiers, by a claim or by the consumer's group", function()
        local t = gateway { limit = 1, tier = "${claims.plan}", tiers = { gold = { limit = 3 } } }
        local function who(subject, claims) return { auth = { subject = subject, claims = claims } } end
        assert.equal(3, admitted(t, 5, who("ann", { plan = "gold" })))
        local tiers = { gold = { limit = 3 }, free = { limit = 2 } }
        t = gateway { limit = 1, by = "consumer", tier = "group", tiers = tiers }
        assert.equal(3, admitted(t, 5, who("ann", { groups = { "x", "gold", "free" } })))
        assert.equal(2, admitted(t, 5, who("bob", { groups = { "free" } })))
        assert.equal(1, admitted(t, 5, who("zoe", {})))
        assert.header(t:request(who("joe", { groups = { "gold" } })), "RateLimit-Policy", '"default-gold";q=3;w=60')
      end)

      it("takes a cost that an expression gives, and no nonsense", function()
        local t = gateway { limit = 10, cost = "${header.x-cost}" }
        local function cost(value) return from("192.0.2.1", "/", { ["X-Cost"] = value }) end
        assert.header(t:request(cost "4"), "RateLimit", '"default";r=6;t=60')
        for i, nonsense in ipairs { "-5", "nan", "", "1 2", "x" } do
          assert.header(t:request(cost(nonsense)), "RateLimit", ('"default";r=%d;t=60'):format(6 - i))
        end
        for _, much in ipairs { "2", "5000000", "1e300", "inf" } do assert.status(t:request(cost(much)), 429) end
        assert.status(t:request(cost "1"), 200)
      end)
    end)
  end

  it("counts one step on several routes together, and steps apart unless they have a name", function()
    local function routes(first, second)
      return T.load("moongate.yaml", { upstreams = OK, text = mg.json.encode {
        services = { api = { backends = { "api:80" } } },
        pipelines = { shared = { { ["rate-limit"] = { limit = 2 } } } },
        routes = {
          { match = "/a", service = "api", policies = { first } },
          { match = "/b", service = "api", policies = { second } },
        },
      } })
    end
    local t = routes({ use = "shared" }, { use = "shared" })
    assert.equal(2, admitted(t, 2, "/a") + admitted(t, 2, "/b"))
    t = routes({ ["rate-limit"] = { limit = 2 } }, { ["rate-limit"] = { limit = 2 } })
    assert.equal(4, admitted(t, 2, "/a") + admitted(t, 2, "/b"))
    t = routes({ ["rate-limit"] = { limit = 2, name = "x" } }, { ["rate-limit"] = { limit = 2, name = "x" } })
    assert.equal(2, admitted(t, 2, "/a") + admitted(t, 2, "/b"))
  end)

  describe("adaptive", function()
    local function burst(t, n)
      local handles, passed = {}, 0
      for i = 1, n do handles[i] = t:start "/" end
      t:settle()
      for _, handle in ipairs(handles) do
        local status = handle.res.status
        assert.is_true(status == 200 or status == 503)
        passed = passed + (status == 200 and 1 or 0)
      end
      return passed, handles
    end

    local delay, status

    before_each(function() delay, status = 0.1, 200 end)

    local function adaptive(conf)
      local function api() return { delay = delay, status = status, body = "ok" } end
      return gateway(conf, { upstreams = { api = api } })
    end

    it("limits what is under way, and answers 503 beyond it", function()
      local t = adaptive { algorithm = "adaptive", limit = 5, by = "route" }
      local passed, handles = burst(t, 8)
      assert.equal(5, passed)
      for _, handle in ipairs(handles) do
        if handle.res.status ~= 200 then
          assert.problem(handle.res, 503, "temporary-reduced-capacity")
          assert.header(handle.res, "Retry-After", "1")
        end
      end
      assert.is_true(burst(t, 8) >= 5)
    end)

    it("falls when the backend becomes slow, and rises again", function()
      local t = adaptive { algorithm = "adaptive", limit = 12, by = "route" }
      for _ = 1, 10 do burst(t, 12) end
      delay = 1
      for _ = 1, 40 do burst(t, 12) end
      assert.is_true(burst(t, 12) < 7)
      delay = 0.1
      for _ = 1, 60 do burst(t, 12) end
      assert.equal(12, (burst(t, 12)))
    end)

    it("falls with failures", function()
      local t = adaptive { algorithm = "adaptive", limit = 12, min = 3, by = "route" }
      for _ = 1, 5 do burst(t, 12) end
      status = 500
      for _ = 1, 30 do
        for _ = 1, 12 do t:start "/" end
        t:settle()
      end
      status = 200
      assert.is_true((burst(t, 12)) <= 5)
    end)

    it("gives places back whatever becomes of a request", function()
      local t = gateway({ algorithm = "adaptive", limit = 1, max = 1, by = "route" },
        { upstreams = { api = { error = "reset" } } })
      for _ = 1, 5 do assert.status(t:request "/", 502) end
    end)

    it("refuses nobody in a dry run", function()
      local t = adaptive { algorithm = "adaptive", limit = 1, max = 1, dry_run = true, by = "route" }
      assert.equal(5, (burst(t, 5)))
    end)
  end)

  describe("in Redis", function()
    local function redis_gateway(conf)
      conf.store = "main"
      local t = T.new { policies = { { ["rate-limit"] = conf } }, redis = { main = true }, upstreams = OK,
        service = "api" }
      return t, t:redis "main"
    end

    -- How often a script was run.
    local function runs(redis)
      local count = 0
      for _, words in ipairs(redis.commands) do
        if words[1] == "EVALSHA" then count = count + 1 end
      end
      return count
    end

    it("keys say whose limit it is", function()
      local t, redis = redis_gateway { limit = 5, name = "general" }
      t:request(from "192.0.2.9")
      assert.equal("1", redis:command("GET", "general:192.0.2.9"))
      t, redis = redis_gateway { name = "all", limits = { { name = "a", limit = 5 }, { limit = 6 } } }
      t:request(from "192.0.2.9")
      assert.equal("1", redis:command("GET", "a:{192.0.2.9}"))
      assert.equal("1", redis:command("GET", "all-2:{192.0.2.9}"))
      t, redis = redis_gateway { name = "all", limits = { { name = "a", limit = 5 }, { limit = 6, by = "route" } } }
      t:request(from "192.0.2.9")
      assert.equal("1", redis:command("GET", "{all}:a:192.0.2.9"))
      t, redis = redis_gateway { name = "x", by = "${header.a}", limits = { { name = "a", limit = 5 }, { limit = 6 } } }
      t:request(from(nil, "/", { a = "}{" }))
      assert.equal("1", redis:command("GET", "{x}:a:}{"))
    end)

    it("costs may be parts of a unit", function()
      local t, redis = redis_gateway { limit = 5, name = "x", cost = 0.5 }
      assert.header(t:request "/", "RateLimit", '"x";r=4;t=60')
      t:request "/"
      assert.equal("1", redis:command("GET", "x:192.0.2.1"))
    end)

    it("units are taken in batches, and never too many", function()
      local t, redis = redis_gateway { limit = 25, batch = 10, name = "x" }
      for i = 1, 25 do assert.header(t:request "/", "RateLimit", ('"x";r=%d;t=60'):format(25 - i)) end
      assert.equal(2 + 2 * 5, runs(redis)) -- of the last five each asks for ten, and then for one
      assert.equal(0, admitted(t, 5))
      t:advance(60)
      assert.equal(25, admitted(t, 30))
    end)

    it("a request that costs more than a batch takes what it needs", function()
      local t, redis = redis_gateway { limit = 25, batch = 10, cost = "${header.cost}" }
      local function cost(units) return t:request(from(nil, "/", { cost = units })):header "RateLimit" end
      assert.equal('"default";r=13;t=60', cost "12")
      assert.equal('"default";r=12;t=60', cost "1")
      assert.equal('"default";r=9;t=60', cost "3")
      assert.equal(2, runs(redis))
    end)

    it("that is down, slow or wrong, `when_down` says what becomes of requests, and the log does, once", function()
      local faults = {
        down = function(redis) redis:down() end,
        timeout = function(redis) redis:hang() end,
        redis = function(redis) redis.fail = "OOM no room" end,
      }
      local said = { allow = { 200, 200, 200 }, deny = { 503, 503, 503 }, ["local"] = { 200, 200, 429 } }
      for why, harm in pairs(faults) do
        for when_down, statuses in pairs(said) do
          local t, redis = redis_gateway { limit = 2, when_down = when_down }
          harm(redis)
          t:settle()
          local got, began = {}, t:now()
          for i = 1, 3 do got[i] = t:request("/").status end
          assert.same(statuses, got)
          assert.is_true(t:now() - began <= 3 * 0.2 + 1e-6)
          local lines = t:log "limits cannot be counted in Redis"
          assert.equal(1, #lines)
          assert.same({ why, when_down, "main" }, { lines[1].why, lines[1].instead, lines[1].store })
          redis.fail = nil
          redis:up()
          t:advance(10)
          t:request "/"
          assert.equal(1, #t:log "limits are counted in Redis again")
        end
      end
    end)

    it("a batch that is not granted, and what is asked instead, have one time-out", function()
      local t, redis = redis_gateway { limit = 5, batch = 10, when_down = "deny" }
      t:request "/"
      redis.delay = 0.15
      local began = t:now()
      assert.status(t:request "/", 503)
      assert.near(0.2, t:now() - began, 1e-6)
    end)

    it("what is no decision is not taken for one", function()
      local most, answer = math.maxinteger, nil
      local t = T.new { upstreams = OK, redis = { main = function() return answer end },
        policies = { { ["rate-limit"] = { limit = 5, store = "main", when_down = "deny" } } } }
      for _, nonsense in ipairs { "OK", 1, {}, { 1, 4, 60000, 0 }, { "1", "4", "60000", "0", "0" }, { 1, 4, -1, 0, 0 },
        { 1, 4, 60000, 0, most }, { 0, 0, most, most, 0 }, { 1, most, 60000, 0, 0 } } do
        answer = nonsense
        assert.status(t:request "/", 503)
      end
      answer = { 1, 4, 60000, 0, 0 }
      assert.header(t:request "/", "RateLimit", '"default";r=4;t=60')
    end)

    it("a client that leaves does not wait", function()
      local t, redis = redis_gateway { limit = 5 }
      t:request "/"
      redis:hang()
      local client = t:connect()
      client:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
      client:reset()
      t:advance(2)
      assert.called("api", 1)
    end)
  end)

  describe("what nobody can count", function()
    -- A key that another algorithm counts at.
    local function taken(conf)
      conf.name, conf.limit = "x", 5
      return gateway({ name = "x", limit = 5, algorithm = "token-bucket", headers = false },
        { after = conf })
    end

    it("is refused", function()
      local t = taken {}
      local res = t:request "/"
      assert.problem(res, 503, "temporary-reduced-capacity")
      assert.header(res, "Retry-After", "1")
      assert.equal(1, #t:log "requests cannot be counted")
      assert.called("api", 0)
    end)

    it("or let through, where that is wanted", function()
      for _, conf in ipairs { { when_down = "allow" }, { dry_run = true } } do
        assert.status(taken(conf):request "/", 200)
      end
    end)
  end)

  it("runs only where its condition is true", function()
    local t = T.new { upstreams = OK, service = "api",
      policies = { { ["rate-limit"] = { limit = 1 }, when = "req.path ~= '/free'" } } }
    assert.header(t:request "/", "RateLimit", '"default";r=0;t=60')
    assert.status(t:request "/", 429)
    local res = t:request "/free"
    assert.status(res, 200)
    assert.is_nil(res:header "RateLimit")
  end)

  it("forgets a client that leaves while it waits for its turn", function()
    local t = gateway { algorithm = "leaky-bucket", limit = 1, window = "1s", queue = 2 }
    assert.status(t:request "/", 200)
    local client = t:connect()
    client:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    t:advance(0.5)
    client:reset()
    t:advance(2)
    assert.called("api", 1)
  end)

  it("wants a store that there is", function()
    assert.has_error(function() gateway { limit = 1, store = "main" } end)
  end)

  it("goes on when the backend fails, and counts that", function()
    local t = gateway({ limit = 1 }, { upstreams = { api = { error = "refused" } } })
    local res = t:request "/"
    assert.status(res, 503)
    assert.header(res, "RateLimit", '"default";r=0;t=60')
    assert.status(t:request "/", 429)
  end)
end)
