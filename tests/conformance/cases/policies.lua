-- Each policy that comes with the gateway, at work. Their own specs have the details.

local assert = require "luassert"
local expect = ...

local ORIGIN = "https://app.example.com"

local function route(path, policies)
  return { match = path, service = "api", policies = policies }
end

return {
  {
    name = "shipped",
    upstreams = { api = function(req)
      return { body = req.method .. " " .. (req.target or req.raw_path .. (req.query and "?" .. req.query or "")),
        headers = { ["X-Secret"] = "1", ["Access-Control-Allow-Origin"] = "*" } }
    end },
    config = { routes = {
      route("/cors", { { cors = { origins = { ORIGIN, "https://*.example.org" }, credentials = true, max_age = "10m",
        expose = { "X-Total" } } } }),
      route("/headers", { { headers = {
        request = { set = { ["X-Path"] = "${path}", ["X-Two"] = { "a", "b" } }, add = { ["X-Add"] = "2" },
          remove = { "X-Drop" } },
        response = { set = { ["X-Status"] = "${status}" }, remove = { "X-Secret" } },
      } } }),
      route("/query", { { query = { set = { v = 2, who = "${client_ip}" }, rename = { user_id = "userId" },
        remove = { "debug" } } } }),
      route("/request-id", { "request-id" }),
      route("/request-id/always", { { ["request-id"] = { trust = "always", header = "X-Trace" } } }),
      route("/ip/allow", { { ["ip-filter"] = { allow = { "127.0.0.0/8" } } } }),
      route("/ip/deny", { { ["ip-filter"] = { deny = { "127.0.0.0/8" }, status = 404 } } }),
      route("/limit", { { ["request-limit"] = { body = 5, methods = { "GET", "POST" },
        content_types = { "text/*" } } } }),
      { match = "/respond", policies = { { respond = { status = 201, body = "hello ${arg.who}",
        headers = { ["X-A"] = "${method}" } } } } },
      { match = "/respond/json", policies = { { respond = { json = { list = { 1, 2 }, path = "${path}" } } } } },
      route("/any", { { ["any-of"] = {
        { lua = [[return { request = function(req)
          req:set_header("X-Who", "a") mg.sleep(0.001)
          if not req:header "A" then
            return mg.problem(401, "no-a", nil, { headers = { ["WWW-Authenticate"] = 'A realm="x"' } })
          end
        end }]] },
        { { ["ip-filter"] = { allow = { "127.0.0.0/8" } } }, { lua = [[return function(req, next)
          if not req:header "B" then
            return mg.problem(401, "no-b", nil, { headers = { ["WWW-Authenticate"] = 'B realm="x"' } })
          end
          local res = next(req)
          res:set_header("X-By", "b")
          return res
        end]] } },
        { lua = "return { request = function(req) if not req:header 'C' then error 'down' end end }",
          when = "req.method == 'PUT'" },
      } } }),
      { match = "/lua", policies = { { lua = "return function(req) return mg.reply(200, req.path) end" } } },
    } },
    { "cors answers preflights", function(g)
      expect(g:request { method = "OPTIONS", path = "/cors",
        headers = { Origin = ORIGIN, ["Access-Control-Request-Method"] = "PUT",
          ["Access-Control-Request-Headers"] = "x-a" } }, 204, {
        body = "", ["Access-Control-Allow-Origin"] = ORIGIN, ["Access-Control-Allow-Credentials"] = "true",
        ["Access-Control-Allow-Methods"] = "GET,HEAD,PUT,PATCH,POST,DELETE", ["Access-Control-Allow-Headers"] = "x-a",
        ["Access-Control-Max-Age"] = "600", Vary = "Origin, Access-Control-Request-Headers",
      })
      assert.equal(0, #g:seen "api")
    end },
    { "cors tells who may read a response", function(g)
      expect(g:request { path = "/cors", headers = { Origin = "https://www.example.org" } }, 200, {
        ["Access-Control-Allow-Origin"] = "https://www.example.org", ["Access-Control-Expose-Headers"] = "X-Total",
        Vary = "Origin" })
      expect(g:request { path = "/cors", headers = { Origin = "https://evil.example" } }, 200,
        { ["Access-Control-Allow-Origin"] = expect.none, Vary = "Origin" })
    end },
    { "headers sets, adds and removes", function(g)
      expect(g:request { path = "/headers", headers = { ["X-Add"] = "1", ["X-Drop"] = "1", ["X-Path"] = "theirs" } },
        200, { ["X-Status"] = "200", ["X-Secret"] = expect.none })
      local seen = g:seen "api"[1]
      assert.equal("/headers", seen:header "X-Path")
      assert.equal("a, b", seen:header "X-Two")
      assert.equal("1, 2", seen:header "X-Add")
      assert.is_nil(seen:header "X-Drop")
    end },
    { "headers decides on trailers as well", function(g)
      expect(g:request { method = "POST", path = "/headers", chunks = { "abc" },
        headers = { ["x_path"] = "evil" },
        trailers = { ["X-Two"] = "evil", ["x_drop"] = "evil", ["X-Sum"] = "7" } }, 200)
      local seen = g:seen "api"[1]
      assert.is_nil(seen:header "x_path")
      assert.same({ { "X-Sum", "7" } }, seen.trailers)
    end },
    { "query sets, renames and removes", function(g)
      expect(g:request "/query?debug=1&user_id=7&a=%20&v=1", 200,
        { body = "GET /query?userId=7&a=%20&v=2&who=127.0.0.1" })
    end },
    { "any-of lets in by one of several, with the request as it came", function(g)
      expect(g:request { path = "/any", headers = { A = "1", B = "1" } }, 200, { ["X-By"] = expect.none })
      assert.equal("a", g:seen "api"[1]:header "X-Who")
      local post = { method = "POST", path = "/any", headers = { B = "1" }, body = "12345" }
      expect(g:request(post), 200, { ["X-By"] = "b" })
      assert.is_nil(g:seen "api"[2]:header "X-Who")
      expect(g:request { method = "PUT", path = "/any", headers = { C = "1" } }, 200, { ["X-By"] = expect.none })
    end },
    { "any-of asks for all that would do", function(g)
      local res = g:request "/any"
      expect.problem(res, 401, "no-a")
      expect(res, 401, { ["WWW-Authenticate"] = 'A realm="x", B realm="x"' })
      assert.equal(0, #g:seen "api")
    end },
    { "request-id makes one, for all who are concerned", function(g)
      local res = g:request { path = "/request-id", headers = { ["X-Request-ID"] = "theirs" } }
      expect(res, 200)
      assert.matches("^%x+$", res:header "X-Request-ID")
      assert.equal(res:header "X-Request-ID", g:seen "api"[1]:header "X-Request-ID")
    end },
    { "request-id keeps theirs when told so", function(g)
      expect(g:request { path = "/request-id/always", headers = { ["X-Trace"] = "t-1" } }, 200, { ["X-Trace"] = "t-1" })
      assert.equal("t-1", g:seen "api"[1]:header "X-Trace")
    end },
    { "ip-filter allows and denies", function(g)
      expect(g:request "/ip/allow", 200)
      expect.problem(g:request "/ip/deny", 404, "address-refused")
    end },
    { "request-limit refuses what the route is not made for", function(g)
      expect(g:request "/limit", 200)
      expect(g:request { method = "POST", path = "/limit", body = "12345",
        headers = { ["Content-Type"] = "text/x" } }, 200)
      expect.problem(g:request { method = "POST", path = "/limit", body = "123456",
        headers = { ["Content-Type"] = "text/x" } }, 413, "content-too-large")
      expect.problem(g:request { method = "POST", path = "/limit", chunks = { "123", "456" },
        headers = { ["Content-Type"] = "text/x" } }, 413, "content-too-large")
      expect.problem(g:request { method = "POST", path = "/limit", body = "{}",
        headers = { ["Content-Type"] = "application/json" } }, 415, "unsupported-content-type")
      local res = g:request { method = "PUT", path = "/limit" }
      expect.problem(res, 405, "method-not-allowed")
      expect(res, 405, { Allow = "GET, HEAD, POST" })
    end },
    { "respond answers", function(g)
      expect(g:request "/respond?who=you", 201, { body = "hello you", ["X-A"] = "GET",
        ["Content-Type"] = "text/plain; charset=utf-8", ["Content-Length"] = "9" })
      expect(g:request "/respond/json", 200, { body = '{"list":[1,2],"path":"/respond/json"}',
        ["Content-Type"] = "application/json" })
    end },
    { "lua is a step in the config", function(g)
      expect(g:request "/lua", 200, { body = "/lua" })
    end },
  },
}
