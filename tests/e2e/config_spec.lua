-- The config file as `check` and `run` see it.
local E = require "moongate.e2e"

local function check(config, options)
  options = options or {}
  return E.run { args = { "check", "CONFIG" }, config = config, name = options.name, files = options.files }
end

local BAD = [[
listen: 127.0.0.1:0
services:
  users:
    backends: ["127.0.0.1:1"]
    balanse: random
routes:
  - match: /a
    service: user
  - match: /b
    policies:
      - cors: { max_age: "x" }
      - corss
  - match: /c
    policies:
      - lua: |
          return function(req)
            return mg.reply(200) end end
limits: { idle_time: 10 parsecs }
]]

-- What both commands must say of it, in this order.
local FAULTS = {
  "moongate.yaml:5:5: services.users.balanse: unknown field, did you mean 'balance'?\n    balanse: random\n    ^\n",
  "moongate.yaml:8:14: routes[0].service: unknown service 'user', did you mean 'users'?\n",
  "moongate.yaml:11:26: routes[1].policies[0].cors.max_age: expected duration",
  "moongate.yaml:12:9: routes[1].policies[1]: unknown policy 'corss', did you mean 'cors'?\n",
  "moongate.yaml:17:1: routes[2].policies[0].lua: Lua: ",
  "moongate.yaml:18:22: limits.idle_time: expected duration (200ms, 10s, 5m, 1h, 1d), got string \"10 parsecs\"\n",
}

local function assert_all_in(text)
  local at = 1
  for _, fault in ipairs(FAULTS) do
    local from, to = text:find(fault, at, true)
    assert(from, ("not said (in this order): %s\n--- in:\n%s"):format(fault, text))
    at = to
  end
end

