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
  end)

  describe("headers", function()
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
      assert.equal(0, count)
    end)

    it("counts what comes without a length", function()
      local res, _, last = answer({ body = 5 }, { method = "POST", chunks = { "12", "345" } })
      assert.status(res, 200)
      assert.equal("12345", last:text())
      local count
      res, count = answer({ body = 5 }, { method = "POST", chunks = { "12", "345", "6" } })
      assert.problem(res, 413, "content-too-large")
      assert.equal(0, count)
    end)

    it("has nothing against a request without a body", function()
      assert.status(answer({ body = 0 }, "/"), 200)
    end)
  end)

  it("lets upstream failures pass", function()
    assert.status(gateway({ methods = "GET" }, { error = "refused" }):request "/", 503)
  end)
end)
