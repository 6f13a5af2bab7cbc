local T = require "moongate.test"
local mg = require "moongate"

local function gateway(conf, config)
  return T.new { policies = { { rbac = conf } }, upstreams = { api = { body = "ok" } }, config = config }
end

local function status(conf, auth)
  return gateway(conf):request({ auth = auth }).status
end

local function with(claims)
  return { subject = "ann", claims = claims }
end

describe("rbac", function()
  describe("schema", function()
    local function refuses(conf, what)
      local ok, err = T.validate(require "rbac", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    local function takes(conf) assert.truthy(T.validate(require "rbac", conf)) end

    local function times(n, value)
      local list = {}
      for i = 1, n do list[i] = value end
      return list
    end

    it("knows how much is too much", function()
      takes { roles = times(1000, ("a"):rep(256)), claim = times(10, "a"), realm = ("a"):rep(256) }
      takes { roles = "a", realm = "a" }
      refuses({ roles = times(1001, "a") }, "rbac.roles")
      refuses({ roles = { ("a"):rep(257) } }, "rbac.roles[0]")
      refuses({ roles = "a", claim = times(11, "a") }, "rbac.claim")
      refuses({ roles = "a", realm = "" }, "rbac.realm")
      refuses({ roles = "a", realm = ("a"):rep(257) }, "rbac.realm")
    end)

    it("has defaults", function()
      assert.same({ roles = { "ADMIN" }, realm = "moongate" },
        T.validate(require "rbac", { roles = "ADMIN" }))
    end)

    it("names the path of a bad field", function()
      refuses({}, "rbac: needs 'roles' or 'all_roles'")
      refuses({ roles = {} }, "rbac.roles")
      refuses({ roles = { "" } }, "rbac.roles[0]")
      refuses({ role = "ADMIN" }, "rbac.role: unknown field, did you mean 'roles'?")
      refuses({ all_roles = {} }, "rbac.all_roles")
      refuses({ roles = "A", separator = "|" }, "rbac.separator")
      refuses({ roles = "A", claim = {} }, "rbac.claim")
    end)

    it("needs somebody who provides the identity", function()
      local text = [[
        services: { api: { backends: ["a:80"] } }
        routes: [{ match: /*, service: api, policies: [%s] }]
      ]]
      local ok, fault = pcall(T.load, "x.yaml", { text = text:format "{ rbac: { roles: A } }" })
      assert.is_false(ok)
      assert.matches('rbac: needs "identity"', tostring(fault), 1, true)
      assert.truthy(T.load("x.yaml", { text = text:format "client-cert, { rbac: { roles: A } }" }))
    end)
  end)

  describe("lets in", function()
    local CASES = {
      { "the claim role", with { role = "ADMIN" } },
      { "the claim roles", with { roles = { "USER", "ADMIN" } } },
      { "a list in role", with { role = { "ADMIN" } } },
      { "a text in roles", with { roles = "ADMIN" } },
      { "what the step before has found", { subject = "a", roles = { "USER", "ADMIN" } } },
      { "claims where that step found none", { subject = "a", roles = {}, claims = { role = "ADMIN" } } },
      { "roles where role is null", with { role = mg.json.null, roles = { "ADMIN" } } },
    }
    for _, case in ipairs(CASES) do
      it(case[1], function() assert.equal(200, status({ roles = { "ADMIN", "ROOT" } }, case[2])) end)
    end
  end)

  describe("refuses", function()
    local CASES = {
      { "another role", with { role = "USER" } },
      { "no role", with {} },
      { "no claims", { subject = "ann" } },
      { "other letters", with { role = "admin" } },
      { "more letters", with { role = "ADMINS" } },
      { "less letters", with { role = "ADMI" } },
      { "a role between blanks", with { role = " ADMIN" } },
      { "a role in a text of several", with { role = "USER ADMIN" } },
      { "a role behind a comma", with { role = "USER,ADMIN" } },
      { "a role in a text of several in a list", with { roles = { "USER ADMIN" } } },
      { "a key of that name", with { roles = { ADMIN = true } } },
      { "a list in a list", with { roles = { { "ADMIN" } } } },
      { "true", with { role = true } },
      { "a role that only another claim has", with { role = "USER", roles = { "ADMIN" } } },
      { "a claim where the step before has found roles",
        { subject = "a", roles = { "USER" }, claims = { role = "ADMIN" } } },
      { "a subject of that name", { subject = "ADMIN", claims = { sub = "ADMIN" } } },
    }
    for _, case in ipairs(CASES) do
      it(case[1], function()
        local t = gateway { roles = "ADMIN" }
        local res = t:request { auth = case[2], headers = { ["X-User-Role"] = "ADMIN" } }
        assert.problem(res, 403, "insufficient-permissions")
        assert.equal("Insufficient permissions", res:json().detail)
        assert.called(t, "api", 0)
        assert.equal(1, #t:log "role refused")
      end)
    end

    it("clients that nobody knows", function()
      local t = gateway { roles = "ADMIN" }
      local res = t:request { auth = false }
      assert.problem(res, 401, "unauthenticated")
      assert.header(res, "WWW-Authenticate", 'Bearer realm="moongate"')
      assert.equal("User not authenticated", res:json().detail)
      assert.called(t, "api", 0)
      assert.header(gateway({ roles = "A", realm = "shop" }):request { auth = false }, "WWW-Authenticate",
        'Bearer realm="shop"')
    end)
  end)

  it("says it simply where errors are simple", function()
    local t = gateway({ roles = "ADMIN" }, { errors = { format = "simple" } })
    local res = t:request { auth = false }
    assert.status(res, 401)
    assert.header(res, "Content-Type", "application/json")
    assert.json(res, { error = "User not authenticated" })
    res = t:request { auth = with { role = "USER" } }
    assert.status(res, 403)
    assert.json(res, { error = "Insufficient permissions" })
  end)

  it("asks for one of the roles, for all, or both", function()
    local both, one = with { roles = { "A", "B", "C" } }, with { roles = { "B" } }
    local none = with { roles = { "C" } }
    local function verdicts(conf) return { status(conf, both), status(conf, one), status(conf, none) } end
    assert.same({ 200, 200, 403 }, verdicts { roles = { "A", "B" } })
    assert.same({ 200, 403, 403 }, verdicts { all_roles = { "A", "B" } })
    assert.same({ 200, 403, 403 }, verdicts { roles = { "A", "X" }, all_roles = "B" })
    assert.same({ 403, 403, 403 }, verdicts { roles = "X", all_roles = "B" })
  end)

  describe("claim", function()
    it("lies where the config says", function()
      local conf = { roles = "A", claim = "realm_access.roles" }
      assert.equal(200, status(conf, with { realm_access = { roles = { "A" } } }))
      assert.equal(403, status(conf, with { role = "A", roles = { "A" } }))
      assert.equal(403, status(conf, { subject = "ann", roles = { "A" }, claims = {} }))
      assert.equal(200, status({ roles = "A", claim = "https://example.com/roles" },
        with { ["https://example.com/roles"] = { "A" } }))
    end)

    it("is the first that is there", function()
      local conf = { roles = "A", claim = { "groups", "kind" } }
      assert.equal(200, status(conf, with { groups = { "A" } }))
      assert.equal(200, status(conf, with { kind = "A" }))
      assert.equal(403, status(conf, with { groups = { "B" }, kind = "A" }))
    end)

    it("is taken apart where the config says", function()
      assert.equal(200, status({ roles = "A", separator = "comma" }, with { role = "B, A,C" }))
      assert.equal(403, status({ roles = "A", separator = "comma" }, with { role = "B A" }))
      assert.equal(200, status({ roles = "A B", separator = "comma" }, with { role = "A B,C" }))
      assert.equal(200, status({ roles = "A", separator = "space" }, with { role = "B\tA  C" }))
      assert.equal(403, status({ roles = "A", separator = "space" }, with { role = "B,A" }))
      assert.equal(403, status({ roles = "A", separator = "space" }, with { role = " " }))
    end)
  end)

  it("lets upstream failures pass", function()
    local t = T.new { policies = { { rbac = { roles = "A" } } }, upstreams = { api = { error = "refused" } } }
    assert.status(t:request { auth = with { role = "A" } }, 503)
  end)
end)
