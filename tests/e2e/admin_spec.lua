-- The admin listener: what the running gateway tells of itself, and does when it is told to.

local E = require "moongate.e2e"

local REPLY = { { lua = "return function(req) return mg.reply(tonumber(req:arg 'status') or 200, 'x') end" } }

local function config(more)
  local out = { routes = { { name = "all", match = "/*", policies = REPLY } } }
  for key, value in pairs(more or {}) do out[key] = value end
  return out
end

describe("statistics", function()
  it("are zero before the first request, and do not count who asks for them", function()
    local g = E.start { config = config { admin = { address = "127.0.0.1:0", public = { stats = "/stats" } } } }
    local zero = { requests_count = { success = 0, error = 0 }, latency_ms = { average = 0, p95 = 0, p99 = 0 } }
    assert.same(zero, g:get("/stats"):json())
    assert.same(zero, g:get("/stats"):json())
    assert.same(zero, g:stats())
  end)

  it("count 200 to 399 as success and what is above as errors, over all workers", function()
    local g = E.start { config = config { workers = 4 } }
    for _, status in ipairs { 200, 204, 301, 304, 399, 400, 404, 500, 503 } do
      for _ = 1, 4 do g:get("/?status=" .. status) end
    end
    assert.same({ success = 20, error = 16 }, g:stats().requests_count)
  end)

  it("tell how long requests took, in milliseconds", function()
    local slow = 0.25
    local up = E.upstream(function(req)
      if req.path == "/slow" then E.sleep(slow) end
      return {}
    end)
    local g = E.start { config = {
      services = { up = { backends = { up.address } } }, routes = { { match = "/*", service = "up" } },
    } }
    -- The last one is the slowest by far, whatever the others have taken on this machine.
    for _ = 1, 19 do slow = math.max(slow, 4 * E.timed(function() g:get "/" end)) end
    local began, least = E.now(), 980 * slow -- they are off by 1.6 % at most
    g:get "/slow"
    local ms = E.eventually(function() -- its time is known when the client has its answer already
      local latency = g:stats().latency_ms
      assert.is_true(latency.p99 >= least, latency.p99)
      return latency
    end)
    assert.is_true(ms.p99 < 1020 * (E.now() - began), ms.p99)
    assert.is_true(ms.p95 < least, ms.p95)
    assert.is_true(ms.average >= least / 20 and ms.average < ms.p99, ms.average)
  end)

  it("count what the gateway refuses by itself, and what no route takes", function()
    local g = E.start { config = { routes = {} } }
    g:get "/"
    g:raw "GET / HTTP/1.1\r\n\r\n"
    assert.same({ success = 0, error = 2 }, g:stats().requests_count)
  end)

  it("of routes and services outlive a reload", function()
    local up = E.upstream { body = "x" }
    local function with(header)
      return { services = { up = { backends = { up.address } } }, routes = { { name = "r", match = "/*", service = "up",
        policies = { { headers = { response = { set = { ["X-Config"] = header } } } } } } } }
    end
    local g = E.start { config = with "one" }
    g:get "/"
    assert.is_true(g:reload(with "two"))
    g:get "/"
    assert.equal(2, g:stats().requests_count.success)
    assert.equal(2, g:ask_admin("/routes"):json().routes[1].requests["2xx"])
    local service = g:ask_admin("/services"):json().services[1]
    assert.equal(2, service.requests["2xx"])
    assert.equal("up", service.backends[1].health)
  end)
end)

