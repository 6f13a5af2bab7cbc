local T = require "moongate.test"
local mg = require "moongate"

local SECRET = "g4teway:+/ %s\u{e9}cret"
local GOOD = { active = true, sub = "ann", scope = "orders:read orders:write", client_id = "app" }

local function copy(t, changes)
  local out = {}
  for key, value in pairs(t) do out[key] = value end
  for key, value in pairs(changes or {}) do out[key] = value end
  return out
end

-- A gateway whose issuer says `answer` of every token.
local function gateway(conf, answer, more)
  local base = { service = "login", client_id = "gateway", client_secret = "login" }
  return T.new {
    policies = { { ["oauth-introspect"] = copy(base, conf) }, more },
    upstreams = { login = answer or { json = GOOD }, api = { body = "ok" } }, service = "api",
    secrets = { login = SECRET },
  }
end

local function bearer(text)
  return { headers = { Authorization = "Bearer " .. (text or "t0ken") } }
end

local function asked(t)
  return select(2, t:seen "login")
end

local function refused(t, description, what)
  local res = t:request(what or bearer())
  assert.problem(res, 401, "invalid-token")
  assert.equal("Invalid token", res:json().detail)
  assert.header(res, "WWW-Authenticate",
    ('Bearer realm="moongate", error="invalid_token", error_description="%s"'):format(description))
  assert.called(t, "api", 0)
  if not what then assert.equal(description, t:log("token refused")[1].reason) end
end

local EVERYWHERE = { "header", { query = "access_token" }, { cookie = "token" } }

