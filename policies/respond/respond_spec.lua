local T = require "moongate.test"

local function answer(conf, request)
  local t = T.new { policies = { { respond = conf } }, upstreams = { api = { body = "ok" } } }
  local res = t:request(request or "/")
  return res, t
end

describe("respond", function()
  describe("schema", function()
    local function refuses(conf, what)
      local ok, err = T.validate(require "respond", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    it("takes one body", function()
      refuses({ body = "a", json = {} }, "one of 'body', 'json' and 'template'")
      refuses({ body = "a", template = "x" }, "one of 'body', 'json' and 'template'")
    end)

    it("wants a body for keep", function() refuses({ status = "keep" }, "respond.status: needs 'body'") end)

    it("names the path of a bad field", function()
      refuses({ status = 99 }, "respond.status")
      refuses({ status = "stay" }, "respond.status")
      refuses({ body = "${nonsense}" }, "respond.body: unknown name 'nonsense'")
      refuses({ headers = { A = "x\r\ny" } }, "respond.headers.A")
      refuses({ delay = "soon" }, "respond.delay: expected duration")
    end)
  end)

  describe("answering", function()
    it("does not ask the backend", function()
      local res, t = answer { body = "hello" }
      assert.status(res, 200)
      assert.equal("hello", res:text())
      assert.header(res, "Content-Type", "text/plain; charset=utf-8")
      assert.equal(0, (t:seen "api"))
    end)

    it("sends a status alone", function()
      local res = answer { status = 204 }
      assert.status(res, 204)
      assert.equal("", res:text())
      assert.is_nil(res:header "Content-Type")
    end)

    it("sends JSON", function()
      local res = answer { status = 201, json = { a = { 1, 2 }, b = "x" } }
      assert.status(res, 201)
      assert.header(res, "Content-Type", "application/json")
      assert.equal('{"a":[1,2],"b":"x"}', res:text())
    end)

    it("fills in expressions", function()
      assert.equal("GET /a", answer({ body = "${method} ${path}" }, "/a"):text())
      local res = answer({ status = 302, headers = { Location = "https://x.example${path}" } }, "/a")
      assert.header(res, "Location", "https://x.example/a")
    end)

    it("escapes what clients send", function()
      local evil = { path = "/", headers = { x = '"}\\<b>&' } }
      assert.same({ v = '"}\\<b>&' }, answer({ json = { v = "${header.x}" } }, evil):json())
      local html = { body = "<p>${header.x}</p>", headers = { ["content-type"] = "text/html" } }
      assert.equal("<p>&quot;}\\&lt;b&gt;&amp;</p>", answer(html, evil):text())
      assert.equal('"}\\<b>&', answer({ body = "${header.x}" }, evil):text())
      assert.same({ v = "?" }, answer({ json = { v = "${header.x}" } }, { headers = { x = "\xff" } }):json())
    end)

    it("leaves out a header that a client made unfit", function()
      local res = answer({ headers = { A = "${arg.a}" } }, "/?a=%0d%0aB:1")
      assert.status(res, 200)
      assert.is_nil(res:header "A")
      assert.is_nil(res:header "B")
    end)

    it("waits before it answers", function()
      local _, t = answer { body = "late", delay = 2 }
      assert.near(2, t:now(), 1e-6)
    end)
  end)

  describe("status: keep", function()
    local function page(conf, upstream)
      local t = T.new { policies = { { respond = conf } }, upstreams = { api = upstream } }
      return t:request "/"
    end

    it("replaces the body and keeps the rest", function()
      local res = page({ status = "keep", body = "sorry: ${status}" },
        { status = 429, headers = { ["Retry-After"] = "7" }, json = {} })
      assert.status(res, 429)
      assert.equal("sorry: 429", res:text())
      assert.header(res, "Retry-After", "7")
      assert.header(res, "Content-Type", "text/plain; charset=utf-8")
    end)

    it("is an error page on upstream failures", function()
      local res = page({ status = "keep", json = { error = "${status}" } }, { error = "refused" })
      assert.status(res, 503)
      assert.json(res, { error = "503" })
    end)

    it("stands in on_error, for the gateway's own answers", function()
      local function route(upstream)
        return T.new {
          upstreams = { api = upstream },
          config = { routes = { {
            match = "/*", service = "api",
            on_error = { { respond = { body = "page ${status}" } } },
          } } },
        }:request "/"
      end
      local res = route { error = "refused" }
      assert.status(res, 503)
      assert.equal("page 503", res:text())
      assert.equal("own page", route({ status = 500, body = "own page" }):text())
    end)
  end)
end)
