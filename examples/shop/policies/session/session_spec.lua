local T = require "moongate.test"

-- Knows one token.
local function auth_service(req)
  if req:header "Authorization" == "Bearer good" then return { json = { user = "1", role = "CUSTOMER" } } end
  return { status = 401, json = {} }
end

local function shop(auth)
  return T.new {
    policies = { { session = {} } },
    upstreams = { auth = auth or auth_service, api = { body = "ok" } },
    service = "api",
  }
end

local function with(authorization, more)
  local headers = { Authorization = authorization }
  for name, value in pairs(more or {}) do headers[name] = value end
  return { headers = headers }
end

describe("session", function()
  it("has a schema with defaults", function()
    assert.same({ service = "auth", timeout = 1 }, T.validate(require "session", {}))
    local ok, err = T.validate(require "session", { servic = "auth" })
    assert.is_nil(ok)
    assert.matches("session.servic: unknown field, did you mean 'service'?", tostring(err), 1, true)
  end)

  it("lets in who has a session, and tells the backend who it is", function()
    for _, authorization in ipairs { "Bearer good", "bearer  good" } do
      local t = shop()
      local res = t:request(with(authorization, { ["X-User-Id"] = "forged" }))
      assert.status(res, 200)
      local count, last = t:seen "api"
      assert.equal(1, count)
      assert.same({ "1" }, last:header_values "X-User-Id")
    end
  end)

  it("sets the identity for steps that follow", function()
    local t = T.new {
      policies = {
        { session = {} },
        function(req) return require("moongate").reply(200, req:expr "${auth.subject} ${claims.role}") end,
      },
      upstreams = { auth = auth_service },
    }
    assert.equal("1 CUSTOMER", (t:request(with "Bearer good"):text()))
  end)

  for _, authorization in ipairs { "", "good", "Basic good", "Bearer", "Bearer a b" } do
    it(("asks for a token: '%s'"):format(authorization), function()
      local t = shop()
      local res = t:request(with(authorization))
      assert.problem(res, 401, "no-token")
      assert.header(res, "WWW-Authenticate", 'Bearer realm="shop"')
      assert.equal(0, (t:seen "auth"))
      assert.equal(0, (t:seen "api"))
    end)
  end

  it("refuses a token that the auth service does not know", function()
    local t = shop()
    local res = t:request(with "Bearer bad")
    assert.problem(res, 401, "bad-token")
    assert.header(res, "WWW-Authenticate", 'Bearer realm="shop", error="invalid_token"')
    assert.equal(0, (t:seen "api"))
  end)

  for what, answer in pairs {
    refused = { error = "refused" }, late = { json = {}, delay = 60 }, ["500"] = { status = 500 },
  } do
    it("lets nobody in when the auth service fails: " .. what, function()
      local t = shop(answer)
      local res = t:request(with "Bearer good")
      assert.problem(res, 503, "auth-unavailable")
      assert.header(res, "Retry-After", "5")
      assert.equal(0, (t:seen "api"))
    end)
  end
end)
