local T = require "moongate.test"

local SECRET = "0123456789abcdef0123456789abcdef"
local NOW = 1767225600 -- 2026-01-01, when gateways of the kit begin

local function gateway(conf, more)
  conf.keys = conf.keys or "main"
  local config = { keys = { main = { secret = SECRET, algorithms = "HS256" } } }
  for key, value in pairs(more or {}) do config[key] = value end
  return T.new { policies = { { jwt = conf } }, upstreams = { api = { body = "ok" } }, config = config }
end

local function token(claims, opts)
  local all = { exp = NOW + 3600, sub = "ann" }
  for key, value in pairs(claims or {}) do all[key] = value end
  return T.jwt(all, opts or { key = SECRET })
end

local function with(text, more)
  local req = { headers = { Authorization = "Bearer " .. text } }
  for key, value in pairs(more or {}) do req[key] = value end
  return req
end

describe("jwt", function()
  it("asks for a token, as RFC 6750 says", function()
    local res = gateway({}):request "/"
    assert.status(res, 401)
    assert.header(res, "WWW-Authenticate", 'Bearer realm="moongate"')
    assert.called("api", 0)
  end)

  it("makes the claims the identity", function()
    local t = gateway {}
    local res, req = t:request(with(token { scope = "read write", roles = { "a", "b" }, n = 42 }))
    assert.status(res, 200)
    assert.equal("jwt", req.auth.scheme)
    assert.equal("ann", req.auth.subject)
    assert.same({ "read", "write" }, req.auth.scopes)
    assert.same({ "a", "b" }, req.auth.roles)
    assert.equal(42, req.auth.claims.n)
  end)

  it("takes a text for one role, so that nobody gets two of it", function()
    local t = gateway {}
    local function roles(claims)
      local _, req = t:request(with(token(claims)))
      return req.auth.roles
    end
    assert.same({ "USER ADMIN" }, roles { role = "USER ADMIN" })
    assert.same({ "USER ADMIN", "x" }, roles { roles = { "USER ADMIN", 1, "x" } })
    assert.same({ "a", "b" }, roles { roles = { "a" }, role = "b" })
    t = gateway { roles = "realm_access.roles" }
    assert.same({ "c" }, roles { realm_access = { roles = { "c" } }, role = "d" })
  end)

  for what, claims in pairs {
    ["has expired"] = { exp = NOW - 1 }, ["is not yet good"] = { nbf = NOW + 100 },
    ["comes from another issuer"] = { iss = "https://evil.test" }, ["is for somebody else"] = { aud = "other" },
    ["was made in the future"] = { iat = NOW + 1000 }, ["has an odd exp"] = { exp = "tomorrow" },
  } do
    it("refuses one that " .. what, function()
      local t = gateway { issuer = "https://good.test", audience = { "api", "web" } }
      local good = { iss = "https://good.test", aud = "api" }
      assert.status(t:request(with(token(good))), 200)
      for key, value in pairs(claims) do good[key] = value end
      local res = t:request(with(token(good)))
      assert.status(res, 401)
      assert.matches('^Bearer realm="moongate", error="invalid_token", error_description="',
        res:header "WWW-Authenticate")
      assert.equal(1, #t:log "Token verification failed")
      assert.called("api", 1)
    end)
  end

  it("refuses what nobody has signed, or somebody else has", function()
    local t = gateway {}
    local good = token()
    local head, body, signature = good:match "^(.-)%.(.-)%.(.*)$"
    local b64 = require "moongate".crypto.base64url
    local none = b64.encode '{"alg":"none"}'
    for _, bad in ipairs {
      none .. "." .. body .. ".", none .. "." .. body .. "." .. signature, head .. "." .. body .. ".",
      head .. "." .. body, good .. "=", good .. ".x",
      head .. "." .. b64.encode '{"sub":"root","exp":9999999999}' .. "." .. signature,
      T.jwt({ sub = "ann", exp = NOW + 60 }, { key = ("x"):rep(32) }),
      T.jwt({ sub = "ann", exp = NOW + 60 }, { key = SECRET, algorithm = "HS512" }),
    } do
      assert.status(t:request(with(bad)), 401)
    end
    assert.called("api", 0)
  end)

  for _, text in ipairs { "a b", "abc,def", 'a"b', "a=b", "=", "a%41", "{}", "\u{e4}", "a.b.c", "..", "a" } do
    it("refuses what is no token: " .. text, function()
      local res = gateway({}):request(with(text))
      assert.problem(res, 401, "invalid-token")
      assert.equal("Invalid token", res:json().detail)
      assert.header(res, "WWW-Authenticate",
        'Bearer realm="moongate", error="invalid_token", error_description="the token is malformed"')
      assert.called("api", 0)
    end)
  end

  it("refuses a good one with something around it", function()
    local t = gateway {}
    local good = token()
    for _, bad in ipairs { good .. "=", good .. ".", "." .. good, good .. " x", good .. ",", '"' .. good .. '"' } do
      assert.problem(t:request(with(bad)), 401, "invalid-token")
    end
  end)

  it("wants an expiry", function()
    assert.status(gateway({}):request(with(T.jwt({ sub = "ann", exp = false }, { key = SECRET }))), 401)
  end)

  it("forgets a token when it expires, though it was verified before", function()
    local t = gateway {}
    local text = token { exp = NOW + 10 }
    assert.status(t:request(with(text)), 200)
    t:advance(9)
    assert.status(t:request(with(text)), 200)
    t:advance(2)
    assert.status(t:request(with(text)), 401)
  end)

  it("gives clocks a leeway", function()
    local t = gateway { leeway = 30 }
    assert.status(t:request(with(token { exp = NOW - 20 })), 200)
    assert.status(t:request(with(token { exp = NOW - 40 })), 401)
  end)

  it("takes it from where the config says, once", function()
    local t = gateway { from = { "header", { cookie = "sid" }, { query = "token" } } }
    local text = token()
    assert.status(t:request { headers = { Cookie = "a=b; sid=" .. text } }, 200)
    assert.status(t:request { query = "token=" .. text }, 200)
    local res = t:request(with(text, { query = "token=" .. text }))
    assert.status(res, 400)
    assert.header(res, "WWW-Authenticate", 'Bearer realm="moongate", error="invalid_request"')
    assert.status(gateway({}):request { query = "token=" .. text }, 401)
  end)

  it("may let requests without one go on, but none with a bad one", function()
    local t = gateway { optional = true }
    local res, req = t:request "/"
    assert.status(res, 200)
    assert.is_nil(req.auth)
    assert.status(t:request(with "a.b.c"), 401)
  end)

  it("hides it from the backend when told to", function()
    local t = gateway { forward = false, from = { "header", { query = "token" } } }
    t:request(with(token()))
    local _, seen = t:seen "api"
    assert.is_nil(seen:header "Authorization")
    t:request { path = "/a", query = "x=1&token=" .. token() }
    _, seen = t:seen "api"
    assert.equal("x=1", seen.query)
  end)

  it("keeps responses to a URL with a token out of shared caches", function()
    for _, forward in ipairs { true, false } do
      local t = gateway { forward = forward, from = { "header", { query = "token" } } }
      assert.header(t:request { query = "token=" .. token() }, "Cache-Control", "private")
      assert.is_nil(t:request(with(token())):header "Cache-Control")
    end
  end)

  it("answers in the simple form", function()
    local t = gateway({}, { errors = { format = "simple" } })
    assert.json(t:request "/", { error = "No token provided" })
    assert.json(t:request(with "x.y.z"), { error = "Invalid token" })
  end)

  it("holds access tokens to RFC 9068", function()
    local t = gateway { profile = "access-token" }
    local claims = { iss = "i", aud = "a", client_id = "c", iat = NOW - 1, jti = "1" }
    assert.status(t:request(with(token(claims, { key = SECRET, typ = "at+jwt" }))), 200)
    assert.status(t:request(with(token(claims))), 401)
    claims.jti = false
    assert.status(t:request(with(token(claims, { key = SECRET, typ = "at+jwt" }))), 401)
  end)

  it("wants keys that there are", function()
    assert.has_error(function() gateway { keys = "other" } end)
  end)
end)
