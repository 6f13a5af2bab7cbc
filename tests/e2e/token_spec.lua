-- `moongate token`, as the program that people run, and examples/jwt-rbac with its tokens.

local E = require "moongate.e2e"
local gateway = require "moongate.e2e.gateway"
local mg = require "moongate"

local SECRET = "0123456789abcdef0123456789abcdef"
local EXAMPLE = "examples/jwt-rbac/moongate.yaml"
local EC_KEY = { "openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256" }

local KEYS = [[
secrets: { a: { env: JWT_SECRET }, b: { file: secret.txt } }
keys:
  a: { secret: a, algorithms: [HS512, HS256] }
  b: { secret: b }
  c: { secret: literal-0123456789abcdef-literal }
  d: { public_key: ec.pub, algorithms: ES256 }
  e: { public_key: ec.pub }
]]

local function run(args, options)
  options = options or {}
  options.args, options.env = { "token", table.unpack(args) }, options.env or { JWT_SECRET = SECRET }
  return gateway.run(options)
end

-- With the config above.
local function with_keys(args, files)
  files = files or {}
  files["moongate.yaml"], files["secret.txt"] = KEYS, "from a file 0123456789abcdef\r\n"
  return run({ "-c", "CONFIG", table.unpack(args) }, { config = KEYS, files = files })
end

local function parts(res)
  assert.same({ 0, "" }, { res.status, res.stderr })
  local header, claims = res.stdout:match "^([%w_-]+)%.([%w_-]+)%.[%w_-]+\n$"
  local function decode(text) return mg.json.decode(mg.crypto.base64url.decode(text)) end
  return decode(header), decode(claims)
end

describe("moongate token", function()
  it("signs claims, which are JSON where they can be", function()
    local header, claims = parts(run {
      "-c", EXAMPLE, "userId=42", "role=ADMIN", 'tags=["a","b"]', 'id="7"', "x=", "y=a=b",
    })
    assert.equal("HS256", header.alg)
    assert.same({ 42, "ADMIN", { "a", "b" }, "7", "", "a=b" },
      { claims.userId, claims.role, claims.tags, claims.id, claims.x, claims.y })
    assert.equal(3600, claims.exp - claims.iat)
    assert.is_true(math.abs(os.time() - claims.iat) < 60)
  end)

  it("takes a key by its name, and what that says", function()
    local header = parts(with_keys { "--key", "a", "--kid", "k1", "--typ", "at+jwt" })
    assert.same({ "HS512", "k1", "at+jwt" }, { header.alg, header.kid, header.typ })
    for _, name in ipairs { "b", "c" } do
      header = parts(with_keys { "--key", name })
      assert.equal("HS256", header.alg)
    end
    local _, claims = parts(with_keys { "--key", "b", "--expires", "1d", "iat=10" })
    assert.equal(10, claims.iat)
    assert.is_true(claims.exp > os.time() + 86000)
  end)

  it("signs with a private key, by what that is for", function()
    local made = E.command(EC_KEY)
    assert.equal(0, made.status, made.stderr)
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(made.stdout)
    file:close()
    finally(function() os.remove(path) end)
    for _, key in ipairs { "d", "e" } do
      assert.equal("ES256", parts(with_keys { "--key", key, "--private-key", path }).alg)
    end
  end)

  for what, case in pairs {
    ["several keys"] = { {}, 1, "which key? CONFIG has 'a', 'b', 'c', 'd', 'e'; say --key NAME" },
    ["a key that is not there"] = { { "--key", "f" }, 1, "CONFIG has no key 'f'" },
    ["a key that only verifies"] = { { "--key", "d" }, 1, "key 'd' only says how to verify" },
    ["an algorithm that does not fit"] = { { "--key", "c", "--algorithm", "none" }, 1, "there is no algorithm 'none'" },
    ["a word that is no claim"] = { { "userId" }, 2, "expected CLAIM=VALUE, not 'userId'" },
    ["an unknown option"] = { { "--kei", "a" }, 2, "unknown option '--kei', did you mean '--key'?" },
    ["an option without value"] = { { "--key" }, 2, "--key needs a value" },
    ["a time that is none"] = { { "--expires", "soon" }, 2, "--expires must be a time" },
  } do
    it("refuses " .. what, function()
      local res = with_keys(case[1])
      assert.equal(case[2], res.status)
      assert.equal("", res.stdout)
      assert.matches("moongate token: " .. case[3]:gsub("CONFIG", "moongate.yaml"), res.stderr, 1, true)
    end)
  end

  it("says what is missing", function()
    local res = run({ "-c", EXAMPLE }, { env = { JWT_SECRET = "" } })
    assert.same({ 1, "moongate token: environment variable 'JWT_SECRET' is not set\n" }, { res.status, res.stderr })
    assert.matches("nowhere.yaml", run({ "-c", "nowhere.yaml" }).stderr, 1, true)
    assert.matches("usage: moongate token", run({ "--help" }).stdout, 1, true)
  end)
end)

describe("examples/jwt-rbac", function()
  local g, token

  local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read "a"
    file:close()
    return text
  end

  setup(function()
    g = E.start {
      config = read(EXAMPLE), files = { ["services.yaml"] = read "examples/jwt-rbac/services.yaml" },
      args = { "--workers", "1" },
      env = {
        JWT_SECRET = SECRET, PORT = "0", AUTH_PORT = E.free_port(), USERS_PORT = E.free_port(),
        ADMIN_PORT = E.free_port(),
      },
    }
    token = function(...)
      return { Authorization = "Bearer " .. run({ "-c", EXAMPLE, ... }).stdout:match "%S+" }
    end
  end)

  it("answers as its README shows", function()
    assert.json(g:get "/api/auth/login", { path = "/api/auth/login", role = "", service = "auth", user = "" })
    assert.json(g:get "/api/users/1", { error = "No token provided" })
    local user, admin = token("userId=42", "role=USER"), token("userId=7", "role=ADMIN")
    assert.json(g:get("/api/users/1", { headers = user }),
      { path = "/api/users/1", role = "USER", service = "users", user = "42" })
    assert.json(g:get("/api/admin/x", { headers = user }), { error = "Insufficient permissions" })
    admin["X-User-Id"] = "1"
    assert.json(g:get("/api/admin/x", { headers = admin }),
      { path = "/api/admin/x", role = "ADMIN", service = "admin", user = "7" })
    assert.json(g:get("/api/users/1", { headers = token("--expires", "0s", "userId=42") }), { error = "Invalid token" })
  end)
end)
