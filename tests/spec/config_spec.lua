require "moongate.core" -- brings moongate.yaml along, which the loader of configs wants
local config = require "moongate.config"
local s = require "moongate.schema"

local POLICIES = {
  ["token-bucket"] = {
    name = "token-bucket",
    schema = s.record {
      rate = s.number { required = true, gt = 0 },
      burst = s.integer { required = true, gt = 0 },
      by = s.string { default = "consumer", one_of = { "consumer", "ip" } },
    },
  },
  jwt = { name = "jwt", provides = { "identity" }, schema = s.record { secret = s.secret() } },
  rbac = { name = "rbac", needs = { "identity" }, schema = s.record { roles = s.list(s.string()) } },
  cors = { name = "cors", schema = s.record {}, body = { response = "buffer" } },
  mirror = { name = "mirror", schema = s.record { service = s.service { required = true } } },
  free = { name = "free" },
  maybe = {
    name = "maybe", needs = function(conf) return conf.by == "user" and { "identity" } or nil end,
    provides = function(conf) return { conf.by } end, schema = s.record { by = s.string { default = "ip" } },
  },
  wrong = { name = "wrong", needs = function(conf) return conf.by.name end },
  ["any-of"] = { name = "any-of", group = "any", schema = s.list(s.steps { single = true }) },
  parts = {
    name = "parts",
    schema = s.record { parts = s.map(s.record { use = s.steps(), path = s.string() }), use = s.steps() },
  },
  odd = { name = "odd", schema = { kind = "record" } },
}

local ENV = { PORT = "9090", UPSTREAM = "users:80", EMPTY = "" }

