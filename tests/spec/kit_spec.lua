-- The test kit itself: what a spec may rely on.

local T = require "moongate.test"
local mg = require "moongate"

local function gateway(answer, more)
  local opts = { upstreams = { api = answer or { body = "ok" } } }
  for key, value in pairs(more or {}) do opts[key] = value end
  return T.new(opts)
end

-- The text of the failure of an assertion, or of any error.
local function failure_of(fn, ...)
  local ok, fault = pcall(fn, ...)
  assert.is_false(ok)
  return type(fault) == "table" and fault.message or tostring(fault)
end

local function has(text, part)
  assert.is_truthy(tostring(text):find(part, 1, true), ("'%s' is not in:\n%s"):format(part, text))
end

describe("time", function()
  it("begins at 0, on the same day each time", function()
    local t = gateway()
    assert.equal(0, t:now())
    local res = t:request "/"
    assert.header(res, "Date", "Thu, 01 Jan 2026 00:00:00 GMT")
    assert.equal(0, t:now())
  end)

  it("jumps to what is due next", function()
    local t = gateway { delay = 0.25 }
    assert.status(t:request "/", 200)
    assert.equal(0.25, t:now())
    t:request "/"
    assert.equal(0.5, t:now())
  end)

  it("is moved by the spec", function()
    local ticks = 0
    local t = gateway(nil, { policies = { function(req, next)
      mg.background(function()
        for _ = 1, 3 do
          mg.sleep(200)
          ticks = ticks + 1
        end
      end)
      return next(req)
    end } })
    t:request "/"
    t:advance(199)
    assert.equal(0, ticks)
    t:advance(2)
    assert.equal(1, ticks)
    assert.equal(201, t:now())
    t:settle()
    assert.equal(3, ticks)
    assert.equal(600, t:now())
  end)

  it("runs several requests side by side", function()
    local t = gateway(function(req) return { delay = tonumber(req:arg "d"), body = req:arg "d" } end)
    local a, b = t:start "/?d=3", t:start "/?d=1"
    assert.is_nil(a.res)
    t:settle()
    assert.equal("3", a.res:text())
    assert.equal(3, a.at)
    assert.equal(1, b.at)
    assert.equal("/", b.req.path)
  end)

  it("is also the log's", function()
    local t = gateway(nil, { policies = { function(req, next)
      mg.sleep(1.5)
      mg.log.info("hello", { n = 1 })
      return next(req)
    end } })
    t:request "/"
    local line = t:log("hello")[1]
    assert.matches("^2026%-01%-01T00:00:01%.5", line.time)
    assert.equal(1, line.n)
    assert.equal("info", line.level)
  end)
end)

