-- What the example's routes let through, whereto, and what they answer to others.

local T = require "moongate.test"

local FOLDER = debug.getinfo(1, "S").source:match "^@(.*/)"
local SECRET = "0123456789abcdef0123456789abcdef"

-- Plays any service: tells what came.
local function echo(req)
  return { json = { path = req.path, user = req:header "X-User-Id", role = req:header "X-User-Role" } }
end

local function gateway()
  local file = assert(io.open(FOLDER .. "moongate.yaml", "rb"))
  local text = file:read "a"
  file:close()
  -- The kit has no environment to give.
  text = text:gsub("secret: jwt, algorithms", "secret: " .. SECRET .. ", algorithms")
    :gsub("\nsecrets:[^\n]*", ""):gsub("\ninclude:[^\n]*", "")
  return T.load(FOLDER .. "moongate.yaml", { text = text, upstreams = { auth = echo, users = echo, admin = echo } })
end

local function bearer(claims, opts)
  return { Authorization = "Bearer " .. T.jwt(claims, opts or { key = SECRET }) }
end

local USER, ADMIN = { userId = 42, role = "USER" }, { userId = 7, role = "ADMIN" }

local function refused(res, status, text)
  assert.status(res, status)
  assert.json(res, { error = text })
end

describe("jwt-rbac", function()
  it("lets everybody to the auth service", function()
    local t = gateway()
    assert.json(t:request "/api/auth/login", { path = "/api/auth/login" })
    assert.status(t:request { path = "/api/auth", headers = { Authorization = "Bearer old.token.here" } }, 200)
    assert.called("auth", 2)
  end)

  it("asks for a token", function()
    local t = gateway()
    for _, path in ipairs { "/api/users", "/api/users/1", "/api/admin/x" } do
      refused(t:request(path), 401, "No token provided")
      refused(t:request { path = path, headers = { Authorization = "Basic YW5uOg==" } }, 401, "No token provided")
    end
    assert.called("users", 0)
    assert.called("admin", 0)
  end)

  it("refuses bad tokens, and logs why", function()
    local t = gateway()
    for _, headers in ipairs {
      bearer({ userId = 42, role = "ADMIN" }, { key = ("x"):rep(32) }), bearer { userId = 42, role = "ADMIN", exp = 1 },
      { Authorization = "Bearer abc" }, { Authorization = "Bearer " .. ("a"):rep(300) },
    } do
      refused(t:request { path = "/api/users/1", headers = headers }, 401, "Invalid token")
      refused(t:request { path = "/api/admin/x", headers = headers }, 401, "Invalid token")
    end
    local told = false
    for _, line in ipairs(t:log()) do told = told or tostring(line.msg):find "^Token verification failed:" ~= nil end
    assert.is_true(told)
  end)

  it("tells the services who it is, whatever the client says of itself", function()
    local t, evil = gateway(), { ["X-User-Id"] = "evil", X_USER_ROLE = "ADMIN", ["x-user-role"] = { "ADMIN", "ROOT" } }
    assert.json(t:request { path = "/api/auth/login", headers = evil }, { path = "/api/auth/login" })
    local headers = bearer(USER)
    for name, value in pairs(evil) do headers[name] = value end
    assert.json(t:request { path = "/api/users/1", headers = headers },
      { path = "/api/users/1", user = "42", role = "USER" })
    local _, last = t:seen "users"
    assert.is_nil(last:header "X_USER_ROLE")
  end)

  it("lets the role ADMIN alone to the admin service", function()
    local t = gateway()
    refused(t:request { path = "/api/admin/x", headers = bearer(USER) }, 403, "Insufficient permissions")
    refused(t:request { path = "/api/admin/x", headers = bearer { userId = 1 } }, 403, "Insufficient permissions")
    assert.json(t:request { path = "/api/admin/x", headers = bearer(ADMIN) },
      { path = "/api/admin/x", user = "7", role = "ADMIN" })
    assert.called("admin", 1)
  end)

  it("tells from each other who is nobody and who may not, where a token is optional", function()
    local t = T.new {
      policies = { { jwt = { keys = "main", optional = true } }, { rbac = { roles = "ADMIN" } } },
      upstreams = { api = {} },
      config = { keys = { main = { secret = SECRET } }, errors = { format = "simple" } },
    }
    refused(t:request "/", 401, "User not authenticated")
    refused(t:request { headers = bearer(USER) }, 403, "Insufficient permissions")
    assert.status(t:request { headers = bearer(ADMIN) }, 200)
  end)

  it("matches whole segments, and filters addresses on all routes", function()
    local t = gateway()
    assert.status(t:request { path = "/api/usersfoo", headers = bearer(USER) }, 404)
    for _, path in ipairs { "/api/auth/login", "/api/admin/x", "/nowhere" } do
      assert.status(t:request { path = path, headers = bearer(ADMIN), client_ip = "203.0.113.7" }, 403)
    end
  end)
end)