describe("oauth-introspect", function()
  describe("schema", function()
    local function refuses(conf, what)
      local ok, err = T.validate(require "oauth-introspect", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    local function takes(conf) assert.truthy(T.validate(require "oauth-introspect", conf)) end

    local function times(n, value)
      local list = {}
      for i = 1, n do list[i] = value end
      return list
    end

    it("knows how much is too much", function()
      local function base(changes)
        return copy({ service = "a", client_id = "a", client_secret = "b" }, changes)
      end
      local long, longer = ("a"):rep(128), ("a"):rep(256)
      takes(base { client_id = ("a"):rep(1024), from = { { cookie = long }, { query = long } } })
      takes(base { subject = longer, realm = longer })
      takes(base { from = { { cookie = "a" }, { query = "a" }, "header" }, subject = "a", realm = "a" })
      takes(base { issuer = times(100, ("a"):rep(1024)), audience = times(100, "a") })
      takes(base { cache = 3600, negative_cache = 3600, timeout = 300 })
      takes(base { timeout = 0.001 })
      for field, bad in pairs {
        client_id = { "", ("a"):rep(1025) }, from = { {}, { cookie = "" }, { cookie = long .. "a" }, { query = "" },
          { query = long .. "a" }, "body", { header = "a b" }, { "header", "header", "header", "header" } },
        issuer = { {}, times(101, "a"), { "" }, { ("a"):rep(1025) } }, audience = { {}, times(101, "a") },
        subject = { "", ("a"):rep(257) }, realm = { "", ("a"):rep(257) }, cache = { 3601 }, negative_cache = { 3601 },
        timeout = { 0, 301 }, path = { "x", "/a b" },
      } do
        for _, value in ipairs(bad) do refuses(base { [field] = value }, "oauth-introspect." .. field) end
      end
    end)

    it("names the path of a bad field", function()
      refuses({ service = "a" }, "oauth-introspect.client_id: is required")
      refuses({ service = "a" }, "oauth-introspect.client_secret: is required")
      local base = { client_id = "a", client_secret = "b" }
      refuses(base, "oauth-introspect: needs one of 'service' and 'url'")
      refuses(copy(base, { service = "a", url = "http://a/" }), "oauth-introspect: needs one of 'service' and 'url'")
      refuses(copy(base, { url = "http://a/", path = "/x" }), "oauth-introspect.path: goes with 'service'")
      refuses(copy(base, { service = "a", from = { cookie = "a b" } }), "oauth-introspect.from")
      refuses(copy(base, { service = "a", on_error = "ignore" }), "oauth-introspect.on_error")
    end)

    it("has defaults", function()
      local conf = T.validate(require "oauth-introspect", { service = "a", client_id = "a", client_secret = "b" })
      assert.same({ "basic", { "header" }, false, true, "deny", 10, 10, "sub" }, { conf.client_auth, conf.from,
        conf.optional, conf.forward, conf.on_error, conf.cache, conf.negative_cache, conf.subject })
    end)

    it("wants a secret that there is", function()
      local ok, fault = pcall(gateway, { client_secret = "none" })
      assert.is_false(ok)
      assert.matches("unknown secret 'none'", tostring(fault), 1, true)
    end)
  end)

  describe("asks the issuer", function()
    it("as RFC 7662 says", function()
      local t = gateway()
      assert.status(t:request(bearer "a+b/c="), 200)
      local req = asked(t)
      assert.same({ "POST", "/introspect", "application/x-www-form-urlencoded", "application/json" },
        { req.method, req.path, req:header "Content-Type", req:header "Accept" })
      assert.same({ token = "a+b/c=", token_type_hint = "access_token" }, mg.url.parse_query(req:text()))
      local pair = mg.crypto.base64.decode(req:header("Authorization"):match "^Basic (.*)$")
      assert.equal("gateway:" .. mg.url.encode(SECRET), pair)
    end)

    it("with credentials that need encoding", function()
      local t = gateway { client_id = "a:b c" }
      t:request(bearer())
      assert.matches("^a%%3Ab%%20c:", (mg.crypto.base64.decode(asked(t):header("Authorization"):match "^Basic (.*)$")))
    end)

    it("with the credentials in the form", function()
      local t = gateway { client_auth = "post", path = "/oauth/check" }
      t:request(bearer())
      assert.equal("/oauth/check", asked(t).path)
      assert.is_nil(asked(t):header "Authorization")
      local form = mg.url.parse_query(asked(t):text())
      assert.same({ "gateway", SECRET, "t0ken" }, { form.client_id, form.client_secret, form.token })
    end)

    it("at a URL", function()
      local t = T.new {
        policies = { { ["oauth-introspect"] = {
          url = "http://login.example:9000/check?a=1", client_id = "g", client_secret = "login",
        } } },
        upstreams = { ["login.example:9000"] = { json = GOOD }, api = { body = "ok" } }, service = "api",
        secrets = { login = SECRET },
      }
      assert.status(t:request(bearer()), 200)
      local _, req = t:seen "login.example:9000"
      assert.same({ "/check", "a=1" }, { req.path, req.query })
    end)

    it("nothing without a token", function()
      local t = gateway()
      local res = t:request "/"
      assert.problem(res, 401, "no-token")
      assert.header(res, "WWW-Authenticate", 'Bearer realm="moongate"')
      t:request { headers = { Authorization = "Basic YTpi" } }
      assert.called(t, "login", 0)
    end)

    it("nothing about two", function()
      local t = gateway { from = EVERYWHERE }
      local res = t:request(copy(bearer(), { path = "/?access_token=other" }))
      assert.problem(res, 400, "invalid-request")
      assert.header(res, "WWW-Authenticate", 'Bearer realm="moongate", error="invalid_request"')
      assert.problem(t:request { headers = { Authorization = { "Bearer a", "Bearer b" } } }, 400, "invalid-request")
      assert.problem(t:request { path = "/?access_token=a", headers = { Cookie = "token=b" } }, 400, "invalid-request")
      assert.called(t, "login", 0)
    end)

    it("nothing about what is no token", function()
      local t = gateway()
      refused(t, "the token is malformed", bearer "a b")
      refused(gateway(), "the token is malformed", bearer "a&token=b")
      assert.status(gateway():request(bearer(("a"):rep(8192))), 200)
      local long = gateway()
      refused(long, "the token is too long", bearer(("a"):rep(8193)))
      assert.called(long, "login", 0)
    end)
  end)

  describe("takes a token", function()
    it("from the places of the config", function()
      local t = gateway { from = EVERYWHERE }
      assert.status(t:request "/?access_token=a", 200)
      assert.status(t:request { headers = { Cookie = "token=b" } }, 200)
      assert.status(gateway():request "/?access_token=a", 401)
      assert.status(gateway({ from = { header = "X-Token" } }):request { headers = { ["X-Token"] = "a" } }, 200)
    end)

    it("out of the request where the config says so", function()
      local t = gateway { forward = false, from = EVERYWHERE }
      t:request(bearer())
      assert.is_nil(select(2, t:seen "api"):header "Authorization")
      assert.header(t:request "/?access_token=a&b=1", "Cache-Control", "private")
      assert.equal("b=1", select(2, t:seen "api").query)
      t:request { headers = { Cookie = "a=1; token=b" } }
      assert.equal("a=1", select(2, t:seen "api"):header "Cookie")
    end)

    it("on to the backend otherwise", function()
      local t = gateway()
      t:request(bearer())
      assert.equal("Bearer t0ken", select(2, t:seen "api"):header "Authorization")
    end)
  end)

  describe("identity", function()
    it("is what the issuer says", function()
      local _, req = gateway({}, { json = copy(GOOD, { groups = { "a" } }) }):request(bearer())
      local auth = req.auth
      assert.same({ "oauth", "ann", { "orders:read", "orders:write" }, {} },
        { auth.scheme, auth.subject, auth.scopes, auth.roles })
      assert.same({ "app", "a" }, { auth.claims.client_id, auth.claims.groups[1] })
    end)

    it("is the same from the cache", function()
      local t = gateway()
      t:request(bearer())
      local _, req = t:request(bearer())
      assert.called(t, "login", 1)
      assert.same({ "ann", "app", "orders:write" }, { req.auth.subject, req.auth.claims.client_id, req.auth.scopes[2] })
    end)

    it("may be another claim, and may have no subject", function()
      local _, req = gateway({ subject = "username" }, { json = copy(GOOD, { username = "Ann" }) }):request(bearer())
      assert.equal("Ann", req.auth.subject)
      for _, answer in ipairs { { active = true }, { active = true, sub = mg.json.null, client_id = "ann" } } do
        _, req = gateway({}, { json = answer }):request(bearer())
        assert.is_nil(req.auth.subject)
        assert.same({}, req.auth.scopes)
      end
    end)

    it("is what steps need that need one", function()
      local t = gateway({}, nil, { scopes = { all = "orders:read" } })
      assert.status(t:request(bearer()), 200)
      t = gateway({}, nil, { scopes = { all = "admin" } })
      assert.status(t:request(bearer()), 403)
    end)

    it("is provided for steps that need one", function()
      assert.same({ "identity" }, require("oauth-introspect").provides)
    end)

    it("is none where no token is required", function()
      local t = gateway { optional = true }
      local res, req = t:request "/"
      assert.status(res, 200)
      assert.is_nil(req.auth)
      assert.status(t:request { headers = { Authorization = { "Bearer a", "Bearer b" } } }, 400)
      t = gateway({ optional = true }, { json = { active = false } })
      refused(t, "the token is not active")
    end)
  end)

  describe("refuses", function()
    local function now()
      local at
      T.new({ policies = { function()
        at = mg.now()
        return mg.reply(204)
      end } }):request "/"
      return at
    end

    local HOUR = 3600
    local CASES = {
      { "what is not active", { active = false, sub = "ann" }, "the token is not active" },
      { "what has expired", function() return { exp = now() - 1 } end, "the token has expired" },
      { "what expires now", function() return { exp = now() } end, "the token has expired" },
      { "what begins later", function() return { nbf = now() + HOUR } end, "the token is not valid yet" },
      { "a time in text", function() return { exp = tostring(now() + HOUR) } end, "the token's times are no numbers" },
      { "a time in a list", function() return { exp = { now() + HOUR } } end, "the token's times are no numbers" },
      { "a beginning in text", { nbf = "0" }, "the token's times are no numbers" },
      { "another issuer", { iss = "https://b" }, "the token is of another issuer", { issuer = "https://a" } },
      { "no issuer", {}, "the token is of another issuer", { issuer = { "https://a" } } },
      { "another audience", { aud = "other" }, "the token is for somebody else", { audience = "api" } },
      { "other audiences", { aud = { "a", "b", "api2" } }, "the token is for somebody else", { audience = "api" } },
      { "audiences in a text", { aud = "api other" }, "the token is for somebody else", { audience = "api" } },
      { "no audience", {}, "the token is for somebody else", { audience = "api" } },
      { "a subject that is no text", { sub = { "ann" } }, "the subject is no text" },
      { "a subject that is a number", { sub = 1 }, "the subject is no text" },
    }
    for _, case in ipairs(CASES) do
      it(case[1], function()
        local changes = type(case[2]) == "function" and case[2]() or case[2]
        refused(gateway(case[4], { json = copy(GOOD, changes) }), case[3])
      end)
    end

    it("none that is as it should be", function()
      local claims = copy(GOOD, { exp = now() + HOUR, nbf = now(), iss = "https://a", aud = { "x", "api" } })
      local conf = { issuer = { "https://b", "https://a" }, audience = { "api", "y" } }
      assert.status(gateway(conf, { json = claims }):request(bearer()), 200)
      claims.aud, claims.exp, claims.nbf = "y", mg.json.null, mg.json.null
      assert.status(gateway(conf, { json = claims }):request(bearer()), 200)
    end)
  end)

  describe("without an answer", function()
    local FAILURES = {
      { "refused", { error = "refused" } },
      { "late", { delay = 60, json = GOOD } },
      { "status 401", { status = 401, json = GOOD } },
      { "status 201", { status = 201, json = GOOD } },
      { "status 500", { status = 500, json = GOOD } },
      { "a redirect", { status = 302, headers = { Location = "http://evil.example/" } } },
      { "no JSON", { body = "active" } },
      { "nothing", { body = "" } },
      { "a list", { json = { true } } },
      { "true", { body = "true" } },
      { "no active", { json = { sub = "ann" } } },
      { "active as a text", { json = { active = "true", sub = "ann" } } },
      { "active as a number", { json = { active = 1, sub = "ann" } } },
      { "active twice", { body = '{"active":false,"active":true}' } },
    }
    for _, case in ipairs(FAILURES) do
      it("is closed: " .. case[1], function()
        local t = gateway({}, case[2])
        local res = t:request(bearer())
        assert.problem(res, 503, "introspection-unavailable")
        assert.equal("Nobody can tell whether the token is good", res:json().detail)
        assert.called(t, "api", 0)
        assert.is_string(t:log("the token's issuer gives no answer")[1].reason)
        t:request(bearer())
        assert.equal(2, #t:log "the token's issuer gives no answer")
      end)
    end

    it("says why in the log", function()
      local function reason(answer)
        local t = gateway({}, answer)
        t:request(bearer())
        return t:log("the token's issuer gives no answer")[1].reason
      end
      assert.equal("status 401", reason { status = 401 })
      assert.equal("no answer as of RFC 7662", reason { body = "{}" })
    end)

    it("lets clients pass unknown where the config says so", function()
      local t = gateway({ on_error = "allow" }, { error = "refused" })
      local res, req = t:request(bearer())
      assert.status(res, 200)
      assert.is_nil(req.auth)
      t = gateway({ on_error = "allow" }, { error = "refused" }, { rbac = { roles = "A" } })
      assert.status(t:request(bearer()), 401)
      refused(gateway({ on_error = "allow" }, { json = { active = false } }), "the token is not active")
    end)

    it("waits no longer than it may", function()
      local t = gateway({ timeout = 2 }, { delay = 60, json = GOOD })
      assert.status(t:request(bearer()), 503)
      assert.near(2, t:now(), 0.001)
    end)
  end)

  describe("cache", function()
    it("keeps a good answer for a time", function()
      local t = gateway { cache = "5s" }
      t:request(bearer())
      t:advance(4.9)
      assert.status(t:request(bearer()), 200)
      assert.called(t, "login", 1)
      t:advance(0.2)
      assert.status(t:request(bearer()), 200)
      assert.called(t, "login", 2)
    end)

    it("keeps a bad one for another", function()
      local t = gateway({ cache = "1h", negative_cache = "5s" }, { json = { active = false } })
      t:request(bearer())
      t:advance(4.9)
      assert.status(t:request(bearer()), 401)
      assert.called(t, "login", 1)
      t:advance(0.2)
      assert.status(t:request(bearer()), 401)
      assert.called(t, "login", 2)
    end)

    it("ends with the token", function()
      local function answer() return { json = copy(GOOD, { exp = math.floor(mg.now()) + 10 }) } end
      local t = gateway({ cache = "1h" }, answer)
      t:request(bearer())
      t:advance(8)
      t:request(bearer())
      assert.called(t, "login", 1)
      t:advance(3)
      t:request(bearer())
      assert.called(t, "login", 2)
    end)

    it("can be off", function()
      local t = gateway { cache = 0 }
      t:request(bearer())
      t:request(bearer())
      assert.called(t, "login", 2)
      t = gateway({ negative_cache = 0 }, { json = { active = false } })
      t:request(bearer())
      t:request(bearer())
      assert.called(t, "login", 2)
    end)

    it("tells tokens apart", function()
      local t = gateway({}, function(req)
        return { json = { active = mg.url.parse_query(req:text()).token == "good" } }
      end)
      assert.status(t:request(bearer "good"), 200)
      assert.status(t:request(bearer "Good"), 401)
      assert.status(t:request(bearer "good="), 401)
      assert.status(t:request(bearer "good"), 200)
      assert.called(t, "login", 3)
    end)

    it("is judged anew by each step", function()
      local function step(audience)
        return { ["oauth-introspect"] = {
          service = "login", client_id = "g", client_secret = "login", audience = audience,
        } }
      end
      local t = T.new {
        policies = { step "a", step "b" }, upstreams = { login = { json = copy(GOOD, { aud = "a" }) }, api = {} },
        service = "api", secrets = { login = SECRET },
      }
      assert.status(t:request(bearer()), 401)
      assert.called(t, "login", 1)
    end)

    it("may be short", function()
      local t = gateway { cache = 1 }
      t:request(bearer())
      t:request(bearer())
      assert.called(t, "login", 1)
    end)

    it("is not shared with other services", function()
      local function step(service)
        return { ["oauth-introspect"] = { service = service, client_id = "g", client_secret = "login" } }
      end
      local t = T.new {
        policies = { step "good", step "bad" }, service = "api", secrets = { login = SECRET },
        upstreams = { good = { json = GOOD }, bad = { json = { active = false } }, api = {} },
      }
      assert.status(t:request(bearer()), 401)
      assert.called(t, "bad", 1)
    end)

    it("is not shared with other issuers", function()
      local function step(path)
        return { ["oauth-introspect"] = { service = "login", path = path, client_id = "g", client_secret = "login" } }
      end
      local t = T.new {
        policies = { step "/good", step "/bad" }, service = "api", secrets = { login = SECRET },
        upstreams = { login = function(req) return { json = { active = req.path == "/good" } } end, api = {} },
      }
      assert.status(t:request(bearer()), 401)
      assert.called(t, "login", 2)
    end)

    it("does not let a request change it", function()
      local t = gateway({}, nil, function(req, next)
        assert.is_nil(req.auth.claims.admin)
        req.auth.claims.admin = true
        return next(req)
      end)
      for _ = 1, 3 do assert.status(t:request(bearer()), 200) end
    end)
  end)

  describe("consumers", function()
    local function judged(names, subject)
      local seen
      local t = T.new {
        policies = {
          { ["oauth-introspect"] = { service = "login", client_id = "g", client_secret = "login", consumers = names } },
          function(req, next)
            seen = req.auth
            return next(req)
          end,
        },
        upstreams = { login = { json = { active = true, sub = subject } }, api = { body = "ok" } }, service = "api",
        secrets = { login = SECRET },
        config = { consumers = { { name = "ann", roles = { "admin" } }, { name = "bob" } } },
      }
      return t:request(bearer()), seen
    end

    it("are known by their names, and bring their roles", function()
      local res, auth = judged({ "ann" }, "ann")
      assert.status(res, 200)
      assert.same({ "admin" }, auth.roles)
      assert.status(judged(nil, "eve"), 200)
    end)

    it("are the only ones let in", function()
      assert.problem(judged({ "ann" }, "bob"), 403, "consumer-refused")
      assert.problem(judged({ "ann" }), 403, "consumer-refused")
      assert.matches("unknown consumer 'zoe'", tostring(select(2, pcall(judged, { "zoe" }, "ann"))), 1, true)
    end)
  end)

  it("never writes the token or the secret into the log", function()
    local t = gateway({}, { json = { active = false } })
    t:request(bearer "v3ry-s3cret")
    t:request(bearer "v3ry s3cret")
    t = gateway({}, { status = 401 })
    t:request(bearer "v3ry-s3cret")
    assert.same({}, t:log "v3ry")
    assert.same({}, t:log(SECRET))
  end)

  it("lets upstream failures pass", function()
    local t = T.new {
      policies = { { ["oauth-introspect"] = { service = "login", client_id = "g", client_secret = "login" } } },
      upstreams = { login = { json = GOOD }, api = { error = "refused" } }, service = "api",
      secrets = { login = SECRET },
    }
    local res = t:request(bearer())
    assert.status(res, 503)
    assert.not_equal("introspection-unavailable", res:json().error)
  end)
end)
