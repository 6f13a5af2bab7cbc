-- Retries, hedges and what keeps both in bounds, over virtual time.

local T = require "moongate.test"
local assert = require "luassert"

-- A service of `n` backends, told apart by their Host, which answer(host, count, req) plays; `service` has more of its
-- fields.
local function gateway(n, service, answer, route)
  local backends, hosts = {}, {}
  for i = 1, n do backends[i] = ("10.0.0.%d:80"):format(i) end
  service.backends, service.host = backends, "backend"
  local t = T.new {
    upstreams = { api = function(req)
      local host = req:header "host":match "10%.0%.0%.(%d)"
      hosts[#hosts + 1] = host
      return answer(host, #hosts, req)
    end },
    config = {
      services = { api = service },
      routes = { { match = "/*", service = "api", timeout = route and route.timeout, policies = { { lua = [[return {
        response = function(_, res) res:set_header("X-Attempts", res.upstream and res.upstream.attempts or 0) end }]],
      } } } },
    },
  }
  return t, hosts
end

local function down_then_up(failure, count)
  return function(_, n) return n <= (count or 1) and failure or { body = "ok" } end
end

describe("a retry", function()
  it("goes to another backend", function()
    local t, hosts = gateway(3, { retries = {} }, down_then_up { status = 503 })
    local res = t:request "/"
    assert.status(res, 200)
    assert.header(res, "X-Attempts", "2")
    assert.same({ "1", "2" }, hosts)
  end)

  it("comes back to the same one when there is no other", function()
    local t, hosts = gateway(1, { retries = { attempts = 2 } }, down_then_up({ status = 503 }, 2))
    assert.status(t:request "/", 200)
    assert.same({ "1", "1", "1" }, hosts)
  end)

  it("is made for what the rule names, and for nothing else", function()
    for _, case in ipairs {
      { on = 503, failure = { status = 503 }, status = 200 },
      { on = 503, failure = { status = 502 }, status = 502 },
      { on = "gateway-error", failure = { status = 504 }, status = 200 },
      { on = "gateway-error", failure = { status = 500 }, status = 500 },
      { on = "5xx", failure = { status = 599 }, status = 200 },
      { on = "4xx", failure = { status = 404 }, status = 200 },
      { on = "reset", failure = { error = "reset" }, status = 200 },
      { on = "reset", failure = { raw = "hello\r\n\r\n" }, status = 200 },
      { on = "connect", failure = { error = "reset" }, status = 502 },
      { on = "timeout", failure = { delay = 60 }, status = 200 },
      { on = "reset", failure = { delay = 60 }, status = 504 },
    } do
      local t = gateway(2, { retries = { on = case.on }, timeouts = { first_byte = "1s" } }, down_then_up(case.failure))
      assert.status(t:request "/", case.status)
    end
  end)

  it("is made for safe methods, or those that are named", function()
    local t = gateway(2, { retries = {} }, down_then_up { status = 503 })
    assert.status(t:request { method = "POST", path = "/", body = "x" }, 503)
    t = gateway(2, { retries = { methods = "POST" } }, down_then_up { status = 503 })
    assert.status(t:request { method = "POST", path = "/" }, 200)
  end)

  it("sends a body again only when it is all there", function()
    local function put(policies)
      local bodies = {}
      local t = T.new {
        upstreams = { api = function(req)
          bodies[#bodies + 1] = req:text()
          return { status = #bodies == 1 and 503 or 200 }
        end },
        config = {
          services = { api = { backends = { "10.0.0.1:80" }, retries = { methods = "PUT" } } },
          routes = { { match = "/*", service = "api", policies = policies } },
        },
      }
      return t:request { method = "PUT", path = "/", body = "all of it" }.status, bodies
    end
    assert.equal(503, (put {}))
    local status, bodies = put { { lua = "return { request = function(req) req:text() end }" } }
    assert.equal(200, status)
    assert.same({ "all of it", "all of it" }, bodies)
  end)

  it("ends with the last answer when all attempts are used", function()
    local t, hosts = gateway(2, { retries = { attempts = 3 } }, function(_, n)
      return { status = 503, body = "no " .. n }
    end)
    local res = t:request "/"
    assert.status(res, 503)
    assert.equal("no 4", res:text())
    assert.header(res, "X-Attempts", "4")
    assert.equal(4, #hosts)
  end)

  it("waits for as long as the backend asks, when there is time for it", function()
    local function answer(_, n)
      return n == 1 and { status = 503, headers = { ["Retry-After"] = "4" } } or { body = "ok" }
    end
    local t = gateway(1, { retries = {} }, answer, { timeout = "10s" })
    assert.status(t:request "/", 200)
    assert.near(4, t:now(), 0.1)
    t = gateway(1, { retries = {} }, answer, { timeout = "3s" })
    assert.status(t:request "/", 503)
    assert.is_true(t:now() < 1)
  end)

  it("is not made by a trial, nor when the circuit has opened", function()
    local t, hosts = gateway(1, { retries = { attempts = 5 }, circuit_breaker = { failures = 1 } }, function()
      return { status = 503 }
    end)
    assert.status(t:request "/", 503)
    assert.equal(6, #hosts)
    t:advance(10)
    assert.status(t:request "/", 503)
    assert.equal(7, #hosts)
  end)

  it("is bounded by a share of the requests", function()
    local t, hosts = gateway(2, { retries = { attempts = 3, budget = "20%" } }, function() return { status = 503 } end)
    for _ = 1, 200 do t:start "/" end
    t:settle()
    -- A fifth of the requests and ten more: a storm would be 800.
    assert.equal(200 + 40 + 10, #hosts)
  end)

  it("is made by mg.fetch as often as it asks for", function()
    local n = 0
    local t = T.new {
      upstreams = { api = function() n = n + 1 return { error = "reset" } end },
      config = {
        services = { api = { backends = { "10.0.0.1:80" } } },
        routes = { { match = "/*", policies = { { lua = [[return { request = function()
          local _, err = mg.fetch("api", { retries = 2, method = "POST", body = "x" })
          return mg.reply(200, err.code)
        end }]] } } } },
      },
    }
    assert.equal("reset", t:request("/"):text())
    assert.equal(3, n)
  end)
end)

describe("time", function()
  it("is limited for each try", function()
    local t = gateway(2, { retries = { on = "timeout" }, timeouts = { per_try = "300ms" } },
      down_then_up { delay = 5 })
    local res = t:request "/"
    assert.status(res, 200)
    assert.is_true(t:now() < 0.4)
    t = gateway(2, { timeouts = { per_try = "300ms" } }, down_then_up { delay = 5 })
    assert.status(t:request "/", 504)
    assert.equal("upstream-try-timeout", t:log("upstream failed")[1].reason)
  end)

  it("that is left is told to the backend", function()
    local seen = {}
    local t = gateway(1, { deadline_header = "X-Timeout-Ms", retries = { on = "timeout" },
      timeouts = { per_try = "1s" } }, function(_, n, req)
      seen[n] = tonumber(req:header "x-timeout-ms")
      return n == 1 and { delay = 5 } or { body = "ok" }
    end, { timeout = "4s" })
    assert.status(t:request { path = "/", headers = { ["X-Timeout-Ms"] = "99999999" } }, 200)
    assert.equal(4000, seen[1])
    assert.is_true(seen[2] <= 3000 and seen[2] > 2900)
  end)
end)

describe("a hedge", function()
  local function slow_first(host) return { body = host, delay = host == "1" and 2 or 0.01 } end

  it("asks a second backend when the first is slow, and takes the first response", function()
    local t, hosts = gateway(3, { hedge = { delay = "50ms" } }, slow_first)
    local res = t:request "/"
    assert.equal("2", res:text())
    assert.header(res, "X-Attempts", "2")
    assert.near(0.06, t:now(), 0.01)
    assert.same({ "1", "2" }, hosts)
    assert.equal("3", t:request("/"):text()) -- in time: nobody else is asked
    assert.same({ "1", "2", "3" }, hosts)
  end)

  it("lets the first one win as well", function()
    local t = gateway(2, { hedge = { delay = "50ms" } }, function(host)
      return { body = host, delay = host == "1" and 0.1 or 1 }
    end)
    assert.equal("1", t:request("/"):text())
  end)

  it("outlives the failure of either", function()
    local t = gateway(2, { hedge = { delay = "50ms" } }, function(host)
      return host == "2" and { error = "reset" } or { body = "1", delay = 0.1 }
    end)
    assert.equal("1", t:request("/"):text())
    t = gateway(2, { hedge = { delay = "50ms" } }, function(host)
      return host == "1" and { delay = 0.1, error = "reset" } or { body = "2", delay = 0.3 }
    end)
    assert.equal("2", t:request("/"):text())
  end)

  it("is for what may be sent twice", function()
    local t, hosts = gateway(2, { hedge = {} }, slow_first)
    assert.status(t:request { method = "POST", path = "/", body = "x" }, 200)
    assert.same({ "1" }, hosts)
  end)

  it("is one of as many as the rule says", function()
    local t, hosts = gateway(4, { hedge = { delay = "10ms", max = 2 } }, function() return { delay = 1 } end)
    assert.header(t:request "/", "X-Attempts", "3")
    assert.same({ "1", "2", "3" }, hosts)
  end)

  it("keeps to the budget", function()
    local t, hosts = gateway(2, { hedge = { delay = "10ms" }, retries = { budget = "10%" } }, function()
      return { body = "x", delay = 1 }
    end)
    for _ = 1, 100 do t:start "/" end
    t:settle()
    assert.equal(100 + 10 + 10, #hosts)
  end)
end)

describe("an outlier", function()
  it("gets no requests until its time is over", function()
    local bad = true
    local t, hosts = gateway(2, { outliers = { errors = 2, eject_for = "10s" } }, function(host)
      return { status = host == "1" and bad and 500 or 200 }
    end)
    for _ = 1, 10 do t:request "/" end
    assert.equal("1212222222", table.concat(hosts))
    bad = false
    t:advance(10)
    for _ = 1, 4 do assert.status(t:request "/", 200) end
    assert.same({ "1", "1", "2", "2" }, (function(last) table.sort(last) return last end) { table.unpack(hosts, 11) })
  end)

  it("is ejected, but never too many of them", function()
    local t = gateway(2, { outliers = { errors = 3, eject_for = "10s" } }, function() return { status = 500 } end)
    for _ = 1, 20 do t:request "/" end
    local log = t:log "backend ejected"
    assert.equal(1, #log)
    assert.equal("10.0.0.1:80", log[1].backend)
    assert.equal(10000, log[1].for_ms)
  end)
end)
