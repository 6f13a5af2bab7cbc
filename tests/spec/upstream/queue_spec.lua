-- How many requests a service gets at a time, and the queue of the others, over virtual time.

local T = require "moongate.test"
local assert = require "luassert"

-- A service that takes a second for each request; `order` has the paths in which the backend saw them.
local function gateway(service, route)
  local order = {}
  service.backends = { "10.0.0.1:80" }
  local t = T.new {
    upstreams = { api = function(req)
      order[#order + 1] = req.path
      return { body = "ok", delay = 1 }
    end },
    config = {
      services = { api = service },
      routes = { { match = "/*", service = "api", timeout = route and route.timeout } },
    },
  }
  return t, order
end

local function start(t, from, to)
  local all = {}
  for i = from, to do
    all[#all + 1] = t:start("/" .. i)
    t:advance(0.001) -- what comes at the same moment comes in any order
  end
  return all
end

local function statuses(all)
  local out = {}
  for i, h in ipairs(all) do out[i] = h.res.status end
  return out
end

describe("max_requests", function()
  it("turns away what is too much", function()
    local t = gateway { max_requests = 2 }
    local all = start(t, 1, 4)
    t:settle()
    assert.same({ 200, 200, 503, 503 }, statuses(all))
    assert.problem(all[3].res, 503, "overloaded")
    assert.header(all[3].res, "Retry-After", "1")
    assert.equal("api", all[3].res:json().service)
    assert.called(t, "api", 2)
    assert.equal(1, #t:log "service overloaded") -- one line for both
    assert.same({ 200, 200 }, statuses((function(more) t:settle() return more end)(start(t, 5, 6))))
  end)

  it("is free again whatever became of a request", function()
    local n = 0
    local answers = {
      { error = "reset" }, { close = "before-headers" }, { status = 500 }, { delay = 60 }, { body = "x" },
    }
    local t = T.new {
      upstreams = { api = function() n = n + 1 return answers[n] end },
      config = {
        services = { api = { backends = { "10.0.0.1:80" }, max_requests = 1, timeouts = { first_byte = "1s" } } },
        routes = { { match = "/*", service = "api" } },
      },
    }
    for _, status in ipairs { 502, 502, 500, 504, 200 } do assert.status(t:request "/", status) end
    local client = t:connect()
    answers[6], answers[7] = { delay = 5 }, { body = "x" }
    client:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    t:advance(0.5)
    assert.status(t:request "/", 503)
    client:reset()
    assert.status(t:request "/", 200)
  end)
end)

describe("a queue", function()
  it("is served in order", function()
    local t, order = gateway { max_requests = 1, queue = { size = 10, timeout = "1m" } }
    local all = start(t, 1, 5)
    t:settle()
    assert.same({ 200, 200, 200, 200, 200 }, statuses(all))
    assert.same({ "/1", "/2", "/3", "/4", "/5" }, order)
    assert.near(5, t:now(), 0.01)
  end)

  it("has an end", function()
    local t = gateway { max_requests = 1, queue = { size = 2, timeout = "1m" } }
    local all = start(t, 1, 5)
    t:settle()
    assert.same({ 200, 200, 200, 503, 503 }, statuses(all))
  end)

  it("is not waited in for ever", function()
    local t, order = gateway { max_requests = 1, queue = { timeout = "1500ms" } }
    local all = start(t, 1, 4)
    t:settle()
    assert.same({ 200, 200, 503, 503 }, statuses(all))
    assert.same({ "/1", "/2" }, order)
    assert.equal("overloaded", all[3].res:json().error)
    t = gateway({ max_requests = 1, queue = { timeout = "1m" } }, { timeout = "1500ms" })
    all = start(t, 1, 4)
    t:settle()
    assert.same({ 200, 504, 504, 504 }, statuses(all))
  end)

  it("is left by clients that go away", function()
    local t, order = gateway { max_requests = 1, queue = { size = 10, timeout = "1m" } }
    local first = t:start "/1"
    t:advance(0.1)
    local client = t:connect()
    client:send "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
    t:advance(0.1)
    local last = t:start "/3"
    t:advance(0.1)
    client:reset()
    t:settle()
    assert.same({ 200, 200 }, statuses { first, last })
    assert.same({ "/1", "/3" }, order)
  end)

  it("empties at once when the circuit opens", function()
    local n = 0
    local t = T.new {
      upstreams = { api = function() n = n + 1 return { status = 500, delay = 1 } end },
      config = {
        services = { api = { backends = { "10.0.0.1:80" }, max_requests = 1, circuit_breaker = { failures = 2 },
          queue = { timeout = "1m" } } },
        routes = { { match = "/*", service = "api" } },
      },
    }
    local all = start(t, 1, 6)
    t:settle()
    assert.same({ 500, 500, 503, 503, 503, 503 }, statuses(all))
    assert.equal("circuit-open", all[6].res:json().error)
    assert.equal(2, n)
    assert.near(2, t:now(), 0.01)
  end)
end)