local function options(more)
  local opts = {
    getenv = function(name) return ENV[name] end,
    policy = function(name)
      if name == "broken" then return nil, "broken.lua:3: unexpected symbol" end
      return POLICIES[name]
    end,
    policy_names = function()
      local names = {}
      for name in pairs(POLICIES) do names[#names + 1] = name end
      return names
    end,
  }
  for key, value in pairs(more or {}) do opts[key] = value end
  return opts
end

-- What is there to load, or the errors rendered.
local function load_ok(text, opts, name)
  local checked, errors, warnings = config.load(text, name or "moongate.yaml", options(opts))
  assert.equal("", config.render(errors))
  return checked, warnings
end

-- The first line of each error: "LINE:COL: path: message"; without a position just "path: message".
local function faults(text, opts, name)
  local checked, errors = config.load(text, name or "moongate.yaml", options(opts))
  assert.is_nil(checked)
  local out = {}
  for i, e in ipairs(errors) do
    local where = e.line and ("%d:%d: "):format(e.line, e.col) or ""
    out[i] = where .. (e.path ~= "" and e.path .. ": " or "") .. e.message
  end
  return out
end

local SMALL = [[
listen: 8080
services:
  products: { backends: ["127.0.0.1:3000"] }
routes:
  - { match: /*, service: products }
]]

-- SMALL with one more top-level part.
local function with(text)
  return SMALL .. text
end

describe("a small file", function()
  it("gets every default", function()
    local c, warnings = load_ok(SMALL)
    assert.same({}, warnings)
    assert.same({ { address = "0.0.0.0:8080", host = "0.0.0.0", port = 8080 } }, c.listen)
    assert.same({
      header_bytes = 32768, headers = 100, body_bytes = 10 << 20, buffered_body_bytes = 1 << 20, request_time = 60,
      header_time = 10, idle_time = 75, connections = 50000, lua_run = 0.05, lua_memory = 256 << 20,
    }, c.limits)
    assert.same({
      products = {
        backends = { { address = "127.0.0.1:3000", host = "127.0.0.1", port = 3000, weight = 1, priority = 0 } },
        balance = "round-robin", panic_threshold = 50, require_zone = false,
        protocol = "http", host = "keep", path = "", status_when_down = 503,
        timeouts = { connect = 1, first_byte = 10, idle = 60 }, keepalive = { max = 64, idle = 60 },
      },
    }, c.services)
    assert.same({
      {
        name = "/*", path = "routes[0]", file = "moongate.yaml", line = 5, col = 5, match = { paths = { "/*" } },
        service = "products", strip_prefix = false, steps = {}, on_error = {},
      },
    }, c.routes)
    assert.same({ 1, "", 0, false }, { c.version, c.base_path, c.workers, c.dev })
    assert.same({ format = "problem" }, c.errors)
    assert.same({ format = "json", level = "info", redact = {}, access = { format = "off", to = "stdout" } }, c.log)
    assert.same({ { "policies" }, {}, {}, {}, { "moongate.yaml" } },
      { c.lua.path, c.secrets, c.shared, c.trusted_proxies, c.files })
    assert.same({}, c.consumers)
    assert.is_nil(c.default_response)
  end)

  it("may be empty", function()
    local c, warnings = load_ok("")
    assert.same({}, c.routes)
    assert.equal("moongate.yaml: no routes: every request gets the default response\n", config.render(warnings))
  end)

  it("may be JSON", function()
    local c = load_ok([[{
	"services": {"a": {"backends": ["a"]}},
	"routes": [{"name": "\ud83d\ude00", "match": "\/x", "service": "a"}]
}]], nil, "moongate.json")
    assert.equal("\u{1F600}", c.routes[1].name)
    assert.same({ "/x" }, c.routes[1].match.paths)
    assert.same({ '1:30: services.a.balance: expected one of "round-robin", "random", "least-requests", '
      .. '"two-choices", "latency" or map, got string "x"' },
      faults('{"services":{"a":{"balance": "x","backends":["a"]}}}', nil, "moongate.json"))
  end)

  it("may be a table of the caller's, which stays as it was", function()
    local route = { match = "/${PORT}", service = "a" }
    local c = load_ok { services = { a = { backends = { "a" } } }, routes = { route } }
    assert.same({ "/9090" }, c.routes[1].match.paths)
    assert.equal("/${PORT}", route.match)
  end)

  it("obeys opts.dev", function()
    assert.is_true(load_ok(SMALL, { dev = true }).dev)
  end)
end)

describe("client_auth", function()
  it("may be none while the authority is there already", function()
    local c = load_ok("listen: [{ address: 80, tls: { client_auth: none, client_ca: a.pem } }]")
    assert.equal("none", c.listen[1].tls.client_auth)
  end)
end)

describe("a Lua file", function()
  it("may hold functions as steps, and sets no globals", function()
    local c = load_ok([[
      helper = function(req, next) return next(req) end
      return {
        services = { a = { backends = { "a:1" } } },
        routes = { { match = "/*", service = "a", policies = { helper, { lua = helper, id = "second" } } } },
      }]], nil, "moongate.lua")
    assert.is_nil(rawget(_G, "helper"))
    local steps = c.routes[1].steps
    assert.same({ "function", "function" }, { steps[1].kind, steps[2].kind })
    assert.equal("second", steps[2].id)
    assert.is_function(steps[1].func)
    assert.equal(steps[1].func, steps[2].func)
  end)

  it("has errors without positions", function()
    assert.same({ "routes[0].servic: unknown field, did you mean 'service'?" },
      faults('return { routes = { { match = "/", servic = "a", policies = { "cors" } } } }', nil, "moongate.lua"))
  end)

  it("tells where it is broken", function()
    assert.same({ "2:1: unexpected symbol near '}'" }, faults("return {\n  a = }", nil, "moongate.lua"))
    assert.same({ "1:1: no" }, faults("error 'no'", nil, "moongate.lua"))
    assert.same({ "listen.port: is no item of the list", "trusted_proxies[2]: is no item of the list" },
      faults("return { listen = { 80, port = 81 }, trusted_proxies = { '10.0.0.0/8', [3] = '::1' } }", nil,
        "moongate.lua"))
    assert.same({ "must return a table, returned nil" }, faults("local _ = 1", nil, "moongate.lua"))
  end)
end)

describe("values", function()
  local cases = {
    { "listen: [8080, '127.0.0.1:0', '[::1]:8443', ':81', 'localhost:82', 'unix:/run/x']", "listen", {
      { address = "0.0.0.0:8080", host = "0.0.0.0", port = 8080 },
      { address = "127.0.0.1:0", host = "127.0.0.1", port = 0 },
      { address = "[::1]:8443", host = "::1", port = 8443 },
      { address = "0.0.0.0:81", host = "0.0.0.0", port = 81 },
      { address = "127.0.0.1:82", host = "127.0.0.1", port = 82 },
      { address = "unix:/run/x", unix = "/run/x" },
    } },
    { "listen: { name: inside, address: 81 }", "listen",
      { { name = "inside", address = "0.0.0.0:81", host = "0.0.0.0", port = 81 } } },
    { "listen: ${PORT}", "listen", { { address = "0.0.0.0:9090", host = "0.0.0.0", port = 9090 } } },
    { "workers: ${WORKERS:-3}", "workers", 3 },
    { "workers: auto", "workers", 0 },
    { "user: www-data", "user", "www-data" },
    { "group: _ssl.1", "group", "_ssl.1" },
    { "trusted_proxies: 10.0.0.0/8", "trusted_proxies", { "10.0.0.0/8" } },
    { "base_path: /prod/", "base_path", "/prod" },
    { "lua: { path: [a, b] }", "lua", { path = { "a", "b" } } },
    { "shared: { limits: 16MiB }", "shared", { limits = 16 << 20 } },
    { "caches: { pages: { size: 16MiB } }", "caches",
      { pages = { size = 16 << 20, max_object = 2 << 20, redis_max_object = 1 << 20 },
        default = { size = 64 << 20, max_object = 2 << 20, redis_max_object = 1 << 20 } } },
    { "caches: { default: { size: 8MiB, max_object: 1MiB } }", "caches",
      { default = { size = 8 << 20, max_object = 1 << 20, redis_max_object = 1 << 20 } } },
    { "redis: { main: { address: a } }\ncaches: { default: { size: 16MiB, redis: main, redis_max_object: 64KiB } }",
      "caches",
      { default = { size = 16 << 20, max_object = 2 << 20, redis = "main", redis_max_object = 64 << 10 } } },
    { "consumers: [{ name: a, keys: k, roles: r }, { name: 'b@c', password: k, secret: k, groups: [g] }]\n"
      .. "secrets: { k: { env: PORT } }", "consumers", {
      { name = "a", keys = { "k" }, roles = { "r" }, groups = {} },
      { name = "b@c", password = "k", secret = "k", roles = {}, groups = { "g" } },
    } },
    { "secrets: { a: { env: PORT }, b: { file: x } }", "secrets", { a = { env = "PORT" }, b = { file = "x" } } },
    { "keys: { a: { issuer: 'https://x.test' }, "
      .. "b: { jwks: 'https://x.test/k', issuer: x, refresh: 10m, algorithms: ES256 } }", "keys", {
        a = { issuer = "https://x.test" },
        b = { jwks = "https://x.test/k", issuer = "x", refresh = 600, algorithms = { "ES256" } } } },
    { "keys: { a: { jwks: 'https://x.test/k', tls: { name: y } } }", "keys",
      { a = { jwks = "https://x.test/k", tls = { name = "y", verify = true } } } },
    { "redis: { a: { address: r }, b: { address: '[::1]:7', username: u, password: k, database: 2, tls: true } }\n"
      .. "secrets: { k: { env: PORT } }", "redis", {
      a = { address = "r:6379", database = 0, timeout = 0.2, connect_timeout = 1, pool = 4 },
      b = { address = "[::1]:7", username = "u", password = "k", database = 2, timeout = 0.2, connect_timeout = 1,
        pool = 4, tls = { verify = true } },
    } },
    { "redis: { a: { sentinels: [s, 't:7'], master: m } }", "redis", { a = { sentinels = { "s:26379", "t:7" },
      master = "m", database = 0, timeout = 0.2, connect_timeout = 1, pool = 4 } } },
    { "redis: { a: { cluster: [n, '[::1]:7'] } }", "redis", { a = { cluster = { "n:6379", "[::1]:7" },
      database = 0, timeout = 0.2, connect_timeout = 1, pool = 4 } } },
    { "redis: { a: { address: 'unix:/run/redis.sock', tls: false, timeout: 50ms, pool: 1 } }", "redis",
      { a = { address = "unix:/run/redis.sock", database = 0, timeout = 0.05, connect_timeout = 1, pool = 1 } } },
    { "errors: { format: simple, problem_base: 'https://x/' }", "errors",
      { format = "simple", problem_base = "https://x/" } },
    { "log: { format: plain, level: debug, redact: [X-Key] }", "log",
      { format = "plain", level = "debug", redact = { "x-key" }, access = { format = "off", to = "stdout" } } },
    { "default_response: { body: 'no' }", "default_response", { status_code = 404, body = "no", headers = {} } },
    { "default_response: { headers: { content-type: application/json } }", "default_response",
      { status_code = 404, body = "", headers = { ["content-type"] = "application/json" } } },
  }
  for _, case in ipairs(cases) do
    it("of " .. case[1], function()
      assert.same(case[3], load_ok(case[1])[case[2]])
    end)
  end

  it("of services", function()
    local c = load_ok [[
services:
  a: { backends: ["a", "b:81", "[::1]:82", { address: "c:83", weight: 2 }, "${UPSTREAM}"], host: api.example.com }
  b: { url: "http://legacy.internal:8080/base/" }
  c: { dns: { name: catalog.default.svc, port: 8080 }, balance: random, host: backend }
  d: { url: "http://plain" }]]
    local addresses = {}
    for i, backend in ipairs(c.services.a.backends) do addresses[i] = backend.address .. " " .. backend.weight end
    assert.same({ "a:80 1", "b:81 1", "[::1]:82 1", "c:83 2", "users:80 1" }, addresses)
    assert.equal("::1", c.services.a.backends[3].host)
    assert.equal("api.example.com", c.services.a.host)
    assert.equal("/base", c.services.b.path)
    assert.same({
      { address = "legacy.internal:8080", host = "legacy.internal", port = 8080, weight = 1, priority = 0 },
    }, c.services.b.backends)
    assert.same({ name = "catalog.default.svc", port = 8080 }, c.services.c.dns)
    assert.equal("plain:80", c.services.d.backends[1].address)
  end)

  it("of how a service chooses", function()
    local c = load_ok [[
zone: eu
secrets: { sessions: { env: SESSIONS } }
services:
  a:
    backends: [{ address: "a:81", zone: eu }, { address: "b:81", zone: us, priority: 1 }, "c:81"]
    balance: { hash: "${header.x-user}" }
    sticky: { cookie: backend, ttl: 1h, secure: true, path: /shop, secret: sessions }
    slow_start: 30s
    panic_threshold: 0%
    require_zone: true
  b: { backends: [b], balance: latency, panic_threshold: 70, sticky: { cookie: b } }]]
    assert.equal("eu", c.zone)
    local a = c.services.a
    local places = {}
    for i, backend in ipairs(a.backends) do places[i] = (backend.zone or "none") .. " " .. backend.priority end
    assert.same({ "eu 0", "us 1", "none 0" }, places)
    assert.same({ hash = "${header.x-user}" }, a.balance)
    assert.same({ cookie = "backend", ttl = 3600, secure = true, path = "/shop", secret = "sessions" }, a.sticky)
    assert.same({ 30, 0, true }, { a.slow_start, a.panic_threshold, a.require_zone })
    local b = c.services.b
    assert.same({ "latency", 70, false }, { b.balance, b.panic_threshold, b.require_zone })
    assert.same({ cookie = "b", secure = false, path = "/" }, b.sticky)
  end)

  it("of routes", function()
    local c = load_ok [[
listen: [8080, { name: inside, address: "unix:/run/x" }]
services: { a: { backends: [a] }, b: { backends: [b] } }
routes:
  - name: users
    match:
      path: [/u/*, "/v/{rest+}"]
      methods: GET
      host: [API.example.com, "*.example.com"]
      headers: { X-Beta: "*", a: "1" }
      query: { debug: "1" }
      listener: inside
    split: [{ service: a, weight: 90 }, { service: b }]
    version: v1
    rewrite: /x
    timeout: 10s
  - { path_prefix: /old/, service: a, strip_prefix: true }
  - { path_prefix: /, service: a }
  - { match: { host: h }, service: a }
  - { match: "~^/r/(\\d+)$", service: a, rewrite: "/n/{1}" }
  - { match: /x, service: a, strip_prefix: /x }
  - { match: { path: /x, methods: [GET] }, service: b }
]]
    local first = c.routes[1]
    assert.same({
      paths = { "/u/*", "/v/{rest+}" }, methods = { "GET" }, hosts = { "api.example.com", "*.example.com" },
      headers = { { name = "a", value = "1" }, { name = "x-beta" } }, query = { { name = "debug", value = "1" } },
      listener = "inside",
    }, first.match)
    assert.same({ { service = "a", weight = 90 }, { service = "b", weight = 1 } }, first.split)
    assert.same({ "v1", "/x", 10 }, { first.version, first.rewrite, first.timeout })
    assert.same({ "/old", "/old/*" }, c.routes[2].match.paths)
    assert.equal("/old/", c.routes[2].strip_prefix)
    assert.same({ "/*" }, c.routes[3].match.paths)
    assert.same({ paths = { "/*" }, hosts = { "h" } }, c.routes[4].match)
    local names = {}
    for i, route in ipairs(c.routes) do names[i] = route.name end
    assert.same({ "users", "/old", "/*", "/* #2", "~^/r/(\\d+)$", "/x", "/x #2" }, names)
  end)
end)

describe("the admin listener", function()
  local function admin(text)
    local out = load_ok(text).admin
    return { out.address, out.by_default }
  end

  it("is on this machine alone, unless its place is named", function()
    assert.same({ "127.0.0.1:9901", true }, admin "routes: []")
    assert.same({ "127.0.0.1:9901", true }, admin "admin: {}")
    assert.same({ "127.0.0.1:8001", false }, admin "admin: { address: 8001 }")
    assert.same({ "[::1]:8001", false }, admin "admin: { address: '[::1]:8001' }")
    assert.same({ "unix:a.sock", false }, admin "admin: { address: 'unix:a.sock' }")
    assert.same({ "0.0.0.0:8001", false },
      admin "admin: { address: '0.0.0.0:8001', token: t }\nsecrets: { t: { env: PORT } }")
  end)

  it("is not there when it is off", function()
    assert.same({ "", false }, admin "admin: off")
    assert.same({ "", false }, admin "admin: { address: off }")
  end)

  it("lists what is public by name", function()
    assert.same({ { name = "health", path = "/health" }, { name = "stats", path = "/s" } },
      load_ok("admin: { public: { stats: /s, health: /health } }").admin.public)
  end)
end)

describe("a config that is shown", function()
  local show = require("moongate.config.show").show

  local function shown(text) return show((load_ok(text))) end

  it("has what the gateway serves by, with defaults and without places", function()
    local out = shown "services: { a: { backends: [b] } }\nroutes: [{ match: /*, service: a }]"
    assert.equal("b:80", out.services.a.backends[1].address)
    assert.equal("a", out.routes[1].service)
    assert.equal(60, out.limits.request_time)
    assert.is_nil(out.routes[1].line)
    assert.is_nil(out.files)
  end)

  it("names secrets and has none", function()
    local out = shown [[
secrets: { s: { env: PORT } }
keys: { a: { secret: s }, b: { secret: plain-text-in-the-config } }
default_response: { headers: { Authorization: "Basic abc", X-Api-Key: k, X-Other: "http://u:p@h/" } }
]]
    assert.same({ env = "PORT" }, out.secrets.s)
    assert.equal("s", out.keys.a.secret)
    assert.equal("***", out.keys.b.secret)
    assert.same({ Authorization = "***", ["X-Api-Key"] = "***", ["X-Other"] = "http://***@h/" },
      out.default_response.headers)
  end)
end)

describe("errors", function()
  local cases = {
    -- the text
    { "a: [1\nb: 2", "2:2: did not find expected ',' or ']' while parsing a flow sequence that began at line 1" },
    { "dev: true\ndev: false", "2:1: duplicate key 'dev', first at line 1" },
    { "- 1", "1:1: expected map, got list" },
    { "hello", '1:1: expected map, got string "hello"' },
    -- top level
    { "mood: {}", "1:1: mood: unknown field" },
    { "liste: 80", "1:1: liste: unknown field, did you mean 'listen'?" },
    { "version: 2", "1:10: version: must be one of 1" },
    { "dev: yes", '1:6: dev: expected boolean, got string "yes"' },
    { "user: 'a b'", '1:7: user: must match "^[%w_][%w_.-]*%$?$"' },
    { "workers: 0", "1:10: workers: must be >= 1" },
    { "workers: many", '1:10: workers: expected "auto" or integer, got string "many"' },
    { "trusted_proxies: [10.0.0.0/8, x]",
      '1:31: trusted_proxies[1]: expected address or network (10.0.0.0/8, ::1), got string "x"' },
    { "limits: { header_bytes: 1MB, headers: 0 }", "1:39: limits.headers: must be >= 1" },
    { "limits: { lua_run: 50 ms }",
      '1:20: limits.lua_run: expected duration (200ms, 10s, 5m, 1h, 1d), got string "50 ms"' },
    { "base_path: prod", "1:12: base_path: must begin with '/'" },
    { "redis: { a: { sentinels: [s] } }", [[1:26: redis.a.sentinels: needs the 'master' that they are asked for]] },
    { "redis: { a: { address: s, master: m } }", [[1:35: redis.a.master: does nothing without 'sentinels']] },
    { "redis: { a: {} }", [[1:13: redis.a: needs one of 'address', 'sentinels', 'cluster']] },
    { "redis: { a: { cluster: [s], address: s } }",
      [[1:24: redis.a.cluster: 'address' and 'cluster' exclude each other]] },
    { "redis: { a: { cluster: [s], database: 1 } }", [[1:39: redis.a.database: must be 0 in a cluster]] },
    { "redis: { a: { address: 'a:b' } }",
      [[1:24: redis.a.address: expected address (HOST:PORT or unix:PATH), got string "a:b"]] },
    { "redis: { a: { address: a, username: u } }", [[1:37: redis.a.username: needs a 'password']] },
    { "redis: { a: { address: a, password: none } }", [[1:37: redis.a.password: unknown secret 'none']] },
    { "caches: { pages: { size: 8MiB } }", "1:18: caches.pages: must be at most an eighth of 'size'" },
    { "caches: { pages: { redis: main } }", "1:27: caches.pages.redis: unknown redis 'main'" },
    { "shared: { 'a b': 1MiB }",
      [[1:11: shared["a b"]: expected name (letters, digits, '_', '-', '.') as key, got "a b"]] },
    { "services: { a: { backends: [b], health: { path: x } } }",
      '1:49: services.a.health.path: must match "^/[!-~]*$"' },
    { "services: { a: { backends: [b], health: { expect: 299-200 } } }",
      "1:51: services.a.health.expect: '299-200' begins after its end" },
    { "services: { a: { backends: [b], health: { type: tcp, body: x } } }",
      "1:60: services.a.health.body: does nothing with 'type: tcp'" },
    { "services: { a: { backends: [b], health: { headers: { Host: x } } } }",
      "1:52: services.a.health.headers: is said by 'host'" },
    { "keys: { a: {} }", "1:12: keys.a: needs one of 'secret', 'public_key', 'jwks_file', 'jwks', 'issuer'" },
    { "keys: { a: { jwks_file: f, issuer: x } }", "1:36: keys.a.issuer: 'jwks_file' and 'issuer' exclude each other" },
    { "keys: { a: { jwks_file: f, jwks: 'https://x' } }",
      "1:34: keys.a.jwks: 'jwks_file' and 'jwks' exclude each other" },
    { "keys: { a: { secret: x, refresh: 1h } }",
      "1:34: keys.a.refresh: is for keys of an issuer: 'jwks' or 'issuer'" },
    { "keys: { a: { jwks: 'https://x', refresh: 100ms } }", "1:42: keys.a.refresh: must be >= 1" },
    { "secrets: { a: {} }", "1:15: secrets.a: needs one of 'env', 'file'" },
    { "secrets: { a: { env: A, file: b } }", "1:31: secrets.a.file: 'env' and 'file' exclude each other" },
    -- consumers
    { "consumers: { name: a }", "1:12: consumers: expected list, got map" },
    { "consumers: [{ roles: r }]", "1:13: consumers[0].name: is required (string)" },
    { "consumers: [{ name: a, keys: [] }]", "1:30: consumers[0].keys: must have at least 1 item" },
    { "consumers: [{ name: 'a:b' }]", "1:21: consumers[0].name: must match \"^[^%c:]+$\"" },
    { "consumers: [{ name: a, key: k }]", "1:24: consumers[0].key: unknown field, did you mean 'keys'?" },
    { "consumers: [{ name: a, password: k }]\nsecrets: { kk: { env: PORT } }",
      "1:34: consumers[0].password: unknown secret 'k', did you mean 'kk'?" },
    { "consumers: [{ name: a }, { name: b }, { name: a }]", "1:47: consumers[2].name: two consumers are called 'a'" },
    { "consumers: [{ name: a, keys: k }, { name: b, keys: [l, k] }]\nsecrets: { k: { env: PORT }, l: { env: PORT } }",
      "1:52: consumers[1].keys: 'k' is a key of 'a' already" },
    { "default_response: { headers: { a: \"x\\ny\" } }",
      '1:35: default_response.headers.a: expected header value, got string "x\\ny"' },
    -- listen
    { "listen: example.com:80",
      '1:9: listen: expected address (a port, IP:PORT, [IPv6]:PORT or unix:PATH), got string "example.com:80"' },
    { "listen: 70000",
      "1:9: listen: expected address (a port, IP:PORT, [IPv6]:PORT or unix:PATH), got number 70000" },
    { "listen: [80, 80]", "1:14: listen[1]: '0.0.0.0:80' stands there twice" },
    { "listen: [{ name: a, address: 80 }, { name: a, address: 81 }]", "1:36: listen[1]: two listeners are called 'a'" },
    { "listen: [{ name: a }]", "1:10: listen[0].address: is required (address)" },
    { "listen: [{ address: 80, tl: {} }]",
      "1:25: listen[0].tl: unknown field, did you mean 'tls'?" },
    { "listen: [{ address: 80, tls: { certificates: { cert: a.pem } } }]",
      "1:46: listen[0].tls.certificates.key: is required (string)" },
    { "listen: [{ address: 80, tls: { client_auth: require } }]",
      "1:45: listen[0].tls.client_auth: 'client_auth' needs 'client_ca'" },
    { "listen: [{ address: 80, tls: { client_ca: a.pem } }]",
      "1:43: listen[0].tls.client_ca: does nothing without 'client_auth'" },
    { "listen: [{ address: 80, tls: { min_version: 1.1 } }]",
      '1:45: listen[0].tls.min_version: must be one of 1.2, 1.3' },
    -- admin
    { "admin: { address: '0.0.0.0:9901' }",
      "1:19: admin.address: needs a 'token', since others than this machine can reach it" },
    { "admin: { token: none }", "1:17: admin.token: unknown secret 'none'" },
    { "admin: { public: { reload: /reload } }",
      "1:20: admin.public.reload: unknown field; known are 'config', 'health', 'ready', 'routes', 'services', "
      .. "'stats'" },
    { "admin: { public: { stats: stats } }", "1:27: admin.public.stats: must begin with '/'" },
    -- the access log
    { "log: { access: xml }",
      '1:16: log.access: expected one of "off", "json", "combined" or map, got string "xml"' },
    { "log: { access: { format: '${urls}' } }",
      "1:26: log.access.format: unknown name 'urls' in '${urls}'" },
    { "log: { access: { format: xml } }",
      [[1:26: log.access.format: expected format ("json", "combined", or "${url} ${status}"), got string "xml"]] },
    { "log: { access: { format: combined, fields: { a: x } } }",
      "1:44: log.access.fields: are for 'format: json'" },
    { "log: { access: { fields: { a: '${x}' } } }",
      "1:31: log.access.fields.a: unknown name 'x' in '${x}'" },
    -- services
    { "services: { a: {} }", "1:16: services.a: needs one of 'backends', 'url', 'dns'" },
    { "services: { a: { backends: [], }, }", "1:28: services.a.backends: must have at least 1 item" },
    { "services: { a: { backends: ['a:x'] } }",
      '1:29: services.a.backends[0]: expected address (HOST:PORT), got string "a:x"' },
    { "services: { a: { backends: [{ address: a, weight: 0 }] } }",
      "1:51: services.a.backends[0].weight: must be >= 1" },
    { "services: { a: { url: 'https://a', protocol: http } }",
      "1:46: services.a.protocol: does not fit the scheme of 'url'" },
    { "services: { a: { backends: [a], tls: {} } }", "1:38: services.a.tls: needs 'protocol: https'" },
    { "services: { a: { backends: [a], protocol: https, tls: { cert: c.pem } } }",
      "1:63: services.a.tls.cert: 'cert' and 'key' go together" },
    { "services: { a: { backends: [a], protocol: https, tls: { verify: false, ca: c.pem } } }",
      "1:76: services.a.tls.ca: does nothing without 'verify'" },
    { "services: { a: { url: 'http://a?b' } }", "1:23: services.a.url: must not have a query" },
    { "services: { a: { backends: [a], balance: hash } }",
      '1:42: services.a.balance: expected one of "round-robin", "random", "least-requests", '
      .. '"two-choices", "latency" or map, got string "hash"' },
    { "services: { a: { backends: [a], host: '*.a' } }", "1:39: services.a.host: must be one host" },
    { "services: { a: { backends: [a], cache: {} } }", "1:33: services.a.cache: unknown field" },
    { "services: { a: { backends: [a], circuit_breaker: { failures: 0 } } }",
      "1:62: services.a.circuit_breaker.failures: needs 'failures' or 'ratio'" },
    { "services: { a: { backends: [a], circuit_breaker: { ratio: 101% } } }",
      '1:59: services.a.circuit_breaker.ratio: expected percentage (1% to 100%), got string "101%"' },
    { "services: { a: { backends: [a], circuit_breaker: { ratio: 0 } } }",
      "1:59: services.a.circuit_breaker.ratio: expected percentage (1% to 100%), got number 0" },
    { "services: { a: { backends: [{ address: a, zone: 'a b' }] } }",
      '1:49: services.a.backends[0].zone: must match "^[%w_.-]+$"' },
    { "services: { a: { backends: [{ address: a, priority: 101 }] } }",
      "1:53: services.a.backends[0].priority: must be <= 100" },
    { "services: { a: { backends: [a], balance: { hash: '${header}' } } }",
      "1:50: services.a.balance.hash: unknown name 'header' in '${header}', did you mean 'header.'?" },
    { "services: { a: { backends: [a], balance: {} } }", "1:42: services.a.balance.hash: is required (expression)" },
    { "services: { a: { backends: [a], panic_threshold: 101% } }",
      '1:50: services.a.panic_threshold: expected percentage (0% to 100%), got string "101%"' },
    { "services: { a: { backends: [a], slow_start: 0 } }", "1:45: services.a.slow_start: must be > 0" },
    { "services: { a: { backends: [a], sticky: { ttl: 1h } } }",
      "1:41: services.a.sticky.cookie: is required (string)" },
    { "services: { a: { backends: [a], sticky: { cookie: 'a b' } } }",
      [[1:51: services.a.sticky.cookie: must match "^[%w!#$%%&'*+.^_`|~-]+$"]] },
    { "services: { a: { backends: [a], sticky: { cookie: a, path: 'a;' } } }",
      '1:60: services.a.sticky.path: must match "^/[^%c;,%s]*$"' },
    { "services: { a: { backends: [a], require_zone: true } }",
      "1:47: services.a.require_zone: needs the 'zone' of this gateway" },
    { "services: { a: { backends: [a], retries: { on: [conect] } } }",
      '1:49: services.a.retries.on[0]: expected failure (connect, reset, timeout, gateway-error, 4xx, 5xx or a '
        .. 'status), got string "conect"' },
    { "services: { a: { backends: [a], retries: { on: 200 } } }", "1:48: services.a.retries.on: expected failure "
      .. "(connect, reset, timeout, gateway-error, 4xx, 5xx or a status), got number 200" },
    { "services: { a: { backends: [a], queue: {} } }", "1:40: services.a.queue: needs 'max_requests'" },
    { "services: { a: }", "1:16: services.a: expected map, got null" },
    -- routes
    { "routes: { a: 1 }", "1:9: routes: expected list, got map" },
    { "routes: [{ policies: [cors] }]", "1:10: routes[0]: needs one of 'match', 'path_prefix'" },
    { "routes: [{ match: /a }]",
      "1:10: routes[0]: nothing answers: needs a 'service', a 'split' or a step in 'policies'" },
    { "routes: [{ match: /a, service: product }]", "1:32: routes[0].service: unknown service 'product'" },
    { "services: { products: { backends: [a] } }\nroutes: [{ match: /a, service: product }]",
      "2:32: routes[0].service: unknown service 'product', did you mean 'products'?" },
    { "services: { a: { backends: [a] } }\nroutes: [{ match: /a, split: [{ service: a, weight: 0 }] }]",
      "2:53: routes[0].split[0].weight: must be > 0" },
    { "services: { a: { backends: [a] } }\nroutes: [{ match: /a, service: a, split: [{ service: a }] }]",
      "2:42: routes[0].split: 'service' and 'split' exclude each other" },
    { "routes: [{ match: { listener: insid }, policies: [cors] }]\nlisten: { name: inside, address: 80 }",
      "1:31: routes[0].match.listener: unknown listener 'insid', did you mean 'inside'?" },
    { "routes: [{ match: { methods: [get] }, policies: [cors] }]",
      [[1:31: routes[0].match.methods[0]: expected method in upper case, got string "get", did you mean 'GET'?]] },
    { "routes: [{ match: { host: 'a:80' }, policies: [cors] }]",
      '1:27: routes[0].match.host: expected host (api.example.com or *.example.com), got string "a:80"' },
    { "routes:\n- { name: x, match: /a, policies: [cors] }\n- { name: x, match: /b, policies: [cors] }",
      "3:11: routes[1].name: duplicate route name 'x', first at moongate.yaml:2" },
    { "routes: [{ match: '/a/{id}', rewrite: '/{ip}', policies: [cors] }]",
      "1:39: routes[0].rewrite: '{ip}' is not in the pattern '/a/{id}'" },
    { "routes: [{ match: '/a/{id}', rewrite: '/{id', policies: [cors] }]",
      "1:39: routes[0].rewrite: '{' is no placeholder, those are {name}, {*} and {1}" },
    { "routes: [{ match: /a, strip_prefix: a, policies: [cors] }]",
      "1:37: routes[0].strip_prefix: must begin with '/'" },
  }
  for _, case in ipairs(cases) do
    it("of " .. case[1]:gsub("\n", " "), function()
      assert.same({ case[2] }, faults(case[1]))
    end)
  end

  local patterns = {
    { "a", "must begin with '/', or with '~' for a regular expression" },
    { "~", "a regular expression must follow '~'" },
    { "/a*", "'a*': '*' must be a whole segment" },
    { "/*/a", "'*' may only be the last segment" },
    { "/a{id}", "'a{id}': braces must hold a whole segment" },
    { "/{1d}", "'1d' is no name for a segment" },
    { "/{}", "'' is no name for a segment" },
    { "/{a}/{a}", "'{a}' stands there twice" },
    { "/{a+}/b", "'{a+}' may only be the last segment" },
    { "/a/../b", "'..' can never match, paths are normalised before" },
    { "/a//b", "'//' can never match, paths are normalised before" },
    { "/a?b", "'a?b' has a character that no path can hold" },
    { "/a%2", "'a%2' has a character that no path can hold" },
  }
  for _, case in ipairs(patterns) do
    it("of the pattern " .. case[1], function()
      assert.same({ "1:18: routes[0].match: " .. case[2] },
        faults(("routes: [{match: '%s', policies: [cors]}]"):format(case[1])))
    end)
  end

  it("of a regular expression, when there is one to ask", function()
    local regex = function(text) return nil, ("missing ) in '%s'"):format(text) end
    assert.same({ "1:18: routes[0].match: bad regular expression: missing ) in '(a'" },
      faults("routes: [{match: '~(a', policies: [cors]}]", { regex = regex }))
  end)

  it("come all at once", function()
    assert.same({
      "1:9: listen: expected address (a port, IP:PORT, [IPv6]:PORT or unix:PATH), got string \"x\"",
      "3:6: services.a: needs one of 'backends', 'url', 'dns'",
      "5:12: routes[0].match: must begin with '/', or with '~' for a regular expression",
      "6:16: routes[0].policies[0]: unknown policy 'core', did you mean 'cors'?",
      "7:1: moods: unknown field",
    }, faults "listen: x\nservices:\n  a: {}\nroutes:\n  - match: a\n    policies: [core]\nmoods: 1")
  end)

  it("are shown with their line and a caret", function()
    local _, errors = config.load("listen: 80\nlimits:\n\t# \n", "a.yaml", options())
    assert.equal(1, #errors)
    _, errors = config.load("services:\n  é: { backends: [\"b:x\"] }\ndev: 1\n", "a.yaml", options())
    assert.equal(table.concat({
      "a.yaml:2:3: services[\"é\"]: expected name (letters, digits, '_', '-', '.') as key, got \"é\"",
      '  é: { backends: ["b:x"] }',
      "  ^",
      'a.yaml:2:19: services["é"].backends[0]: expected address (HOST:PORT), got string "b:x"',
      '  é: { backends: ["b:x"] }',
      "                  ^",
      "a.yaml:3:6: dev: expected boolean, got number 1",
      "dev: 1",
      "     ^",
      "",
    }, "\n"), config.render(errors))
  end)

  it("show the part of a long line that matters", function()
    local _, errors = config.load('{"a": "' .. ("x"):rep(300) .. '", "dev": 1}', "a.json", options())
    local lines = {}
    for line in config.render(errors):gmatch("[^\n]*") do lines[#lines + 1] = line end
    assert.equal("a.json:1:318: dev: expected boolean, got number 1", lines[4])
    assert.is_true(#lines[5] <= 120)
    assert.equal("1", lines[5]:sub(#lines[6], #lines[6]))
  end)

  it("show a part of a long line by characters", function()
    local _, errors = config.load('{"a": "' .. ("é"):rep(300) .. '\tx", "dev": 1}', "a.json", options())
    local lines = {}
    for line in config.render(errors):gmatch("[^\n]*") do lines[#lines + 1] = line end
    assert.equal("a.json:1:320: dev: expected boolean, got number 1", lines[4])
    assert.equal(("é"):rep(48) .. '\tx", "dev": 1}', lines[5])
    assert.equal((" "):rep(48) .. "\t" .. (" "):rep(11) .. "^", lines[6])
  end)

  it("show what is no UTF-8 as well", function()
    local _, errors = config.load("a: " .. ("\x80"):rep(200) .. "\n", "a.yaml", options())
    assert.matches("^a%.yaml:1:4: invalid leading UTF%-8 octet\na: [?]+\n   ^\n$", config.render(errors))
  end)

  it("are a thousand at most, and counted", function()
    local lines = { "services: { a: { backends: [a] } }", "routes:" }
    for i = 1, 1002 do lines[#lines + 1] = ("- { match: r%d, service: a }"):format(i) end
    local _, errors = config.load(table.concat(lines, "\n"), "moongate.yaml", options())
    assert.equal(1002, #errors)
    local text = config.render(errors)
    assert.matches("routes%[999%]%.match: must begin with '/'", text)
    assert.matches("%^\n%.%.%. and 2 more\n$", text)
  end)
end)

describe("what has a path", function()
  local MORE = { read = function() return 'services:\n  b.c: { url: "https://b.c", tls: { ca: b.pem } }\n' end }

  local function place(path, text, name)
    local file, line, col = config.locate(load_ok(text, MORE, name), path)
    return line and ("%s:%d:%d"):format(file, line, col) or file
  end

  it("is found again in the files", function()
    local text = [[
include: more.yaml
listen: { address: 8443, tls: { certificates: [{ cert: a.pem, key: a.key }] } }
services:
  a: { url: "https://a", tls: { ca: a.pem } }
  b: { url: "https://b", tls: { ca: a.pem } }
routes: [{ match: /*, service: a }]
]]
    assert.equal("moongate.yaml:2:68", place("listen[0].tls.certificates[0].key", text))
    assert.equal("moongate.yaml:2:31", place("listen[0].tls.none", text))
    assert.equal("moongate.yaml:4:37", place("services.a.tls.ca", text))
    assert.equal("moongate.yaml:5:37", place("services.b.tls.ca", text))
    assert.equal("more.yaml:2:41", place("services.b.c.tls.ca", text))
    assert.equal("moongate.yaml:6:32", place("routes[0].service", text))
    assert.equal("moongate.yaml:1:1", place("keys.none", text))
  end)

  it("has only a file where there are no lines", function()
    assert.equal("a.lua", place("listen[0].tls", "return { listen = { 8080 } }", "a.lua"))
  end)
end)

describe("the environment", function()
  it("fills strings, with defaults, and leaves run-time names alone", function()
    local c = load_ok(with [[
default_response:
  body: "${PORT} ${NOPE:-a b} ${EMPTY:-c}${EMPTY} ${client_ip} ${auth.subject} $${PORT} ${PORT ${NOPE:-}"
]])
    assert.equal("9090 a b c ${client_ip} ${auth.subject} ${PORT} ${PORT ", c.default_response.body)
  end)

  it("is found behind escapes, too", function()
    assert.equal("9090", load_ok(with 'default_response: { body: "\\x24{PORT}" }').default_response.body)
  end)

  it("must have what has no default", function()
    assert.same({ "1:9: listen: environment variable 'NOPE' is not set" }, faults "listen: '${NOPE}'")
    assert.same({ "2:12: routes[0].match: environment variable 'NOPE' is not set" },
      faults "routes:\n  - match: ${NOPE}\n    policies: [cors]")
  end)

  it("is not shown in errors", function()
    assert.same({ "1:6: dev: expected boolean, got string from the environment" }, faults "dev: ${PORT}")
  end)
end)

describe("included files", function()
  local FILES = {
    ["routes.d/a.yaml"] = "services: { a: { backends: [a] } }\nroutes: [{ match: /a, service: a, policies: [cors] }]\n",
    ["routes.d/b.yaml"] = "pipelines: { p: [cors] }\nroutes:\n  - { match: /b, service: products }\n",
    ["bad.yaml"] = "routes:\n  - { match: b, service: a }\nlisten: 80\n",
    ["again.yaml"] = "services:\n  products: { backends: [a] }\n",
    ["broken.yaml"] = "a: [",
  }
  local files = {
    read = function(path) return FILES[path], FILES[path] == nil and "no such file" or nil end,
    glob = function() return { "routes.d/a.yaml", "routes.d/b.yaml" } end,
  }

  it("bring services, pipelines and routes", function()
    local c = load_ok(with "include: [routes.d/*.yaml, routes.d/a.yaml]\npolicies: [use: p]\n", files)
    local names = {}
    for i, route in ipairs(c.routes) do names[i] = route.path .. " " .. route.name .. " " .. route.file end
    assert.same({ "routes[0] /* moongate.yaml", "routes[1] /a routes.d/a.yaml", "routes[2] /b routes.d/b.yaml" }, names)
    assert.same({ "pipelines.p[0]", "routes[1].policies[0]" },
      { c.routes[2].steps[1].path, c.routes[2].steps[2].path })
    assert.same({ "moongate.yaml", "routes.d/a.yaml", "routes.d/b.yaml" }, c.files)
    assert.equal("a:80", c.services.a.backends[1].address)
  end)

  it("have errors of their own", function()
    local _, errors = config.load(with "include: [bad.yaml, none.yaml]\ndev: 1", "moongate.yaml", options(files))
    local lines = config.render(errors)
    local heads = {}
    for line in lines:gmatch("[^\n]+:%d+:%d+: [^\n]+") do heads[#heads + 1] = line end
    assert.same({
      "moongate.yaml:6:21: include[1]: cannot read 'none.yaml': no such file",
      "moongate.yaml:7:6: dev: expected boolean, got number 1",
      "bad.yaml:2:14: routes[0].match: must begin with '/', or with '~' for a regular expression",
      "bad.yaml:2:26: routes[0].service: unknown service 'a'",
      "bad.yaml:3:1: listen: unknown field; known are 'pipelines', 'routes', 'services'",
    }, heads)
  end)

  it("may not bring a name twice", function()
    assert.same({ "2:3: services.products: 'products' stands in moongate.yaml already" },
      faults(with "include: again.yaml", files))
  end)

  it("must be whole", function()
    assert.same({ "2:1: did not find expected node content while parsing a flow node" },
      faults(with "include: broken.yaml", files))
  end)
end)

describe("steps", function()
  local function steps_of(text, opts)
    return load_ok("services: { a: { backends: [a] } }\nsecrets: { k: { env: PORT } }\n" .. text, opts).routes[1].steps
  end

  local function step_faults(text)
    return faults("services: { a: { backends: [a] } }\nsecrets: { k: { env: PORT } }\n" .. text)
  end

  it("come in one flat list: the file's, pipelines in place, the route's", function()
    local steps = steps_of [[
pipelines:
  authed: [jwt: { secret: k }, use: inner]
  inner: [cors]
policies: [use: authed]
routes:
  - match: /a
    service: a
    policies:
      - rbac: { roles: [ADMIN] }
        when: req.method ~= "GET"
        id: who
        on_error: continue
      - { cors: , enabled: false }
      - { token-bucket: { rate: 1, burst: 2 } }
      - free: { x: [1] }
]]
    local seen = {}
    for i, step in ipairs(steps) do seen[i] = step.path .. " " .. step.kind .. " " .. step.name .. " " .. step.id end
    assert.same({
      "pipelines.authed[0] policy jwt jwt",
      "pipelines.inner[0] policy cors cors",
      "routes[0].policies[0] policy rbac who",
      "routes[0].policies[2] policy token-bucket token-bucket",
      "routes[0].policies[3] policy free free",
    }, seen)
    assert.same({ 'req.method ~= "GET"', "continue" }, { steps[3].when, steps[3].on_error })
    assert.same({ "fail", nil }, { steps[1].on_error, steps[1].when })
    assert.same({ rate = 1, burst = 2, by = "consumer" }, steps[4].conf)
    assert.same({ x = { 1 } }, steps[5].conf)
    assert.same({ response = "buffer" }, steps[2].body)
  end)

  it("of the file are left out with inherit: false", function()
    assert.same({}, steps_of "policies: [cors]\nroutes: [{ match: /a, service: a, inherit: false }]")
  end)

  it("in Lua text keep it, with the line it begins at", function()
    local steps = steps_of [[
routes:
- match: /a
  policies:
  - lua: |
      return 1
  - { lua: 'return 2', id: x }]]
    assert.same({ "lua", "return 1\n", 7, "lua" }, { steps[1].kind, steps[1].source, steps[1].source_line,
      steps[1].id })
    assert.same({ "return 2", 8, "x" }, { steps[2].source, steps[2].source_line, steps[2].id })
  end)

  it("know where their name stands", function()
    local steps = steps_of [[
routes:
- match: /a
  policies:
  - when: req
    cors: {}
  - lua: |
      return 1
  - cors]]
    local at = {}
    for i, step in ipairs(steps) do at[i] = ("%d:%d"):format(step.line, step.col) end
    assert.same({ "7:5", "8:5", "10:5" }, at)
  end)

  it("of the file are also those of requests without a route", function()
    local c = load_ok [[
pipelines: { edge: [cors] }
policies: [use: edge, free: { x: 1 }, { cors: , enabled: false }]
routes: [{ match: /a, policies: [cors], inherit: false } ]
]]
    local seen = {}
    for i, step in ipairs(c.fallback) do seen[i] = step.path .. " " .. step.name end
    assert.same({ "pipelines.edge[0] cors", "policies[1] free" }, seen)
    assert.same({}, load_ok(SMALL).fallback)
  end)

  it("may hold steps in their options, any number of times", function()
    local steps = steps_of [[
pipelines: { p: [cors, { use: q }], q: [jwt] }
routes:
  - match: /a
    service: a
    policies:
      - parts: { use: [free], parts: { b: { path: /b, use: [{ use: p }, cors] }, a: { use: [] } } }
      - { any-of: [{ use: q }, [jwt, rbac], { cors: {}, enabled: false }] }
      - maybe: { by: user }
]]
    local function names(inner)
      local out = {}
      for i, step in ipairs(inner.steps) do out[i] = step.path .. " " .. step.name end
      return out
    end
    local parts, any = steps[1], steps[2]
    assert.same({ parts = { b = { path = "/b" }, a = {} } }, parts.conf)
    assert.same({ { "parts", "a", "use" }, { "parts", "b", "use" }, { "use" } }, parts.mounts)
    assert.same({}, names(parts.inner[1]))
    assert.same({ "pipelines.p[0] cors", "pipelines.q[0] jwt", "routes[0].policies[0].parts.parts.b.use[1] cors" },
      names(parts.inner[2]))
    assert.same({ "routes[0].policies[0].parts.use[0] free" }, names(parts.inner[3]))
    assert.same({ "native", "any", nil }, { any.kind, any.native, any.conf })
    assert.equal(2, #any.inner)
    assert.same({ "pipelines.q[0] jwt" }, names(any.inner[1]))
    assert.same({ "routes[0].policies[1].any-of[1][0] jwt", "routes[0].policies[1].any-of[1][1] rbac" },
      names(any.inner[2]))
  end)

  it("of on_error stand apart", function()
    local c = load_ok(with "  - { match: /b, service: products, on_error: [cors] }")
    assert.equal("routes[1].on_error[0]", c.routes[2].on_error[1].path)
  end)

  local cases = {
    { "[{ token-bucket: { rat: 1, burst: '9' } }]",
      "3:52: routes[0].policies[0].token-bucket.rat: unknown field, did you mean 'rate'?",
      "3:50: routes[0].policies[0].token-bucket.rate: is required (number)",
      '3:67: routes[0].policies[0].token-bucket.burst: expected integer, got string "9"' },
    { "[token-bucket]",
      "3:34: routes[0].policies[0].token-bucket.burst: is required (integer)",
      "3:34: routes[0].policies[0].token-bucket.rate: is required (number)" },
    { "[jwtt]", "3:34: routes[0].policies[0]: unknown policy 'jwtt', did you mean 'jwt'?" },
    { "[{ jwtt: {} }]", "3:36: routes[0].policies[0].jwtt: unknown policy 'jwtt', did you mean 'jwt'?" },
    { "['../x']", "3:34: routes[0].policies[0]: unknown policy '../x'" },
    { "[broken]", "3:34: routes[0].policies[0]: cannot load policy 'broken': broken.lua:3: unexpected symbol" },
    { "[odd]", "3:34: routes[0].policies[0]: cannot load policy 'odd': its schema is none of moongate.schema; "
      .. "make it with s.record { ... }" },
    { "[{ jwt: { secret: kk } }]",
      "3:51: routes[0].policies[0].jwt.secret: unknown secret 'kk', did you mean 'k'?" },
    { "[{ mirror: { service: b } }]",
      "3:55: routes[0].policies[0].mirror.service: unknown service 'b', did you mean 'a'?" },
    { "[{ cors: {}, whn: x }]", "3:46: routes[0].policies[0].whn: unknown field, did you mean 'when'?" },
    { "[{ cors: {}, jwt: {} }]", "3:34: routes[0].policies[0]: a step is one policy, this names 'cors' and 'jwt'" },
    { "[{ token-bucket: , rate: 1 }]",
      "3:52: routes[0].policies[0].rate: unknown field of a step; indent it more to make it an option of "
        .. "'token-bucket'" },
    { "[{ maybe: { by: user } }]", '3:36: routes[0].policies[0].maybe: needs "identity"; no step provides it' },
    { "[{ wrong: {} }]", "3:43: routes[0].policies[0].wrong: the policy's 'needs' failed: "
      .. "tests/spec/config_spec.lua:23: attempt to index a nil value (field 'by')" },
    { "[{ any-of: [{ cors: { x: 1 } }, jwtt] }]", "3:55: routes[0].policies[0].any-of[0].cors.x: unknown field",
      "3:65: routes[0].policies[0].any-of[1]: unknown policy 'jwtt', did you mean 'jwt'?" },
    { "[{ parts: { parts: { a: { use: [{ rbac: {} }] } } } }, jwt]",
      '3:67: routes[0].policies[0].parts.parts.a.use[0].rbac: needs "identity"; the step that provides it (jwt, '
        .. "policies[1]) comes later" },
    { "[{ id: x }]", "3:34: routes[0].policies[0]: expected a policy's name as key" },
    { "[5]", "3:34: routes[0].policies[0]: expected step, got number 5" },
    { "[~]", "3:34: routes[0].policies[0]: expected step, got null" },
    { "{ cors: {} }", "3:33: routes[0].policies: expected list of steps, got map" },
    { "[{ cors: {}, on_error: stop }]", '3:56: routes[0].policies[0].on_error: must be one of "fail", "continue"' },
    { "[{ cors: {}, when: 'req.' }]", "3:52: routes[0].policies[0].when: Lua: <name> expected near <eof>" },
    { "[{ lua: 5 }]", "3:41: routes[0].policies[0].lua: expected string (Lua text), got number 5" },
    { "[{ lua: 'x x' }]", "3:41: routes[0].policies[0].lua: Lua: syntax error near 'x'" },
    { "[{ use: authd }]", "3:41: routes[0].policies[0].use: unknown pipeline 'authd', did you mean 'authed'?" },
    { "[{ use: authed, when: x }]", "3:49: routes[0].policies[0].when: unknown field beside 'use'" },
    { "[{ rbac: {} }]", '3:36: routes[0].policies[0].rbac: needs "identity"; no step provides it' },
    { "[{ rbac: {} }, jwt]",
      '3:36: routes[0].policies[0].rbac: needs "identity"; the step that provides it (jwt, policies[1]) comes later' },
    { "[rbac, use: authed]",
      '3:34: routes[0].policies[0].rbac: needs "identity"; the step that provides it (jwt, pipelines.authed[0]) comes '
        .. "later" },
  }
  for _, case in ipairs(cases) do
    it("refuse " .. case[1], function()
      local expected = table.move(case, 2, #case, 1, {})
      local got = step_faults("routes: [{ match: /a, policies: " .. case[1] .. " }]\npipelines: { authed: [jwt] }")
      table.sort(expected)
      table.sort(got)
      assert.same(expected, got)
    end)
  end

  it("point into a block of Lua text", function()
    assert.same({ "8:1: routes[0].policies[0].lua: Lua: syntax error near '5'" },
      step_faults "routes:\n- match: /a\n  policies:\n  - lua: |\n      -- one\n      retrn 5\n")
  end)

  it("that all routes share are blamed once, with the first route that misses something", function()
    assert.same({ "3:12: policies[0].rbac: needs \"identity\"; no step provides it (in route '/a')" },
      step_faults "policies: [rbac]\nroutes:\n- { match: /a, service: a }\n- { match: /b, service: a }")
  end)

  it("do not miss what a broken step might have provided", function()
    assert.same({ "3:34: routes[0].policies[0]: unknown policy 'jwtt', did you mean 'jwt'?" },
      step_faults "routes: [{ match: /a, policies: [jwtt, rbac] }]")
  end)

  it("name the circle of pipelines that use each other", function()
    assert.same({
      "3:36: pipelines.b[0].use: pipelines use each other in a circle: a -> b -> a",
      "3:51: pipelines.c[0].use: pipelines use each other in a circle: c -> c",
    }, step_faults "pipelines: { a: [use: b], b: [use: a], c: [{ use: c }] }")
  end)

  it("are not more than a thousand", function()
    local text = { "pipelines:\n  p0: [cors, cors]\n" }
    for i = 1, 30 do text[#text + 1] = ("  p%d: [use: p%d, use: p%d]\n"):format(i, i - 1, i - 1) end
    text[#text + 1] = "routes: [{ match: /a, policies: [use: p30] }]"
    assert.same({ "4:8: pipelines.p0[0].cors: more than 1000 steps in one route" }, step_faults(table.concat(text)))
  end)
end)

describe("warnings", function()
  local function warnings_of(text)
    local _, warnings = load_ok(text)
    local out = {}
    for i, w in ipairs(warnings) do out[i] = ("%d:%d: %s: %s"):format(w.line, w.col, w.path, w.message) end
    return out
  end

  local function hidden(first, second)
    local text = "services: { a: { backends: [a] } }\nroutes:\n- { match: %s, service: a }\n- { match: %s, service: a }"
    return warnings_of(text:format(first, second))
  end

  it("of routes that can never match", function()
    local warning = { "4:3: routes[1]: can never match: '%s' (routes[0]) comes first with the same conditions" }
    for _, case in ipairs {
      { "/a", "/a" },
      { "'/a/{x}'", "'/a/{y}'", "/a/{x}" },
      { "'/a/{x+}'", "/a/*", "/a/{x+}" },
      { "{ path: [/a, /b], host: h }", "{ path: /b, host: H }", "/a" },
      { "{ path: /a, methods: [GET, POST] }", "{ path: /a, methods: POST }", "/a" },
      { "{ path: /a, headers: { X: '1', y: '*' } }", "{ path: /a, headers: { Y: '*', x: '1' } }", "/a" },
    } do
      assert.same({ (warning[1]:format(case[3] or "/a")) }, hidden(case[1], case[2]))
    end
  end)

  it("not of those that can", function()
    for _, case in ipairs {
      { "/a", "/b" },
      { "/a", "{ path: /a, methods: GET }" },
      { "{ path: /a, methods: GET }", "{ path: /a, methods: [GET, POST] }" },
      { "{ path: /a, methods: GET }", "/a" },
      { "{ path: /a, host: h }", "/a" },
      { "/a", "{ path: [/a, /b] }" },
      { "{ path: /a, query: { x: '1' } }", "{ path: /a, query: { x: '2' } }" },
    } do
      assert.same({}, hidden(case[1], case[2]))
    end
  end)

  it("of services with nobody in the zone that they require", function()
    assert.same({ "2:16: services.a: no backend is in the zone that it requires" },
      warnings_of [[
zone: eu
services: { a: { backends: [{ address: a, zone: us }, b], require_zone: true },
  b: { backends: [a, { address: b, zone: eu }], require_zone: true }, c: { backends: [{ address: a, zone: us }] } }
routes: [{ match: /x, split: [service: a, service: b, service: c] }]
]])
  end)

  it("of services that nothing names", function()
    assert.same({ "1:16: services.a: no route or policy uses this service" },
      warnings_of [[
services: { a: { backends: [a] }, b: { backends: [b] }, c: { backends: [c] } }
routes:
- { match: /x, split: [service: b], policies: [mirror: { service: c }] }]])
    assert.same({ "1:16: services.a: no route or policy uses this service" },
      warnings_of [[
services: { a: { backends: [a] }, bb: { backends: [b] } }
routes:
- { match: /x, policies: [lua: 'return function() return (mg.fetch "bb") end'] }]])
  end)

  it("of keys, Redises, caches and pipelines that nothing names", function()
    local text = [[
keys: { a: { secret: x }, b: { secret: x } }
redis: { a: { address: "h:1" }, b: { address: "h:1" }, in-lua: { address: "h:1" } }
caches: { a: {}, b: {} }
pipelines: { a: [use: b], b: [], c: [] }
routes:
- match: /x
  policies: [use: a, jwt: { keys: a }, rate-limit: { limit: 1, store: a }, cache: { store: a },
    lua: 'return function() return mg.redis "in-lua" end']
]]
    local known = { jwt = require "policies.jwt.jwt", cache = require "policies.cache.cache",
      ["rate-limit"] = require "policies.rate-limit.rate-limit", own = { name = "own" } }
    local function policy(name) return known[name], name .. ".lua", name ~= "own" end
    local _, _, warnings = config.load(text, "f.yaml", { policy = policy })
    local lines = {}
    for i, w in ipairs(warnings) do lines[i] = ("%d:%d: %s: %s"):format(w.line, w.col, w.path, w.message) end
    assert.same({
      "1:30: keys.b: no policy uses these keys", "2:36: redis.b: no policy uses this Redis",
      "3:21: caches.b: no policy uses this cache", "4:37: pipelines.c: no step uses this pipeline",
    }, lines)
    -- One that is not ours may name them in its code.
    _, _, warnings = config.load(text:gsub("%]\n$", ", own]\n"), "f.yaml", { policy = policy })
    assert.same({ 1, "no step uses this pipeline" }, { #warnings, warnings[1].message })
  end)

  describe("of steps in an order", function()
    local MODULES = {
      auth = { name = "auth", provides = { "identity" } },
      store = { name = "store", after = { identity = "why after" } },
      by = { name = "by", after = function(conf) return conf.x and { identity = "by x" } or nil end },
      squeeze = { name = "squeeze", before = { text = "why before" } },
      edit = { name = "edit", provides = { "text" } },
      ["any-of"] = require "policies.any-of.any-of",
    }

    local function told(policies, more)
      local text = "services: { s: { backends: [a] } }\nroutes:\n- match: /x\n  service: s\n  policies: "
      local checked, errors, warnings = config.load((more or "") .. text .. policies, "f.yaml",
        { policy = function(name) return MODULES[name] end })
      assert.same({}, errors)
      assert.is_table(checked)
      local out = {}
      for i, w in ipairs(warnings) do out[i] = w.path .. ": " .. w.message:gsub(", which provides", " of") end
      return out
    end

    it("that their policies say is wrong", function()
      assert.same({ 'routes[0].policies[0].store: stands before auth (policies[1]) of "identity": why after' },
        told "[store: {}, auth: {}]")
      assert.same({ 'routes[0].policies[1].squeeze: stands behind edit (policies[0]) of "text": why before' },
        told "[edit, squeeze]")
      assert.same({ 'routes[0].policies[0].by: stands before auth (policies[1]) of "identity": by x' },
        told "[by: { x: 1 }, auth: {}]")
      assert.same({
        'routes[0].policies[0].store: stands before auth (policies[1].any-of[0]) of "identity": why after' },
        told "[store: {}, any-of: [auth: {}]]")
    end)

    it("once for those that several routes share", function()
      assert.same({ 'policies[0].store: stands before auth (policies[0]) of "identity": why after' },
        told("[auth]\n- { match: /y, policies: [auth], service: s }\n", "policies: [store]\n"))
    end)

    it("but not where all is well, or nobody provides it", function()
      for _, policies in ipairs {
        "[auth, store]", "[store]", "[auth, store, auth]", "[by: {}, auth: {}]", "[squeeze, edit]",
        "[any-of: [auth: {}], store: {}]" } do
        assert.same({}, told(policies))
      end
    end)

    it("and modules that say it wrongly are told", function()
      for _, case in ipairs {
        { { after = { "identity" } }, 'its after must have a reason for each word: { identity = "..." }' },
        { { before = 1 }, "its before must be a table of reasons or a function, not a number" },
        { { guard = "yes" }, "its guard must be true or false" },
      } do
        case[1].name = "bad"
        local _, errors = config.load("routes: [{ match: /x, policies: [bad] }]", "f.yaml",
          { policy = function() return case[1] end })
        assert.matches(case[2], errors[1].message, 1, true)
      end
      local raises = { name = "bad", after = function() error("oops", 0) end }
      local _, errors = config.load("routes: [{ match: /x, policies: [bad] }]", "f.yaml",
        { policy = function() return raises end })
      assert.equal("the policy's 'after' failed: oops", errors[1].message)
    end)
  end)

  it("has notes of who holds bodies, when they are wanted", function()
    local modules = { hold = { name = "hold", body = { request = "buffer", response = "buffer" } },
      see = { name = "see", body = { request = "stream" } } }
    local function notes_of(wanted)
      local _, _, _, notes = config.load([[
limits: { buffered_body_bytes: 64KiB }
policies: [hold]
routes: [{ match: /x, policies: [see, hold: {}] }, { match: /y, policies: [see] }]
]], "f.yaml", { notes = wanted, policy = function(name) return modules[name] end })
      local out = {}
      for i, note in ipairs(notes) do out[i] = ("%d: %s: %s"):format(note.line, note.path, note.message) end
      return out
    end
    assert.same({
      "2: policies[0].hold: holds whole request and response bodies in memory, up to 65536 bytes each",
      "3: routes[0].policies[1].hold: holds whole request and response bodies in memory, up to 65536 bytes each",
    }, notes_of(true))
    assert.same({}, notes_of(false))
  end)

  it("of secrets whose variable is not set", function()
    assert.same({ "6:22: secrets.k.env: environment variable 'NOPE' is not set" },
      warnings_of(with "secrets: { k: { env: NOPE } }"))
  end)
end)
