local T = require "moongate.test"

local SECRETS = { secrets = { csrf = { env = "PATH" } } }
local TOKEN = { secret = "csrf", session = "sid" }

local function gateway(conf, answer)
  return T.new {
    policies = { { csrf = conf or {} } }, upstreams = { api = answer or { body = "ok" } }, config = SECRETS,
  }
end

-- An unsafe request as a browser with a session sends it to shop.example.
local function post(headers, more)
  local what = { method = "POST", path = "/", host = "shop.example", headers = { Cookie = "sid=1" } }
  for name, value in pairs(headers or {}) do what.headers[name] = value end
  for key, value in pairs(more or {}) do what[key] = value end
  return what
end

local function status(conf, headers, more)
  return gateway(conf):request(post(headers, more)).status
end

describe("csrf", function()
  describe("schema", function()
    local function refuses(conf, what)
      local ok, err = T.validate(require "csrf", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    local function takes(conf) assert.truthy(T.validate(require "csrf", conf)) end

    local function times(n, value)
      local list = {}
      for i = 1, n do list[i] = value end
      return list
    end

    it("knows how much is too much", function()
      takes { cookies = times(100, ("a"):rep(128)), origins = times(1000, "http://a") }
      takes { origins = "http://" .. ("a"):rep(293) }
      takes { token = { secret = "a", session = "s", ttl = 60 } }
      takes { token = { secret = "a", session = "s", ttl = "30d" } }
      refuses({ cookies = times(101, "a") }, "csrf.cookies")
      refuses({ cookies = { ("a"):rep(129) } }, "csrf.cookies[0]")
      refuses({ origins = {} }, "csrf.origins")
      refuses({ origins = times(1001, "http://a") }, "csrf.origins")
      refuses({ origins = { "http://" .. ("a"):rep(294) } }, "csrf.origins[0]")
      refuses({ token = { secret = "a", session = "s", ttl = 59 } }, "csrf.token.ttl")
      refuses({ token = { secret = "a", session = "s", ttl = 30 * 86400 + 1 } }, "csrf.token.ttl")
    end)

    it("has defaults", function()
      assert.same({ always = false, same_site = true }, T.validate(require "csrf", {}))
      assert.same({ secret = "csrf", session = "sid", cookie = "csrf-token", header = "X-CSRF-Token", ttl = 43200 },
        T.validate(require "csrf", { token = TOKEN }).token)
    end)

    it("names the path of a bad field", function()
      refuses({ token = {} }, "csrf.token.secret: is required")
      refuses({ token = { secret = "a" } }, "csrf.token.session: is required")
      refuses({ token = { secret = "a", session = "a b" } }, "csrf.token.session")
      refuses({ token = { secret = "a", session = "s", ttl = "1s" } }, "csrf.token.ttl")
      refuses({ cookies = {} }, "csrf.cookies")
      refuses({ cookies = "a=b" }, "csrf.cookies")
      for _, origin in ipairs { "app.example.com", "https://a/", "https://a?b", "ftp://a", "null", "*" } do
        refuses({ origins = origin }, "csrf.origins")
      end
    end)

    it("refuses what only looks like an origin", function()
      local ok, fault = pcall(gateway, { origins = "https://a:b:c" })
      assert.is_false(ok)
      assert.matches("https://a:b:c is no origin", tostring(fault), 1, true)
    end)
  end)

  for _, method in ipairs { "GET", "HEAD", "OPTIONS", "TRACE" } do
    it("lets " .. method .. " pass", function()
      local t = gateway()
      t:request(post({ ["Sec-Fetch-Site"] = "cross-site", Origin = "https://evil.example" }, { method = method }))
      assert.called(t, "api", 1)
    end)
  end

  for _, method in ipairs { "POST", "PUT", "PATCH", "DELETE", "get", "PROPPATCH" } do
    it("looks at " .. method, function()
      local t = gateway()
      local res = t:request(post({ ["Sec-Fetch-Site"] = "cross-site" }, { method = method }))
      assert.problem(res, 403, "cross-site")
      assert.called(t, "api", 0)
    end)
  end

  it("looks at WebSockets", function()
    local headers = { ["Sec-WebSocket-Key"] = "AAAAAAAAAAAAAAAAAAAAAA==", Origin = "https://evil.example" }
    assert.equal(403, status({}, headers, { method = "GET" }))
    headers.Origin = "http://shop.example"
    assert.equal(200, status({ token = TOKEN }, headers, { method = "GET" }))
  end)

  describe("Sec-Fetch-Site", function()
    for site, verdict in pairs {
      ["same-origin"] = 200, none = 200, ["same-site"] = 200, ["cross-site"] = 403, ["Same-Origin"] = 403, [""] = 403,
      ["same-origin, cross-site"] = 403, unknown = 403,
    } do
      it("'" .. site .. "' is " .. verdict, function()
        assert.equal(verdict, status({}, { ["Sec-Fetch-Site"] = site }))
      end)
    end

    it("may be of the same site only where the config says so", function()
      local headers = { ["Sec-Fetch-Site"] = "same-site", Origin = "http://app.shop.example" }
      assert.equal(403, status({ same_site = false }, headers))
      assert.equal(200, status({ same_site = false, origins = "http://app.shop.example" }, headers))
    end)

    it("counts more than an Origin, unless that is in the list", function()
      assert.equal(403, status({}, { ["Sec-Fetch-Site"] = "cross-site", Origin = "http://shop.example" }))
      assert.equal(403, status({}, { ["Sec-Fetch-Site"] = "cross-site", Referer = "http://shop.example/" }))
      assert.equal(200, status({ origins = "https://app.example" },
        { ["Sec-Fetch-Site"] = "cross-site", Origin = "https://app.example" }))
      assert.equal(403, status({ origins = "https://app.example" },
        { ["Sec-Fetch-Site"] = "cross-site", Referer = "https://app.example/" }))
    end)
  end)

  describe("Origin", function()
    local CASES = {
      { "http://shop.example", 200 }, { "HTTP://Shop.Example:80", 200 },
      { "https://shop.example", 403 }, { "http://shop.example:8080", 403 }, { "http://evil.example", 403 },
      { "http://shop.example.evil.example", 403 }, { "http://xshop.example", 403 }, { "http://app.shop.example", 403 },
      { "http://shop.example@evil.example", 403 }, { "http://evil.example/http://shop.example", 403 },
      { "null", 403 }, { "", 403 }, { "shop.example", 403 }, { "//shop.example", 403 },
      { "http://shop.example, http://evil.example", 403 }, { "file://", 403 },
      { "https://app.example", 200 }, { "https://app.example:443", 200 }, { "https://APP.example", 200 },
      { "http://app.example", 403 }, { "https://app.example:8443", 403 }, { "https://b.example:8443", 200 },
    }
    for _, case in ipairs(CASES) do
      it("'" .. case[1] .. "' is " .. case[2], function()
        local conf = { origins = { "https://app.example", "https://b.example:8443" } }
        assert.equal(case[2], status(conf, { Origin = case[1] }))
      end)
    end

    it("is of the scheme and the port that the client knows", function()
      local t = gateway()
      local what = post({ Origin = "https://shop.example" }, { tls = {} })
      assert.status(t:request(what), 200)
      what = post({ Origin = "http://shop.example" }, { tls = {} })
      assert.status(t:request(what), 403)
      assert.equal(200, status({}, { Origin = "http://shop.example:8080" }, { host = "shop.example:8080" }))
    end)

    it("cannot be sent twice", function()
      assert.equal(403, status({}, { Origin = { "http://shop.example", "http://evil.example" } }))
    end)
  end)

  describe("Referer", function()
    it("is enough where there is nothing better", function()
      assert.equal(200, status({}, { Referer = "http://shop.example/cart?a=1" }))
      assert.equal(200, status({ origins = "https://app.example" }, { Referer = "https://app.example/a" }))
      assert.equal(403, status({}, { Referer = "http://evil.example/http://shop.example/" }))
      assert.equal(403, status({}, { Referer = "http://shop.example.evil.example/" }))
    end)

    it("does not help a bad Origin", function()
      assert.equal(403, status({}, { Origin = "null", Referer = "http://shop.example/" }))
    end)
  end)

  it("refuses what says nothing, and tells in the log", function()
    local t = gateway()
    local res = t:request(post())
    assert.problem(res, 403, "cross-site")
    assert.equal("The request comes from another site", res:json().detail)
    t:request(post { Origin = "http://evil.example" })
    local lines = t:log "forged request refused"
    assert.equal(2, #lines)
    assert.same({ "cross-site", "http://evil.example" }, { lines[2].reason, lines[2].origin })
    t:request(post { Referer = "http://evil.example/a", ["Sec-Fetch-Site"] = "cross-site" })
    lines = t:log "forged request refused"
    assert.same({ "cross-site", "http://evil.example/a" }, { lines[3].site, lines[3].referer })
  end)

  describe("requests without the cookies", function()
    local FORGED = { ["Sec-Fetch-Site"] = "cross-site" }

    it("pass", function()
      local t = gateway()
      assert.status(t:request { method = "POST", headers = FORGED }, 200)
      assert.status(t:request(post { Cookie = "theme=dark", ["Sec-Fetch-Site"] = "cross-site" }), 403)
    end)

    it("are those without the ones of the config", function()
      local t = gateway { cookies = { "sid", "remember" } }
      local function verdict(cookie)
        return t:request({ method = "POST", headers = { Cookie = cookie, ["Sec-Fetch-Site"] = "cross-site" } }).status
      end
      assert.same({ 200, 200, 403, 403, 403 },
        { verdict "theme=dark", verdict "xsid=1; sid2=2", verdict "a=1; sid=1", verdict "remember=1",
          verdict { "a=1", "sid=" } })
    end)

    it("are asked like others where the config says so", function()
      local t = gateway { always = true, cookies = "sid" }
      assert.status(t:request { method = "POST", headers = FORGED }, 403)
      assert.status(t:request { method = "POST" }, 403)
      assert.status(t:request { method = "POST", headers = { ["Sec-Fetch-Site"] = "none" } }, 200)
    end)
  end)

  -- --------------------------------------------------------------------------------------------- the token

  describe("token", function()
    -- What a safe request of this session gets.
    local function fetch(t, session, old)
      local res = t:request { headers = { Cookie = { "sid=" .. session, old and "csrf-token=" .. old or nil } } }
      local cookie = res:header "Set-Cookie"
      return cookie and cookie:match "^csrf%-token=([^;]+)", cookie
    end

    local function send(t, session, cookie, header)
      return t:request(post({ ["Sec-Fetch-Site"] = "same-origin", ["X-CSRF-Token"] = header,
        Cookie = { "sid=" .. session, cookie and "csrf-token=" .. cookie or nil } }))
    end

    it("comes with a safe request, and opens unsafe ones", function()
      local t = gateway { token = TOKEN }
      local token, cookie = fetch(t, "ann")
      assert.equal("; Path=/; Max-Age=43200; SameSite=Lax", cookie:match "(;.*)$")
      assert.status(send(t, "ann", token, token), 200)
    end)

    it("is for encrypted connections alone where there is one", function()
      local t = gateway { token = TOKEN }
      assert.matches("; Secure$", (t:request { tls = {} }):header "Set-Cookie")
    end)

    it("stays until half of its time is over", function()
      local t = gateway { token = { secret = "csrf", session = "sid", ttl = 100 } }
      local token = fetch(t, "ann")
      assert.is_nil((fetch(t, "ann", token)))
      t:advance(51)
      local second = fetch(t, "ann", token)
      assert.is_string(second)
      assert.not_equal(token, second)
      assert.status(send(t, "ann", token, token), 200)
      t:advance(50)
      assert.problem(send(t, "ann", token, token), 403, "csrf-token")
      assert.status(send(t, "ann", second, second), 200)
    end)

    it("ends when its time is over", function()
      local t = gateway { token = { secret = "csrf", session = "sid", ttl = 60 } }
      local token = fetch(t, "ann")
      t:advance(59.5)
      assert.status(send(t, "ann", token, token), 200)
      t:advance(1)
      assert.problem(send(t, "ann", token, token), 403, "csrf-token")
    end)

    it("is another each time", function()
      local t = gateway { token = TOKEN }
      assert.not_equal(fetch(t, "ann"), (fetch(t, "ann")))
    end)

    it("is made anew for another session", function()
      local t = gateway { token = TOKEN }
      assert.is_string((fetch(t, "bob", (fetch(t, "ann")))))
    end)

    it("works before there is a session", function()
      local t = gateway { token = TOKEN, always = true }
      local token = t:request("/"):header("Set-Cookie"):match "^csrf%-token=([^;]+)"
      local headers = { ["Sec-Fetch-Site"] = "same-origin", ["X-CSRF-Token"] = token, Cookie = "csrf-token=" .. token }
      assert.status(t:request { method = "POST", headers = headers }, 200)
    end)

    it("may go by other names", function()
      local t = gateway { token = { secret = "csrf", session = "sid", cookie = "c", header = "X-C" } }
      local token = t:request("/"):header("Set-Cookie"):match "^c=([^;]+)"
      assert.status(t:request { method = "POST", headers = {
        Cookie = "c=" .. token, ["X-C"] = token, ["Sec-Fetch-Site"] = "none",
      } }, 200)
    end)

    local ATTACKS = {
      { "nothing", function() end },
      { "the cookie alone", function(token) return token end },
      { "the header alone", function(token) return nil, token end },
      { "two that differ", function(token) return token, token .. "x" end },
      { "something made up", function() return "a", "a" end },
      { "nothing twice", function() return "", "" end },
      { "a token for another session", function(_, other) return other, other end },
      { "a longer life", function(token)
        local text = token:gsub("%.%d+%.", ".99999999999.")
        return text, text
      end },
      { "a signature cut short", function(token) return token:sub(1, -2), token:sub(1, -2) end },
      { "another nonce", function(token) return "A" .. token, "A" .. token end },
      { "a number too large", function(token)
        local text = token:gsub("%.%d+%.", "." .. ("9"):rep(40) .. ".")
        return text, text
      end },
    }
    for _, attack in ipairs(ATTACKS) do
      it("cannot be " .. attack[1], function()
        local t = gateway { token = TOKEN }
        local cookie, header = attack[2]((fetch(t, "ann")), (fetch(t, "mallory")))
        local res = send(t, "ann", cookie, header)
        assert.problem(res, 403, "csrf-token")
        assert.equal("The CSRF token is missing or wrong", res:json().detail)
      end)
    end

    it("does not help a page of another site", function()
      local t = gateway { token = TOKEN }
      local token = fetch(t, "ann")
      local res = t:request(post { ["Sec-Fetch-Site"] = "cross-site", ["X-CSRF-Token"] = token,
        Cookie = "sid=ann; csrf-token=" .. token })
      assert.problem(res, 403, "cross-site")
    end)
  end)

  it("lets upstream failures pass", function()
    assert.status(gateway({}, { error = "refused" }):request(post { ["Sec-Fetch-Site"] = "none" }), 503)
  end)
end)
