local T = require "moongate.test"

local function gateway(conf)
  return T.new { policies = { { scopes = conf } }, upstreams = { api = { body = "ok" } } }
end

local function status(conf, scopes)
  return gateway(conf):request({ auth = { subject = "ann", scopes = scopes } }).status
end

describe("scopes", function()
  describe("schema", function()
    local function refuses(conf, what)
      local ok, err = T.validate(require "scopes", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    local function takes(conf) assert.truthy(T.validate(require "scopes", conf)) end

    local function times(n, value)
      local list = {}
      for i = 1, n do list[i] = value end
      return list
    end

    it("knows how much is too much", function()
      takes { all = times(100, ("a"):rep(256)), any = times(100, "a"), realm = ("a"):rep(256) }
      takes { all = "a", realm = "a" }
      refuses({ all = times(101, "a") }, "scopes.all")
      refuses({ any = times(101, "a") }, "scopes.any")
      refuses({ all = "a", any = {} }, "scopes.any")
      refuses({ all = { ("a"):rep(257) } }, "scopes.all[0]")
      refuses({ all = "a", realm = "" }, "scopes.realm")
      refuses({ all = "a", realm = ("a"):rep(257) }, "scopes.realm")
    end)

    it("takes one for a list", function()
      assert.same({ all = { "a" }, realm = "moongate" }, T.validate(require "scopes", { all = "a" }))
      assert.truthy(T.validate(require "scopes", { any = { "https://example.com/a.b:c", "!#[]~" } }))
    end)

    it("names the path of a bad field", function()
      refuses({}, "scopes: needs 'all' or 'any'")
      refuses({ all = {} }, "scopes.all")
      for _, text in ipairs { "", "a b", 'a"b', "a\\b", "ä", "a\nb", "a\127" } do
        refuses({ any = { text } }, "scopes.any[0]")
      end
    end)

    it("needs somebody who provides the identity", function()
      local ok, fault = pcall(T.load, "x.yaml", { text = [[
        services: { api: { backends: ["a:80"] } }
        routes: [{ match: /*, service: api, policies: [{ scopes: { all: a } }] }]
      ]] })
      assert.is_false(ok)
      assert.matches('scopes: needs "identity"', tostring(fault), 1, true)
    end)
  end)

  it("asks for all", function()
    local conf = { all = { "a", "b" } }
    assert.equal(200, status(conf, { "b", "c", "a" }))
    assert.equal(403, status(conf, { "a" }))
    assert.equal(403, status(conf, {}))
  end)

  it("asks for any", function()
    local conf = { any = { "a", "b" } }
    assert.equal(200, status(conf, { "c", "b" }))
    assert.equal(403, status(conf, { "c" }))
    assert.equal(403, status(conf, {}))
  end)

  it("asks for both", function()
    local conf = { all = { "a" }, any = { "b", "c" } }
    assert.equal(200, status(conf, { "a", "c" }))
    assert.equal(403, status(conf, { "a" }))
    assert.equal(403, status(conf, { "b" }))
  end)

  it("compares letter by letter", function()
    for _, scope in ipairs { "Orders:read", "orders", "orders:read2", "orders:", "orders:*", "x orders:read" } do
      assert.equal(403, status({ all = "orders:read" }, { scope }))
    end
  end)

  it("reads the claim where nobody else has", function()
    local t = gateway { all = { "a", "b" } }
    local function verdict(auth) return t:request({ auth = auth }).status end
    assert.equal(200, verdict { subject = "x", claims = { scope = "a c b" } })
    assert.equal(403, verdict { subject = "x", claims = { scope = "a,b" } })
    assert.equal(403, verdict { subject = "x", claims = { scope = { a = true, b = true } } })
    assert.equal(403, verdict { subject = "x", claims = {} })
    assert.equal(403, verdict { subject = "x" })
    assert.equal(403, verdict { subject = "x", scopes = {}, claims = { scope = "a b" } })
  end)

  it("says what is missing, as RFC 6750 does", function()
    local t = gateway { all = { "a", "b" }, any = { "c", "d" }, realm = "shop" }
    local res = t:request { auth = { subject = "x", scopes = { "a" } } }
    assert.problem(res, 403, "insufficient-scope")
    assert.header(res, "WWW-Authenticate", 'Bearer realm="shop", error="insufficient_scope", scope="a b c d"')
    assert.called(t, "api", 0)
    assert.header(gateway({ any = "c" }):request { auth = { subject = "x" } }, "WWW-Authenticate",
      'Bearer realm="moongate", error="insufficient_scope", scope="c"')
  end)

  it("asks clients that nobody knows for a token", function()
    local t = gateway { all = "a" }
    local res = t:request { auth = false }
    assert.problem(res, 401, "unauthenticated")
    assert.header(res, "WWW-Authenticate", 'Bearer realm="moongate"')
    assert.called(t, "api", 0)
  end)

  it("lets upstream failures pass", function()
    local t = T.new { policies = { { scopes = { all = "a" } } }, upstreams = { api = { error = "refused" } } }
    assert.status(t:request { auth = { subject = "x", scopes = { "a" } } }, 503)
  end)
end)
