-- Limits and time-outs, seen from outside.
local E = require "moongate.e2e"

local up, g

local function start(limits, more)
  up = E.upstream(function(req)
    if req.path == "/hang" then return { hang = true } end
    return { body = req.body }
  end)
  local config = { limits = limits, services = { api = {} }, routes = { { match = "/*", service = "api" } } }
  for key, value in pairs(more or {}) do config[key] = value end
  config.services.api.backends = { up.address }
  g = E.start { config = config }
end

-- A client that has sent these bytes before the gateway can have waited for them so long.
local function send_within(seconds, bytes)
  return E.eventually(function()
    local began = E.now()
    local client = g:connect()
    client:send(bytes)
    assert(E.now() - began < seconds, "the machine is too slow")
    return client
  end)
end

-- The response to these bytes; the connection must be closed after it.
local function refused(bytes)
  local client = g:connect()
  client:send(bytes)
  local res = assert(client:response())
  assert.header(res, "Connection", "close")
  assert.equal("", (client:until_close()))
  return res
end

describe("size limits", function()
  setup(function() start { header_bytes = "1KiB", headers = 10, body_bytes = 1000 } end)
  before_each(function() up:reset() end)

  it("answers 431 to a head that is too large", function()
    local res = refused("GET / HTTP/1.1\r\nHost: x\r\nX-Long: " .. ("x"):rep(1200))
    assert.problem(res, 431, "request-header-fields-too-large")
    assert.equal("head-too-large", res:json().detail)
  end)

  it("answers 431 to too many fields", function()
    local res = refused("GET / HTTP/1.1\r\nHost: x\r\n" .. ("X: y\r\n"):rep(10) .. "\r\n")
    assert.problem(res, 431, "request-header-fields-too-large")
    assert.equal("too-many-fields", res:json().detail)
    assert.status(g:request { headers = { ["X"] = { "1", "2", "3", "4", "5", "6", "7", "8", "9" } } }, 200)
  end)

  it("answers 414 to a target that is too long", function()
    assert.problem(refused("GET /" .. ("x"):rep(1500)), 414, "uri-too-long")
    assert.problem(refused("GET /" .. ("x"):rep(1500) .. " HTTP/1.1\r\nHost: x\r\n\r\n"), 414, "uri-too-long")
  end)

  it("answers 501 to a method that is too long", function()
    assert.problem(refused(("M"):rep(40) .. " / HTTP/1.1\r\nHost: x\r\n\r\n"), 501, "not-implemented")
  end)

  it("answers 505 to other versions", function()
    assert.problem(refused("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), 505, "http-version-not-supported")
  end)

  it("answers 413 to a length above the limit, and asks no backend", function()
    local res = refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n" .. ("x"):rep(1001))
    assert.problem(res, 413, "content-too-large")
    assert.called(up, 0)
    assert.status(g:request { method = "POST", body = ("x"):rep(1000) }, 200)
  end)

  it("answers 413 to chunks above the limit", function()
    local chunk = ("190\r\n%s\r\n"):format(("x"):rep(400))
    local head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    local res = refused(head .. chunk:rep(3) .. "0\r\n\r\n")
    assert.problem(res, 413, "content-too-large")
    for _, req in ipairs(up.seen) do assert.is_falsy(req.complete) end
    assert.status(g:request { method = "POST", chunks = { ("x"):rep(500), ("x"):rep(500) } }, 200)
  end)

  it("keeps a 413 readable for a client that still sends", function()
    local client = g:connect()
    client:send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n")
    client:send(("x"):rep(300000))
    assert.problem(client:response(), 413, "content-too-large")
  end)

  it("tells the request's id in the body and in the log", function()
    local res = refused("GET / HTTP/1.1\r\n\r\n")
    assert.problem(res, 400, "bad-request")
    assert.equal("host-missing", res:json().detail)
    assert.matches("^[%x-]+$", res:json().request_id)
    g:wait_log('"request refused".*"reason":"host%-missing"')
  end)
end)

-- Each has a gateway whose other limits are an hour, so that it is the one that ends something.
describe("time limits", function()
  local function start_with(limits)
    for _, name in ipairs { "header_time", "idle_time", "request_time" } do limits[name] = limits[name] or "1h" end
    start(limits, { services = { api = { timeouts = { first_byte = "1h" } } } })
  end

  describe("for a head", function()
    setup(function() start_with { header_time = "200ms" } end)

    it("closes a connection that says nothing", function()
      local client = g:connect()
      assert.same({ "", "closed" }, { client:until_close() })
    end)

    it("answers 408 to a slow head", function()
      local client = send_within(0.2, "GET / HTTP/1.1\r\nHost: x\r\n")
      assert.problem(client:response(), 408, "request-timeout")
      assert.equal("", (client:until_close()))
    end)

    it("does not let single bytes stretch it", function()
      local client = send_within(0.2, "GET / HTTP/1.1\r\nX: ")
      local task = E.spawn(function() return client:response() end)
      E.until_true(function()
        client.socket.raw:send("x")
        return task.done
      end)
      assert.problem(task:wait(), 408, "request-timeout")
    end)
  end)

  it("answers 408 to a body that stops, and leaves the backend's connection", function()
    start_with { request_time = "300ms" }
    local client = g:connect()
    client:send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    assert.problem(client:response(), 408, "request-timeout")
    assert.equal("", (client:until_close()))
    E.eventually(function() assert.equal(0, up:open_connections()) end)
  end)

  it("closes idle connections, without a word", function()
    start_with { idle_time = "200ms" }
    local took, rest = E.timed(function()
      local client = g:connect()
      assert.status(client:request("/"), 200)
      return client:until_close()
    end)
    assert.equal("", rest)
    assert.is_true(took > 0.19, took)
  end)

  it("answers 504 when the request's time is over", function()
    start_with { request_time = "300ms" }
    local took, res = E.timed(function() return g:get("/hang") end)
    assert.problem(res, 504, "gateway-timeout")
    assert.is_true(took > 0.25, took)
    E.eventually(function() assert.equal(0, up:open_connections()) end)
  end)

  it("takes a route's own time limit before that", function()
    start_with {}
    local other = E.start { config = { services = { api = { backends = { up.address } } },
      routes = { { match = "/*", service = "api", timeout = "50ms" } } } }
    assert.problem(other:get("/hang"), 504, "gateway-timeout")
    other:wait_log('"request took too long"')
  end)

  it("resets a client that does not read its response", function()
    local big = E.upstream { body = ("x"):rep(30 << 20) }
    local other = E.start { config = { services = { api = { backends = { big.address } } },
      limits = { idle_time = "100ms" }, routes = { { match = "/*", service = "api" } } } }
    local client = other:connect()
    client:send_request { path = "/" }
    E.eventually(function() assert.equal(1, big:connections()) end)
    E.eventually(function() assert.equal(0, big:open_connections()) end)
  end)
end)

describe("the limit of connections", function()
  it("refuses what is above it, and takes new ones when others have gone", function()
    start { connections = 2 }
    local first, second = g:connect(), g:connect()
    assert.status(first:request("/"), 200)
    assert.status(second:request("/"), 200)
    local third = g:connect()
    third:send_request { path = "/" }
    assert.is_nil((third:response()))
    g:wait_log("too many connections")
    first:close()
    E.eventually(function() assert.status(g:get("/"), 200) end)
  end)
end)

describe("errors in the simple format", function()
  it("are one member", function()
    start({}, { errors = { format = "simple" }, routes = { { match = "/a", service = "api" } } })
    local res = g:get("/b")
    assert.status(res, 404)
    assert.header(res, "Content-Type", "application/json")
    assert.equal('{"error":"no route matches"}', res:text())
  end)
end)
