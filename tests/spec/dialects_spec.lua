-- Files of other programs: what they become, and how their faults are told.

require "moongate.core" -- brings moongate.yaml along, which the loader of configs wants
local T = require "moongate.test"
local config = require "moongate.config"
local document = require "moongate.config.document"
local js = require "moongate.config.dialect.js"
local js_expression = require "moongate.config.dialect.js_expression"
local yaml_text = require "moongate.tool.yaml_text"

local ENV = { SECRET = ("s3cret-"):rep(10), PORT = "9090" }

local function load(text, name)
  return config.load(text, name or "gateway.yaml", {
    getenv = function(variable) return ENV[variable] end,
    policy = function(policy)
      local ok, module = pcall(require, policy)
      return ok and module or nil
    end,
  })
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

  it("has its statistics at /stats", function()
    local t = T.load("config.yml", { text = RGATE, upstreams = {
      payment = { error = "refused" }, orders = { body = "x" },
    } })
    local function counts() return (t:request "/stats"):json().requests_count end
    assert.same({ success = 0, error = 0 }, counts())
    t:request "/api/orders"
    t:request "/api/payment"
    t:request "/"
    assert.same({ success = 1, error = 2 }, counts())
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

local EXPRESS = [[
http:
  port: ${PORT:-8080}
apiEndpoints:
  users: { host: localhost, paths: /users/* }
  products: { host: '*', paths: [/products, /products/*, "/categories/:id"], methods: 'GET,POST' }
  numbers: { pathRegex: "^/n/[0-9]+$" }
serviceEndpoints:
  userService: { url: "http://localhost:3001" }
  productService: { urls: ["http://a:1", "http://b:2"] }
policies: [cors, headers, jwt, proxy, rate-limit, terminate]
pipelines:
  userPipeline:
    apiEndpoints: [users]
    policies:
      - proxy: { action: { serviceEndpoint: userService, changeOrigin: true, stripPath: false } }
  productPipeline:
    apiEndpoints: [products]
    policies:
      - cors: [{ action: { origin: "https://a.example", methods: "GET,HEAD", maxAge: 600 } }]
      - jwt: [{ action: { secretOrPublicKey: "${SECRET}", checkCredentialExistence: false } }]
      - rate-limit:
        - condition: { name: method, methods: [POST] }
          action: { max: 1, windowMs: 60000, rateLimitBy: "${req.ip}" }
      - headers: { action: { headersPrefix: X-, forwardHeaders: { Who: "${consumer.id}" } } }
      - proxy: [{ action: { serviceEndpoint: productService, changeOrigin: false, stripPath: true } }]
  rest:
    apiEndpoint: numbers
    policies: [terminate: { action: { statusCode: 418, message: "no \"numbers\"" } }]
]]

describe("Express Gateway", function()
  it("is endpoints, services and pipelines between them", function()
    local checked = load_ok(EXPRESS)
    assert.equal(9090, checked.listen[1].port)
    assert.same({ "localhost:3001" }, addresses(checked.services.userService))
    assert.same({ "a:1", "b:2" }, addresses(checked.services.productService))
    assert.same({ "backend", "keep" }, { checked.services.userService.host, checked.services.productService.host })
    local seen = {}
    for _, route in ipairs(checked.routes) do
      local names = {}
      for i, step in ipairs(route.steps) do names[i] = step.name end
      seen[route.name] = { route.match.paths, route.match.hosts, route.match.methods, route.service,
        route.strip_prefix, names }
    end
    assert.same({
      users = { { "/users/*" }, { "localhost" }, nil, "userService", false, {} },
      products = { { "/products", "/products/*", "/categories/{id}" }, nil, { "GET", "POST" }, "productService", true,
        { "cors", "jwt", "rate-limit", "headers" } },
      numbers = { { "~^/n/[0-9]+$" }, nil, nil, nil, false, { "respond" } },
    }, seen)
  end)

  it("reads what a JavaScript file exports", function()
    local checked = load_ok([[
// Example
'use strict';
module.exports = {
  http: { port: process.env.PORT || 8080, }, /* comments */
  apiEndpoints: { users: { host: 'localhost', paths: ['/users', "/users/*"] } },
  serviceEndpoints: { userService: { url: `http://localhost:3001` } },
  policies: ['proxy'],
  pipelines: { p: { apiEndpoints: ['users'], policies: [{ proxy: { action: { serviceEndpoint: 'userService' } } }] } },
};
]], "gateway.config.js")
    assert.equal(9090, checked.listen[1].port)
    assert.same({ "/users", "/users/*" }, checked.routes[1].match.paths)
    assert.equal("backend", checked.services.userService.host)
  end)

  local HEAD = "apiEndpoints: { a: { paths: /a } }\n"
    .. "serviceEndpoints: { s: { url: 'http://b' }, o: { url: 'http://o', proxyOptions: { agent: x } } }\n"
  local function p(policies) return ("pipelines: { p: { apiEndpoints: [a], policies: [%s] } }"):format(policies) end

  for what, case in pairs {
    ["a policy that is not allowed"] = {
      "policies: [proxy]\n" .. p "cors: {}",
      "4:49: pipelines.p.policies[0].cors: policy 'cors' is not among the 'policies' of this file" },
    ["an unknown endpoint"] = {
      "pipelines: { p: { apiEndpoints: [b], policies: [proxy: { action: { serviceEndpoint: s } }] } }",
      "3:34: pipelines.p.apiEndpoints[0]: unknown apiEndpoint 'b', did you mean 'a'?" },
    ["an unknown service"] = {
      p "proxy: { action: { serviceEndpoint: t } }",
      "3:66: pipelines.p.policies[0].proxy.action.serviceEndpoint: unknown serviceEndpoint 't', did you mean 'o'?" },
    ["a policy without counterpart"] = {
      p "oauth2: {}",
      "3:49: pipelines.p.policies[0].oauth2: policy 'oauth2' has no counterpart: the gateway issues no tokens; `jwt` "
        .. "and `oauth-introspect` verify those of others" },
    ["an option of a service without counterpart"] = {
      "pipelines: { p: { apiEndpoints: [a], policies: [proxy: { action: { serviceEndpoint: o } }] } }",
      "2:83: serviceEndpoints.o.proxyOptions.agent: unknown field; known are 'changeOrigin', 'proxyTimeout', 'secure', "
        .. "'stripPath', 'timeout'" },
    ["an option without counterpart"] = {
      p "proxy: { action: { serviceEndpoint: s, ignorePath: true } }",
      "3:100: pipelines.p.policies[0].proxy.action.ignorePath: has no counterpart in the native file; only false has" },
    ["a misspelt option"] = {
      p "proxy: { action: { serviceEndpoint: s, stripPaths: true } }",
      "3:88: pipelines.p.policies[0].proxy.action.stripPaths: unknown field, did you mean 'stripPath'?" },
    ["a condition without counterpart"] = {
      p "terminate: { condition: { name: tlsClientAuthenticated } }",
      "3:73: pipelines.p.policies[0].terminate.condition.name: "
        .. "the condition 'tlsClientAuthenticated' has no counterpart" },
    ["code without counterpart"] = {
      p "terminate: { condition: { name: expression, expression: go() } }",
      "3:105: pipelines.p.policies[0].terminate.condition.expression: 'go' has no counterpart" },
    ["a scheme before keys"] = {
      "consumers: []\n" .. p "key-auth: {}, terminate: {}",
      "4:59: pipelines.p.policies[0].key-auth.action: a scheme before the key has no counterpart; say "
        .. "'disableHeadersScheme: true' and an 'apiKeyHeader', or 'disableHeaders: true'" },
    ["what never runs"] = {
      p "proxy: { action: { serviceEndpoint: s } }, cors: {}",
      "3:92: pipelines.p.policies[1].cors: stands behind what ends the pipeline, and never runs" },
  } do
    it("tells of " .. what, function() assert.same({ case[2] }, faults(HEAD .. case[1])) end)
  end

  it("serves", function()
    local text = EXPRESS:gsub("%${SECRET}", ENV.SECRET):gsub("%${PORT:%-8080}", "8080")
    local t = T.load("gateway.config.yml", { text = text, upstreams = {
      userService = function(req) return { body = req.path .. " " .. req:header "Host" } end,
      productService = function(req) return { body = req.path .. " " .. tostring(req:header "X-Who") } end,
    } })
    assert.equal("/users/7 localhost:3001", t:request({ host = "localhost", path = "/users/7" }):text())
    assert.status(t:request { host = "other", path = "/users/7" }, 404)
    assert.status(t:request "/products", 401)
    local token = T.jwt({ sub = "ann" }, { secret = ENV.SECRET })
    local function products(method)
      return t:request { method = method, path = "/products/7", headers = { Authorization = "Bearer " .. token } }
    end
    assert.equal("/7 ann", products("GET"):text())
    assert.status(products "POST", 200)
    assert.status(products "POST", 429)
    assert.status(products "GET", 200)
    assert.equal('no "numbers"', t:request("/n/1"):text())
    assert.status(t:request "/n/1", 418)
  end)
