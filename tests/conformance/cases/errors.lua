-- Responses of the gateway's own making.

local assert = require "luassert"
local expect = ...

return {
  {
    name = "problems",
    config = { routes = {
      { match = { path = "/a", methods = "GET" }, policies = { { respond = { body = "a" } } } },
      { match = "/nobody", policies = { { lua = "return { request = function() end }" } } },
    } },
    { "have type, title, status, an id and a word", function(g)
      local res = g:request "/none"
      expect.problem(res, 404, "no-route", "no route matches")
      local body = res:json()
      local names = {}
      for name in pairs(body) do names[#names + 1] = name end
      table.sort(names)
      assert.same({ "detail", "error", "request_id", "status", "title", "type" }, names)
    end },
    { "405 tells the methods", function(g)
      local res = g:request { method = "POST", path = "/a" }
      expect.problem(res, 405, "method-not-allowed")
      expect(res, 405, { Allow = "GET, HEAD" })
    end },
    { "404 when no step answers and there is no service", function(g)
      expect.problem(g:request "/nobody", 404, "not-found", "no step of this route answered")
    end },
    { "have no body for HEAD", function(g)
      local res = g:request { method = "HEAD", path = "/none" }
      expect(res, 404, { body = "", ["Content-Type"] = "application/problem+json" })
      assert.is_true(tonumber(res:header "Content-Length") > 0)
    end },
    { "leave the connection open where they can", function(g)
      local client = g:connect()
      expect(client:request "/none", 404, { Connection = expect.none })
      expect(client:request "/a", 200, { body = "a" })
      client:close()
    end },
  },
  {
    name = "problems of one's own base",
    config = { errors = { problem_base = "https://errors.example/" }, routes = { { match = "/a", policies = {
      { lua = [[return { request = function()
        return mg.problem(403, "missing-claim", "the token has no 'sub'",
          { headers = { ["X-A"] = "1" }, members = { claim = "sub" } })
      end }]] } } } } },
    { "have it in their type", function(g)
      local res = g:request "/a"
      expect(res, 403, { ["X-A"] = "1", ["Content-Type"] = "application/problem+json" })
      local body = res:json()
      assert.equal("https://errors.example/missing-claim", body.type)
      assert.equal("missing-claim", body.error)
      assert.equal("the token has no 'sub'", body.detail)
      assert.equal("sub", body.claim)
      assert.equal("https://errors.example/no-route", g:request("/none"):json().type)
    end },
  },
  {
    name = "the simple format",
    config = { errors = { format = "simple" }, routes = { { match = "/a", policies = { "request-id" } } } },
    { "is one member", function(g)
      local res = g:request "/none"
      expect(res, 404, { ["Content-Type"] = "application/json" })
      assert.equal("no route matches", res:json().error)
    end },
  },
  {
    name = "the default response",
    config = {
      default_response = { status_code = 410, body = '{"error":"gone"}',
        headers = { ["content-type"] = "application/json" } },
      routes = { { match = "/a", policies = { { respond = { body = "a" } } } } },
    },
    { "stands for 404", function(g)
      expect(g:request "/none", 410, { json = { error = "gone" }, ["Content-Type"] = "application/json" })
      expect(g:request "/a", 200, { body = "a" })
    end },
  },
  {
    name = "on_error",
    upstreams = { api = { error = "refused" } },
    config = { routes = { {
      match = "/*", service = "api",
      on_error = { { lua = [[return { response = function(req, res)
        res:set_header("X-Code", res.error.code)
        if req.path == "/other" then return mg.reply(200, "instead") end
        res:set_body("sorry, " .. res.error.code)
      end }]] } },
      policies = { { lua = [[return { response = function(_, res) res:set_header("X-Saw", res.status) end }]] } },
    }, { match = "/page", service = "api", on_error = { { respond = { body = "page ${status}" } } } } } },
    { "changes what the gateway says", function(g)
      expect(g:request "/", 503, { body = "sorry, connect_failed", ["X-Code"] = "connect_failed", ["X-Saw"] = "503" })
    end },
    { "may put another response in its place", function(g)
      expect(g:request "/other", 200, { body = "instead", ["X-Saw"] = "200" })
    end },
    { "may be a policy", function(g)
      expect(g:request "/page", 503, { body = "page 503" })
    end },
  },
}
