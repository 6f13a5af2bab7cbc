-- Files of other programs: what they become, and how their faults are told.

require "moongate.core" -- brings moongate.yaml along, which the loader of configs wants
local T = require "moongate.test"
local config = require "moongate.config"

local function load(text, name)
  return config.load(text, name or "gateway.yaml", { getenv = function() return nil end })
end

local function load_ok(text, name)
  local checked, errors, warnings = load(text, name)
  assert.equal("", config.render(errors))
  local said = {}
  for i, w in ipairs(warnings) do said[i] = ("%d:%d: %s: %s"):format(w.line, w.col, w.path, w.message) end
  return checked, said
end

-- The errors, one in a line.
local function faults(text, name)
  local checked, errors = load(text, name)
  assert.is_nil(checked)
  local out = {}
  for i, e in ipairs(errors) do out[i] = ("%d:%d: %s: %s"):format(e.line, e.col, e.path, e.message) end
  return out
end

local function addresses(service)
  local out = {}
  for i, backend in ipairs(service.backends) do out[i] = backend.address end
  return out
end

describe("routes JSON", function()
  local ROUTES = [[
{
  "routes": [
    {
      "path_pattern": "/api/users/*",
      "service": "users-service",
      "version": "v1",
      "backends": ["users-1:8080", "users-2:8080", "users-3:8080"],
      "strip_prefix": false
    },
    {
      "path_pattern": "/api/v2/users/*",
      "service": "users-service",
      "version": "v2",
      "backends": ["users-v2-1:8080", "users-v2-2"],
      "strip_prefix": true
    },
    {"path_pattern": "/carts/*", "service": "carts", "backends": ["carts-1"]},
    {"path_pattern": "/cart", "service": "carts", "backends": ["carts-1"]},
    {"path_pattern": "/old-carts/*", "service": "carts", "backends": ["carts-0"]}
  ]
}]]

  it("has a service for each service, version and list of backends", function()
    local checked = load_ok(ROUTES, "routes.json")
    assert.same({ "users-1:8080", "users-2:8080", "users-3:8080" }, addresses(checked.services["users-service-v1"]))
    assert.same({ "users-v2-1:8080", "users-v2-2:80" }, addresses(checked.services["users-service-v2"]))
    assert.same({ "carts-1:80" }, addresses(checked.services.carts))
    assert.same({ "carts-0:80" }, addresses(checked.services["carts-2"]))
    assert.same({ "users-service", "carts" },
      { checked.services["users-service-v2"].label, checked.services["carts-2"].label })
    assert.equal("round-robin", checked.services["users-service-v1"].balance)
    local routes = {}
    for i, route in ipairs(checked.routes) do
      routes[i] = { route.match.paths[1], route.service, route.version, route.strip_prefix, route.line }
    end
    assert.same({
      { "/api/users/*", "users-service-v1", "v1", false, 3 },
      { "/api/v2/users/*", "users-service-v2", "v2", true, 10 },
      { "/carts/*", "carts", nil, false, 17 }, { "/cart", "carts", nil, false, 18 },
      { "/old-carts/*", "carts-2", nil, false, 19 },
    }, routes)
  end)

  it("takes native keys beside its own", function()
    local checked = load_ok('{"listen": 9000, "routes": [{"path_pattern": "/*", "service": "a", "backends": ["a"]}]}')
    assert.equal(9000, checked.listen[1].port)
  end)

  it("forwards as it says, first backend first, and strips what is fixed of the pattern", function()
    local t = T.load("routes.json", { text = ROUTES, upstreams = {
      ["users-service-v1"] = function(req) return { body = req.path } end,
      ["users-service-v2"] = function(req) return { body = req.path } end,
    } })
    assert.equal("/api/users/123", (t:request "/api/users/123"):text())
    assert.equal("/123", (t:request "/api/v2/users/123"):text())
    assert.status(t:request "/api/users", 404)
    assert.status(t:request "/api/usersX/1", 404)
  end)

  for what, case in pairs {
    ["an unknown key"] = { '{"routes":[{"path_pattern":"/a","service":"a","backends":["a"],"strip-prefix":true}]}',
      "1:64: routes[0].strip-prefix: unknown field, did you mean 'strip_prefix'?" },
    ["what is missing"] = { '{"routes":[{"path_pattern":"/a","service":"a"}]}',
      "1:12: routes[0].backends: is required (string or list)" },
    ["a bad pattern"] = { '{"routes":[{"path_pattern":"/a*","service":"a","backends":["a"]}]}',
      "1:28: routes[0].path_pattern: 'a*': '*' must be a whole segment" },
    ["a bad backend"] = { '{"routes":[{"path_pattern":"/a","service":"a","backends":["b","a b"]}]}',
      '1:63: routes[0].backends[1]: expected address (HOST:PORT), got string "a b"' },
    ["a native key that it fills in"] = {
      '{"pipelines":{},"services2":{},"routes":[{"path_pattern":"/a","service":"a","backends":["a"]}]}',
      "1:17: services2: unknown field, did you mean 'services'?" },
  } do
    it("tells of " .. what .. " in the words of the file", function()
      assert.same({ case[2] }, faults(case[1], "routes.json"))
    end)
  end
end)