end)

describe("JavaScript", function()
  local null = require("moongate.yaml").null

  it("objects become tables, with their places", function()
    local value, positions = js.parse(
      [[module.exports = { a: [1, -2.5, 0x10, 'x\n\u00e4', null], "b c": { d: true } }]], null)
    assert.same({ a = { 1, -2.5, 16, "x\nä", null }, ["b c"] = { d = true } }, value)
    assert.equal(1 << 20 | 23, positions[value].value.a)
    assert.is_true(positions[value.a].list)
  end)

  for text, fault in pairs {
    ["module.exports = { a: f() }"] = "1:23: only plain values can be read, not 'f'",
    ["const a = 1"] = "1:1: expected 'module.exports = {...}' and nothing before it",
    ["module.exports = { a: 1, a: 2 }"] = "1:26: the key 'a' stands there twice",
    ["module.exports = { a: `x${1}` }"] = "1:25: expected a plain string, without ${...}",
    ["module.exports = {\n  a: 'x\n}"] = "2:6: the string does not end",
    ["module.exports = { ...a }"] = "1:20: expected a key; only plain objects can be read",
    ["module.exports = {}; f()"] = "1:22: nothing may follow the object",
    ["module.exports = [" .. ("["):rep(200)] = "1:118: too deep",
  } do
    it("is refused: " .. text:sub(1, 40), function()
      local value, errors = js.parse(text, null)
      assert.is_nil(value)
      assert.equal(fault, ("%d:%d: %s"):format(errors[1].line, errors[1].col, errors[1].message))
    end)
  end

  for text, want in pairs {
    ["req.method === 'GET'"] = 'req.method == "GET"',
    ["!req.query.a && (req.secure || req.headers['X-A'] != null)"] =
      'not ((req:arg("a") or "") ~= "") and (req.scheme == "https" or req:header("x-a") ~= nil)',
    ["req.path.startsWith('/a') || req.ip == '::1'"] =
      '(req.path or ""):sub(1, 2) == "/a" or req.client_ip == "::1"',
    ["consumer"] = "req.auth ~= nil",
  } do
    it("expressions become Lua: " .. text, function()
      assert.equal(want, js_expression.translate(text))
      assert.truthy(_G.load("return " .. want))
    end)
  end

  for text, why in pairs {
    ["req.body.x"] = "'req.body' has no counterpart", ["a = 1"] = "'a' has no counterpart",
    ["req.path > 1"] = "'>' has no counterpart", ["req.path ==="] = "'the end' has no counterpart",
    ["'a"] = "the string does not end",
  } do
    it("expressions are refused: " .. text, function()
      assert.same({ nil, why }, { js_expression.translate(text) })
    end)
  end
end)

