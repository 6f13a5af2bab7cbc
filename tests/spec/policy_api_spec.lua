-- What policies see of a request and a response, and the responses that they make.

local T = require "moongate.test"
local mg = require "moongate"

local function gateway(step, answer, more)
  local opts = { policies = step and { step } or nil, upstreams = { api = answer or { body = "ok" } } }
  for key, value in pairs(more or {}) do opts[key] = value end
  return T.new(opts)
end

-- What fn(req, next) returned for one request, as it is.
local function on_request(fn, request, answer, more)
  local results
  local t = gateway(function(req, next)
    results = table.pack(fn(req, next))
    return mg.reply(204)
  end, answer, more)
  local res = t:request(request or "/")
  assert.status(res, 204)
  return table.unpack(results, 1, results.n)
end

-- The same with the response that lies behind.
local function on_response(fn, answer, request, more)
  local results
  local t = gateway(function(req, next)
    local res = next(req)
    results = table.pack(fn(res, req))
    return res
  end, answer, more)
  local res = t:request(request or "/")
  assert.is_table(results, ("the step failed: %s"):format(res:text()))
  return res, table.unpack(results, 1, results.n)
end

local function raises(what, fn, ...)
  local ok, fault = pcall(fn, ...)
  assert.is_false(ok, "nothing was raised")
  assert.matches(what, tostring(fault), 1, true)
end

-- The response's JSON; a failed step shows why.
local function json_of(t, request)
  local res = t:request(request)
  assert.status(res, 200)
  return res:json()
end

local function echo(req)
  return { json = { method = req.method, path = req.path, raw_path = req.raw_path, query = req.query, body = req:text(),
    host = req:header "host", x = req:header_values "x-a" } }
end

