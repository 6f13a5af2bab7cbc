-- `moongate explain` and the admin's /explain: a request's way, told before it is sent.
local E = require "moongate.e2e"
local json = require "moongate".json

local CONFIG = [[
listen: [{ address: 127.0.0.1:0 }, { name: inside, address: 127.0.0.1:0 }]
limits: { request_time: 30s }
keys: { main: { secret: a-secret-that-is-long-enough-0123456789, algorithms: [HS256] } }
services:
  users:
    backends: ["10.0.0.1:3000", { address: "10.0.0.2:3000", weight: 3, zone: eu }]
    retries: { attempts: 2, methods: [GET] }
    circuit_breaker: { failures: 4, open_for: 10s }
  v2: { url: "http://10.0.0.3/base", host: backend }
pipelines:
  edge: [{ request-id: {} }]
policies: [{ use: edge }]
routes:
  - name: user
    match: { path: "/users/{id}", methods: [GET, PUT], host: api.example.com }
    service: users
    rewrite: /internal/{id}
    timeout: 5s
    policies:
      - any-of: [{ jwt: { keys: main } }, { ip-filter: { allow: [10.0.0.0/8] } }]
        when: req.method == "PUT"
      - lua: return function(req, next) return next(req) end
        id: mine
        when: req.auth and req.auth.subject == "x"
      - compress
  - { name: all, match: /users/*, split: [{ service: users, weight: 3 }, { service: v2 }] }
  - { name: beta, match: { path: /users/1, headers: { x-beta: "yes" }, query: { a: "1" } }, service: v2 }
  - { name: private, match: { path: /users/1, listener: inside }, service: v2 }
  - { name: other, match: { path: /users/1, host: other.example.com }, service: v2 }
  - { name: login, match: { path: /login, methods: POST }, policies: [{ respond: { body: hi } }] }
admin: { address: "127.0.0.1:0" }
]]

local function explain(...)
  return E.run { args = { "explain", "-c", "CONFIG", ... }, config = CONFIG }
end

local function data(...)
  local res = explain("--json", ...)
  assert.equal("", res.stderr)
  return json.decode(res.stdout), res.status
end

-- { route = outcome } of those that were tried, and their names in order.
local function outcomes(e)
  local out, names = {}, {}
  for i, t in ipairs(e.tried) do out[t.route], names[i] = t.outcome, t.route end
  return out, table.concat(names, " ")
end

describe("explain", function()
  it("tells which routes were tried, in which order, and why not", function()
    local e, status = data("GET", "http://api.example.com/users/1")
    local found, order = outcomes(e)
    assert.equal(0, status)
    assert.same({ user = "taken", all = "priority", beta = "header", private = "listener", other = "host",
      login = "path" }, found)
    assert.equal("user beta private all other login", order)
    assert.same({ "user", "/users/{id}", { id = "1" } }, { e.route.name, e.route.pattern, e.route.params })
    assert.equal("asks for the header x-beta: yes", e.tried[2].why)
    assert.equal("'user' comes first: its host is more specific", e.tried[4].why)
  end)

  it("looks at headers, the query and the listener as the gateway does", function()
    local found = outcomes((data("GET", "/users/1", "-H", "X-Beta: yes")))
    assert.equal("query", found.beta)
    found = outcomes((data("GET", "/users/1?a=1", "-H", "X-Beta: yes")))
    assert.equal("taken", found.beta)
    found = outcomes((data("GET", "/users/1", "--listener", "inside")))
    assert.equal("taken", found.private)
    found = outcomes((data("GET", "/users/../users/%31", "-H", "Host: other.example.com")))
    assert.equal("taken", found.other)
  end)

  it("has a status of its own where no route takes it", function()
    local e, status = data("GET", "/login")
    assert.same({ 1, 405, "POST" }, { status, e.status, e.allow })
    assert.equal("takes POST, not GET", e.tried[1].why)
    e, status = data("GET", "/none")
    assert.same({ 1, 404, "no_route", json.null }, { status, e.status, e.error, e.route })
    assert.equal("request-id", e.steps[1].id) -- the policies of the file see it all the same
    e, status = data("GET", "/../../x")
    assert.same({ 1, 400, "bad_path" }, { status, e.status, e.error })
  end)

  it("tells the steps with their phases, and where they come from", function()
    local e = data("GET", "http://api.example.com/users/1")
    local id, group, mine, compress = table.unpack(e.steps)
    assert.same({ "request-id", "file", "edge", "policies[0]" }, { id.id, id.from, id.pipeline, id.via })
    assert.same({ "any-of", "native", "route", { "request" } }, { group.id, group.kind, group.from, group.phases })
    assert.same({ "jwt", "ip-filter" }, { group.inner[1][1].id, group.inner[2][1].id })
    assert.equal("routes[0].policies[0].any-of[1]", group.inner[2][1].path)
    assert.same({ "mine", "inline", { "around" } }, { mine.id, mine.kind, mine.phases })
    assert.same({ "compress", { "response" } }, { compress.id, compress.phases })
    assert.same({ 11, 25, 9 }, { id.line, compress.line, compress.col })
  end)

  it("asks conditions as far as the request alone can tell", function()
    local function whens(method)
      local e = data(method, "http://api.example.com/users/1")
      return e.steps[2].when, e.steps[3].when
    end
    local first, second = whens "GET"
    assert.same({ false, { "req.method" } }, { first.holds, first.reads })
    assert.same({ json.null, { "req.auth" } }, { second.holds, second.reads })
    assert.equal("req.auth is set by steps, which have not run", second.why)
    assert.is_true((whens "PUT").holds)
  end)

  it("tells who needs bodies, and leaves out steps whose condition does not hold", function()
    local e = data("GET", "http://api.example.com/users/1")
    assert.same({ "mine" }, e.bodies.request.may_be_read_by)
    assert.same({ "compress" }, e.bodies.response.encoded_by)
    assert.same({}, e.bodies.response.buffered_by)
    assert.is_true(e.lua)
  end)

  it("tells what would be sent to whom", function()
    local e = data("GET", "http://api.example.com/users/a%20b?x=1")
    local s = e.services[1]
    assert.same({ method = "GET", target = "/internal/a%20b?x=1", url = "http://10.0.0.1:3000/internal/a%20b?x=1",
      host = "api.example.com" }, s.upstream)
    assert.same({ address = "10.0.0.2:3000", weight = 3, zone = "eu", priority = 0 }, s.backends[2])
    assert.same({ 2, true, { "connect", 503 } }, { s.retries.attempts, s.retries.method_allows, s.retries.on })
    assert.same({ 4, 10000.0 }, { s.circuit_breaker.failures, s.circuit_breaker.open_for_ms })
    assert.equal(5000.0, e.limits.timeout_ms)
    e = data("POST", "/users/2")
    assert.same({ 0.75, 0.25 }, { e.services[1].share, e.services[2].share })
    assert.is_false(e.services[1].retries.method_allows)
    assert.same({ "http://10.0.0.3:80/base/users/2", "10.0.0.3:80" },
      { e.services[2].upstream.url, e.services[2].upstream.host })
    assert.equal(30000.0, e.limits.timeout_ms)
  end)

  it("says it to people", function()
    local res = explain("PUT", "http://api.example.com/users/1")
    for _, line in ipairs {
      ">  user     api.example.com/users/{id}", "takes it", "for the host other.example.com", "id  = 1",
      '     when req.method == "PUT"  -- holds', "cannot be told: req.auth is set by steps, which have not run",
      "inline Lua  around", "response  compressed by compress; may be read by mine",
      "sends            PUT http://10.0.0.1:3000/internal/1, Host: api.example.com",
      "retries          not for PUT", "circuit breaker  opens for 10s at 4 failures in a row",
    } do assert.matches(line, res.stdout, 1, true) end
    assert.equal(0, res.status)
    res = explain("GET", "/login")
    assert.matches("no route takes it: 405 method_not_allowed; allowed: POST", res.stdout, 1, true)
  end)

  it("lists many other routes only when all are asked for", function()
    local lines = { "routes:" }
    for i = 1, 30 do lines[#lines + 1] = ("  - { match: /r%d, policies: [{ respond: { body: x } }] }"):format(i) end
    local text = table.concat(lines, "\n")
    local res = E.run { args = { "explain", "GET", "/r1", "-c", "CONFIG" }, config = text }
    assert.matches("and 19 more whose path does not match", res.stdout, 1, true)
    assert.matches("steps, in this order:\n  1. respond", res.stdout, 1, true)
    res = E.run { args = { "explain", "GET", "/r1", "-c", "CONFIG", "--all" }, config = text }
    assert.matches("/r30", res.stdout, 1, true)
  end)

  it("needs no secrets, and says which steps it cannot build without", function()
    local res = E.run {
      args = { "explain", "GET", "/", "-c", "CONFIG", "-o", "json" },
      config = [[
secrets: { token: { env: NOWHERE_SET_HERE } }
keys: { main: { secret: token, algorithms: [HS256] } }
routes:
  - match: /*
    policies:
      - jwt: { keys: main }
        when: req.method == "GET"
      - respond: { body: x }
]] }
    assert.same({ 0, "" }, { res.status, res.stderr })
    local steps = json.decode(res.stdout).steps
    assert.same({ json.null, true }, { steps[1].phases, steps[1].when.holds })
    assert.same({ "request" }, steps[2].phases)
  end)

  it("tells wrong use from a wrong config", function()
    for _, args in ipairs {
      { "GET" }, { "GET", "/", "/" }, { "GET", "/", "-x" }, { "GET", "/", "-H", "bad" }, { "GET", "nowhere" },
      { "GET", "/", "--listener", "none" }, { "GET", "/", "--from", "home" }, { "GET", "/", "-H", "A: b\nC: d" },
      { "GET", "/", "-o", "xml" }, { "G T", "/" },
    } do
      assert.equal(2, explain(table.unpack(args)).status, table.concat(args, " "))
    end
    local res = E.run { args = { "explain", "GET", "/", "-c", "CONFIG" }, config = "routs: []" }
    assert.equal(1, res.status)
    assert.matches("did you mean 'routes'", res.stderr, 1, true)
    assert.matches("^usage: moongate explain", E.run({ args = { "explain", "--help" } }).stdout)
  end)
end)

describe("the admin's /explain", function()
  it("tells the same of the config in force", function()
    local g = E.start { config = CONFIG }
    local e = g:ask_admin("/explain?method=GET&url=%2Fusers%2F1%3Fa%3D1&header=X-Beta%3Ayes"):json()
    assert.equal("beta", e.route.name)
    local body = json.encode { method = "PUT", url = "http://api.example.com/users/7", headers = { ["X-A"] = "b" } }
    e = g:ask_admin({ method = "POST", path = "/explain", body = body }):json()
    assert.same({ "user", { id = "7" } }, { e.route.name, e.route.params })
    assert.is_true(e.steps[2].when.holds)
    assert.equal("policies[0]", e.steps[1].via)
  end)

  it("refuses what is no request", function()
    local g = E.start { config = CONFIG }
    for _, path in ipairs {
      "/explain", "/explain?url=x", "/explain?url=/&header=x", "/explain?url=/&more=1", "/explain?url=/&client=me",
    } do
      local res = g:ask_admin(path)
      assert.status(res, 400)
      assert.is_string(res:json().error)
    end
    for _, body in ipairs { "", "[]", "{", '{"url": 1}', '{"url": "/", "headers": {"a": {}}}', '{"url":"/"} x' } do
      assert.status(g:ask_admin { method = "POST", path = "/explain", body = body }, 400)
    end
    local res = g:ask_admin { method = "PUT", path = "/explain" }
    assert.same({ 405, "GET, POST" }, { res.status, (res:header "allow") })
  end)

  it("asks for the token as its neighbours do", function()
    local g = E.start {
      config = "admin: { address: '127.0.0.1:0', token: t }\nsecrets: { t: { env: ADMIN_TOKEN } }\nroutes: []\n",
      env = { ADMIN_TOKEN = "sesame" },
    }
    assert.status(g:ask_admin "/explain?url=/", 401)
    assert.status(g:ask_admin { path = "/explain?url=/", headers = { Authorization = "Bearer sesame" } }, 200)
  end)
end)