describe("answers", function()
  it("have status, headers and a body", function()
    local t = gateway { status = 201, headers = { A = "1", ["Set-Cookie"] = { "a=1", "b=2" } }, body = "made" }
    local res = t:request { method = "POST", path = "/things", body = "x" }
    assert.status(res, 201)
    assert.header(res, "A", "1")
    assert.same({ "a=1", "b=2" }, res:header_values "set-cookie")
    assert.equal("made", res:text())
    local count, last, all = t:seen "api"
    assert.equal(1, count)
    assert.equal(last, all[1])
    assert.equal("POST", last.method)
    assert.equal("/things", last.path)
    assert.equal("x", last:text())
    assert.equal("1", last:header "content-length")
  end)

  it("may be JSON", function()
    local t = gateway { json = { list = mg.json.array {}, none = mg.json.null, n = 1 } }
    local res = t:request "/"
    assert.header(res, "Content-Type", "application/json")
    assert.json(res, { list = {}, none = mg.json.null, n = 1 })
  end)

  it("may be a function, which may wait", function()
    local t = gateway(function(req)
      mg.sleep(2)
      return { json = { path = req.path, body = req:json(), header = req:header "x-a" } }
    end)
    local res = t:request { path = "/a%20b", json = { 1, 2 }, headers = { ["X-A"] = "v" } }
    assert.json(res, { path = "/a b", body = { 1, 2 }, header = "v" })
    assert.equal(2, t:now())
  end)

  it("may come in chunks", function()
    local seen = {}
    local t = gateway({ chunks = { "one ", "two ", "three" } }, { policies = { function(req, next)
      local res = next(req)
      res:transform(function(chunk) if chunk and chunk ~= "" then seen[#seen + 1] = chunk end return chunk end)
      return res
    end } })
    local res = t:request "/"
    assert.equal("one two three", res:text())
    assert.same({ "one ", "two ", "three" }, seen)
  end)

  it("may trickle", function()
    local t = gateway { body = ("x"):rep(10), trickle = { 3, 0.5 } }
    assert.equal(("x"):rep(10), t:request("/"):text())
    assert.equal(1.5, t:now())
  end)

  it("may be larger than all buffers", function()
    local body = ("0123456789abcdef"):rep(1 << 16)
    local t = gateway { body = body }
    local res = t:request "/"
    assert.is_true(res:text() == body)
    assert.untouched(res)
  end)

  it("may be refused, or never come about", function()
    local t = gateway { error = "refused" }
    assert.status(t:request "/", 503)
    assert.called(t, "api", 0)
    t = gateway { error = "timeout" }
    assert.status(t:request "/", 504)
    assert.equal(1, t:now())
  end)

  it("may be cut short", function()
    assert.status(gateway { error = "reset" }:request "/", 502)
    assert.status(gateway { close = "before-headers" }:request "/", 502)
    local res = gateway { close = "after-headers", body = "whole" }:request "/"
    assert.status(res, 200)
    assert.equal("", res:text())
    assert.is_truthy(res.broken)
    res = gateway { close = "mid-body", body = "whole!" }:request "/"
    assert.equal("who", res:text())
    assert.is_truthy(res.broken)
  end)

  it("may never come", function()
    local t = gateway { delay = math.huge }
    assert.status(t:request "/", 504)
    assert.equal(10, t:now())
  end)

  it("are left when nobody waits for them", function()
    local went_on = false
    local t = gateway(function()
      mg.sleep(20)
      went_on = true
      return {}
    end)
    assert.status(t:request "/", 504)
    t:advance(60)
    assert.is_false(went_on)
  end)

  it("are given over one kept connection", function()
    local t = gateway()
    for _ = 1, 3 do t:request "/" end
    assert.called(t, "api", 3)
  end)

  it("of URLs are found by their host", function()
    local t = T.new {
      policies = { function() return (mg.fetch("http://login.example.com/token?a=1")) end },
      upstreams = { ["login.example.com"] = function(req) return { body = req.path .. " " .. req:header "host" } end },
    }
    local res = t:request "/"
    assert.status(res, 200)
    assert.matches("^/token login%.example%.com", res:text())
  end)

  describe("that are wrong are told", function()
    it("when the gateway is made", function()
      has(failure_of(gateway, { boddy = "x" }), "upstream 'api': an answer has no 'boddy'")
      has(failure_of(gateway, { status = "200" }), "upstream 'api': status must be a number, not a string")
      has(failure_of(gateway, { close = "late" }), "unknown close 'late'")
      has(failure_of(gateway, 7), "must be a table or a function, not a number")
    end)

    it("when a function gives them", function()
      local t = gateway(function() return { error = "refused" } end)
      has(failure_of(t.request, t, "/"), "it can be 'reset', not 'refused'")
    end)

    it("when a function raises", function()
      local t = gateway(function() error("spec bug") end)
      local text = failure_of(t.request, t, "/")
      has(text, "kit_spec.lua:")
      has(text, "spec bug")
      has(text, "stack traceback")
    end)

    it("when there is none", function()
      local t = T.new { policies = { function() return (mg.fetch("other", { path = "/" })) end },
        config = { services = { other = { backends = { "10.9.9.9:80" } } } } }
      has(failure_of(t.request, t, "/"), "nobody plays 'other' (10.9.9.9:80): name it in `upstreams`")
    end)
  end)
end)

describe("requests", function()
  it("bring what the spec says", function()
    local t = gateway()
    t:request {
      method = "PUT", path = "/a", query = { b = "1 2", c = { "x", "y" } },
      headers = { { "X-A", "1" }, { "X-A", "2" } }, json = { n = 1 }, host = "shop.example",
    }
    local _, last = t:seen "api"
    assert.equal("PUT", last.method)
    assert.equal("b=1%202&c=x&c=y", last.query)
    assert.same({ "1", "2" }, last:header_values "x-a")
    assert.equal("application/json", last:header "content-type")
    assert.equal("shop.example", last:header "host")
    assert.equal('{"n":1}', last:text())
  end)

  it("come from an address", function()
    local ip
    local t = gateway(nil, { policies = { function(req, next) ip = req.client_ip return next(req) end } })
    local _, req = t:request { client_ip = "2001:db8::7" }
    assert.equal("2001:db8::7", ip)
    assert.equal("2001:db8::7", req.client_ip)
    t:request "/"
    assert.equal("192.0.2.1", ip)
  end)

  it("have an identity and parameters, if the spec wants", function()
    local auth, params
    local t = gateway(nil, { policies = { function(req, next)
      auth, params = req.auth, req.params
      return next(req)
    end } })
    t:request { auth = { subject = "ann" }, params = { id = "7" } }
    assert.equal("ann", auth.subject)
    assert.same({ id = "7" }, params)
    t:request "/"
    assert.is_nil(auth)
    t:auth { subject = "bob" }
    t:request "/"
    assert.equal("bob", auth.subject)
    t:request { auth = false }
    assert.is_nil(auth)
  end)

  describe("with TLS", function()
    local seen
    local function tls_gateway(config)
      seen = nil
      return gateway(nil, { config = config, policies = { function(req, next)
        seen = { scheme = req.scheme, port = req.port, tls = req.tls, template = req:expr "${scheme}" }
        return next(req)
      end } })
    end

    it("are of a spec that says so", function()
      local t = tls_gateway()
      t:request "/"
      assert.same({ scheme = "http", port = 80, template = "http" }, seen)
      t:request { tls = {} }
      assert.same({ "https", 443, "https" }, { seen.scheme, seen.port, seen.template })
      local cipher = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
      assert.same({ version = "TLSv1.2", cipher = cipher, resumed = false }, seen.tls)
      t:request { tls = { version = "TLSv1.3", sni = "shop.example", resumed = true } }
      assert.same({ "TLSv1.3", "shop.example", true }, { seen.tls.version, seen.tls.sni, seen.tls.resumed })
      local _, last = t:seen "api"
      assert.equal("https", last:header "X-Forwarded-Proto")
    end)

    it("have a certificate if the spec wants", function()
      local t = tls_gateway()
      t:request { tls = { client_cert = { common_name = "ann", sans = { email = { "ann@shop.example" } } } } }
      local cert = seen.tls.client_cert
      assert.same({ "CN=ann", "ann", "CN=Test CA", "ann@shop.example" },
        { cert.subject, cert.common_name, cert.issuer, cert.sans.email[1] })
      t:request { tls = { client_cert = { subject = "O=Shop" } } }
      cert = seen.tls.client_cert
      assert.same({ "O=Shop", {} }, { cert.subject, cert.sans })
      assert.is_nil(cert.common_name)
    end)

    it("come by a listener that has it", function()
      local t = tls_gateway { listen = { { name = "a", address = 80 }, { name = "b", address = 443, tls = {} } } }
      t:request { listener = "b" }
      assert.same({ "https", "TLSv1.2" }, { seen.scheme, seen.tls.version })
      assert.is_nil(seen.tls.client_cert)
      t:connect { listener = "b" }:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
      assert.equal("https", seen.scheme)
      t:request { listener = "a" }
      assert.same({ "http" }, { seen.scheme, seen.tls })
    end)

    it("that is none are told", function()
      local t = gateway()
      has(failure_of(t.request, t, { tls = { snni = "a" } }), "request: tls: unknown field 'snni'")
      has(failure_of(t.request, t, { tls = true }), "request: tls: expected a table, got a boolean")
      has(failure_of(t.request, t, { tls = { client_cert = { cn = "a" } } }), "tls.client_cert: unknown field 'cn'")
      has(failure_of(t.request, t, { tls = { client_cert = "x" } }), "tls.client_cert: expected a table, got a string")
    end)
  end)

  it("match a real pattern, if the spec wants", function()
    local t = gateway(nil, { match = "/products/{id}", policies = { function(req, next)
      req:set_header("X-Id", req:expr "${params.id}")
      return next(req)
    end } })
    local res, req = t:request "/products/7"
    assert.status(res, 200)
    assert.same({ id = "7" }, req.params)
    local _, last = t:seen "api"
    assert.equal("7", last:header "x-id")
    local none
    res, none = t:request "/other"
    assert.status(res, 404)
    assert.is_nil(none)
  end)

  it("show what policies made of them", function()
    local t = gateway(nil, { policies = { function(req, next)
      req.ctx.answer = 42
      req.auth = { subject = "eve" }
      req:set_header("X-New", "1")
      return next(req)
    end } })
    local _, req = t:request "/a?b=c"
    assert.equal(42, req.ctx.answer)
    assert.equal("eve", req.auth.subject)
    assert.equal("1", req:header "x-new")
    assert.equal("test", req.route)
    assert.equal("api", req.service)
    assert.equal("/a", req.path)
    assert.equal("b=c", req.query)
  end)

  it("that are none are told", function()
    local t = gateway()
    has(failure_of(t.request, t, { pth = "/" }), "request: unknown field 'pth'")
    has(failure_of(t.request, t, "/a b"), "'/a b' is no path; t:raw can send such")
    has(failure_of(t.request, t, { headers = { ["A\nB"] = "x" } }), "is no header")
    has(failure_of(t.request, t, { headers = { ["Content-Length"] = "7" } }), "t:raw can send another")
    has(failure_of(t.request, t, { client_ip = "here" }), "client_ip: 'here' is no address")
    assert.status(t:request "/", 200)
  end)

  it("cannot be made by what the gateway calls", function()
    local t
    t = gateway(nil, { policies = { function(req, next)
      t:request "/"
      return next(req)
    end } })
    local res = t:request "/"
    assert.status(res, 500)
    has(t:log("policy failed")[1].error, "a gateway runs already")
  end)
end)

describe("bytes", function()
  local GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

  it("are sent as they are", function()
    local t = gateway()
    local said, state = t:raw(GET)
    assert.matches("^HTTP/1%.1 200 OK\r\n", said)
    assert.matches("\r\n\r\nok$", said)
    assert.equal("open", state)
    said, state = t:raw "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
    assert.matches("^HTTP/1%.1 400 ", said)
    assert.equal("closed", state)
    assert.called(t, "api", 1)
  end)

  it("may be cut anywhere", function()
    local t = gateway()
    local cuts = 0
    T.each_split(GET, function(first, second)
      local conn = t:connect()
      local said = conn:send(first) .. conn:send(second)
      assert.matches("^HTTP/1%.1 200 OK\r\n", said)
      conn:close()
      cuts = cuts + 1
    end)
    assert.equal(#GET + 1, cuts)
    assert.called(t, "api", cuts)
  end)

  it("may be cut anywhere in a body too", function()
    local t = gateway()
    local post = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    T.each_split(post .. "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", function(first, second)
      local conn = t:connect()
      assert.matches("^HTTP/1%.1 200 OK\r\n", conn:send(first) .. conn:send(second))
      local _, last = t:seen "api"
      assert.equal("abcde", last:text())
      conn:close()
    end)
    assert.equal(0, t:now())
  end)

  it("wait for what is slow", function()
    local said, state = gateway { delay = 3 }:raw(GET)
    assert.matches("^HTTP/1%.1 200 OK\r\n", said)
    assert.equal("open", state)
  end)

  it("may be waited for in vain", function()
    local conn = gateway():connect()
    assert.equal("", (conn:send "GET / HT"))
    local said, state = conn:receive(11)
    assert.matches("^HTTP/1%.1 408 ", said)
    assert.equal("closed", state)
  end)

  it("may stop coming", function()
    local t = gateway()
    local conn = t:connect()
    conn:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123"
    conn:reset()
    assert.equal(0, t:now())
    assert.called(t, "api", 0) -- it got no whole request
    assert.status(t:request "/", 200)
  end)
end)

describe("gateways", function()
  it("begin empty", function()
    local function count(t) return tonumber(t:request("/"):header "x-count") end
    local function counter()
      return gateway(nil, { policies = { { lua = [[
        local d = mg.shared("counter")
        return function(req, next)
          local res = next(req)
          res:set_header("X-Count", d:incr("n", 1, 0))
          return res
        end]] } } })
    end
    local a, b = counter(), counter()
    assert.equal(1, count(a))
    assert.equal(2, count(a))
    assert.equal(1, count(b))
    assert.equal(3, count(a))
    assert.equal(2, count(b))
    assert.equal(0, #gateway():log())
  end)

  it("load policies anew", function()
    local function next_number()
      return T.new { policies = { { lua = [[
        local n = 0
        return function() n = n + 1 return mg.reply(200, tostring(n)) end]] } } }:request("/"):text()
    end
    assert.equal("1", next_number())
    assert.equal("1", next_number())
  end)

  it("refuse a config that is wrong, where the spec makes them", function()
    local text = failure_of(function() return (T.new { policies = { "no-such-policy" } }) end)
    has(text, "kit_spec.lua:")
    has(text, "routes[0].policies[0]: unknown policy 'no-such-policy'")
    has(failure_of(T.new, { polices = {} }), "T.new: unknown field 'polices'")
    has(failure_of(T.new, { policies = { { lua = "return 7" } } }), "must return a table or a function, not a number")
  end)

  it("may have secrets, as texts", function()
    local function told(secrets, config)
      local t = T.new {
        policies = { function() return mg.reply(200, mg.secret "a" .. "|" .. mg.secret "b") end },
        secrets = secrets, config = config,
      }
      return t:request("/"):text()
    end
    assert.equal("one\n|two", told { a = "one\n", b = "two" })
    assert.equal("one|" .. os.getenv "PATH", told({ a = "one" }, { secrets = { b = { env = "PATH" } } }))
    has(failure_of(told, { a = 1 }), "secrets: 'a': expected a text, got a number")
    has(failure_of(told, { a = "" }), "secrets.a: the file is empty")
  end)

  it("may have a config of their own", function()
    local t = T.load("shop.yaml", {
      text = [[
services:
  users: { backends: ["users-1:8080", "users-2:8080"], host: backend }
routes:
  - name: users
    match: /users/{id}
    service: users
    policies:
      - lua: |
          return { request = function(req) req:set_header("X-Id", req.params.id) end }
]],
      upstreams = { users = { body = "u" } },
    })
    assert.status(t:request "/users/7", 200)
    assert.status(t:request "/users/8", 200)
    local _, last, all = t:seen "users"
    assert.equal("8", last:header "x-id")
    assert.equal("users-1:8080", all[1]:header "host")
    assert.equal("users-2:8080", last:header "host")
    has(failure_of(T.load, "bad.yaml", { text = "rotes: []" }),
      "bad.yaml:1:1: rotes: unknown field, did you mean 'routes'?")
  end)

  it("are closed at will", function()
    local t = gateway(nil, { policies = { function(req, next) return next(req) end } })
    local call = t:start "/"
    t:close()
    has(failure_of(t.request, t, "/"), "the gateway is closed")
    assert.is_nil(call.res)
    t:close()
  end)

  it("end what is under way when they go", function()
    for _ = 1, 20 do
      local t = gateway { delay = 100 }
      t:start "/"
      t:advance(1)
      t:connect():send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n1")
    end
    collectgarbage()
    collectgarbage()
    assert.status(gateway():request "/", 200)
  end)
end)

describe("mg in a spec's own code", function()
  it("is there for what needs no request", function()
    assert.equal("null", tostring(mg.json.null))
    assert.equal("YWI=", mg.crypto.base64 "ab")
  end)

  it("says what cannot be done", function()
    has(failure_of(mg.sleep, 1), "mg.sleep")
    has(failure_of(mg.reply, 200), "mg.reply can only be called while a request")
    gateway():request "/"
    has(failure_of(mg.sleep, 1), "mg.sleep")
    has(failure_of(mg.fetch, "api"), "mg.fetch")
  end)

  it("leaves Lua's own library as it was", function()
    gateway():request "/"
    assert.is_function(string.dump)
    assert.is_function(os.getenv)
    assert.equal("aXb", ("ab"):gsub("^a", "aX"))
    local a = math.random(1 << 40)
    assert.not_equal(a, math.random(1 << 40))
  end)
end)

describe("policies", function()
  it("see the sandbox, functions of the spec do not", function()
    local sandboxed = T.new { policies = { { lua = "return function() io.write('x') end" } } }
    assert.status(sandboxed:request "/", 500)
    has(sandboxed:log("policy failed")[1].error, "'io' is not available to policies")
    local t = T.new { policies = { function() return mg.reply(200, type(io.write)) end } }
    assert.equal("function", t:request("/"):text())
  end)

  it("that fail are told with their line", function()
    local t = T.new { policies = { function() local x = nil return x.y end } }
    local res = t:request "/"
    assert.status(res, 500)
    has(t:log("policy failed")[1].error, "kit_spec.lua:")
  end)

  it("that never end are ended", function()
    local t = T.new {
      policies = { { lua = "return function() while true do end end" } },
      config = { limits = { lua_run = "20ms" } },
    }
    assert.status(t:request "/", 500)
    assert.equal(1, #t:log "policy failed")
  end)

  it("need nobody else for the identity", function()
    local t = gateway(nil, { policies = { { lua = [[
      return { request = function(req) req:set_header("X-U", req.auth.subject) end }]] } } })
    t:request { auth = { subject = "ann" } }
    local _, last = t:seen "api"
    assert.equal("ann", last:header "x-u")
  end)
end)

describe("matchers", function()
  local t, res
  before_each(function()
    t = gateway { json = { a = { 1, 2 }, b = "x" }, headers = { A = "1" } }
    res = t:request "/x"
  end)

  it("pass", function()
    assert.status(res, 200)
    assert.header(res, "A", "1")
    assert.header(res, "a", 1)
    assert.header(res, "A")
    assert.json(res, { a = { 1, 2 }, b = "x" })
    assert.untouched(res)
    assert.called("api", 1)
    assert.called(t, "api", 1)
    assert.is_not.status(res, 404)
    assert.is_not.header(res, "B")
    assert.problem(gateway(nil, { match = "/y" }):request "/", 404, "no-route")
  end)

  it("show the response", function()
    local text = failure_of(assert.status, res, 404)
    has(text, "expected status 404, got\n  GET /x\n  200\n")
    has(text, "A: 1")
    has(text, '"b":"x"')
    has(text, ("seed %d (--seed=%d gives the same order)"):format(T.seed, T.seed))
    has(failure_of(assert.header, res, "A", "2"), 'expected header A "2", got "1" in')
    has(failure_of(assert.header, res, "B"), "expected header B, got none in")
    has(failure_of(assert.json, res, { a = { 1, 3 }, b = "x" }), "at 'a[1]': expected 3, got 2 in")
    has(failure_of(assert.problem, res, 404, "no-route"), "expected status 404, got")
    has(failure_of(assert.called, "api", 2), "expected 2 requests at 'api', got 1\n  GET /x")
    has(failure_of(assert.is_not.status, res, 200), "expected the contrary of status")
    has(failure_of(assert.status, nil, 200), "expected a response, got nil")
  end)

  it("show why a policy failed", function()
    local failed = T.new { policies = { function() error("what a pity") end } }:request "/"
    local text = failure_of(assert.status, failed, 200)
    has(text, "policy failed in step lua (routes[0].policies[0]): ")
    has(text, "what a pity")
    has(text, "stack traceback")
  end)

  it("know who touched the body", function()
    local touched = gateway({ body = "x" }, { policies = { function(req, next)
      local inner = next(req)
      inner:text()
      return inner
    end } }):request "/"
    has(failure_of(assert.untouched, touched), "whose body nobody has read or replaced")
  end)

  it("leave luassert's own alone", function()
    local s = spy.new(function() end)
    s(1)
    assert.spy(s).was.called(1)
    assert.spy(s).was_not.called(2)
    has(failure_of(function() assert.spy(s).was.called(2) end), "Expected to be called 2 time(s)")
  end)
end)

describe("T.each_split", function()
  it("gives every cut, and says which one failed", function()
    local cuts = {}
    T.each_split("abc", function(a, b) cuts[#cuts + 1] = a .. "|" .. b end)
    assert.same({ "|abc", "a|bc", "ab|c", "abc|" }, cuts)
    has(failure_of(T.each_split, "abc", function(_, _, n) assert.is_true(n < 2) end), "cut after 2 of 3 bytes: ")
  end)
end)

describe("T.validate", function()
  local s = require "moongate.schema"
  local module = { name = "x", schema = s.record { n = s.integer { required = true }, m = s.string { default = "d" } } }

  it("gives the checked config or all that is wrong", function()
    assert.same({ n = 1, m = "d" }, T.validate(module, { n = 1 }))
    local ok, text = T.validate(module, { nn = 1 })
    assert.is_nil(ok)
    has(text, "x.nn: unknown field, did you mean 'n'?")
    has(text, "x.n: is required (integer)")
    assert.same({ any = 1 }, T.validate({ name = "y" }, { any = 1 }))
  end)
end)
