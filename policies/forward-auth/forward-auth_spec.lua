local T = require "moongate.test"

-- A gateway whose authorizer answers `verdict`.
local function gateway(conf, verdict, config)
  local full = { service = "authorizer" }
  for key, value in pairs(conf or {}) do full[key] = value end
  return T.new {
    policies = { { ["forward-auth"] = full } },
    upstreams = { authorizer = verdict or { status = 204 }, api = { body = "ok" } }, service = "api", config = config,
  }
end

local function asked(t)
  return select(2, t:seen "authorizer")
end

describe("forward-auth", function()
  describe("schema", function()
    local function refuses(conf, what)
      local ok, err = T.validate(require "forward-auth", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    local function takes(conf) assert.truthy(T.validate(require "forward-auth", conf)) end

    local function times(n, value)
      local list = {}
      for i = 1, n do list[i] = value end
      return list
    end

    it("knows how much is too much", function()
      for _, field in ipairs { "headers", "response_headers", "client_headers" } do
        takes { service = "a", [field] = {} }
        takes { service = "a", [field] = "X-A" }
        takes { service = "a", [field] = times(100, "X-A") }
        refuses({ service = "a", [field] = times(101, "X-A") }, "forward-auth." .. field)
      end
      takes { service = "a", max_body = 1048576, timeout = 300, cache = 3600 }
      takes { service = "a", max_body = 0, timeout = 0.001 }
      refuses({ service = "a", max_body = 1048577 }, "forward-auth.max_body")
      refuses({ service = "a", timeout = 301 }, "forward-auth.timeout")
      refuses({ service = "a", timeout = 0 }, "forward-auth.timeout")
      refuses({ service = "a", cache = 3601 }, "forward-auth.cache")
    end)

    it("has defaults", function()
      local conf = T.validate(require "forward-auth", { service = "a" })
      assert.same({ "Authorization", "Cookie" }, conf.headers)
      assert.same({ {}, "GET", "deny", 0, 5, 65536 },
        { conf.response_headers, conf.method, conf.on_error, conf.cache, conf.timeout, conf.max_body })
    end)

    it("wants one authorizer", function()
      refuses({}, "forward-auth: needs one of 'service' and 'url'")
      refuses({ service = "a", url = "http://a/" }, "forward-auth: needs one of 'service' and 'url'")
      refuses({ url = "http://a/", path = "/x" }, "forward-auth.path: goes with 'service'")
      refuses({ service = "a", path = "x" }, "forward-auth.path")
    end)

    it("refuses headers that are not its business", function()
      for _, field in ipairs { "headers", "response_headers", "client_headers" } do
        for _, name in ipairs { "Host", "Content-Length", "connection", "Transfer_Encoding" } do
          refuses({ service = "a", [field] = { name } }, ("forward-auth.%s: '%s' is written by"):format(field, name))
        end
      end
      refuses({ service = "a", headers = { "x-forwarded-uri" } }, "forward-auth.headers: 'x-forwarded-uri' is written")
      assert.truthy(T.validate(require "forward-auth", { service = "a", response_headers = "X-Forwarded-User" }))
    end)
  end)

  describe("asks", function()
    it("with all that the request is", function()
      local t = gateway { path = "/verify?x=1" }
      assert.status(t:request {
        method = "POST", path = "/a/./b%20c?q=%31", host = "shop.example:81", body = "secret", client_ip = "192.0.2.7",
        headers = { Authorization = "Bearer x", Cookie = { "a=1", "b=2" }, ["X-Other"] = "o" },
      }, 200)
      local req = asked(t)
      assert.same({ "GET", "/verify", "x=1", "" }, { req.method, req.path, req.query, req:text() })
      local seen = {}
      for name, value in req:headers() do
        if name ~= "Host" and name ~= "Via" then seen[#seen + 1] = name .. ": " .. value end
      end
      table.sort(seen)
      assert.same({
        "Authorization: Bearer x", "Cookie: a=1", "Cookie: b=2", "X-Forwarded-For: 192.0.2.7",
        "X-Forwarded-Host: shop.example:81", "X-Forwarded-Method: POST", "X-Forwarded-Proto: http",
        "X-Forwarded-Uri: /a/./b%20c?q=%31",
      }, seen)
      assert.equal("/", asked((function()
        local plain = gateway()
        plain:request "/x"
        return plain
      end)()).path)
    end)

    it("for what the backend gets", function()
      local t = gateway()
      t:request { path = "/public/../admin" }
      assert.equal(select(2, t:seen "api").raw_path, asked(t):header "X-Forwarded-Uri")
    end)

    it("without what the client says of itself", function()
      local t = gateway()
      t:request { client_ip = "192.0.2.7", headers = {
        ["X-Forwarded-For"] = "10.0.0.1", ["X-Forwarded-Method"] = "GET", ["X-Forwarded-Uri"] = "/public",
        ["X-Forwarded-Host"] = "evil", ["X-Forwarded-Proto"] = "https", ["X-Forwarded-User"] = "root",
      } }
      local req = asked(t)
      assert.same({ "192.0.2.7", "GET", "/", "http" }, {
        req:header "X-Forwarded-For", req:header "X-Forwarded-Method", req:header "X-Forwarded-Uri",
        req:header "X-Forwarded-Proto",
      })
      assert.not_equal("evil", req:header "X-Forwarded-Host")
      assert.is_nil(req:header "X-Forwarded-User")
    end)

    it("with the method and the headers of the config", function()
      local t = gateway { method = "HEAD", headers = { "X-Key" } }
      t:request { headers = { Authorization = "Bearer x", ["X-Key"] = "k" } }
      assert.same({ "HEAD", "k" }, { asked(t).method, asked(t):header "X-Key" })
      assert.is_nil(asked(t):header "Authorization")
    end)

    it("at a URL", function()
      local t = T.new {
        policies = { { ["forward-auth"] = { url = "http://auth.example:9000/check?a=1" } } },
        upstreams = { ["auth.example:9000"] = { status = 403 }, api = { body = "ok" } }, service = "api",
      }
      assert.status(t:request "/", 403)
      local _, req = t:seen "auth.example:9000"
      assert.same({ "/check", "a=1" }, { req.path, req.query })
    end)
  end)

  describe("a yes", function()
    for _, status in ipairs { 200, 204, 299 } do
      it("is " .. status, function()
        local t = gateway({}, { status = status })
        assert.equal("ok", (t:request "/"):text())
      end)
    end

    it("gives its headers to the backend", function()
      local t = gateway({ response_headers = { "X-User-Id", "X-Tags" } },
        { headers = { ["x-user-id"] = "42", ["X-Tags"] = { "a", "b" }, ["X-Secret"] = "s" } })
      t:request { headers = { ["X-User-Id"] = "evil" } }
      local _, last = t:seen "api"
      assert.same({ { "42" }, { "a", "b" }, {} },
        { last:header_values "X-User-Id", last:header_values "X-Tags", last:header_values "X-Secret" })
    end)

    it("leaves the request as it is", function()
      local t = gateway()
      t:request { method = "PUT", path = "/a?b=c", body = "text", headers = { ["X-A"] = "1" } }
      local _, last = t:seen "api"
      assert.same({ "PUT", "/a", "b=c", "1", "text" },
        { last.method, last.path, last.query, last:header "X-A", last:text() })
    end)
  end)

  describe("a no", function()
    for _, status in ipairs { 300, 302, 400, 401, 403, 404, 429, 499 } do
      it("is " .. status, function()
        local t = gateway({}, { status = status, body = "no" })
        assert.status(t:request "/", status)
        assert.called(t, "api", 0)
      end)
    end

    it("is the authorizer's, with some of its headers", function()
      local t = gateway({}, { status = 401, body = "<h1>no</h1>", headers = {
        ["Content-Type"] = "text/html", ["WWW-Authenticate"] = 'Bearer realm="x"', ["Set-Cookie"] = { "a=1", "b=2" },
        ["X-Internal"] = "i", Server = "authorizer",
      } })
      local res = t:request "/"
      assert.equal("<h1>no</h1>", res:text())
      assert.header(res, "Content-Type", "text/html")
      assert.header(res, "WWW-Authenticate", 'Bearer realm="x"')
      assert.same({ "a=1", "b=2" }, res:header_values "Set-Cookie")
      assert.is_nil(res:header "X-Internal")
      assert.is_nil(res:header "Server")
    end)

    it("may send the client elsewhere", function()
      local t = gateway({ client_headers = "Location" }, { status = 302, headers = {
        Location = "https://login.example/", ["Set-Cookie"] = "a=1",
      } })
      local res = t:request "/"
      assert.header(res, "Location", "https://login.example/")
      assert.is_nil(res:header "Set-Cookie")
    end)

    it("loses a body that is too large", function()
      assert.equal("12345678", (gateway({ max_body = 8 }, { status = 403, body = "12345678" }):request "/"):text())
      local res = gateway({ max_body = 8 }, { status = 403, body = "123456789" }):request "/"
      assert.status(res, 403)
      assert.equal("", res:text())
    end)
  end)

  describe("no answer", function()
    local FAILURES = {
      { "a refused connection", { error = "refused" } },
      { "a broken connection", { error = "reset" } },
      { "silence", { delay = 60 } },
      { "status 500", { status = 500, body = "stack trace" } },
      { "status 503", { status = 503 } },
      { "no HTTP", { raw = "220 smtp.example ESMTP\r\n" } },
      { "half an answer", { body = "0123456789", close = "mid-body" } },
    }
    for _, case in ipairs(FAILURES) do
      it("is " .. case[1], function()
        local t = gateway({}, case[2])
        local res = t:request "/"
        assert.problem(res, 503, "authorizer-unavailable")
        assert.equal("Nobody can tell whether the request is allowed", res:json().detail)
        assert.called(t, "api", 0)
        assert.is_string(t:log("the authorizer gives no answer")[1].reason)
      end)

      it("is " .. case[1] .. ", which may be all right", function()
        local t = gateway({ on_error = "allow", response_headers = "X-User-Id" }, case[2])
        assert.status(t:request { headers = { ["x_user_id"] = "evil" } }, 200)
        assert.is_nil(select(2, t:seen "api"):header "x_user_id")
      end)
    end

    it("has a reason in the log", function()
      local t = gateway({}, { status = 502 })
      t:request "/"
      local line = t:log("the authorizer gives no answer")[1]
      assert.same({ "status 502", "deny" }, { line.reason, line.on_error })
    end)

    it("comes in time", function()
      local t = gateway({ timeout = 2 }, { delay = 60 })
      assert.status(t:request "/", 503)
      assert.near(2, t:now(), 0.001)
    end)
  end)

  it("lets nothing of the client's own pass as the authorizer's, in any spelling", function()
    local NAMES = { "X-User-Id", "x-user-id", "X_User_Id", "x_user-id", "X.USER.ID", "X-USER_ID" }
    for _, verdict in ipairs { { status = 204 }, { headers = { ["X-User-Id"] = "42" } } } do
      local t = gateway({ response_headers = "X-User-Id" }, verdict)
      local lines = { "GET / HTTP/1.1", "Host: a", "Connection: X-User-Id" }
      for _, name in ipairs(NAMES) do lines[#lines + 1] = name .. ": evil" end
      assert.matches("^HTTP/1.1 200 ", (t:raw(table.concat(lines, "\r\n") .. "\r\n\r\n")))
      local _, last = t:seen "api"
      for _, name in ipairs(NAMES) do assert.not_equal("evil", last:header(name)) end
      assert.same(verdict.headers and { "42" } or {}, last:header_values "X-User-Id")
    end
  end)

  describe("cache", function()
    local function counts(t, what)
      local before = t:seen "authorizer"
      local res = t:request(what)
      return (t:seen "authorizer") - before, res
    end

    it("is off by default", function()
      local t = gateway()
      assert.equal(1, (counts(t, "/")))
      assert.equal(1, (counts(t, "/")))
    end)

    it("keeps a yes with its headers, for a time", function()
      local n = 0
      local t = gateway({ cache = "5s", response_headers = { "X-User-Id", "X-Tags" } }, function()
        n = n + 1
        return { headers = { ["X-User-Id"] = n, ["X-Tags"] = { "a", "b" } } }
      end)
      local function got()
        assert.status(t:request { headers = { ["X-User-Id"] = "evil" } }, 200)
        local _, last = t:seen "api"
        return last:header_values "X-User-Id", last:header_values "X-Tags"
      end
      assert.same({ { "1" }, { "a", "b" } }, { got() })
      t:advance(4.9)
      assert.same({ { "1" }, { "a", "b" } }, { got() })
      t:advance(0.2)
      assert.same({ { "2" }, { "a", "b" } }, { got() })
    end)

    it("tells requests apart by all that the authorizer sees", function()
      local t = gateway { cache = "5s", headers = { "Authorization", "X-A" } }
      local base = { path = "/a", headers = { Authorization = "Bearer x" }, host = "a", client_ip = "192.0.2.1" }
      assert.equal(1, (counts(t, base)))
      assert.equal(0, (counts(t, base)))
      local CHANGES = {
        { path = "/b" }, { path = "/a?q" }, { path = "/a/" }, { method = "DELETE" }, { host = "b" },
        { client_ip = "192.0.2.2" }, { tls = {} }, { headers = {} }, { headers = { Authorization = "Bearer y" } },
        { headers = { Authorization = "Bearer x", ["X-A"] = "" } },
        { headers = { ["X-A"] = "Bearer x" } }, { headers = { Authorization = { "Bearer x", "Bearer x" } } },
        { headers = { Authorization = "Bearer x, Bearer x" } },
      }
      for i, change in ipairs(CHANGES) do
        local what = {}
        for key, value in pairs(base) do what[key] = value end
        for key, value in pairs(change) do what[key] = value end
        assert.equal(1, (counts(t, what)), "change " .. i)
        assert.equal(0, (counts(t, what)), "change " .. i)
      end
    end)

    it("does not mind what the authorizer does not see", function()
      local t = gateway { cache = "5s" }
      assert.equal(1, (counts(t, { headers = { ["X-A"] = "1" } })))
      assert.equal(0, (counts(t, { headers = { ["X-A"] = "2" } })))
    end)

    it("keeps no no", function()
      local t = gateway({ cache = "5s" }, { status = 403 })
      assert.equal(1, (counts(t, "/")))
      assert.equal(1, (counts(t, "/")))
    end)

    it("keeps no failure, and lets a yes outlive one", function()
      local up = false
      local t = gateway({ cache = "5s" }, function() return up and { status = 204 } or { status = 500 } end)
      assert.status(t:request "/", 503)
      up = true
      assert.status(t:request "/", 200)
      up = false
      assert.status(t:request "/", 200)
    end)

    it("keeps nothing that must not be stored", function()
      local t = gateway({ cache = "5s" }, { headers = { ["Cache-Control"] = "private, no-store" } })
      assert.equal(1, (counts(t, "/")))
      assert.equal(1, (counts(t, "/")))
    end)

    it("keeps nothing that it could not give again", function()
      local t = gateway({ cache = "5s", response_headers = "X-A" }, { headers = { ["X-A"] = "\255" } })
      assert.equal(1, (counts(t, "/")))
      assert.equal(1, (counts(t, "/")))
      assert.equal("\255", select(2, t:seen "api"):header "X-A")
    end)

    it("is not shared by steps that ask otherwise", function()
      local function step(conf)
        conf.service, conf.cache = "authorizer", "5s"
        return { ["forward-auth"] = conf }
      end
      local t = T.new {
        policies = { step { path = "/a" }, step { path = "/b" }, step { path = "/b", response_headers = "X-A" },
          step { path = "/b", method = "POST" } },
        upstreams = { authorizer = { status = 204 }, api = { body = "ok" } }, service = "api",
      }
      assert.equal(4, (counts(t, "/")))
      assert.equal(0, (counts(t, "/")))
    end)
  end)

  it("lets upstream failures pass", function()
    local t = T.new { policies = { { ["forward-auth"] = { service = "authorizer" } } }, service = "api",
      upstreams = { authorizer = { status = 204 }, api = { error = "refused" } } }
    local res = t:request "/"
    assert.status(res, 503)
    assert.not_equal("authorizer-unavailable", res:json().error)
  end)
end)
