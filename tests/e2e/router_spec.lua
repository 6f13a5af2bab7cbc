-- Which route gets a request. Each route here answers with its name.
local E = require "moongate.e2e"

local function route(name, match, more)
  local out = { name = name, match = match, policies = { { respond = { body = name } } } }
  for key, value in pairs(more or {}) do out[key] = value end
  return out
end

-- Routes that answer with their names and parameters.
local PARAMS = [[
return { request = function(req)
  local out = {}
  for name, value in pairs(req.params) do out[#out + 1] = name .. "=" .. value end
  table.sort(out)
  return mg.reply(200, req.route.name .. " " .. table.concat(out, ","))
end }]]

local function start(routes, more)
  local config = { routes = routes }
  for key, value in pairs(more or {}) do config[key] = value end
  return E.start { config = config }
end

local function ask(g, path, host, headers)
  local all = { Host = host or "x" }
  for name, value in pairs(headers or {}) do all[name] = value end
  return g:get(path, { headers = all })
end

describe("paths", function()
  local g

  setup(function()
    g = start {
      route("exact", "/a"),
      route("below", "/a/*"),
      route("deeper", "/a/b/*"),
      route("list", { path = { "/l1", "/l2/*" } }),
      { name = "one", match = "/u/{id}", policies = { { lua = PARAMS } } },
      { name = "two", match = "/u/{id}/o/{order}", policies = { { lua = PARAMS } } },
      { name = "me", match = "/u/me", policies = { { lua = PARAMS } } },
      { name = "rest", match = "/files/{path+}", policies = { { lua = PARAMS } } },
      { name = "regex", match = "~^/v(\\d+)/(?<what>[a-z]+)$", policies = { { lua = PARAMS } } },
      { name = "prefix", path_prefix = "/p", policies = { { respond = { body = "prefix" } } } },
    }
  end)

  for _, case in ipairs {
    { "/a", "exact" }, { "/a/", "below" }, { "/a/x", "below" }, { "/ab", 404 }, { "/A", 404 },
    { "/a/b", "below" }, { "/a/b/", "deeper" }, { "/a/b/c/d", "deeper" },
    { "/l1", "list" }, { "/l2/x", "list" }, { "/l1/x", 404 },
    { "/u/7", "one id=7" }, { "/u/a%20b", "one id=a b" },
    { "/u/a%2Fb", "one id=a%2Fb" }, { "/u/a%252Fb", "one id=a%252Fb" },
    { "/u/", 404 }, { "/u/7/", 404 },
    { "/u/me", "me " }, { "/u/7/o/8", "two id=7,order=8" },
    { "/files/a/b.txt", "rest path=a/b.txt" },
    { "/v2/cats", "regex 1=2,what=cats" }, { "/v2/CATS", 404 }, { "/v/cats", 404 },
    { "/p", "prefix" }, { "/p/x/y", "prefix" }, { "/pq", 404 },
    -- normalised for matching
    { "//a//", "below" }, { "/x/../a", "exact" }, { "/./a", "exact" }, { "/%61", "exact" },
    { "/a/./b/../b/", "deeper" },
    { "/a/%2e%2e/l1", "list" },
    { "/..", 400 }, { "/a/../../b", 400 }, { "/%2e%2e/a", 400 },
  } do
    it(("%s is %s"):format(case[1], case[2]), function()
      local res = ask(g, case[1])
      if type(case[2]) == "number" then
        assert.problem(res, case[2])
      else
        assert.equal(case[2], res.body)
      end
    end)
  end
end)

describe("hosts", function()
  local g

  setup(function()
    g = start {
      route("none", "/*"),
      route("wild", { path = "/*", host = "*.example.com" }),
      route("deep", { path = "/*", host = "*.eu.example.com" }),
      route("exact", { path = "/*", host = { "api.example.com", "api.example.org" } }),
      route("exact-longer", { path = "/long/*", host = "*.example.com" }),
    }
  end)

  for _, case in ipairs {
    { "x", "none" }, { "api.example.com", "exact" }, { "API.Example.COM", "exact" },
    { "api.example.com:8080", "exact" },
    { "api.example.org", "exact" }, { "www.example.com", "wild" }, { "example.com", "none" },
    { "a.eu.example.com", "deep" }, { "evilexample.com", "none" }, { "[::1]:80", "none" },
  } do
    it(("%s is %s"):format(case[1], case[2]), function()
      assert.equal(case[2], ask(g, "/", case[1]).body)
    end)
  end

  it("count more than a longer path", function()
    assert.equal("exact", ask(g, "/long/x", "api.example.com").body)
    assert.equal("exact-longer", ask(g, "/long/x", "www.example.com").body)
    assert.equal("none", ask(g, "/long/x", "other.net").body)
  end)
end)

describe("conditions", function()
  local g

  setup(function()
    g = start {
      route("plain", "/c"),
      route("header", { path = "/c", headers = { ["x-beta"] = "*" } }),
      route("header value", { path = "/c", headers = { ["x-version"] = "2" } }),
      route("query", { path = "/c", query = { debug = "1" } }),
      route("both", { path = "/c", headers = { ["x-beta"] = "*" }, query = { debug = "1" } }),
      route("first", { path = "/same", headers = { ["x-a"] = "*" } }),
      route("second", { path = "/same", headers = { ["x-b"] = "*" } }),
      route("get", { path = "/m", methods = { "GET", "HEAD" } }),
      route("put", { path = "/m", methods = "PUT" }),
    }
  end)

  for _, case in ipairs {
    { "/c", {}, "plain" }, { "/c", { ["X-Beta"] = "yes" }, "header" },
    { "/c", { ["X-Version"] = "2" }, "header value" },
    { "/c", { ["X-Version"] = "22" }, "plain" }, { "/c?debug=1", {}, "query" }, { "/c?a&debug=1", {}, "query" },
    { "/c?debug=2", {}, "plain" }, { "/c?%64ebug=1", {}, "query" }, { "/c?debug=1", { ["X-Beta"] = "" }, "both" },
    { "/same", { ["X-A"] = "1", ["X-B"] = "1" }, "first" }, { "/same", { ["X-B"] = "1" }, "second" },
  } do
    it(("%s %s is %s"):format(case[1], next(case[2]) or "", case[3]), function()
      assert.equal(case[3], ask(g, case[1], nil, case[2]).body)
    end)
  end

  it("on methods: 405 tells those there are", function()
    assert.equal("get", ask(g, "/m").body)
    assert.equal("put", g:request { method = "PUT", path = "/m" }.body)
    local res = g:request { method = "DELETE", path = "/m" }
    assert.problem(res, 405, "method-not-allowed")
    local methods = {}
    for method in res:header("Allow"):gmatch("[^, ]+") do methods[#methods + 1] = method end
    table.sort(methods)
    assert.same({ "GET", "HEAD", "PUT" }, methods)
  end)

  it("on other things: 404", function()
    assert.problem(ask(g, "/same"), 404, "no-route")
  end)
end)

describe("no route", function()
  it("is a problem", function()
    local res = start { route("a", "/a") } :get("/b")
    assert.problem(res, 404, "no-route")
  end)

  it("has the response that the config says", function()
    local g = start({ route("a", "/a") }, { default_response = { status_code = 418, body = '{"error":"no"}',
      headers = { ["content-type"] = "application/json" } } })
    local res = g:get("/b")
    assert.status(res, 418)
    assert.json(res, { error = "no" })
    assert.header(res, "Content-Type", "application/json")
    assert.status(g:get("/a"), 200)
  end)
end)

describe("many routes", function()
  it("are told apart as well as few", function()
    local routes = {}
    for i = 1, 2000 do routes[i] = route("r" .. i, ("/svc%d/{id}/*"):format(i)) end
    local g = start(routes)
    for _, i in ipairs { 1, 2, 999, 2000 } do
      assert.equal("r" .. i, g:get(("/svc%d/7/x"):format(i)).body)
    end
    assert.status(g:get("/svc2001/7/x"), 404)
  end)
end)