describe("check", function()
  local WARNED = [[
services: { s: { backends: ["10.0.0.1:80"] } }
routes:
  - { match: { path: /a, methods: GET }, service: s }
  - { match: { path: /a, methods: POST }, service: s }
  - { name: dead, match: { path: /a, methods: [GET, POST] }, service: s,
      policies: [{ cache: {} }, { hmac-auth: {} }] }
consumers: [{ name: ann, secret: key }]
secrets: { key: { env: PATH } }
]]

  it("warns of dead routes and steps out of order, and tells who holds bodies", function()
    local res = E.run { args = { "check", "CONFIG" }, config = WARNED }
    assert.equal(0, res.status)
    assert.matches("moongate.yaml:5:5: routes[2]: warning: '/a' can never match: '/a #2' (routes[1]) comes first",
      res.stdout, 1, true)
    assert.matches("moongate.yaml:6:20: routes[2].policies[0].cache: warning: stands before hmac-auth (policies[1])"
      .. ', which provides "identity": what is kept is given out before anybody looks at who asks\n',
      res.stdout, 1, true)
    assert.matches("moongate.yaml:6:35: routes[2].policies[1].hmac-auth: note: holds whole request bodies in memory"
      .. ", up to 1048576 bytes each\n", res.stdout, 1, true)
    assert.matches("moongate.yaml: ok, 2 warnings\n$", res.stdout)
  end)

  it("fails on warnings when it is strict, and not on notes", function()
    local res = E.run { args = { "check", "--strict", "CONFIG" }, config = WARNED }
    assert.same({ 1, true }, { res.status, res.stdout:find "moongate.yaml: 2 warnings\n$" ~= nil })
    res = E.run { args = { "check", "CONFIG", "--strict" }, config = [[
consumers: [{ name: ann, secret: key }]
secrets: { key: { env: PATH } }
routes: [{ match: /a, policies: [{ hmac-auth: {} }, { respond: { body: x } }] }]
]] }
    assert.equal(0, res.status)
    assert.matches("note: holds whole request bodies.-moongate.yaml: ok\n$", res.stdout)
  end)

  it("tells every error at once, with its place and a hint", function()
    local res = check(BAD)
    assert.equal(1, res.status)
    assert_all_in(res.stdout)
    assert.matches("moongate.yaml: 6 errors\n$", res.stdout)
  end)

  it("is quiet about a good one", function()
    local res = check "routes:\n  - match: /*\n    policies: [{ respond: { body: hi } }]\n"
    assert.same({ 0, "moongate.yaml: ok\n", "" }, { res.status, res.stdout, res.stderr })
  end)

  it("warns of what can never match, and passes", function()
    local res = check [[
services: { a: { backends: ["127.0.0.1:1"] }, b: { backends: ["127.0.0.1:1"] } }
routes:
  - { match: /x, service: a }
  - { match: /x, service: a }
]]
    assert.equal(0, res.status)
    assert.matches("moongate.yaml:4:%d+: routes%[1%]: warning: can never match", res.stdout)
    assert.matches("moongate.yaml:1:%d+: services.b: warning: no route or policy uses this service", res.stdout)
    assert.matches("moongate.yaml: ok, 2 warnings\n$", res.stdout)
  end)

  for name, case in pairs {
    ["moongate.yaml"] = { "a: [\n", "^moongate.yaml:2:1: " },
    ["moongate.json"] = { '{"routes": [}', "^moongate.json:1:13: " },
    ["moongate.lua"] = { "return {\n  routes = = 1 }", "^moongate.lua:2:%d+: " },
  } do
    it("tells where the syntax ends in " .. name, function()
      local res = check(case[1], { name = name })
      assert.equal(1, res.status)
      assert.matches(case[2], res.stdout)
    end)
  end

  it("fails where there is no file", function()
    local res = E.run { args = { "check", "/no/such/file.yaml" } }
    assert.equal(1, res.status)
    assert.matches("/no/such/file.yaml: No such file", res.stdout)
  end)

  it("finds what only shows when a worker builds its steps", function()
    local files = { ["policies/picky.lua"] = [[
local M = { name = "picky" }
function M.new(conf) error("cannot do with " .. tostring(conf.n)) end
return M
]] }
    local config = [[
policies: [{ picky: { n: 1 } }]
routes:
  - match: /a
    policies:
      - lua: |
          local a = {}
          return a.b.c
      - respond: { template: none.html }
]]
    local faults = {
      "moongate.yaml:1:14: policies[0].picky: policies/picky.lua:2: cannot do with 1\n"
        .. "policies: [{ picky: { n: 1 } }]\n             ^\n",
      "moongate.yaml:7:11: routes[0].policies[0].lua: attempt to index a nil value (field 'b')\n"
        .. "          return a.b.c\n          ^\n",
      "moongate.yaml:8:9: routes[0].policies[1].respond: ",
    }
    for _, command in ipairs { "check", "run" } do
      local args = command == "run" and { "run", "-c", "CONFIG" } or { "check", "CONFIG" }
      local res = E.run { args = args, config = config, files = files }
      assert.equal(1, res.status)
      local said = res.stdout .. res.stderr
      for _, fault in ipairs(faults) do
        local _, count = said:gsub(fault:gsub("%p", "%%%0"), "")
        assert(count == 1, ("%d times, not once: %s\n--- in:\n%s"):format(count, fault, said))
      end
      assert.is_nil(said:find("traceback", 1, true))
    end
  end)

  it("needs no secrets", function()
    local config = "secrets: { k: { env: MG_E2E_NOT_SET } }\nroutes: []\n"
    assert.equal(0, check(config).status)
    config = "secrets: { k: { env: MG_E2E_NOT_SET } }\nroutes:\n- match: /*\n  policies:\n  - lua: |\n"
      .. "      assert(#mg.secret('k') == 32)\n      return function() end\n"
    assert.equal(0, check(config).status)
  end)

  it("refuses a bad command line with status 2", function()
    for _, args in ipairs { { "chek" }, { "run", "--prot" }, { "run", "-p", "99999" }, {} } do
      local res = E.run { args = args }
      assert.equal(2, res.status)
      assert.matches("^moongate: ", res.stderr)
      assert.matches("usage: moongate", res.stderr)
    end
  end)
end)

