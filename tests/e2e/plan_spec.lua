-- `moongate plan`: what a new config would change.
local E = require "moongate.e2e"
local json = require "moongate".json

local OLD = [[
workers: 2
keys: { main: { secret: a-secret-that-is-long-enough-0123456789, algorithms: [HS256] } }
caches: { pages: { size: 8MiB, max_object: 1MiB }, other: {} }
services:
  users: { backends: ["10.0.0.1:80", "10.0.0.2:80"], circuit_breaker: { failures: 3 } }
  gone: { backends: ["10.0.0.9:80"] }
routes:
  - name: admin
    match: { path: /admin/*, methods: [GET, POST] }
    service: users
    policies: [{ jwt: { keys: main, audience: api } }, { rbac: { roles: [ADMIN] } }, { cache: { store: other } }]
  - name: secure
    match: { path: "/secure/{id}", host: "*.example.com", headers: { x-a: "*" }, query: { b: "1" } }
    service: users
    policies: [{ jwt: { keys: main } }, { rate-limit: { limit: 5 } }]
  - { name: old, match: /old, service: gone,
      policies: [{ any-of: [{ jwt: { keys: main } }, { ip-filter: { allow: [10.0.0.0/8] } }] }] }
  - { match: /same, service: users }
  - { name: all, match: /*, service: users, policies: [{ cache: { store: pages } }] }
]]

local NEW = [[
workers: 4
limits: { body_bytes: 1MiB }
keys: { main: { secret: a-secret-that-is-long-enough-0123456789, algorithms: [HS256] } }
caches: { pages: { size: 16MiB, max_object: 1MiB }, other: {} }
services:
  users: { backends: ["10.0.0.1:80", { address: "10.0.0.3:80", weight: 5 }], circuit_breaker: { failures: 5 } }
routes:
  - { name: open, match: { path: /secure/fresh, host: a.example.com }, service: users }
  - name: admin
    match: { path: /admin/*, methods: [GET, POST] }
    service: users
    timeout: 5s
    policies: [{ jwt: { keys: main, audience: [api, web] }, when: req.method == "POST" }, { cache: { store: other } }]
  - name: secure
    match: { path: "/secure/{id}", host: "*.example.com", headers: { x-a: "*" }, query: { b: "1" } }
    service: users
    policies: [{ jwt: { keys: main } }, { rate-limit: { limit: 5 } }]
  - { name: called, match: /same, service: users }
  - { name: all, match: /*, service: users, policies: [{ cache: { store: pages } }] }
  - { name: dead, match: "/{rest+}", service: users }
]]

local function plan(old, new, ...)
  local args = { "plan", "%{folder}/new.yaml", "-c", "CONFIG", ... }
  return E.run { args = args, config = old, files = { ["new.yaml"] = new } }
end

local function data(old, new)
  local res = plan(old, new, "--json")
  assert.same({ 0, "" }, { res.status, res.stderr })
  return json.decode(res.stdout)
end

local function names(list)
  local out = {}
  for i, item in ipairs(list) do out[i] = type(item) == "table" and item.name or item end
  return out
end

local function texts(changes)
  local out = {}
  for _, change in ipairs(changes) do out[change.path] = change.text end
  return out
end

describe("plan", function()
  it("tells first where requests come in that were kept out", function()
    local found = data(OLD, NEW).security
    local openings = {}
    for _, o in ipairs(found.openings) do openings[o.before .. ">" .. o.after] = { o.request, table.unpack(o.lost) } end
    assert.same({
      ["admin>admin"] = { "GET /admin/x", "rbac" },
      ["old>all"] = { "GET /old", "any-of(jwt, ip-filter)" },
    }, openings)
    local guard = found.changed_guards[1]
    assert.same({ "jwt", "admin" }, { guard.step, guard.route })
    assert.same({ audience = "+ web", when = 'set to "req.method == \\"POST\\""' }, texts(guard.changes))
    local out = plan(OLD, NEW).stdout
    assert.matches("^SECURITY: what keeps requests out\n  ! route 'admin' loses rbac: GET /admin/x", out)
    assert.matches("! requests of 'old' go to 'all', without any-of(jwt, ip-filter): GET /old", out, 1, true)
  end)

  it("sees a new route that takes requests away from one with a guard", function()
    local old = [[
keys: { main: { secret: a-secret-that-is-long-enough-0123456789, algorithms: [HS256] } }
services: { s: { backends: ["10.0.0.1:80"] } }
routes:
  - { name: guarded, match: /api/*, service: s, policies: [{ jwt: { keys: main } }] }
]]
    local new = old .. "  - { name: hole, match: '/api/{x}/status', service: s }\n"
    local openings = data(old, new).security.openings
    assert.equal(1, #openings)
    assert.same({ "GET /api/x1/status", "guarded", "hole", { "jwt" } },
      { openings[1].request, openings[1].before, openings[1].after, openings[1].lost })
    assert.same({}, data(new, old).security.openings)
  end)

  it("tells routes that are added, removed, changed or never match", function()
    local routes = data(OLD, NEW).routes
    assert.same({ { "open", "dead" }, { "old" }, { "admin", "called" } },
      { names(routes.added), names(routes.removed), names(routes.changed) })
    local admin, called = routes.changed[1], routes.changed[2]
    assert.same({ timeout = "set to 5" }, texts(admin.changes))
    assert.same({ { guard = true, title = "rbac" } }, admin.steps.lost)
    assert.same({ name = '"/same" -> "called"' }, texts(called.changes))
    assert.same({ "dead", "all", "/{rest+}" },
      { routes.shadowed[1].route, routes.shadowed[1].by, routes.shadowed[1].pattern })
    assert.same({ "admin", "rbac", true },
      { routes.lost_steps[1].route, routes.lost_steps[1].step, routes.lost_steps[1].guard })
  end)

  it("tells what else differs", function()
    local found = data(OLD, NEW)
    assert.same({ "gone" }, found.services.removed)
    assert.same({ ["backends.10.0.0.2:80"] = "removed", ["backends.10.0.0.3:80"] = "added",
      ["circuit_breaker.failures"] = "3 -> 5" }, texts(found.services.changed[1].changes))
    assert.same({ size = "8388608 -> 16777216" }, texts(found.caches.changed[1].changes))
    assert.same({ ["limits.body_bytes"] = "10485760 -> 1048576", workers = "2 -> 4" }, texts(found.settings))
  end)

  it("tells what a reload keeps, begins anew, and needs a restart for", function()
    local reload = data(OLD, NEW).reload
    assert.same({ "the number of workers: 2 -> 4" }, reload.restart)
    assert.same({ "limits.header_bytes of responses: 32768 -> 65536" },
      data(OLD, OLD .. "limits: { header_bytes: 64KiB }\n").reload.restart)
    local anew = table.concat(reload.anew, "\n")
    assert.matches("circuit_breaker of 'users'", anew, 1, true)
    assert.matches("the cache 'pages', which is empty then", anew, 1, true)
    assert.not_matches("other", anew, 1, true)
    assert.not_matches("rate-limit", anew, 1, true) -- its route has another number now, and the same name
    local moved = NEW:gsub("policies: %[{ jwt: { keys: main } }, { rate", "policies: [{ rate")
    assert.matches("the counts of rate-limit in route 'secure', which has no name and stands at routes[2].policies[0]",
      table.concat(data(OLD, moved).reload.anew, "\n"), 1, true)
  end)

  it("knows that backends which are verified in another way are asked anew", function()
    local old = 'services: { s: { url: "https://10.0.0.1" } }\nroutes: [{ match: /*, service: s }]\n'
    local new = old:gsub('0.1" }', '0.1", tls: { name: other } }')
    assert.same({ "connections to the backends of 's' and their health: its TLS differs" }, data(old, new).reload.anew)
    assert.same({}, data(old, old:gsub("/%*", "/a/*")).reload.anew)
  end)

  it("has an exit status that says more when it is asked for", function()
    assert.equal(0, plan(OLD, NEW).status)
    assert.equal(3, plan(OLD, NEW, "--detailed-exitcode").status)
    assert.equal(2, plan(OLD, (OLD:gsub("workers: 2", "workers: 3")), "--detailed-exitcode").status)
    local same = plan(OLD, OLD, "--detailed-exitcode")
    assert.same({ 0, "nothing changes\n" }, { same.status, same.stdout })
    for _, args in ipairs { {}, { "a", "b" }, { "a", "-x" }, { "a", "-c" }, { "a", "-o", "xml" } } do
      assert.equal(2, E.run({ args = { "plan", table.unpack(args) } }).status)
      assert.equal(1, E.run({ args = { "plan", "--detailed-exitcode", table.unpack(args) } }).status)
    end
    local bad = plan(OLD, "routs: []")
    assert.equal(1, bad.status)
    assert.matches("did you mean 'routes'", bad.stderr, 1, true)
    assert.matches("^usage: moongate plan", E.run({ args = { "plan", "--help" } }).stdout)
  end)
end)