describe("rgate", function()
  local RGATE = [[
routes:
  - path_prefix: /api/payment
    backend: payment
  - path_prefix: /api/orders
    backend: orders
default_response:
  body: This is not reachable
  status_code: 403
backends:
  - name: payment
    match_labels:
      - app_name=payment
      - env=production
  - name: orders
    match_labels: [app_name=orders]
    addresses: ["10.0.0.7:5000", "10.0.0.8:5000"]
]]

  it("is prefixes, backends drawn at random, and an answer for all else", function()
    local checked, warnings = load_ok(RGATE)
    assert.same({ "10.0.0.7:5000", "10.0.0.8:5000" }, addresses(checked.services.orders))
    assert.equal("random", checked.services.orders.balance)
    assert.same({ "payment:80" }, addresses(checked.services.payment))
    assert.same({ status_code = 403, body = "This is not reachable", headers = {} }, checked.default_response)
    assert.same({
      "12:7: backends[0].match_labels: containers are not looked up by label yet; the host 'payment', port 80, is "
        .. "asked; 'addresses' may say otherwise" }, warnings)
  end)

  it("answers so", function()
    local t = T.load("config.yml", { text = RGATE, upstreams = {
      payment = { error = "refused" }, orders = function(req) return { body = req.path } end,
    } })
    assert.equal("/api/orders/7", (t:request "/api/orders/7"):text())
    assert.equal("/api/orders", (t:request "/api/orders"):text())
    assert.status(t:request "/api/payment", 503)
    for _, path in ipairs { "/", "/api/ordersX" } do
      local res = t:request(path)
      assert.status(res, 403)
      assert.equal("This is not reachable", res:text())
    end
  end)

  for what, case in pairs {
    ["an unknown backend"] = { "routes: [{ path_prefix: /a, backend: pay }]\nbackends: [{ name: pays, addresses: a }]",
      "1:38: routes[0].backend: unknown backend 'pay', did you mean 'pays'?" },
    ["a label that is none"] = { "routes: []\nbackends: [{ name: pay, match_labels: [env] }]",
      '2:40: backends[0].match_labels[0]: must match "^[^=%s]+=.*$"' },
    ["no place"] = { "routes: []\nbackends: [{ name: pay }]",
      "2:12: backends[0]: needs one of 'match_labels', 'addresses'" },
    ["a bad prefix"] = { "routes: [{ path_prefix: a, backend: pay }]\nbackends: [{ name: pay, addresses: a }]",
      "1:25: routes[0].path_prefix: must begin with '/'" },
    ["two of one name"] = { "routes: []\nbackends: [{ name: pay, addresses: a }, { name: pay, addresses: b }]",
      "2:49: backends[1].name: two backends are called 'pay'" },
    ["a name that is no host"] = { 'routes: []\nbackends: [{ name: "a b", match_labels: [x=y] }]',
      "2:41: backends[0].match_labels: containers are not looked up by label yet; say in 'addresses' where they are, "
        .. "HOST:PORT" },
  } do
    it("tells of " .. what, function() assert.same({ case[2] }, faults(case[1])) end)
  end
end)