describe("the listener", function()
  it("says that it lives, and whether it is ready", function()
    local g = E.start { config = config() }
    local health = g:ask_admin "/health"
    assert.status(health, 200)
    assert.equal('{"status":"ok"}', health:text())
    assert.equal("application/json", health:header "content-type")
    assert.status(g:ask_admin "/ready", 200)
    assert.status(g:ask_admin "/none", 404)
    assert.status(g:ask_admin { method = "POST", path = "/stats" }, 405)
    assert.status(g:ask_admin "/reload", 405)
  end)

  it("shows the config with its hash, which equal configs share", function()
    local a, b = E.start { config = config() }, E.start { config = config() }
    local c = E.start { config = config { limits = { headers = 50 } } }
    local function hash(g) return (g:ask_admin("/health"):header "x-config-hash") end
    assert.equal(hash(a), hash(b))
    assert.not_equal(hash(a), hash(c))
    local shown = c:ask_admin("/config"):json()
    assert.equal(hash(c), shown.hash)
    assert.equal(50, shown.config.limits.headers)
  end)

  it("reloads, and says what came of it", function()
    local g = E.start { config = config() }
    local before = g:ask_admin("/health"):header "x-config-hash"
    g.write_config(config { limits = { headers = 50 } })
    local res = g:ask_admin { method = "POST", path = "/reload" }
    assert.status(res, 200)
    assert.not_equal(before, res:json().config)
    assert.equal(res:json().config, g:ask_admin("/health"):header "x-config-hash")

    g.write_config(config { limits = { heders = 50 } })
    local bad = g:ask_admin { method = "POST", path = "/reload" }
    assert.status(bad, 422)
    assert.match("limits.heders: unknown field, did you mean 'headers'?", bad:json().error, 1, true)
    g:log "reload failed"
    assert.status(g:get "/", 200)
  end)

  it("answers everybody who asks for a reload at a time", function()
    local g = E.start { config = config { workers = 2 } }
    local all = E.times(5, function() return g:ask_admin({ method = "POST", path = "/reload" }).status end)
    assert.same({ 200, 200, 200, 200, 200 }, all)
  end)

  it("drains: what is under way is finished, and it is not ready any more", function()
    local may_answer = false
    local up = E.upstream(function()
      E.until_true(function() return may_answer end)
      return { body = "late" }
    end)
    local g = E.start { config = {
      services = { up = { backends = { up.address } } }, routes = { { match = "/*", service = "up" } },
    } }
    local client = g:connect()
    client:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    E.eventually(function() assert.called(up, 1) end)
    assert.status(g:ask_admin { method = "POST", path = "/drain" }, 202)
    assert.status(g:ask_admin "/ready", 503)
    may_answer = true
    assert.equal("late", client:response():text())
    assert.equal(0, g:wait())
  end)

  it("moves with the config", function()
    local g = E.start { config = config() }
    local before = g.admin
    assert.is_true(g:reload(config { admin = { address = "unix:%{folder}/admin.sock" } }))
    assert.match("^unix:", g.admin)
    assert.status(g:ask_admin "/ready", 200)
    E.eventually(function() assert.is_nil((g:connect { port = tonumber(before:match ":(%d+)$") })) end)
    assert.is_true(g:reload(config { admin = "off" }))
    assert.is_nil(g.admin)
  end)

  it("is left out when the default port is taken, and only then", function()
    local first = E.start { config = "listen: 127.0.0.1:0\nroutes: []" }
    local second = E.start { config = "listen: 127.0.0.1:0\nroutes: []" }
    local without = first.admin and second or first -- somebody else may have the port
    assert.is_nil(without.admin)
    assert.equal(1, #without:wait_log "no admin listener")
    assert.is_true(first:is_running())
    local taken = E.start { config = config() }
    local result = E.run { config = ("listen: 127.0.0.1:0\nadmin: { address: '%s' }\nroutes: []"):format(taken.admin),
      args = { "run", "-c", "CONFIG" } }
    assert.equal(1, result.status)
    assert.match("admin: cannot listen on", result.stderr)
  end)
end)

describe("who may", function()
  it("is who shows the token; probes need none", function()
    local g = E.start { env = { ADMIN = "s3cret" }, config = config {
      secrets = { t = { env = "ADMIN" } }, admin = { address = "127.0.0.1:0", token = "t" },
    } }
    local refused = g:ask_admin "/stats"
    assert.status(refused, 401)
    assert.equal("Bearer", refused:header "www-authenticate")
    for _, value in ipairs { "Bearer s3cre", "Bearer s3crets", "Basic s3cret", "s3cret", "Bearer" } do
      assert.status(g:ask_admin { path = "/stats", headers = { Authorization = value } }, 401)
    end
    assert.status(g:ask_admin { method = "POST", path = "/drain" }, 401)
    assert.status(g:ask_admin { path = "/stats", headers = { Authorization = "Bearer s3cret" } }, 200)
    assert.status(g:ask_admin "/health", 200)
    assert.status(g:ask_admin "/ready", 200)
    assert.not_match("s3cret", g:ask_admin({ path = "/config", headers = { Authorization = "bearer s3cret" } }):text())
  end)

  it("is no page in a browser", function()
    local g = E.start { config = config() }
    assert.status(g:ask_admin { path = "/stats", headers = { Origin = "http://evil.test" } }, 403)
    assert.status(g:ask_admin { path = "/stats", headers = { Host = "evil.test:9901" } }, 403)
    assert.status(g:ask_admin { method = "POST", path = "/drain", headers = { Origin = "null" } }, 403)
    for _, host in ipairs { "localhost", "localhost:9901", "[::1]:1", "127.0.0.1" } do
      assert.status(g:ask_admin { path = "/stats", headers = { Host = host } }, 200)
    end
  end)
end)

describe("public pages", function()
  it("come before routes and policies", function()
    local g = E.start { config = config {
      policies = { { ["ip-filter"] = { allow = { "10.0.0.0/8" } } } },
      admin = { address = "off", public = { health = "/health", ready = "/ready" } },
    } }
    assert.is_nil(g.admin)
    assert.equal('{"status":"ok"}', g:get("/health"):text())
    assert.equal("", g:request({ method = "HEAD", path = "/health" }):text())
    assert.status(g:request { method = "POST", path = "/health", body = "x" }, 405)
    assert.equal('{"status":"ready"}', g:get("/ready"):text())
    assert.status(g:get "/health/", 403)
  end)
end)
