-- Where the gateway listens.
local E = require "moongate.e2e"

local function answer(text)
  return { { respond = { body = text } } }
end

describe("listeners", function()
  it("can be several, and routes can belong to one by name", function()
    local g = E.start { config = {
      listen = {
        "127.0.0.1:0",
        { name = "inside", address = "127.0.0.1:0" },
        { name = "sock", address = "unix:%{folder}/g.sock" },
      },
      routes = {
        { match = "/*", policies = answer "any" },
        { match = { path = "/*", listener = "inside" }, policies = answer "inside" },
        { match = { path = "/x", listener = "sock" }, policies = answer "sock" },
      },
    } }
    assert.equal("any", g:get("/").body)
    assert.equal("inside", g:get("/", { port = g.ports[2] }).body)
    assert.equal("any", g:get("/", { unix = g.folder .. "/g.sock" }).body)
    assert.equal("sock", g:get("/x", { unix = g.folder .. "/g.sock" }).body)
    assert.equal("any", g:get("/x").body)
  end)

  it("on a unix socket serve alone, and tell the backend", function()
    local up = E.upstream { body = "ok" }
    local g = E.start { config = { listen = "unix:%{folder}/g.sock", services = { a = { backends = { up.address } } },
      routes = { { match = "/*", service = "a" } } } }
    local path = g.folder .. "/g.sock"
    local client = g:connect { unix = path }
    for _ = 1, 3 do assert.equal("ok", client:request("/").body) end
    assert.equal("unknown", up.seen[1]:header("X-Forwarded-For"))
    assert.equal(0, g:stop())
    assert.is_nil(io.open(path))
  end)

  it("take the place of a socket file that a fallen gateway left", function()
    local routes = { { match = "/*", policies = answer "ok" } }
    local first = E.start { config = { listen = "unix:%{folder}/g.sock", routes = routes } }
    local path = first.folder .. "/g.sock"
    first:kill()
    assert.is_nil((first:connect { unix = path }))
    local second = E.start { config = { listen = "unix:" .. path, routes = routes } }
    assert.equal("ok", second:get("/", { unix = path }).body)
  end)

  it("on IPv6", function()
    local g = E.start { config = { listen = "[::1]:0", routes = { { match = "/*", policies = {
      { lua = "return { request = function(req) return mg.reply(200, req.client_ip) end }" } } } } } }
    assert.equal("::1", g:get("/", { ip = "::1" }).body)
  end)

  it("get their port from the command line", function()
    local port = E.refused()
    local g = E.start { args = { "-p", "0", "--workers", "2" }, config = ([[
listen: 127.0.0.1:%d
routes:
  - match: /*
    policies: [{ respond: { body: yes } }]
]]):format(port) }
    assert.is_true(g.port ~= port)
    assert.equal("yes", g:get("/").body)
  end)

  it("that are taken stop the start, with a reason", function()
    local taken = E.upstream {}
    local res = E.run { args = { "run", "-c", "CONFIG" }, config = ("listen: %s\nroutes: []\n"):format(taken.address) }
    assert.equal(1, res.status)
    assert.matches("moongate: [^\n]*" .. taken.port, res.stderr)
    assert.matches("in use", res.stderr)
  end)
end)