-- Every value of a file in turn is replaced by one of another sort.
describe("what is wrong", function()
  local yaml = require "moongate.yaml"
  local json = require "moongate".json
  local OTHERS = { 5, 1.5, "x", "", true, {}, { 1 }, { a = 1 }, { {} }, json.null, "${req.zz}", "http://a/b?c" }

  -- All places of a value, as { container, key }.
  local function places(value, out)
    for key, item in pairs(value) do
      out[#out + 1] = { value, key }
      if type(item) == "table" then places(item, out) end
    end
    return out
  end

  local TEXTS = {
    EXPRESS, '{"routes": [{"path_pattern": "/a/*", "service": "a", "version": "v1", "backends": ["a"]}]}',
    "backends: [{ name: p, match_labels: a=b }, { name: o, addresses: a }]\nroutes: [{ path_prefix: /p, backend: p }]",
  }
  for _, text in ipairs(TEXTS) do
    it("is told with its place, whatever it is: " .. text:sub(1, 20), function()
      for i = 1, #places(yaml.parse(text), {}) do
        for _, other in ipairs(OTHERS) do
          local tree = yaml.parse(text)
          local at = places(tree, {})[i]
          at[1][at[2]] = other
          local checked, errors = load(assert(json.encode(tree)), "x.json")
          for _, e in ipairs(errors) do assert.is_number(e.line, e.message) end
          assert.is_true(checked ~= nil or #errors > 0)
        end
      end
    end)
  end
end)

-- What stands in a loaded config but for places.
local function without_places(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for key, item in pairs(value) do
    if key ~= "file" and key ~= "files" and key ~= "line" and key ~= "col" and key ~= "source_line" then
      out[key] = without_places(item)
    end
  end
  return out
end

describe("convert", function()
  local function convert(text, name)
    local doc = document.read(name, text, { verbatim = true }, {})
    assert.same({}, doc.walk.errors)
    return yaml_text(doc.value, { notes = doc.notes,
      is_list = function(value) return doc.walk:is_list(value) and not doc.walk:is_map(value) end })
  end

  local NATIVE = [==[
services: { a: { url: "http://a", timeouts: { connect: 1.5 } } }
policies: []
routes:
  - match: { path: /a, headers: { x: "*", y: "yes", z: "1e5" } }
    service: a
    policies:
      - lua: |
          return function(req)
            return mg.reply(200, "hello: #1\n")
          end
      - respond: { json: { t: "a\tb  \n'\"ä\x7f", a: [], b: {}, c: null, d: "null", e: [[1], [2, { x: 1 }]] } }
        when: req.method ~= "GET"
]==]

  for name, text in pairs {
    ["gateway.config.yml"] = EXPRESS, ["native.yaml"] = NATIVE,
    ["routes.json"] = '{"routes": [{"path_pattern": "/a/*", "service": "a b", "version": "v1", "backends": ["a"]}]}',
    ["config.yml"] = "backends: [{ name: p, match_labels: a=b }]\nroutes: [{ path_prefix: /p, backend: p }]",
  } do
    it("gives the same generation, and itself when it is converted again: " .. name, function()
      local native = convert(text, name)
      local expected, got = load_ok(text, name), load_ok(native, "native.yaml")
      local function plain(config_of)
        local out = without_places(config_of)
        for _, route in ipairs(out.routes) do
          for _, step in ipairs(route.steps) do step.path, step.via, step.native_conf = nil, nil, nil end
        end
        return out
      end
      assert.same(plain(expected), plain(got))
      local again = convert(native, "native.yaml") -- without the comments
      assert.equal(again, convert(again, "native.yaml"))
    end)
  end

  it("keeps names of the environment, and says what was decided", function()
    assert.matches('listen: "${PORT:-8080}"', convert(EXPRESS, "x.yml"), 1, true)
    assert.matches("# for containers with a=b\n", convert(
      "backends: [{ name: p, match_labels: a=b }]\nroutes: [{ path_prefix: /p, backend: p }]", "x.yml"), 1, true)
  end)

  it("does not write functions", function()
    local text = "return { routes = { { match = '/', policies = { print } } } }"
    assert.error_matches(function() convert(text, "x.lua") end, "a function cannot be written to a file")
  end)
end)
