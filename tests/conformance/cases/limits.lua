-- Limits of size and of time.

local assert = require "luassert"
local expect = ...

-- The response to these bytes; the connection is closed after it.
local function refused(g, bytes)
  local client = g:connect()
  client:send(bytes)
  local res = client:response()
  expect(res, res.status, { Connection = "close" })
  assert.same({ "", "closed" }, { client:rest() })
  return res
end

return {
  {
    name = "sizes",
    upstreams = { api = function(req) return { body = req.body } end },
    config = { limits = { header_bytes = "1KiB", headers = 10, body_bytes = 1000 } },
    { "431 for a head that is too large", function(g)
      local res = refused(g, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: " .. ("x"):rep(1200))
      expect.problem(res, 431, "request-header-fields-too-large", "head-too-large")
    end },
    { "431 for too many fields", function(g)
      local res = refused(g, "GET / HTTP/1.1\r\nHost: x\r\n" .. ("X: y\r\n"):rep(10) .. "\r\n")
      expect.problem(res, 431, "request-header-fields-too-large", "too-many-fields")
      expect(g:request { headers = { X = { "1", "2", "3", "4", "5", "6", "7", "8", "9" } } }, 200)
    end },
    { "414 for a target that is too long", function(g)
      expect.problem(refused(g, "GET /" .. ("x"):rep(1500)), 414, "uri-too-long")
      expect.problem(refused(g, "GET /" .. ("x"):rep(1500) .. " HTTP/1.1\r\nHost: x\r\n\r\n"), 414, "uri-too-long")
    end },
    { "501 for a method that is too long", function(g)
      expect.problem(refused(g, ("M"):rep(40) .. " / HTTP/1.1\r\nHost: x\r\n\r\n"), 501, "not-implemented")
    end },
    { "413 for a length above the limit, before any of it is read", function(g)
      local res = refused(g, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n" .. ("x"):rep(1001))
      expect.problem(res, 413, "content-too-large", "body-too-large")
      assert.equal(0, #g:seen "api")
      expect(g:request { method = "POST", body = ("x"):rep(1000) }, 200, { body = ("x"):rep(1000) })
    end },
    { "413 for chunks above the limit", function(g)
      local chunk = ("190\r\n%s\r\n"):format(("x"):rep(400))
      local client = g:connect()
      client:send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" .. chunk:rep(3) .. "0\r\n\r\n")
      expect.problem(client:response(), 413, "content-too-large")
      client:close()
    end },
  },
  {
    name = "what steps hold",
    upstreams = { api = function(req) return { body = req.body } end },
    config = { limits = { buffered_body_bytes = 10 }, routes = {
      { match = "/buffer", service = "api", policies = { "holds-request" } },
      { match = "/back", service = "api", policies = { "holds-response" } },
    } },
    { "413 for requests", function(g)
      expect(g:request { method = "POST", path = "/buffer", body = "0123456789" }, 200, { body = "0123456789" })
      expect.problem(g:request { method = "POST", path = "/buffer", body = "0123456789a" }, 413, "content-too-large")
      expect.problem(g:request { method = "POST", path = "/buffer", chunks = { "012345", "6789a" } }, 413,
        "content-too-large")
    end },
    { "502 for responses", function(g)
      expect(g:request { method = "POST", path = "/back", body = "0123456789" }, 200, { body = "0123456789" })
      expect.problem(g:request { method = "POST", path = "/back", body = "0123456789a" }, 502, "bad-upstream-response")
    end },
  },
  { -- On a busy machine a head may come late, too.
    name = "the time for a head",
    upstreams = { api = {} },
    config = { limits = { header_time = "1s" } },
    { "a connection that says nothing is closed", function(g)
      local client = g:connect()
      assert.same({ "", "closed" }, { client:rest() })
    end },
    { "408 for a slow head", function(g)
      local client = g:connect()
      client:send "GET / HTTP/1.1\r\nHost: x\r\n"
      expect.problem(client:response(), 408, "request-timeout", "head-timeout")
      assert.same({ "", "closed" }, { client:rest() })
    end },
  },
  {
    name = "the time that a connection may be idle",
    upstreams = { api = {} },
    config = { limits = { idle_time = "250ms" } },
    { "an idle connection is closed without a word", function(g)
      local client = g:connect()
      expect(client:request "/", 200)
      assert.same({ "", "closed" }, { client:rest() })
    end },
  },
  {
    name = "the time for a request",
    upstreams = { api = function(req) return { body = req.body, delay = req.path == "/slow" and 60 or nil } end },
    config = {
      limits = { request_time = "500ms" },
      routes = {
        { match = "/*", service = "api" },
        { match = "/short", timeout = "50ms",
          policies = { { lua = "return { request = function() mg.sleep(60) end }" } } },
      },
    },
    { "408 for a body that stops", function(g)
      local client = g:connect()
      client:send "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"
      expect.problem(client:response(), 408, "request-timeout")
      client:close()
    end },
    { "504 when the time of a request is over", function(g)
      expect.problem(g:request "/slow", 504, "gateway-timeout")
    end },
    { "504 when the time of the route is over", function(g)
      expect.problem(g:request "/short", 504, "gateway-timeout")
    end },
  },
}
