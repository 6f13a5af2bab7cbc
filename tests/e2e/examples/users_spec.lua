local E = require "moongate.e2e"

describe("users route #e2e", function()
  local up, g
  setup(function()
    up = E.upstream(function(req) return { json = { user = req:header("x-user-id") } } end)
    g = E.start { config = {
      keys = { test = { secret = "k", algorithms = { "HS256" } } },
      services = { users = { backends = { up.address } } },
      routes = { { match = { path = "/api/users/*" }, service = "users",
                   policies = { { jwt = { keys = "test" } }, { ["claim-to-header"] = {} } } } } } }
  end)

  it("asks for a token, as RFC 6750 says", function()
    local res = g:get("/api/users/1")
    assert.status(res, 401)
    assert.header(res, "WWW-Authenticate", 'Bearer realm="moongate"')
    assert.called(up, 0)
  end)

  it("forwards the subject", function()
    local token = E.jwt({ sub = "42" }, { secret = "k" })
    local res = g:get("/api/users/1", { headers = { Authorization = "Bearer " .. token } })
    assert.json(res, { user = "42" })
  end)

  it("keeps serving through a reload", function()
    local slow = E.spawn(function() return g:get("/api/users/1?slow=1") end)
    g:reload()
    assert.status(slow:wait(), 401)
  end)
end)
