-- The circuit breaker of a service, over virtual time.

local T = require "moongate.test"
local assert = require "luassert"

-- A gateway whose service `users` answers with what stands in `backend.answer`.
local function gateway(breaker, options)
  options = options or {}
  local backend = { answer = { status = 200 } }
  local service = { backends = { "10.0.0.1:80" }, circuit_breaker = breaker, timeouts = options.timeouts }
  local t = T.new {
    upstreams = { users = options.upstream or function() return backend.answer end },
    policies = options.policies,
    config = {
      services = { users = service },
      errors = options.errors,
      routes = { { match = "/*", service = "users", timeout = options.timeout, policies = options.policies } },
    },
  }
  return t, backend
end

local function ask(t, n, status)
  for _ = 1, n do assert.status(t:request "/", status) end
end

describe("a circuit", function()
  it("opens after five failures in a row and spares the backend", function()
    local t, backend = gateway {}
    backend.answer = { status = 500, body = "mine" }
    ask(t, 5, 500)
    local res = t:request "/"
    assert.problem(res, 503, "circuit-open")
    assert.header(res, "Retry-After", "10")
    assert.equal("users", res:json().service)
    assert.equal("Service temporarily unavailable", res:json().detail)
    assert.called(t, "users", 5)
    t:advance(7.5)
    assert.header(t:request "/", "Retry-After", "3")
    local log = t:log "circuit opened"
    assert.equal(1, #log)
    assert.equal("users", log[1].service)
  end)

  it("has the simple form as well", function()
    local t, backend = gateway({ failures = 1 }, { errors = { format = "simple" } })
    backend.answer = { status = 500 }
    ask(t, 1, 500)
    local res = t:request "/"
    assert.status(res, 503)
    assert.header(res, "Content-Type", "application/json")
    assert.equal('{"error":"Service temporarily unavailable","service":"users"}', res:text())
  end)

  it("is not there unless it was asked for", function()
    local t, backend = gateway(nil)
    backend.answer = { status = 500 }
    ask(t, 50, 500)
  end)

  it("closes when one trial succeeds, and the others do not wait for it", function()
    local t, backend = gateway {}
    backend.answer = { status = 503 }
    ask(t, 6, 503)
    t:advance(10)
    backend.answer = { body = "well", delay = 2 }
    local all = {}
    for i = 1, 20 do all[i] = t:start "/" end
    t:settle()
    local statuses = {}
    for _, h in ipairs(all) do statuses[h.res.status] = (statuses[h.res.status] or 0) + 1 end
    assert.same({ [200] = 1, [503] = 19 }, statuses)
    assert.called(t, "users", 6)
    backend.answer = { body = "well" }
    ask(t, 3, 200)
    assert.equal(1, #t:log "circuit closed")
  end)

  it("opens again when the trial fails", function()
    local t, backend = gateway { failures = 2, open_for = "5s" }
    backend.answer = { error = "reset" }
    ask(t, 2, 502)
    t:advance(5)
    assert.equal("bad-gateway", t:request("/"):json().error)
    assert.equal("circuit-open", t:request("/"):json().error)
    t:advance(4.9)
    assert.equal("circuit-open", t:request("/"):json().error)
    t:advance(0.1)
    backend.answer = { status = 204 }
    ask(t, 2, 204)
  end)

  it("counts what never answers", function()
    for name, case in pairs {
      ["first byte"] = { upstream = { delay = 60 }, timeouts = { first_byte = "1s" }, status = 504 },
      connect = { upstream = { error = "timeout" }, timeouts = { connect = "1s" }, status = 504 },
      ["the route's time"] = { upstream = { delay = 60 }, timeout = "2s", status = 504 },
      refused = { upstream = { error = "refused" }, status = 503 },
      reset = { upstream = { error = "reset" }, status = 502 },
    } do
      local t = gateway({ failures = 2 }, case)
      ask(t, 2, case.status)
      assert.equal("circuit-open", t:request("/"):json().error, name)
    end
  end)

  it("does not count clients that leave", function()
    local t, backend = gateway { failures = 1 }
    backend.answer = { delay = 5 }
    local client = t:connect()
    client:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    t:advance(1)
    client:reset()
    t:settle()
    backend.answer = { body = "ok" }
    ask(t, 1, 200)
  end)

  it("looks at a share of failures", function()
    local t, backend = gateway { failures = 0, ratio = "50%", min_requests = 4 }
    for _, status in ipairs { 200, 500, 404, 500 } do
      backend.answer = { status = status }
      ask(t, 1, status)
    end
    assert.equal("circuit-open", t:request("/"):json().error)
  end)

  it("looks at how long answers take", function()
    local t, backend = gateway { failures = 2, slow = "1s" }
    backend.answer = { body = "at last", delay = 1.5 }
    ask(t, 2, 200)
    assert.equal("circuit-open", t:request("/"):json().error)
  end)

  it("is seen by steps, and holds for mg.fetch", function()
    local codes = {}
    local t, backend = gateway({ failures = 1 }, { policies = { {
      lua = [[return {
        request = function(req)
          local _, err = mg.fetch "users"
          req.ctx.code = err and err.code or "none"
        end,
        response = function(req, res)
          res:set_header("X-Fetch", req.ctx.code)
          res:set_header("X-Error", res.error and res.error.code or "none")
          res:set_header("X-Attempts", res.upstream and res.upstream.attempts or 0)
        end }]],
    } } })
    backend.answer = { status = 500 }
    for i = 1, 2 do
      local res = t:request "/"
      codes[i] = { res:header "X-Fetch", res:header "X-Error", res:header "X-Attempts" }
    end
    assert.same({ { "none", "circuit_open", "0" }, { "circuit_open", "circuit_open", "0" } }, codes)
  end)
end)
