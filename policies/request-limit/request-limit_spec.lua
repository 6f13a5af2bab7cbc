local T = require "moongate.test"

local function gateway(conf, answer)
  return T.new { policies = { { ["request-limit"] = conf } }, upstreams = { api = answer or { body = "ok" } } }
end

local function answer(conf, request)
  local t = gateway(conf)
  local res = t:request(request)
  local count, last = t:seen "api"
  return res, count, last
end

local function post(body, content_type)
  return { method = "POST", body = body, headers = { ["Content-Type"] = content_type } }
end

describe("request-limit", function()
  describe("schema", function()
    local function refuses(conf, what)
      local ok, err = T.validate(require "request-limit", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    it("wants a limit", function() refuses({}, "needs at least one limit") end)

    it("takes 1 to 100 names", function()
      local methods, types = {}, {}
      for i = 1, 100 do methods[i], types[i] = "M" .. i, "a/" .. i end
      assert.truthy(T.validate(require "request-limit", { methods = methods, content_types = types }))
      assert.truthy(T.validate(require "request-limit", { methods = "GET", content_types = "a/b" }))
      methods[101], types[101] = "M101", "a/101"
      refuses({ methods = methods }, "request-limit.methods: must have at most 100")
      refuses({ content_types = types }, "request-limit.content_types: must have at most 100")
      refuses({ methods = {} }, "request-limit.methods: must have at least 1")
      refuses({ content_types = {} }, "request-limit.content_types: must have at least 1")
    end)

    it("names the path of a bad field", function()
      refuses({ body = "big" }, "request-limit.body: expected size")
      refuses({ headers = 0 }, "request-limit.headers: must be > 0")
      refuses({ methods = { "get" } }, "request-limit.methods[0]")
      refuses({ content_types = "json" }, "request-limit.content_types")
    end)
  end)

  describe("methods", function()
    local conf = { methods = { "GET", "POST" } }

    it("lets these pass", function()
      for _, method in ipairs { "GET", "HEAD", "POST" } do
        assert.status(answer(conf, { method = method }), 200)
      end
    end)

    it("refuses others, and says which are allowed", function()
      local res, count = answer(conf, { method = "DELETE" })
      assert.problem(res, 405, "method-not-allowed")
      assert.header(res, "Allow", "GET, HEAD, POST")
      assert.equal(0, count)
    end)

    it("allows HEAD with GET alone, and names it once", function()
      assert.status(answer({ methods = "POST" }, { method = "HEAD" }), 405)
      local res = answer({ methods = { "HEAD", "GET", "GET" } }, { method = "PUT" })
      assert.header(res, "Allow", "HEAD, GET")
    end)
  end)

  describe("headers", function()
    it("counts exactly", function()
      local fields, bytes = 0, 0
      local request = { headers = { A = "1", Bc = "23" } }
      T.new({ upstreams = { api = {} }, policies = { function(req, next)
        for name, value in req:headers() do fields, bytes = fields + 1, bytes + #name + #value end
        return next(req)
      end } }):request(request)
      assert.is_true(fields >= 2 and bytes >= 6)
      assert.status(answer({ headers = fields, header_bytes = bytes }, request), 200)
      assert.problem(answer({ headers = fields - 1 }, request), 431, "too-many-headers")
      assert.problem(answer({ header_bytes = bytes - 1 }, request), 431, "headers-too-large")
    end)

    it("counts fields", function()
      local few, many = {}, {}
      for i = 1, 5 do few["X-" .. i] = "v" end
      for i = 1, 50 do many["X-" .. i] = "v" end
      assert.status(answer({ headers = 20 }, { headers = few }), 200)
      local res, count = answer({ headers = 20 }, { headers = many })
      assert.problem(res, 431, "too-many-headers")
      assert.equal(0, count)
    end)

    it("counts bytes", function()
      assert.status(answer({ header_bytes = "1KiB" }, { headers = { A = ("v"):rep(500) } }), 200)
      assert.problem(answer({ header_bytes = "1KiB" }, { headers = { A = ("v"):rep(1024) } }), 431, "headers-too-large")
    end)
  end)

  describe("content_types", function()
    local conf = { content_types = { "application/json", "image/*" } }

    it("lets these pass", function()
      for _, content_type in ipairs {
        "application/json", "Application/JSON", "application/json; charset=utf-8", "application/json ;x=y", "image/png",
      } do
        assert.status(answer(conf, post("{}", content_type)), 200)
      end
    end)

    it("refuses others, and says what is taken", function()
      for _, content_type in ipairs {
        "text/plain", "application/jsonp", "application", "image", "imagex/png", "text/plain;application/json",
        "image/png, text/html", "/", "",
      } do
        local res, count = answer(conf, post("{}", content_type))
        assert.problem(res, 415, "unsupported-content-type")
        assert.header(res, "Accept", "application/json, image/*")
        assert.equal(0, count)
      end
    end)

    it("refuses a type also where there is no body", function()
      assert.problem(answer(conf, { headers = { ["Content-Type"] = "text/plain" } }), 415)
    end)

    it("does not wait for a body that it refuses", function()
      local said = gateway(conf):connect():send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
      assert.matches("^HTTP/1.1 415 ", said)
    end)

    it("wants a type only where there is a body", function()
      assert.status(answer(conf, { method = "GET" }), 200)
      assert.status(answer(conf, { method = "POST", body = "" }), 200)
      assert.problem(answer(conf, { method = "POST", body = "x" }), 415, "unsupported-content-type")
      assert.problem(answer(conf, { method = "POST", chunks = { "x" } }), 415, "unsupported-content-type")
    end)
  end)

  describe("body", function()
    it("lets a body of just that size pass", function()
      local res, _, last = answer({ body = 5 }, { method = "POST", body = "12345" })
      assert.status(res, 200)
      assert.equal("12345", last:text())
    end)

    it("refuses a larger one before it is read", function()
      local res, count = answer({ body = 5 }, { method = "POST", body = "123456" })
      assert.problem(res, 413, "content-too-large")
      assert.equal("the body may have at most 5 bytes", res:json().detail)
      assert.equal(0, count)
    end)

    it("reads none whose length is told", function()
      local reached = false
      local t = T.new { upstreams = { api = {} }, policies = { { ["request-limit"] = { body = 5 } }, function(req, next)
        reached = true
        return next(req)
      end } }
      local conn = t:connect()
      conn:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12"
      assert.is_true(reached)
      conn:close()
    end)

    it("counts what comes without a length", function()
      local res, _, last = answer({ body = 5 }, { method = "POST", chunks = { "12", "345" } })
      assert.status(res, 200)
      assert.equal("12345", last:text())
      local count
      res, count = answer({ body = 5 }, { method = "POST", chunks = { "12", "345", "6" } })
      assert.problem(res, 413, "content-too-large")
      assert.equal("the body may have at most 5 bytes", res:json().detail)
      assert.equal(0, count)
    end)

    it("has nothing against a request without a body", function()
      assert.status(answer({ body = 0 }, "/"), 200)
    end)
  end)

  it("holds all its limits", function()
    local conf = { methods = "POST", headers = 50, content_types = "a/b", body = 5 }
    assert.problem(answer(conf, post("123456", "a/b")), 413)
    assert.problem(answer(conf, post("1", "a/c")), 415)
    assert.status(answer(conf, post("12345", "a/b")), 200)
  end)

  it("lets upstream failures pass", function()
    assert.status(gateway({ methods = "GET" }, { error = "refused" }):request "/", 503)
  end)
end)
