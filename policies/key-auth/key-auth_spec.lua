local T = require "moongate.test"

local KEYS = { ann1 = "ann-key-one", ann2 = "ann-key-two", bob1 = "bob-key", same = "ann-key-one" }
local CONSUMERS = {
  { name = "ann", keys = { "ann1", "ann2" }, roles = { "admin" }, groups = { "gold" } },
  { name = "bob", keys = "bob1" },
  { name = "eve" },
}

local function gateway(conf, consumers, more)
  return T.new {
    policies = { { ["key-auth"] = conf or {} }, more },
    upstreams = { api = { body = "ok" } },
    secrets = KEYS, config = { consumers = consumers or CONSUMERS },
  }
end

local function refuses(t, request, status, slug, challenge)
  local res = t:request(request)
  assert.problem(res, status, slug)
  assert.header(res, "WWW-Authenticate", challenge)
  assert.called("api", 0)
end

local function keyed(key)
  return { headers = { ["X-API-Key"] = key } }
end

local TELL = function(req)
  local auth = req.auth or {}
  return require "moongate".reply_json(200, auth)
end

describe("key-auth", function()
  describe("schema", function()
    local function fails(conf, what)
      local ok, err = T.validate(require "key-auth", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    it("has defaults", function()
      assert.same({ from = { { header = "X-API-Key" } }, realm = "moongate", optional = false, forward = false },
        T.validate(require "key-auth", {}))
    end)

    it("names the path of a bad field", function()
      fails({ realms = "a" }, "key-auth.realms: unknown field, did you mean 'realm'?")
      fails({ realm = 'a"b' }, "key-auth.realm")
      fails({ from = {} }, "key-auth.from")
      fails({ from = { {} } }, "key-auth.from[0]: needs one of 'header', 'cookie', 'query'")
      fails({ from = { { header = "a", query = "b" } } }, "key-auth.from[0]: needs one of")
      fails({ from = { { cookie = "a;b" } } }, "key-auth.from[0].cookie")
      fails({ consumers = {} }, "key-auth.consumers")
    end)
  end)

  describe("load", function()
    local function fails(conf, consumers, what)
      assert.has_error(function() gateway(conf, consumers) end)
      local _, err = pcall(gateway, conf, consumers)
      assert.matches(what, tostring(err), 1, true)
    end

    it("wants consumers that are there and have keys", function()
      fails({ consumers = "zoe" }, nil, "unknown consumer 'zoe'")
      fails({ consumers = { "ann", "eve" } }, nil, "consumer 'eve' has no keys")
      fails({}, { { name = "eve" } }, "no consumer has keys")
    end)

    it("refuses a key that two have", function()
      fails({}, { { name = "ann", keys = "ann1" }, { name = "bob", keys = "same" } },
        "'ann' and 'bob' have the same key")
    end)
  end)

  describe("allowed", function()
    it("knows each key of a consumer", function()
      local t = gateway({}, nil, TELL)
      for _, key in ipairs { "ann-key-one", "ann-key-two" } do
        local res = t:request(keyed(key))
        assert.json(res, { scheme = "key", subject = "ann", scopes = {}, roles = { "admin" },
          claims = { groups = { "gold" } } })
      end
      assert.equal("bob", (t:request(keyed "bob-key")):json().subject)
    end)

    it("takes the key out of the request", function()
      local t = gateway()
      assert.status(t:request(keyed "bob-key"), 200)
      local _, last = t:seen "api"
      assert.is_nil(last:header "X-API-Key")
    end)

    it("leaves it there when it shall", function()
      local t = gateway { forward = true }
      assert.status(t:request(keyed "bob-key"), 200)
      local _, last = t:seen "api"
      assert.equal("bob-key", last:header "X-API-Key")
    end)

    it("finds a bearer", function()
      local t = gateway { from = { header = "Authorization" } }
      for _, value in ipairs { "Bearer bob-key", "bearer  bob-key" } do
        assert.status(t:request { headers = { Authorization = value } }, 200)
        local _, last = t:seen "api"
        assert.is_nil(last:header "Authorization")
      end
    end)

    it("finds a cookie, and leaves the others", function()
      local t = gateway { from = { cookie = "key" } }
      local function cookies(sent)
        assert.status(t:request { headers = { Cookie = sent } }, 200)
        local _, last = t:seen "api"
        return last:header "Cookie"
      end
      assert.is_nil(cookies "key=bob-key")
      assert.equal("a=1; b=2", cookies 'a=1; key="bob-key"; b=2')
      assert.equal("a=1; b", cookies { "a=1", "key = bob-key; b" })
    end)

    it("finds an argument, however it is written, and leaves the others", function()
      local t = gateway { from = { query = "api_key" } }
      for _, query in ipairs { "a=1&api_key=bob-key&b=%20", "a=1&api%5Fkey=bob%2Dkey&b=%20" } do
        assert.status(t:request("/?" .. query), 200)
        local _, last = t:seen "api"
        assert.equal("a=1&b=%20", last.query)
      end
    end)

    it("lets those without a key pass where that is optional", function()
      local t = gateway({ optional = true }, nil, TELL)
      assert.json(t:request "/", {})
    end)

    it("gives each request an identity of its own", function()
      local t = gateway({}, nil, function(req)
        local roles = req.auth.roles
        roles[#roles + 1] = "root"
        return require "moongate".reply(200, tostring(#roles))
      end)
      for _ = 1, 3 do assert.equal("2", (t:request(keyed "ann-key-one")):text()) end
    end)

    it("leaves credentials of other schemes alone", function()
      local t = gateway { from = { { header = "Authorization" }, { header = "X-API-Key" } } }
      assert.status(t:request { headers = { ["X-API-Key"] = "bob-key", Authorization = "Basic YTpi" } }, 200)
      local _, last = t:seen "api"
      assert.equal("Basic YTpi", last:header "Authorization")
    end)
  end)

  describe("refused", function()
    it("asks for a key", function()
      refuses(gateway(), "/", 401, "key-required", 'Key realm="moongate"')
      refuses(gateway { realm = "shop" }, "/", 401, "key-required", 'Key realm="shop"')
      local bearer = gateway { from = { header = "Authorization" } }
      refuses(bearer, "/", 401, "key-required", 'Bearer realm="moongate"')
      refuses(bearer, { headers = { Authorization = "Basic YTpi" } }, 401, "key-required", 'Bearer realm="moongate"')
      refuses(bearer, { headers = { Authorization = "bob-key" } }, 401, "key-required", 'Bearer realm="moongate"')
    end)

    it("a key that nobody has", function()
      local t = gateway { optional = true }
      local wrong = {
        "", "bob-ke", "bob-keyy", "Bob-key", "bob-key, bob-key", "bob1", "ann", ("k"):rep(5000),
        ("0"):rep(64), "bob-key%00",
      }
      for _, key in ipairs(wrong) do
        refuses(t, keyed(key), 401, "key-invalid", 'Key realm="moongate", error="invalid_token"')
      end
    end)

    it("a key of somebody who is not in the list", function()
      local t = gateway { consumers = "bob" }
      assert.status(t:request(keyed "bob-key"), 200)
      assert.problem(t:request(keyed "ann-key-one"), 401, "key-invalid")
    end)

    it("a key in a place that is not looked at", function()
      refuses(gateway(), { path = "/?X-API-Key=bob-key", headers = { Cookie = "X-API-Key=bob-key" } }, 401,
        "key-required", 'Key realm="moongate"')
    end)

    it("more than one key, also the same", function()
      local t = gateway { from = { { header = "X-API-Key" }, { cookie = "k" }, { query = "k" } }, optional = true }
      local many = {
        { headers = { ["X-API-Key"] = { "bob-key", "bob-key" } } },
        { headers = { ["X-API-Key"] = { "bob-key", "" } } },
        { path = "/?k=bob-key", headers = { ["X-API-Key"] = "bob-key" } },
        { headers = { ["X-API-Key"] = "bob-key", Cookie = "k=bob-key" } },
        { headers = { Cookie = "k=bob-key; k=ann-key-one" } },
        { headers = { Cookie = { "k=bob-key", "k=bob-key" } } },
        { path = "/?k=bob-key&k=bob-key" },
        { path = "/?k=bob-key&%6B=x" },
        { path = "/?k&k=bob-key" },
      }
      for _, request in ipairs(many) do
        refuses(t, request, 400, "key-ambiguous", 'Key realm="moongate", error="invalid_request"')
      end
    end)

    it("says nothing about the key in the log", function()
      local t = gateway()
      t:request(keyed "guess-7301")
      assert.equal(1, #t:log "API key refused")
      assert.equal(0, #t:log "guess%-7301")
    end)
  end)

  it("passes failures of the backend on", function()
    local t = T.new { policies = { "key-auth" }, upstreams = { api = { error = "refused" } },
      secrets = KEYS, config = { consumers = CONSUMERS } }
    assert.status(t:request(keyed "bob-key"), 503)
  end)
end)