describe("run", function()
  it("tells the same errors, and does not start", function()
    local res = E.run { args = { "run", "-c", "CONFIG" }, config = BAD }
    assert.equal(1, res.status)
    assert_all_in(res.stderr)
    assert.is_nil(res.stdout:find("ready", 1, true))
  end)

  it("fails when a policy cannot be built, and says which", function()
    local res = E.run { args = { "run", "-c", "CONFIG" }, config = [[
listen: 127.0.0.1:0
routes:
  - match: /*
    policies:
      - lua: |
          error("no good")
]] }
    assert.equal(1, res.status)
    assert.matches("no good", res.stderr)
    assert.matches("moongate.yaml:6", res.stderr)
  end)

  it("fails when a secret is not there", function()
    local config = "secrets: { k: { env: MG_E2E_NOT_SET } }\nroutes: []\n"
    local res = E.run { args = { "run", "-c", "CONFIG" }, config = config }
    assert.equal(1, res.status)
    assert.matches("MG_E2E_NOT_SET", res.stderr)
  end)

  local function hello(g)
    return g:get("/hello").body
  end

  it("reads YAML", function()
    local g = E.start { config = [[
listen: 127.0.0.1:0
routes:
  - match: /hello
    policies: [{ respond: { body: on } }] # a string, by YAML 1.2
]] }
    assert.equal("on", hello(g))
  end)

  it("reads JSON", function()
    local g = E.start { name = "moongate.json", config = [[
      {"listen": "127.0.0.1:0", "routes": [{"match": "/hello", "policies": [{"respond": {"body": "json"}}]}]}]] }
    assert.equal("json", hello(g))
  end)

  it("reads Lua, with functions as steps", function()
    local g = E.start { name = "moongate.lua", config = [[
      local mg = require "moongate"
      return { listen = "127.0.0.1:0", routes = { { match = "/hello", policies = { function(req, next)
        local res = next(req)
        res:set_header("X-Around", "yes")
        return res
      end, { lua = [=[return function(req) return mg.reply(200, "lua " .. req.method) end]=] } } } } }]] }
    local res = g:get("/hello")
    assert.equal("lua GET", res.body)
    assert.header(res, "X-Around", "yes")
  end)

  it("puts the environment in", function()
    local g = E.start { env = { MG_E2E_TEXT = "from outside" }, config = [[
listen: 127.0.0.1:0
routes:
  - match: /hello
    policies: [{ respond: { body: "${MG_E2E_TEXT}, ${MG_E2E_NONE:-default}" } }]
]] }
    assert.equal("from outside, default", hello(g))
  end)

  it("reads included files, policies and secrets beside it", function()
    local g = E.start {
      env = { MG_E2E_SECRET = "s3cret" },
      files = {
        ["routes.d/a.yaml"] = [[
routes:
  - { match: /hello, service: up, policies: [greet: { to: all }] }
services:
  up: { backends: ["127.0.0.1:1"] }
]],
        ["mine/greet.lua"] = [[
          local mg, s = require "moongate", require "moongate.schema"
          local M = { name = "greet", version = "1.0.0" }
          M.schema = s.record { to = s.string { required = true } }
          function M.new(conf)
            local secret = mg.secret("k")
            return { request = function() return mg.reply(200, "hello " .. conf.to .. " " .. #secret) end }
          end
          return M]],
      },
      config = [[
listen: 127.0.0.1:0
include: [routes.d/*.yaml]
lua: { path: [mine] }
secrets: { k: { env: MG_E2E_SECRET } }
]],
    }
    assert.equal("hello all 6", hello(g))
  end)

  it("tells the place of an error in an included file", function()
    local files = { ["routes.d/a.yaml"] = "routes:\n  - match: a\n    service: b\n" }
    local res = check("include: routes.d/*.yaml\n", { files = files })
    assert.equal(1, res.status)
    assert.matches("routes.d/a.yaml:2:12: routes%[0%].match: must begin with '/'", res.stdout)
    assert.matches("routes.d/a.yaml:3:14: routes%[0%].service: unknown service 'b'", res.stdout)
  end)

  it("writes plain logs when asked", function()
    local g = E.start { config = { log = { format = "plain", level = "debug" }, routes = {} } }
    g:wait_log("^%d%d%d%d%-%d%d%-%d%dT[%d:.]+Z info gateway ready listen=")
  end)

  it("tells its version", function()
    local res = E.run { args = { "version" } }
    assert.equal(0, res.status)
    assert.matches("^moongate %d+%.%d+%.%d+ %(", res.stdout)
  end)
end)
