-- Upstreams that fail: before they answer the client gets an error, afterwards never a clean end.

local assert = require "luassert"
local expect = ...

local LONG = ("x"):rep(1000)

-- Only who is late or stops is short of time: all others may be slow on a busy machine.
local TIMEOUTS = { slow = { first_byte = "500ms" }, stops = { idle = "300ms" } }

-- The upstreams, one service and one route /NAME each.
local function group(name, upstreams, more)
  local out = { name = name, upstreams = upstreams, config = { services = {}, routes = {} } }
  for service in pairs(upstreams) do
    table.insert(out.config.routes, { match = "/" .. service, service = service })
    out.config.services[service] = { timeouts = TIMEOUTS[service] }
  end
  table.sort(out.config.routes, function(a, b) return a.match < b.match end)
  for key, value in pairs(more or {}) do out[key] = value end
  return out
end

local function fails(name, path, status, slug, log)
  return { name, function(g)
    expect.problem(g:request(path), status, slug)
    assert.equal(log, g:log("upstream failed")[1].reason)
  end }
end

-- The response begins, and does not end well.
local function breaks(name, path, reason)
  return { name, function(g)
    local res, why, part = g:request(path)
    assert.is_nil(res)
    assert.equal("reset", why)
    if part then assert.equal(200, part.status) end
    assert.equal(reason, g:log("response cut short")[1].reason)
  end }
end

return {
  group("before the response", {
    refused = { error = "refused" },
    reset = { error = "reset" },
    closed = { close = "before-headers" },
    slow = { delay = 60 },
  }, {
    fails("503 when nobody listens", "/refused", 503, "service-unavailable", "connection-refused"),
    fails("502 when the connection is reset", "/reset", 502, "bad-gateway", "upstream-reset"),
    fails("502 when the connection is closed", "/closed", 502, "bad-gateway", "upstream-closed"),
    fails("504 when the response is late", "/slow", 504, "gateway-timeout", "upstream-first-byte-timeout"),
  }),
  group("responses that are none", {
    ["no-http"] = { raw = "hello\r\n\r\n" },
    ["no-status"] = { raw = "HTTP/1.1 OK\r\n\r\n" },
    ["two-lengths"] = { raw = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab" },
    both = { raw = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    folded = { raw = "HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n" },
    upgrade = { raw = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n" },
    half = { raw = "HTTP/1.1 200 OK\r\nX: y\r\n" },
  }, (function()
    local cases = {}
    for i, name in ipairs { "no-http", "no-status", "two-lengths", "both", "folded", "upgrade", "half" } do
      cases[i] = { "502: " .. name, function(g)
        expect.problem(g:request("/" .. name), 502, "bad-gateway")
        g:log "upstream failed"
      end }
    end
    return cases
  end)()),
  group("within the response", {
    ["mid-body"] = { body = LONG, close = "mid-body" },
    ["no-last-chunk"] = { raw = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" },
    ["stops"] = { body = LONG, trickle = { 100, 60 } },
  }, {
    breaks("a reset when the body is cut short", "/mid-body", "upstream-closed"),
    breaks("a reset when the last chunk is missing", "/no-last-chunk", "upstream-closed"),
    breaks("a reset when the body stops", "/stops", "upstream-idle"),
  }),
  {
    name = "what comes after a failure",
    upstreams = { api = function(req)
      if req.path == "/close" then return { close = "before-headers" } end
      return { body = "ok" }
    end },
    { "is served as before", function(g)
      local client = g:connect()
      expect(client:request "/", 200)
      expect(client:request "/close", 502)
      expect(client:request "/", 200, { body = "ok" })
      client:close()
    end },
  },
  {
    name = "statuses of upstreams",
    upstreams = { api = function(req) return { status = tonumber(req:arg "s"), body = "mine" } end },
    { "pass as they are", function(g)
      for _, status in ipairs { 400, 401, 404, 418, 429, 500, 502, 503, 599 } do
        expect(g:request("/?s=" .. status), status, { body = "mine", Via = "1.1 moongate" })
      end
    end },
  },
}
