-- `moongate status | reload | stop`: commands for the running gateway.

local E = require "moongate.e2e"
local program = require("moongate.e2e.gateway").program

local CONFIG = [[
listen: 127.0.0.1:0
workers: 1
admin: { address: "unix:%{folder}/admin.sock", token: t }
secrets: { t: { env: ADMIN } }
services: { up: { backends: ["127.0.0.1:1"] } }
routes: [{ match: /*, service: up }]
]]

local function start()
  return E.start { config = CONFIG, env = { ADMIN = "s3cret" } }
end

-- Runs a command beside a gateway: with its config, and what it needs to read that.
local function remote(g, command, ...)
  return E.command { program, command, "-c", g.folder .. "/moongate.yaml", env = { ADMIN = "s3cret" }, ... }
end

describe("moongate status", function()
  it("tells how the running gateway is", function()
    local g = start()
    g:get "/"
    local result = remote(g, "status")
    assert.equal(0, result.status)
    assert.match("status +ready\n", result.stdout)
    assert.match("requests_count.error +1\n", result.stdout)
    assert.match("services.name +up\n", result.stdout)
    assert.match("\nconfig +%x+\n", result.stdout)
  end)

  it("fails when none runs", function()
    local g = start()
    g:stop()
    local result = remote(g, "status")
    assert.equal(1, result.status)
    assert.match("no gateway answers at unix:", result.stderr)
  end)

  it("fails when the token is another", function()
    local g = start()
    local result = E.command { program, "status", "-c", g.folder .. "/moongate.yaml", env = { ADMIN = "other" } }
    assert.equal(1, result.status)
    assert.match("status 401", result.stderr)
  end)

  it("can be told the address", function()
    local g = E.start { config = { routes = {} } }
    local result = E.command { program, "status", "-c", g.folder .. "/moongate.lua", "--admin", g.admin }
    assert.match("status +ready\n", result.stdout)
    assert.equal(0, result.status)
  end)
end)

describe("a config that is broken by now", function()
  it("still says where the gateway is talked to", function()
    local g = start()
    g.write_config((CONFIG:gsub("t: { env: ADMIN }", "t: { env: ADMIN }, s: { env: NOBODY_HAS_THIS }")
      :gsub("127%.0%.0%.1:0", "${NOBODY_HAS_THIS}")) .. "rutes: []\n")
    assert.match("status +ready\n", remote(g, "status").stdout)
    local result = remote(g, "stop")
    assert.same({ 0, "" }, { result.status, result.stderr })
    assert.equal(0, g:wait(1))
  end)

  it("must at least have a whole `admin`", function()
    local g = start()
    g.write_config((CONFIG:gsub("token: t", "token: u")))
    local result = remote(g, "status")
    assert.equal(1, result.status)
    assert.match("moongate.yaml:3:%d+: admin.token: unknown secret 'u'", result.stderr)
  end)
end)

describe("moongate reload", function()
  it("is done when it ends", function()
    local g = start()
    g.write_config((CONFIG:gsub("routes:.*", "routes: []\n")))
    local result = remote(g, "reload")
    assert.equal(0, result.status)
    assert.status(g:get "/", 404)
  end)

  it("says what is wrong with the new config, which is not taken", function()
    local g = start()
    g.write_config(CONFIG .. "rutes: []\n")
    local result = remote(g, "reload")
    assert.equal(1, result.status)
    assert.match("moongate.yaml:7:1: rutes: unknown field, did you mean 'routes'?\nrutes: []\n^\n", result.stderr, 1,
      true)
    assert.equal(1, #g:log "reload failed")
    assert.status(g:get "/", 503)
  end)
end)

describe("moongate stop", function()
  it("has ended the gateway when it ends itself", function()
    local g = start()
    local result = remote(g, "stop")
    assert.equal(0, result.status)
    assert.equal(0, g:wait())
  end)
end)