describe("a request's field", function()
  it("says what it takes", function()
    on_request(function(req)
      raises("req.id: expected string, got boolean", function() req.id = true end)
      for _, field in ipairs { "id", "method", "host", "path", "service" } do
        raises("req." .. field .. ": expected string, got table", function() req[field] = {} end)
        raises("req." .. field .. ": expected string, got nil", function() req[field] = nil end)
      end
      raises("req.auth: expected table or nil, got string", function() req.auth = "ann" end)
      raises("req.deadline: expected number, got nil", function() req.deadline = nil end)
    end)
  end)

  it("id is new for each, or chosen", function()
    local ids = {}
    local t = gateway(function(req)
      ids[#ids + 1] = req.id
      req.id = "my.id_-1"
      ids[#ids + 1] = req.id
      raises("1 to 128 of letters", function() req.id = "a b" end)
      raises("1 to 128 of letters", function() req.id = "" end)
      raises("1 to 128 of letters", function() req.id = ("x"):rep(129) end)
      return mg.problem(400, "bad")
    end)
    local body = t:request("/"):json()
    t:request "/"
    assert.matches("^%x+$", ids[1])
    assert.equal(32, #ids[1])
    assert.not_equal(ids[1], ids[3])
    assert.equal("my.id_-1", body.request_id)
  end)

  it("method", function()
    local t = gateway(function(req, next)
      assert.equal("PATCH", req.method)
      for _, bad in ipairs { "", "A B", "GET\r\n", ("X"):rep(33) } do
        raises("not a method", function() req.method = bad end)
      end
      raises("cannot be CONNECT", function() req.method = "CONNECT" end)
      req.method = "PURGE"
      return next(req)
    end, echo)
    assert.equal("PURGE", t:request({ method = "PATCH", body = "x" }):json().method)
  end)

  it("scheme, version, client_ip, client_port, peer_trusted and tls", function()
    local fields = on_request(function(req)
      raises("req.scheme cannot be set", function() req.scheme = "https" end)
      raises("req.client_ip cannot be set", function() req.client_ip = "10.0.0.1" end)
      return { req.scheme, req.version, req.client_ip, math.type(req.client_port), req.peer_trusted, req.tls == nil }
    end, { client_ip = "2001:db8::1" })
    assert.same({ "http", "1.1", "2001:db8::1", "integer", false, true }, fields)
  end)

  it("client_ip is the client's, as trusted proxies tell", function()
    local function ask(client_ip)
      return on_request(function(req) return { req.client_ip, req.peer_trusted } end,
        { client_ip = client_ip, headers = { ["X-Forwarded-For"] = "203.0.113.7" } }, nil,
        { config = { trusted_proxies = { "10.0.0.0/8" } } })
    end
    assert.same({ "203.0.113.7", true }, ask "10.1.2.3")
    assert.same({ "192.0.2.1", false }, ask "192.0.2.1")
  end)

  describe("scheme", function()
    -- What a request with these headers has, from a peer that is trusted or not; with its default port.
    local function ask(headers, more, client_ip)
      local request = { client_ip = client_ip or "10.0.0.1", headers = headers, host = "shop.example" }
      for key, value in pairs(more or {}) do request[key] = value end
      return on_request(function(req) return { req.scheme, req.port } end, request, nil,
        { config = { trusted_proxies = { "10.0.0.0/8" } } })
    end
    local HTTP, HTTPS = { "http", 80 }, { "https", 443 }

    it("is the connection's", function()
      assert.same(HTTP, ask {})
      assert.same(HTTPS, ask({}, { tls = {} }))
    end)

    for what, case in pairs {
      ["X-Forwarded-Proto"] = { HTTPS, { ["X-Forwarded-Proto"] = "HTTPS" } },
      ["X-Forwarded-Proto, of the hop before"] = { HTTP, { ["X-Forwarded-Proto"] = "https, http" } },
      ["X-Forwarded-Proto, as far as the proxies reach"] = { HTTPS,
        { ["X-Forwarded-Proto"] = "http, https, http", ["X-Forwarded-For"] = "1.2.3.4, 192.0.2.7, 10.0.0.2" } },
      ["X-Forwarded-Proto, and not as far as the client would like"] =
        { HTTP, { ["X-Forwarded-Proto"] = "https, http", ["X-Forwarded-For"] = "192.0.2.7" } },
      ["X-Forwarded-Proto that a proxy has replaced"] =
        { HTTPS, { ["X-Forwarded-Proto"] = "https", ["X-Forwarded-For"] = "192.0.2.7, 10.0.0.2" } },
      ["X-Forwarded-Proto in several fields"] = { HTTP, { ["X-Forwarded-Proto"] = { "https", "http" } } },
      ["Forwarded"] = { HTTPS, { Forwarded = 'for=192.0.2.7;proto=https' } },
      ["Forwarded, quoted, for a client in the dark"] = { HTTPS, { Forwarded = 'proto="https";for=_hidden' } },
      ["Forwarded, as far as the proxies reach"] =
        { HTTPS, { Forwarded = 'for=1.2.3.4;proto=http, for=192.0.2.7;proto=https, for=10.0.0.2;proto=http' } },
      ["Forwarded alone when both are there"] =
        { HTTP, { Forwarded = "for=192.0.2.7;proto=http", ["X-Forwarded-Proto"] = "https" } },
      ["nothing else"] = { HTTP, { ["X-Forwarded-Proto"] = "wss", ["X-Forwarded-Ssl"] = "on" } },
    } do
      it("is as trusted proxies tell in " .. what, function()
        assert.same(case[1], ask(case[2]))
        assert.same(HTTP, ask(case[2], nil, "192.0.2.1"))
      end)
    end

    it("can be worse than the last hop's", function()
      assert.same(HTTP, ask({ ["X-Forwarded-Proto"] = "http" }, { tls = {} }))
    end)

    it("is not what the target says, and the backend is not told so", function()
      local scheme
      local t = gateway(function(req, next)
        scheme = req.scheme
        return next(req)
      end)
      t:raw "GET https://a.example/x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
      assert.equal("http", scheme)
      local _, last = t:seen "api"
      assert.equal("http", last:header "X-Forwarded-Proto")
      assert.matches(";proto=http;", last:header "Forwarded", 1, true)
    end)
  end)

  it("tls is one table for all steps", function()
    local same = on_request(function(req)
      req.tls.seen = true
      return req.tls.seen and req:copy().tls.seen
    end, { tls = {} })
    assert.is_true(same)
  end)

  it("host and port", function()
    assert.same({ "shop.example", 8443 }, on_request(function(req) return { req.host, req.port } end,
      { host = "shop.example:8443" }))
    assert.same({ "shop.example", 80 }, on_request(function(req) return { req.host, req.port } end,
      { host = "shop.example" }))
    local t = gateway(function(req, next)
      for _, bad in ipairs { "a b", "a/b", "a\r\nX: y", "" , "u@a" } do
        raises("not a host name", function() req.host = bad end)
      end
      req.host = "other.example:81"
      assert.same({ "other.example", 81 }, { req.host, req.port })
      return next(req)
    end, echo)
    assert.equal("other.example:81", t:request("/"):json().host)
  end)

  it("path and raw_path", function()
    local t = gateway(function(req, next)
      assert.equal("/a/b c/%2F", req.path)
      assert.equal("/a/./x/../b%20c//%2f", req.raw_path)
      raises("req.raw_path cannot be set", function() req.raw_path = "/" end)
      for _, bad in ipairs { "x", "", "/a b", "/a\r\n", "/../x", "/a?b=c", "/a#b", "/%0", "/%00" } do
        raises("req.path: ", function() req.path = bad end)
        raises("req.path: has a byte that must be percent-encoded", function() req.path = "/a\\b" end)
      end
      req.path = "/new%20path/../x%2Fy"
      assert.equal("/x%2Fy", req.path)
      return next(req)
    end, echo)
    assert.equal("/new%20path/../x%2Fy", json_of(t, "/a/./x/../b%20c//%2f").raw_path)
  end)

  it("query", function()
    local t = gateway(function(req, next)
      assert.equal("a=1&b=%20", req.query)
      for _, bad in ipairs { "a b", "a#b", "a\r\nb", "\xff" } do
        raises("req.query: must be percent-encoded", function() req.query = bad end)
        raises("req.query: must be percent-encoded", function() req.query = "a<b" end)
      end
      req.query = "c=3"
      return next(req)
    end, echo)
    assert.equal("c=3", t:request("/?a=1&b=%20"):json().query)
    assert.is_nil(on_request(function(req) return req.query end))
    assert.equal("", on_request(function(req) return req.query end, "/?"))
    t = gateway(function(req, next)
      req.query = nil
      return next(req)
    end, echo)
    assert.is_nil(t:request("/?a=1"):json().query)
  end)

  it("route and params", function()
    local t = T.new { upstreams = { api = {} }, config = { routes = { {
      name = "users", version = "v1", match = "/users/{id}/{rest+}", service = "api",
      policies = { function(req) return mg.reply_json(200, { req.route, req.params, req.service }) end },
    } } } }
    assert.json(t:request "/users/a%20b/c/d",
      { { name = "users", version = "v1", pattern = "/users/{id}/{rest+}" }, { id = "a b", rest = "c/d" }, "api" })
  end)

  it("params of a regular expression go by number", function()
    local t = T.new { config = { routes = { { match = "~^/(\\d+)/(?<name>\\w+)$",
      policies = { function(req) return mg.reply(200, req.params[1] .. " " .. req.params.name) end } } } } }
    local res = t:request "/12/ab"
    assert.status(res, 200)
    assert.equal("12 ab", res:text())
  end)

  it("service chooses where it goes", function()
    local t = T.new { service = "one", upstreams = { one = { body = "1" }, two = { body = "2" } },
      policies = { function(req, next)
      assert.equal("one", req.service)
      raises("there is no service 'three'", function() req.service = "three" end)
      req.service = "two"
      assert.equal("two", req.service)
      return next(req)
    end } }
    assert.equal("2", t:request("/"):text())
  end)

  it("auth and ctx are for other steps", function()
    local seen
    local t = T.new { upstreams = { api = {} }, policies = {
      function(req, next)
        assert.is_nil(req.auth)
        raises("req.auth: expected table or nil, got string", function() req.auth = "ann" end)
        req.auth = { subject = "ann" }
        req.ctx.n = 1
        raises("cannot be set", function() req.ctx = {} end)
        return next(req)
      end,
      function(req, next)
        seen = { req.auth.subject, req.ctx.n }
        req.auth = nil
        seen[3] = req.auth == nil
        return next(req)
      end,
    } }
    assert.status(t:request "/", 200)
    assert.same({ "ann", 1, true }, seen)
    assert.is_nil(on_request(function(req) return req.ctx.n end))
  end)

  it("started and deadline are times", function()
    local t = gateway(function(req, next)
      assert.near(mg.now(), req.started, 1e-6)
      assert.near(req.started + 7, req.deadline, 1e-6)
      raises("req.deadline: expected number, got string", function() req.deadline = "soon" end)
      raises("too far away", function() req.deadline = math.huge end)
      req.deadline = mg.now() + 0.5
      return next(req)
    end, { delay = 3 }, { timeout = "7s" })
    assert.status(t:request "/", 504)
    assert.near(0.5, t:now(), 1e-6)
  end)

  it("that does not exist is nil, and cannot be set", function()
    on_request(function(req)
      assert.is_nil(req.nothing)
      raises("a request has no field 'nothing' that can be set", function() req.nothing = 1 end)
      raises("a request has no field 'header' that can be set", function() req.header = 1 end)
      assert.equal("moongate.Request", tostring(req))
    end)
  end)
end)

describe("headers", function()
  local TWO = { headers = { { "X-A", "1" }, { "x-a", "2" }, { "Cookie", "a=b" } }, host = "shop.example" }

  it("are read without regard to case", function()
    on_request(function(req)
      assert.equal("1, 2", req:header "x-A")
      assert.same({ "1", "2" }, req:header_values "X-a")
      assert.is_nil(req:header "X-B")
      assert.same({}, req:header_values "X-B")
      assert.equal("shop.example", req:header "host")
      assert.same({ "shop.example" }, req:header_values "Host")
      local all = {}
      for name, value in req:headers() do all[#all + 1] = name .. ": " .. value end
      assert.same({ "Host: shop.example", "X-A: 1", "x-a: 2", "Cookie: a=b" }, all)
      raises("string expected", req.header, req)
    end, TWO)
  end)

  it("tell the length", function()
    assert.equal("3", on_request(function(req) return req:header "content-length" end, { body = "abc" }))
    assert.is_nil(on_request(function(req) return req:header "content-length" end, { chunks = { "abc" } }))
  end)

  it("are set, added and removed", function()
    local t = gateway(function(req, next)
      req:set_header("X-A", "new")
      assert.equal("new", req:header "X-A")
      req:add_header("X-A", 2)
      req:add_header("X-A", { "c", true })
      assert.same({ "new", "2", "c", "true" }, req:header_values "x-a")
      req:del_header "X-a"
      assert.is_nil(req:header "X-A")
      req:set_header("X-A", { "l", 1.5, 3.0 })
      assert.same({ "l", "1.5", "3" }, req:header_values "X-A")
      req:set_header("X-B", "gone")
      req:set_header("X-B", nil)
      req:set_header("X-C", {})
      req:del_header "X-D"
      req:set_header("X-Trim", "  a b\t")
      assert.equal("a b", req:header "X-Trim")
      req:set_header("Host", "other.example")
      return next(req)
    end, function(req)
      return { json = { a = req:header_values "x-a", b = req:header "x-b" or "none", c = req:header "x-c" or "none",
        host = req:header "host" } }
    end)
    assert.json(t:request(TWO), { a = { "l", "1.5", "3" }, b = "none", c = "none", host = "other.example" })
  end)

  it("of responses are set alike", function()
    local res = on_response(function(res)
      assert.equal("1, 2", res:header "x-a")
      res:set_header("X-A", { "3", "4" })
      res:add_header("Set-Cookie", "b=2")
      res:del_header "Server"
      res:set_header("Host", "no field of a response")
    end, { headers = { ["X-A"] = { "1", "2" }, ["Set-Cookie"] = "a=1", Server = "secret/1.0" } })
    assert.same({ "3", "4" }, res:header_values "X-A")
    assert.same({ "a=1", "b=2" }, res:header_values "Set-Cookie")
    assert.is_nil(res:header "Server")
  end)

  it("refuse what would split a message", function()
    local function check(message)
      for _, bad in ipairs { "a\r\nX-B: 1", "a\nb", "a\rb", "a\0b", "\1", "a\127" } do
        raises("header value has a line break, NUL or another control character", message.set_header, message, "X-A",
          bad)
        raises("header value has a line break", message.add_header, message, "X-A", bad)
        raises("header value has a line break", message.set_header, message, "X-A", { "good", bad })
      end
      for _, bad in ipairs { "", "a b", "a:b", "a\r\nb", "a\0", "ä", ("x"):rep(1025) } do
        raises("not a header name", message.set_header, message, bad, "1")
        raises("not a header name", message.add_header, message, bad, "1")
        raises("not a header name", message.del_header, message, bad)
      end
      for _, bad in ipairs { { {} }, { print } } do
        raises("header value: expected string or number", message.set_header, message, "X-A", bad)
      end
      raises("header value: expected string or number, got function", message.add_header, message, "X-A", print)
      raises("header value: expected string or number, got nil", message.add_header, message, "X-A")
    end
    on_request(check)
    on_response(check)
  end)

  it("leave the connection's to the gateway", function()
    on_request(function(req)
      for _, name in ipairs { "Connection", "content-length", "Transfer-Encoding", "Upgrade", "TE", "Keep-Alive",
        "Proxy-Connection", "HTTP2-Settings" } do
        raises("is set by the gateway itself", req.set_header, req, name, "x")
        raises("is set by the gateway itself", req.add_header, req, name, "x")
        raises("is set by the gateway itself", req.del_header, req, name)
      end
      raises("not a host name", req.set_header, req, "Host", "a b")
    end)
  end)

  it("are not without number", function()
    on_request(function(req)
      for i = 1, 1000 do pcall(req.add_header, req, "X-N", i) end
      raises("too many header fields", req.add_header, req, "X-N", 1001)
    end)
  end)
end)

describe("the query's arguments", function()
  it("are read decoded", function()
    on_request(function(req)
      assert.equal("1", req:arg "a")
      assert.equal("x y&", req:arg "b")
      assert.equal("", req:arg "c")
      assert.equal("", req:arg "d")
      assert.is_nil(req:arg "e")
      assert.same({ a = { "1", "2" }, b = "x y&", c = "", d = "" }, req:args())
    end, "/?a=1&b=x+y%26&a=2&c=&d")
    assert.same({}, on_request(function(req) return req:args() end))
  end)

  it("are set where they stood", function()
    local queries = on_request(function(req)
      local seen = {}
      local function set(name, value)
        req:set_arg(name, value)
        seen[#seen + 1] = req.query or "none"
      end
      set("b", "x y")
      set("n", 7)
      set("a", nil)
      set("b", nil)
      set("n", nil)
      set("c", nil)
      return seen
    end, "/?a=1&b=2&c=%7e&b=3")
    assert.same({ "a=1&b=x%20y&c=%7e", "a=1&b=x%20y&c=%7e&n=7", "b=x%20y&c=%7e&n=7", "c=%7e&n=7", "c=%7e", "none" },
      queries)
  end)
end)

describe("cookies", function()
  it("are found by name", function()
    on_request(function(req)
      assert.equal("1", req:cookie "a")
      assert.equal("x=y", req:cookie "b")
      assert.equal("3", req:cookie "c")
      assert.is_nil(req:cookie "A")
      assert.is_nil(req:cookie "d")
    end, { headers = { Cookie = { "a=1; b=x=y", "c=3" } } })
    assert.is_nil(on_request(function(req) return req:cookie "a" end))
  end)
end)

describe("a form", function()
  local function form(request) return on_request(function(req) return req:form() end, request) end
  local TYPE = { ["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8" }

  it("is read", function()
    assert.same({ a = { "1", "2" }, b = "x y", c = "" }, (form { headers = TYPE, body = "a=1&b=x+y&a=2&c" }))
    assert.same({ a = "1" }, (form { headers = TYPE, chunks = { "a", "=1" } }))
    assert.same({}, (form { headers = TYPE, body = "" }))
  end)

  it("is only one by its type", function()
    local value, err = form { headers = { ["Content-Type"] = "text/plain" }, body = "a=1" }
    assert.is_nil(value)
    assert.equal("content_type", err.code)
    assert.matches("application/x-www-form-urlencoded", tostring(err), 1, true)
    value, err = form { body = "a=1" }
    assert.is_nil(value)
    assert.equal("content_type", err.code)
  end)

  it("has a limit", function()
    local value, err = on_request(function(req) return req:form() end, { headers = TYPE, body = ("x"):rep(2000) }, nil,
      { config = { limits = { buffered_body_bytes = 1024 } } })
    assert.is_nil(value)
    assert.equal("too_large", err.code)
  end)
end)

describe("an expression", function()
  -- Every name that a schema takes.
  local NAMES = {
    id = "^%x+$", method = "^POST$", scheme = "^http$", host = "^shop.example$", port = "^81$", path = "^/users/7$",
    raw_path = "^/users/%%37$", query = "^a=1$", version = "^1.1$", client_ip = "^192.0.2.1$", client_port = "^%d+$",
    route = "^test$", service = "^api$", status = "^201$",
    ["auth.subject"] = "^ann$", ["auth.claims.deep.er"] = "^d$", ["header.x-a"] = "^1, 2$", ["params.id"] = "^7$",
      ["arg.a"] = "^1$",
    ["claims.role"] = "^admin$", ["claims.ok"] = "^true$", ["cookie.c"] = "^k$", ["ctx.n"] = "^5$",
      ["res.header.x-r"] = "^r$",
  }

  it("is filled in by every name that a schema takes", function()
    local values = {}
    local t = gateway(function(req, next)
      req.auth = { subject = "ann", claims = { role = "admin", ok = true, deep = { er = "d" } } }
      req.ctx.n = 5
      local res = next(req)
      for name in pairs(NAMES) do values[name] = req:expr("${" .. name .. "}", res) end
      return res
    end, { status = 201, headers = { ["X-R"] = "r" } }, { match = "/users/{id}" })
    t:request { path = "/users/%37?a=1", host = "shop.example:81", body = "x",
      headers = { { "X-A", "1" }, { "X-A", "2" }, { "Cookie", "c=k" } } }
    local s = require "moongate.schema"
    for name, pattern in pairs(NAMES) do
      assert.matches(pattern, values[name])
      assert.equal("${" .. name .. "}", s.expr():validate("${" .. name .. "}"))
    end
    local kinds = require("moongate.core").module "moongate.config.kinds"
    for _, name in ipairs(kinds.expr_names) do
      local known = NAMES[name] ~= nil
      for full in pairs(NAMES) do known = known or (name:sub(-1) == "." and full:sub(1, #name) == name) end
      assert.is_true(known, name)
    end
  end)

  it("is refused with any other", function()
    local s = require "moongate.schema"
    for _, name in ipairs { "env.HOME", "env", "clientip", "tls", "deadline", "auth", "header.", "res.status", "" } do
      assert.is_nil((s.expr():validate("${" .. name .. "}")), name)
    end
    assert.equal("", on_request(function(req) return req:expr "${env.HOME}${deadline}${nothing}${x.y}" end))
  end)

  it("keeps all else", function()
    assert.equal("a$b$ $$GET {id} ${", on_request(function(req) return req:expr "a$b$ $$${method} {id} ${" end))
  end)

  it("without a response knows none", function()
    assert.equal("||", on_request(function(req) return req:expr "|${status}|${res.header.x}" end))
  end)
end)

describe("a copied request", function()
  it("goes its own way", function()
    local t = gateway(function(req, next)
      req:text()
      req.auth = { subject = "ann" }
      local copy = req:copy()
      copy:set_header("X-Copy", "1")
      copy.path = "/copy"
      assert.is_nil(req:header "X-Copy")
      assert.equal("/a", req.path)
      assert.equal("ann", copy.auth.subject)
      assert.equal(req.id, copy.id)
      assert.equal(req.started, copy.started)
      assert.equal(req.started, copy:copy().started)
      assert.equal("body", copy:text())
      return next(req)
    end)
    assert.status(t:request { path = "/a", body = "body" }, 200)
  end)

  it("outlives the request", function()
    local seen
    local t = gateway(function(req)
      local copy = req:copy()
      mg.background(function()
        mg.sleep(1)
        seen = { copy.method, copy.path, copy:header "x-a", copy.client_ip, copy.params.id, copy:arg "q",
          copy.route.name,
          copy:expr "${id}" == copy.id, (pcall(function() return req.path end)) }
      end)
      return mg.reply(202)
    end, nil, { match = "/a/{id}" })
    assert.status(t:request { path = "/a/7?q=1", headers = { ["X-A"] = "v" } }, 202)
    collectgarbage()
    t:settle()
    assert.same({ "GET", "/a/7", "v", "192.0.2.1", "7", "1", "test", true, false }, seen)
  end)
end)

describe("a copied request by TLS", function()
  it("keeps what is known of its connection", function()
    local seen
    local t = gateway(function(req)
      local copy = req:copy()
      mg.background(function()
        mg.sleep(1)
        seen = { copy.scheme, copy.tls.version }
      end)
      return mg.reply(202)
    end, nil, { config = { listen = { address = 443, tls = {} } } })
    assert.status(t:request "/", 202)
    collectgarbage()
    t:settle()
    assert.same({ "https", "TLSv1.2" }, seen)
  end)
end)

describe("a handle", function()
  it("dies with its request", function()
    local req, res, task
    local faults = {}
    local t = gateway(function(r, next)
      if r.path == "/first" then
        req, res = r, next(r)
        task = mg.spawn(function() mg.sleep(1000) end)
        return res
      end
      for _, fn in ipairs {
        function() return req.path end, function() req.path = "/" end, function() return req:header "x" end,
        function() return req:text() end, function() return res.status end, function() res:set_body "x" end,
        function() return mg.json.encode(req.auth) end,
      } do
        local _, fault = pcall(fn)
        faults[#faults + 1] = fault
      end
      faults.text = tostring(req) .. ", " .. tostring(res)
      faults.task = tostring(task)
      return mg.reply(200)
    end)
    t:request "/first"
    collectgarbage()
    assert.status(t:request "/", 200)
    for i = 1, 7 do assert.matches("has ended", faults[i]) end
    assert.equal("moongate.Request (ended), moongate.Response (ended)", faults.text)
    assert.equal("task (cancelled)", faults.task)
  end)

  it("is not mixed up with another kind", function()
    on_response(function(res, req)
      raises("request expected", req.arg, res, "a")
      raises("response expected", res.is_json, req)
      raises("request or response expected", req.header, "x", "a")
      raises("request or response expected", req.text, {})
      assert.is_false(getmetatable(req))
    end)
  end)
end)

describe("a response's field", function()
  it("status", function()
    local res = on_response(function(res)
      assert.equal(200, res.status)
      for _, bad in ipairs { 99, 100, 199, 600, 0, -1 } do
        raises("expected 200 to 599", function() res.status = bad end)
      end
      for _, bad in ipairs { "many", 201.5, {} } do
        raises("res.status: expected 200 to 599, got ", function() res.status = bad end)
      end
      res.status = 206
      assert.equal(206, res.status)
    end)
    assert.status(res, 206)
  end)

  it("source, error and upstream of a backend's answer", function()
    on_response(function(res)
      assert.equal("upstream", res.source)
      assert.is_nil(res.error)
      assert.same({ service = "api", address = "10.0.1.1:80", attempts = 1, connect = 0, first_byte = 0.25 },
        res.upstream)
      raises("res.source cannot be set", function() res.source = "policy" end)
      raises("res.error cannot be set", function() res.error = nil end)
      raises("a response has no field 'nothing' that can be set", function() res.nothing = 1 end)
      assert.is_nil(res.nothing)
    end, { delay = 0.25 })
  end)

  it("source and error of a failure", function()
    local cases = {
      { { error = "refused" }, "connect_failed", 503 }, { { error = "timeout" }, "connect_timeout", 504 },
      { { delay = 60 }, "first_byte_timeout", 504 }, { { error = "reset" }, "reset", 502 },
      { { close = "before-headers" }, "reset", 502 },
    }
    for _, case in ipairs(cases) do
      on_response(function(res)
        assert.equal("gateway", res.source)
        assert.equal(case[2], res.error.code)
        assert.is_string(res.error.message)
        assert.equal("api", res.error.upstream.service)
        assert.equal(case[3], res.status)
      end, case[1])
    end
  end)

  it("source of one that a policy made", function()
    local source
    local t = T.new { policies = { function(req, next)
      local res = next(req)
      source = { res.source, res.error, res.upstream }
      return res
    end, function() return mg.reply(404) end } }
    t:request "/"
    assert.same({ "policy" }, source)
  end)
end)

describe("a response", function()
  it("is JSON by its type", function()
    for kind, yes in pairs {
      ["application/json"] = true, ["Application/JSON; charset=utf-8"] = true, ["application/problem+json"] = true,
      ["text/json"] = true, ["application/vnd.x+JSON ; a=b"] = true, ["text/plain"] = false,
        ["application/jsonp"] = false,
      ["+json"] = false,
    } do
      local _, is = on_response(function(res) return res:is_json() end, { headers = { ["Content-Type"] = kind } })
      assert.equal(yes, is, kind)
    end
    assert.is_false((select(2, on_response(function(res) return res:is_json() end))))
  end)

  it("tells its Cache-Control", function()
    local _, cc = on_response(function(res) return res:cache_control() end,
      { headers = { ["Cache-Control"] = { 'Max-Age=60, no-store,  private="a"', "s-maxage=5" } } })
    assert.same({ ["max-age"] = "60", ["no-store"] = true, private = "a", ["s-maxage"] = "5" }, cc)
    assert.same({}, (select(2, on_response(function(res) return res:cache_control() end))))
    local _, quoted = on_response(function(res) return res:cache_control() end,
      { headers = { ["Cache-Control"] = 'private="set-cookie, x-a", max-age=5' } })
    assert.same({ private = "set-cookie, x-a", ["max-age"] = "5" }, quoted)
  end)

  it("is copied when its body is there", function()
    local t = gateway(function(req, next)
      local res = next(req)
      raises("res:copy needs the whole body", res.copy, res)
      res:text()
      local copy = res:copy()
      copy:set_header("X-Copy", "1")
      copy:set_body "copy"
      assert.is_nil(res:header "X-Copy")
      assert.equal("orig", res:text())
      assert.same({ 203, "v" }, { copy.status, copy:header "x-a" })
      return copy
    end, { status = 203, body = "orig", headers = { ["X-A"] = "v" } })
    local res = t:request "/"
    assert.status(res, 203)
    assert.equal("copy", res:text())
  end)
end)

describe("a body", function()
  local BIG = { config = { limits = { buffered_body_bytes = 1024 } } }

  it("is read whole, and goes on", function()
    local t = gateway(function(req, next)
      assert.equal("hello", req:text())
      assert.equal("hello", req:text())
      local res = next(req)
      assert.equal("HELLO", res:text())
      assert.equal("HELLO", res:text())
      return res
    end, function(req) return { chunks = { (req:text():upper()) } } end)
    assert.equal("HELLO", t:request({ chunks = { "he", "llo" } }):text())
    local _, last = t:seen "api"
    assert.equal("5", last:header "content-length")
  end)

  it("may be empty", function()
    assert.equal("", on_request(function(req) return req:text() end))
    assert.equal("", (select(2, on_response(function(res) return res:text() end, { status = 204 }))))
  end)

  it("is held up to a limit, and can go on as a stream", function()
    for _, request in ipairs { { body = ("x"):rep(3000) }, { chunks = { ("x"):rep(800), ("x"):rep(2200) } } } do
      local value, err
      local t = gateway(function(req, next)
        value, err = req:text()
        return next(req)
      end, echo, BIG)
      assert.equal(("x"):rep(3000), t:request(request):json().body)
      assert.is_nil(value)
      assert.equal("too_large", err.code)
      assert.matches("larger than 1024 bytes", tostring(err), 1, true)
    end
    local res, value, err = on_response(function(res) return res:text() end, { body = ("y"):rep(5000) }, "/", BIG)
    assert.equal(("y"):rep(5000), res:text())
    assert.is_nil(value)
    assert.equal("too_large", err.code)
  end)

  it("is held up to the step's own limit", function()
    on_request(function(req)
      raises("number expected", req.text, req, "x")
      raises("expected a number of bytes", req.text, req, -1)
      local value, err = req:text(4)
      assert.is_nil(value)
      assert.equal("too_large", err.code)
      assert.equal("12345", req:text(5))
      value, err = req:text(4)
      assert.is_nil(value)
      assert.equal("too_large", err.code)
      assert.equal("12345", req:text())
    end, { chunks = { "12345" } })
    on_request(function(req) assert.equal(3000, #req:text(4000)) end, { body = ("x"):rep(3000) }, nil, BIG)
  end)

  it("is decoded", function()
    on_request(function(req)
      local value = req:json()
      assert.same({ a = { 1, 2.5 } }, value)
      assert.equal(mg.json.null, value.n == nil and mg.json.null)
    end, { json = { a = { 1, 2.5 } } })
    for _, request in ipairs { { body = "{\"a\":" }, { chunks = { "{\"a\"", ":" } }, { body = "" }, {} } do
      local value, err = on_request(function(req) return req:json() end, request)
      assert.is_nil(value)
      assert.equal("bad_json", err.code)
      assert.matches("^line 1 column ", tostring(err))
      assert.equal(tostring(err), err.message)
    end
    local _, value, err = on_response(function(res) return res:json() end, { body = "<html>" })
    assert.is_nil(value)
    assert.equal("bad_json", err.code)
    value, err = on_request(function(req) return req:json() end, { body = ("x"):rep(3000) }, nil, BIG)
    assert.is_nil(value)
    assert.equal("too_large", err.code)
  end)

  it("that breaks off is an error", function()
    local config = { config = { services = { api = { backends = { "a" }, timeouts = { idle = "5s" } } } } }
    for _, case in ipairs {
      { { body = "whole body", close = "mid-body" }, "reset" },
      { { body = "whole body", trickle = { 5, 100 } }, "idle_timeout" },
    } do
      local _, value, err = on_response(function(res) return res:text() end, case[1], "/", config)
      assert.is_nil(value)
      assert.equal(case[2], err.code)
      assert.matches("the body broke off: ", tostring(err), 1, true)
      local _, decoded, why = on_response(function(res) return res:json() end, case[1], "/", config)
      assert.is_nil(decoded)
      assert.equal(case[2], why.code)
      local t = gateway(function(req, next)
        for _ in next(req):chunks() do end
        return mg.reply(200)
      end, case[1], config)
      assert.status(t:request "/", 500)
      assert.matches("the body broke off: ", t:log "policy failed"[1].error, 1, true)
    end
  end)

  it("of a client that breaks off is an error too", function()
    local code, gone
    local t = gateway(function(req)
      local closing <close> = setmetatable({}, { __close = function() gone = true end })
      local _, err = req:text()
      code = err.code
      return mg.reply(200, tostring(closing))
    end, nil, { config = { limits = { idle_time = "5s" } } })
    local conn = t:connect()
    conn:send "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    assert.equal("request_body", code)
    conn:close()
    code = nil
    conn = t:connect()
    conn:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123"
    conn:reset()
    assert.is_nil(code)
    assert.is_true(gone)
  end)

  it("larger than the gateway takes is too large", function()
    local code
    local t = gateway(function(req)
      local _, err = req:text(1 << 20)
      code = err.code
      return mg.reply(413)
    end, nil, { config = { limits = { body_bytes = 1000 } } })
    t:request { chunks = { ("x"):rep(800), ("x"):rep(800) } }
    assert.equal("too_large", code)
  end)

  it("comes in pieces", function()
    local pieces = {}
    local t = gateway(function(req, next)
      for piece in req:chunks() do pieces[#pieces + 1] = piece end
      req:set_body "new"
      local res, n = next(req), 0
      for piece in res:chunks() do n = n + #piece end
      return mg.reply(200, tostring(n))
    end, { chunks = { "1", "22", ("3"):rep(100000) } })
    assert.equal("100003", t:request({ chunks = { "a", "b" } }):text())
    assert.equal("ab", table.concat(pieces))
    local _, last = t:seen "api"
    assert.equal("new", last:text())
  end)

  it("read in pieces is used up", function()
    local t = gateway(function(req, next)
      for _ in req:chunks() do end
      raises("has been read", req.text, req)
      raises("has been read", req.chunks, req)
      raises("has been read", req.transform, req, print)
      return next(req)
    end)
    assert.status(t:request { chunks = { "a" } }, 500)
    assert.called("api", 0)
  end)

  it("in memory comes in pieces as often as one likes", function()
    on_request(function(req)
      req:text()
      for _ = 1, 2 do
        local all = ""
        for piece in req:chunks() do all = all .. piece end
        assert.equal("abc", all)
      end
    end, { body = "abc" })
  end)

  it("is set, with the fields that describe it", function()
    local res = on_response(function(inner)
      inner:set_body "new"
      raises("string expected", inner.set_body, inner)
      raises("string expected", inner.set_body, inner, {})
      assert.equal("new", inner:text())
      assert.equal("3", inner:header "content-length")
    end, { body = "old body", headers = {
      ["Content-Encoding"] = "br", ETag = '"x"', ["Content-Digest"] = "a", ["Repr-Digest"] = "b", Digest = "c",
      ["Content-MD5"] = "d", ["Content-Type"] = "text/x",
    } })
    assert.equal("new", res:text())
    assert.header(res, "Content-Length", "3")
    assert.header(res, "Content-Type", "text/x")
    for _, name in ipairs { "Content-Encoding", "ETag", "Content-Digest", "Repr-Digest", "Digest", "Content-MD5" } do
      assert.is_nil(res:header(name), name)
    end
    res = on_response(function(inner) inner:set_body "" end, { body = "old", headers = { ETag = 'W/"x"' } })
    assert.equal("", res:text())
    assert.header(res, "ETag", 'W/"x"')
    local t = gateway(function(req, next)
      req:set_body "mine"
      return next(req)
    end, echo)
    assert.equal("mine", t:request({ chunks = { "theirs" } }):json().body)
  end)

  it("is set as JSON, with its type", function()
    for kind, becomes in pairs {
      ["text/html"] = "application/json", ["application/json; charset=utf-8"] = "application/json; charset=utf-8",
      ["application/problem+json"] = "application/problem+json", [""] = "application/json",
    } do
      local res = on_response(function(res) res:set_json { a = 1 } end,
        { body = "x", headers = kind ~= "" and { ["Content-Type"] = kind } or nil })
      assert.header(res, "Content-Type", becomes)
      assert.json(res, { a = 1 })
    end
    local t = gateway(function(req, next)
      req:set_json { 1, mg.json.null }
      assert.same({ 1, mg.json.null }, req:json())
      return next(req)
    end, function(req) return { body = req:text() .. req:header "content-type" } end)
    assert.equal("[1,null]application/json", t:request({ body = "x",
      headers = { ["Content-Type"] = "text/plain" } }):text())
    on_request(function(req)
      raises("cannot encode a value of type function", req.set_json, req, { print })
      raises("value expected", req.set_json, req)
    end)
  end)

  it("is rewritten while it streams", function()
    local t = gateway(function(req, next)
      req:transform(function(piece, eof) return eof and "!" or piece:upper() end)
      local res = next(req)
      local n = 0
      res:transform(function(piece, eof)
        mg.sleep(0.5) -- may wait
        n = n + #piece
        return eof and (" %d"):format(n) or nil
      end)
      raises("function expected", res.transform, res, "x")
      return res
    end, function(req) return { chunks = { req:text(), "more" }, headers = { ETag = '"x"' } } end)
    local res = t:request { chunks = { "ab", "cd" } }
    assert.equal(" 9", res:text())
    assert.is_nil(res:header "ETag")
    assert.is_nil(res:header "Content-Length")
    local _, last = t:seen "api"
    assert.equal("ABCD!", last:text())
  end)

  it("is rewritten by several steps, inside out", function()
    local function step(mark)
      return function(req, next)
        local res = next(req)
        res:transform(function(piece, eof) return eof and mark or piece end)
        return res
      end
    end
    local t = T.new { upstreams = { api = { body = "x" } }, policies = { step "a", step "b", step "c" } }
    assert.equal("xcba", t:request("/"):text())
  end)

  it("whose rewriting fails has no clean end", function()
    for _, answer in ipairs { { body = "whole" }, { chunks = { "who", "le" } } } do
      local t = gateway(function(req, next)
        local res = next(req)
        res:transform(function(piece)
          if piece == "" or piece == "le" or piece == "whole" then error("no") end
          return piece
        end)
        return res
      end, answer)
      local res = t:request "/"
      assert.is_true(res.status == 500 or res.broken ~= nil)
      local line = t:log "policy failed"[1]
      assert.same({ "lua", "lua" }, { line.policy, line.step })
      assert.matches("no", line.error)
      assert.is_string(line.request_id)
    end
  end)

  it("must be declared by a module that reads it", function()
    for _, how in ipairs { "text", "json", "chunks", "transform", "form" } do
      local t = gateway({ probe = { reads = how } })
      assert.status(t:request { body = "a=1", headers = { ["Content-Type"] = "application/x-www-form-urlencoded" } },
        500)
      assert.matches('without declaring it; add body = { request = "buffer" } (or "stream") to its module',
        t:log "policy failed"[1].error, 1, true)
      if how ~= "form" then
        t = gateway({ probe = { reads = how, side = "response" } })
        assert.status(t:request "/", 500)
        assert.matches("policy 'probe' reads the response body without declaring it", t:log "policy failed"[1].error,
          1, true)
      end
    end
  end)

  it("may be read by a module that declares it", function()
    for _, name in ipairs { "stream-reader", "buffer-reader" } do
      local t = gateway(name, { chunks = { "123", "4567" } })
      assert.header(t:request { chunks = { "12", "345" } }, "X-Read", "7")
      local _, last = t:seen "api"
      assert.equal("5", last:header "x-read")
    end
  end)

  it("that is a module's own may be read", function()
    local t = gateway({ probe = { fetches = "api" } }, { chunks = { "a", "b" } })
    assert.equal("ab", t:request("/"):text())
  end)

  it("is the reader's, whatever steps run beside it", function()
    local t = T.new { upstreams = { api = { body = "ok" } }, policies = {
      function(req, next)
        local res = next(req)
        return mg.reply(200, res:text() .. "!")
      end,
      { probe = {} },
    } }
    assert.equal("ok!", t:request("/"):text())
  end)

  it("of an answer to HEAD is not there, and its length is what GET would have", function()
    local t = T.new { upstreams = { api = { body = "four" } }, policies = { "buffer-reader" },
      config = { lua = { path = { "tests/spec/policies" } } } }
    assert.header(t:request { method = "HEAD" }, "Content-Length", "4")
    local res, text, json = on_response(function(res) return res:text(), res:json() end, { body = "four" },
      { method = "HEAD" })
    assert.same({ "", "nil" }, { text, tostring(json) })
    assert.header(res, "Content-Length", "4")
    t = gateway(function(req) return mg.fetch("api", { method = req.method }) end, { body = "four" })
    assert.header(t:request { method = "HEAD" }, "Content-Length", "4")
    res = on_response(function(r) r:text() end, { chunks = { "fo", "ur" } }, { method = "HEAD" })
    assert.is_nil(res:header "Content-Length")
    res = on_response(function(r) r:text() end, { chunks = {} })
    assert.header(res, "Content-Length", "0")
  end)

  it("that is too large for a buffer is refused", function()
    local t = gateway("buffer-reader", nil, BIG)
    assert.problem(t:request { body = ("x"):rep(2000) }, 413, "content-too-large")
    assert.called("api", 0)
    t = gateway("buffer-reader", { body = ("x"):rep(2000) }, BIG)
    assert.problem(t:request "/", 502, "bad-upstream-response")
  end)
end)

describe("a body's JSON", function()
  it("is read by the options of mg.json.decode", function()
    on_request(function(req, next)
      local big, err = req:json()
      assert.is_nil(big)
      assert.equal("bad_json", err.code)
      assert.equal(2 ^ 64, req:json { big = "float" }[1])
      assert.equal(2 ^ 64, next(req):json { big = "float" }[1])
      assert.is_nil((req:json { big = "float", depth = 1 }))
      raises("unknown option 'bigg'", req.json, req, { bigg = "float" })
      raises("table expected", req.json, req, "float")
    end, { body = "[18446744073709551616, [2]]" }, { body = "[18446744073709551616]" })
  end)
end)

describe("mg.reply", function()
  it("makes responses", function()
    local t = gateway(function(req)
      if req.path == "/empty" then return mg.reply(200) end
      if req.path == "/none" then return mg.reply(204, nil, { ["X-A"] = { "1", 2 } }) end
      return mg.reply(201, "text", { ["Content-Type"] = "text/html", Location = "/x" })
    end)
    local res = t:request "/"
    assert.status(res, 201)
    assert.equal("text", res:text())
    assert.header(res, "Content-Type", "text/html")
    assert.header(res, "Location", "/x")
    res = t:request "/empty"
    assert.header(res, "Content-Length", "0")
    assert.is_nil(res:header "Content-Type")
    res = t:request "/none"
    assert.same({ "1", "2" }, res:header_values "x-a")
  end)

  it("calls texts plain", function()
    assert.header(gateway(function() return mg.reply(200, "x") end):request "/", "Content-Type",
      "text/plain; charset=utf-8")
  end)

  it("refuses what is no response", function()
    on_request(function()
      raises("expected a status of 200 to 599", mg.reply, 100)
      raises("expected a status of 200 to 599", mg.reply, 600)
      raises("number expected", mg.reply)
      raises("string expected", mg.reply, 200, {})
      raises("table expected", mg.reply, 200, "x", "y")
      raises("line break", mg.reply, 200, "x", { ["X-A"] = "a\r\nb" })
      raises("not a header name", mg.reply, 200, "x", { ["X A"] = "a" })
      raises("is set by the gateway itself", mg.reply, 200, "x", { ["Content-Length"] = 9 })
      raises("expected names as keys", mg.reply, 200, "x", { "a" })
    end)
  end)

  it("needs a request or a task", function()
    raises("mg.reply can only be called while", mg.reply, 200)
    local ok, fault = pcall(T.new,
      { policies = { { lua = "local r = mg.reply(200) return function() return r end" } } })
    assert.is_false(ok)
    assert.matches("mg.reply can only be called while", fault, 1, true)
  end)
end)

describe("mg.reply_json", function()
  it("encodes", function()
    local res = gateway(function() return mg.reply_json(202, { a = mg.json.array() }, { ["X-A"] = 1 }) end):request "/"
    assert.status(res, 202)
    assert.equal('{"a":[]}', res:text())
    assert.header(res, "Content-Type", "application/json")
    assert.header(res, "X-A", "1")
    res = gateway(function() return mg.reply_json(200, "x",
      { ["Content-Type"] = "application/hal+json" }) end):request "/"
    assert.header(res, "Content-Type", "application/hal+json")
  end)

  it("raises for what has no JSON", function()
    on_request(function()
      raises("cannot encode a value of type function", mg.reply_json, 200, { a = { print } })
      raises("value expected", mg.reply_json, 200)
    end)
  end)
end)

describe("mg.problem", function()
  it("follows RFC 9457", function()
    local t = gateway(function()
      return mg.problem(403, "missing-claim", "no 'sub'", { headers = { ["X-A"] = "1" }, members = { limit = 3,
        list = { "a" } } })
    end)
    local res, req = t:request "/"
    assert.problem(res, 403, "missing-claim")
    assert.header(res, "X-A", "1")
    assert.json(res, { type = "about:blank", title = "Forbidden", status = 403, detail = "no 'sub'",
      error = "missing-claim",
      request_id = req.id, limit = 3, list = { "a" } })
  end)

  it("may have a base, and types of its own", function()
    local config = { config = { errors = { problem_base = "https://example.com/problems/" } } }
    local function kind(slug) return gateway(function() return mg.problem(400, slug) end, nil,
      config):request("/"):json().type end
    assert.equal("https://example.com/problems/bad", kind "bad")
    assert.equal("https://iana.org/assignments/http-problem-types#quota-exceeded",
      kind "https://iana.org/assignments/http-problem-types#quota-exceeded")
  end)

  it("may be simple, with the request's id in the header", function()
    local simple = { config = { errors = { format = "simple" } } }
    local res, req = gateway(function() return mg.problem(400, "bad", "so bad") end, nil, simple):request "/"
    assert.header(res, "Content-Type", "application/json")
    assert.header(res, "X-Request-ID", req.id)
    assert.equal('{"error":"so bad"}', res:text())
    res, req = gateway(function() error "x" end, nil, simple):request "/"
    assert.header(res, "X-Request-ID", req.id)
    assert.equal('{"error":"Internal Server Error"}', res:text())
    res = gateway(function() return mg.problem(400, "bad", nil, { headers = { ["X-Request-ID"] = "7" } }) end, nil,
      simple):request "/"
    assert.header(res, "X-Request-ID", "7")
  end)

  it("has members of the policy in place of its own", function()
    local own = { type = "/p", title = "T", detail = "D", instance = "/i", error = "E", request_id = "7" }
    local function answer(members, more)
      local function step() return mg.problem(400, "bad", "so bad", { members = members }) end
      return gateway(step, nil, more):request "/"
    end
    local all = answer(own):json()
    own.status = 400
    assert.same(own, all)
    local res, req = answer { status = "x" }
    assert.same({ type = "about:blank", title = "Bad Request", status = "x", detail = "so bad", error = "bad",
      request_id = req.id }, res:json())
    local simple = { config = { errors = { format = "simple" } } }
    assert.equal('{"error":"E"}', (answer({ error = "E" }, simple)):text())
  end)

  it("may be large", function()
    local long = ("\1"):rep(30000)
    local res = gateway(function() return mg.problem(400, "bad", long, { members = { x = long } }) end):request "/"
    assert.equal(long, res:json().detail)
    assert.equal(long, res:json().x)
  end)

  it("checks its options", function()
    on_request(function()
      raises("mg.problem: unknown option 'header'", mg.problem, 400, "bad", nil, { header = {} })
      raises("mg.problem: members: expected table, got number", mg.problem, 400, "bad", nil, { members = 5 })
    end)
  end)

  it("cannot be made to say what it does not", function()
    local res = gateway(function(req) return mg.problem(400, 'a"b', 'c"\r\n' .. req:arg "q",
      { members = {} }) end):request "/?q=%22%2C%22status%22%3A200"
    assert.equal('a"b', res:json().error)
    assert.equal('c"\r\n","status":200', res:json().detail)
    assert.equal(400, res:json().status)
  end)
end)

describe("mg.redirect", function()
  it("redirects", function()
    local res = gateway(function() return mg.redirect "https://example.com/a?b=c" end):request "/"
    assert.status(res, 308)
    assert.header(res, "Location", "https://example.com/a?b=c")
    assert.status(gateway(function() return mg.redirect("/x", 302) end):request "/", 302)
    on_request(function()
      raises("expected a status of 300 to 399", mg.redirect, "/x", 200)
      raises("not a URL", mg.redirect, "/x\r\nSet-Cookie: a=b")
      raises("not a URL", mg.redirect, "")
    end)
  end)
end)

describe("mg.stream", function()
  it("writes piece by piece", function()
    local t = gateway(function()
      return mg.stream(200, { ["Content-Type"] = "text/event-stream" }, function(write)
        for i = 1, 3 do
          write(("data: %d\n\n"):format(i))
          write ""
          mg.sleep(1)
        end
      end)
    end)
    local conn = t:connect()
    conn._conn:put "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    local first = conn:receive(0.5)
    assert.matches("\r\n\r\n9\r\ndata: 1\n\n\r\n$", first)
    assert.equal("9\r\ndata: 2\n\n\r\n", (conn:receive(1)))
    assert.matches("data: 3\n\n\r\n0\r\n\r\n$", (conn:receive(5)))
  end)

  it("waits for the client", function()
    local written = 0
    local t = gateway(function()
      return mg.stream(200, nil, function(write)
        for _ = 1, 100 do
          write(("x"):rep(10000))
          written = written + 1
        end
      end)
    end)
    assert.equal(1000000, #t:request("/"):text())
    assert.equal(100, written)
  end)

  it("that fails has no clean end", function()
    local t = gateway(function()
      return mg.stream(200, nil, function(write)
        write "some"
        error("no more")
      end)
    end)
    local res = t:request "/"
    assert.is_string(res.broken)
    assert.matches("no more", t:log "policy failed"[1].error)
  end)

  it("may be wrapped by other steps", function()
    local t = T.new { policies = {
      function(req, next)
        local res = next(req)
        res:transform(function(piece) return piece:upper() end)
        return res
      end,
      function() return mg.stream(200, nil, function(write) write "a" write "b" end) end,
    } }
    assert.equal("AB", t:request("/"):text())
  end)

  it("checks its arguments", function()
    on_request(function()
      raises("function expected", mg.stream, 200, {})
      raises("expected a status", mg.stream, 99, {}, print)
    end)
  end)
end)

describe("mg.log", function()
  it("says whose line it is", function()
    local t = T.new { upstreams = { api = {} }, policies = { { lua = [[ return { request = function(req)
      mg.log.warn("mine", { n = 1, step = "not mine" })
      print("printed", 2)
    end } ]], id = "who" } } }
    local _, req = t:request "/"
    local line = t:log "mine"[1]
    assert.same({ "warn", "who", "test", req.id, 1, "not mine" },
      { line.level, line.step, line.route, line.request_id, line.n, line.step_ })
    line = t:log "printed"[1]
    assert.same({ "printed\t2", "who", "test", req.id }, { line.msg, line.step, line.route, line.request_id })
  end)

  it("says so in the tasks of a step, whatever ran meanwhile", function()
    local t = T.new { upstreams = { api = { delay = 2 } }, policies = {
      { id = "outer", lua = [[ return function(req, next)
        mg.spawn(function() mg.sleep(1) mg.log.info("from the task") end)
        local res = next(req)
        mg.log.info("on the way back")
        return res
      end ]] },
      { id = "inner", lua = "return { request = function() mg.log.info('inside') end }" },
    } }
    t:request "/"
    assert.equal("inner", t:log "inside"[1].step)
    assert.equal("outer", t:log "from the task"[1].step)
    assert.equal("outer", t:log "on the way back"[1].step)
  end)

  it("does not show what is secret", function()
    local t = gateway(function(req)
      local fields = {}
      for name, value in req:headers() do fields[name] = value end
      mg.log.info("headers", fields)
      return mg.reply(204)
    end, nil, { config = { log = { redact = { "X-Session" } } } })
    t:request { headers = { Authorization = "Bearer s3cret", Cookie = "a=s3cret", ["X-API-Key"] = "s3cret",
      ["X-Session"] = "s3cret", ["Proxy-Authorization"] = "s3cret", ["X-Other"] = "shown" } }
    local line = t:log "headers"[1]
    assert.is_nil(mg.json.encode(line):find "s3cret")
    assert.equal("[redacted]", line.Authorization)
    assert.equal("[redacted]", line["X-Session"])
    assert.equal("shown", line["X-Other"])
  end)

  it("has levels", function()
    local t = gateway(function()
      for _, level in ipairs { "debug", "info", "warn", "error" } do mg.log[level]("line " .. level) end
      return mg.reply(204)
    end, nil, { config = { log = { level = "warn" } } })
    t:request "/"
    assert.equal(2, #t:log "line ")
  end)
end)

describe("errors of mg.json", function()
  it("are objects", function()
    local value, err = mg.json.decode "{"
    assert.is_nil(value)
    assert.equal("bad_json", err.code)
    assert.matches("^line 1 column 2: ", tostring(err))
    value, err = mg.json.encode { a = print }
    assert.is_nil(value)
    assert.equal("bad_value", err.code)
    assert.equal("a: cannot encode a value of type function", tostring(err))
    assert.is_false(getmetatable(err))
  end)
end)
