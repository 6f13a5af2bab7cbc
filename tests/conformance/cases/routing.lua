-- Which route takes a request, and what the upstream is asked then.

local assert = require "luassert"
local expect = ...

-- A route that answers with its name and what its pattern captured.
local function route(name, match, more)
  local out = { name = name, match = match, policies = { { lua = [[
    return { request = function(req)
      local parts = { req.route.name }
      for _, key in ipairs { "id", "order", "path", 1, "what" } do
        if req.params[key] then parts[#parts + 1] = key .. "=" .. req.params[key] end
      end
      return mg.reply(200, table.concat(parts, " "))
    end }]] } } }
  for key, value in pairs(more or {}) do out[key] = value end
  return out
end

-- A case for each { target, the answer or a status, host, headers }.
local function cases(list, group)
  for _, c in ipairs(list) do
    local target, answer, host, headers = table.unpack(c, 1, 4)
    local what = { path = target, host = host, headers = headers }
    local name = ("%s%s%s is %s"):format(target, host and " of " .. host or "",
      headers and " with " .. next(headers) or "", answer)
    group[#group + 1] = { name, function(g)
      local res = g:request(what)
      if type(answer) == "number" then
        expect.problem(res, answer, answer == 404 and "no-route" or "bad-path")
      else
        expect(res, 200, { body = answer })
      end
    end }
  end
  return group
end

return {
  cases({
    { "/a", "exact" }, { "/a/", "below" }, { "/a/x", "below" }, { "/ab", 404 }, { "/A", 404 },
    { "/a/b", "below" }, { "/a/b/", "deeper" }, { "/a/b/c/d", "deeper" }, { "/a?x=1", "exact" },
    { "/l1", "list" }, { "/l2/x", "list" }, { "/l1/x", 404 },
    { "/u/7", "one id=7" }, { "/u/a%20b", "one id=a b" }, { "/u/a%2Fb", "one id=a%2Fb" }, { "/u/", 404 },
    { "/u/me", "me" }, { "/u/7/o/8", "two id=7 order=8" }, { "/files/a/b.txt", "rest path=a/b.txt" },
    { "/v2/cats", "regex 1=2 what=cats" }, { "/v2/CATS", 404 }, { "/p", "prefix" }, { "/p/x/y", "prefix" },
    { "/pq", 404 }, { "//a//", "below" }, { "/x/../a", "exact" }, { "/./a", "exact" }, { "/%61", "exact" },
    { "/a/%2e%2e/l1", "list" }, { "/..", 400 }, { "/a/../../b", 400 }, { "/%2e%2e/a", 400 }, { "/a%00", 400 },
  }, {
    name = "paths",
    config = { routes = {
      route("exact", "/a"), route("below", "/a/*"), route("deeper", "/a/b/*"),
      route("list", { path = { "/l1", "/l2/*" } }), route("one", "/u/{id}"), route("two", "/u/{id}/o/{order}"),
      route("me", "/u/me"), route("rest", "/files/{path+}"), route("regex", "~^/v(\\d+)/(?<what>[a-z]+)$"),
      route("prefix", nil, { path_prefix = "/p" }),
    } },
  }),
  cases({
    { "/", "none" }, { "/", "exact", "api.example.com" }, { "/", "exact", "API.Example.COM:8080" },
    { "/", "exact", "api.example.org" }, { "/", "wild", "www.example.com" }, { "/", "none", "example.com" },
    { "/", "deep", "a.eu.example.com" }, { "/", "none", "evilexample.com" }, { "/", "none", "[::1]:80" },
    { "/long/x", "exact", "api.example.com" }, { "/long/x", "longer", "www.example.com" },
  }, {
    name = "hosts",
    config = { routes = {
      route("none", "/*"), route("wild", { path = "/*", host = "*.example.com" }),
      route("deep", { path = "/*", host = "*.eu.example.com" }),
      route("exact", { path = "/*", host = { "api.example.com", "api.example.org" } }),
      route("longer", { path = "/long/*", host = "*.example.com" }),
    } },
  }),
  cases({
    { "/c", "plain" }, { "/c", "header", nil, { ["X-Beta"] = "yes" } }, { "/c", "value", nil, { ["X-Version"] = "2" } },
    { "/c", "plain", nil, { ["X-Version"] = "22" } }, { "/c?debug=1", "query" }, { "/c?a&debug=1", "query" },
    { "/c?debug=2", "plain" }, { "/c?%64ebug=1", "query" }, { "/c?debug=1", "both", nil, { ["X-Beta"] = "" } },
    { "/c", "host", "at.example" },
  }, {
    name = "conditions",
    config = { routes = {
      route("plain", "/c"), route("header", { path = "/c", headers = { ["x-beta"] = "*" } }),
      route("value", { path = "/c", headers = { ["x-version"] = "2" } }),
      route("query", { path = "/c", query = { debug = "1" } }),
      route("both", { path = "/c", headers = { ["x-beta"] = "*" }, query = { debug = "1" } }),
      route("host", { path = "/c", headers = { Host = "at.example" } }),
    } },
  }),
  {
    name = "methods",
    config = { routes = {
      route("get", { path = "/m", methods = { "GET" } }), route("put", { path = "/m", methods = "PUT" }),
      route("any", "/any"),
    } },
    { "choose", function(g)
      expect(g:request "/m", 200, { body = "get" })
      expect(g:request { method = "PUT", path = "/m" }, 200, { body = "put" })
      expect(g:request { method = "PROPFIND", path = "/any" }, 200, { body = "any" })
    end },
    { "include HEAD where there is GET", function(g)
      expect(g:request { method = "HEAD", path = "/m" }, 200, { body = "", ["Content-Length"] = "3" })
    end },
    { "that no route has are 405, with those that are there", function(g)
      local res = g:request { method = "DELETE", path = "/m", body = "x" }
      expect.problem(res, 405, "method-not-allowed")
      expect(res, 405, { Allow = "GET, HEAD, PUT" })
    end },
  },
  {
    name = "the target of the upstream",
    upstreams = { api = { body = "ok" }, base = { body = "based" } },
    config = {
      services = { base = { host = "backend" } },
      routes = {
        { match = "/keep/*", service = "api" },
        { match = "/strip/*", service = "api", strip_prefix = true },
        { match = "/part/of/*", service = "api", strip_prefix = "/part" },
        { match = "/old/{id}/*", service = "api", rewrite = "/new/{*}?id={id}" },
        { match = "~^/v(\\d+)/(.*)$", service = "api", rewrite = "/{2}/v{1}" },
        { match = "/host/*", service = "base" },
      },
    },
    { "is what the client wrote", function(g)
      g:request "/keep/%7Ea//b%2Fc;p=1?x=%20&y&&z=%zz"
      assert.equal("/keep/%7Ea//b%2Fc;p=1?x=%20&y&&z=%zz", g:seen "api"[1].target)
    end },
    { "may lose a prefix, or be rewritten", function(g)
      for i, c in ipairs {
        { "/strip/a/b", "/a/b" }, { "/strip/", "/" }, { "/strip/a?b=c", "/a?b=c" }, { "/part/of/it", "/of/it" },
        { "/old/7/x/y", "/new/x/y?id=7" }, { "/old/7/x?q=1", "/new/x?id=7&q=1" }, { "/v2/cats", "/cats/v2" },
        { "/strip/a%20b", "/a%20b" },
      } do
        expect(g:request(c[1]), 200)
        assert.equal(c[2], g:seen "api"[i].target)
      end
    end },
    { "is of the backend's own host, when the service says so", function(g)
      expect(g:request "/host/x", 200, { body = "based" })
      assert.matches("^127%.0%.0%.1:%d+$", g:seen "base"[1].host)
      assert.equal("gw.example", g:seen "base"[1]:header "X-Forwarded-Host")
    end },
  },
  {
    name = "OPTIONS and TRACE",
    upstreams = { api = function(req) return { body = req.method } end },
    { "of the server itself are answered here", function(g)
      expect(g:request { method = "OPTIONS", path = "*" }, 204,
        { body = "", Allow = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS" })
      assert.equal(0, #g:seen "api")
    end },
    { "count Max-Forwards down", function(g)
      expect(g:request { method = "OPTIONS", headers = { ["Max-Forwards"] = "2" } }, 200, { body = "OPTIONS" })
      assert.equal("1", g:seen "api"[1]:header "Max-Forwards")
      expect(g:request { method = "OPTIONS", headers = { ["Max-Forwards"] = "0" } }, 204)
      expect.problem(g:request { method = "TRACE", headers = { ["Max-Forwards"] = "0" } }, 405, "method-not-allowed")
      assert.equal(1, #g:seen "api")
    end },
    { "CONNECT is refused", function(g)
      expect.problem(g:request { method = "CONNECT", path = "example.com:443" }, 501, "not-implemented")
    end },
  },
}
