local T = require "moongate.test"

local SECRET = "0123456789abcdef0123456789abcdef"
local NOW = 1767225600 -- 2026-01-01, when gateways of the kit begin

local function gateway(alternatives, opts)
  opts = opts or {}
  local policies = opts.before or {}
  policies[#policies + 1] = { ["any-of"] = alternatives }
  for _, step in ipairs(opts.after or {}) do policies[#policies + 1] = step end
  return T.new {
    policies = policies, config = opts.config,
    upstreams = opts.upstreams or { api = function(req) return { headers = { ["X-Seen"] = req:header "X-Who" } } end },
    service = "api",
  }
end

-- An alternative that takes requests with a header of this name, and else answers `status`.
local function wants(name, status, more)
  return { lua = ([[
    return { request = function(req)
      req:set_header("X-Who", "%s")
      req.ctx.asked = (req.ctx.asked or "") .. "%s"
      req.auth = { subject = "%s" }
      %s
      if req:header "%s" then return end
      return mg.problem(%d, "no-%s", nil, { headers = { ["WWW-Authenticate"] = "%s" } })
    end,
    response = function(_, res) res:add_header("X-Back", "%s") end,
    finish = function() mg.log.info "finished %s" end }
  ]]):format(name, name, name, more or "", name, status, name:lower(), name, name, name) }
end

local function asked(t, headers)
  local res, req = t:request { headers = headers }
  return res, req.ctx and req.ctx.asked, req
end

describe("any-of", function()
  describe("lets in", function()
    it("by the first alternative that does", function()
      local t = gateway { wants("A", 401), wants("B", 401), wants("C", 401) }
      local res, names, req = asked(t, { B = "1", C = "1" })
      assert.status(res, 200)
      assert.equal("AB", names)
      assert.equal("B", req.auth.subject)
      assert.header(res, "X-Seen", "B")
      assert.header(res, "X-Back", "B")
    end)

    it("steps that are lists and pipelines only as a whole", function()
      local config = { pipelines = { both = { wants("A", 401), wants("B", 401) } } }
      for _, both in ipairs { { use = "both" }, { wants("A", 401), wants("B", 401) },
        { ["all-of"] = { wants("A", 401), wants("B", 401) } } } do
        local t = gateway({ both, wants("C", 401) }, { config = config })
        assert.header(asked(t, { A = "1", B = "1" }), "X-Back", "B, A")
        assert.header(asked(t, { A = "1", C = "1" }), "X-Back", "C")
        assert.status(asked(t, { A = "1" }), 401)
        assert.called("api", 2)
      end
    end)

    it("responses through the winner, then through the steps before", function()
      local around = { before = { wants("X", 401) }, after = { wants("Y", 401) } }
      local t = gateway({ wants("A", 401), wants("B", 401) }, around)
      assert.header(asked(t, { X = "1", B = "1", Y = "1" }), "X-Back", "Y, B, X")
      -- What refuses behind the group refuses: no other alternative is asked.
      local res, names = asked(t, { X = "1", A = "1", B = "1" })
      assert.problem(res, 401, "no-y")
      assert.equal("XAY", names)
    end)
  end)

  describe("undoes what a refused alternative did", function()
    it("to the request", function()
      local changes = [[req.method, req.path, req.query, req.service = "PUT", "/x", "q=1", "other"
        req:set_header("X-Old", nil) for i = 1, 40 do req:set_header("X-" .. i, "y") end]]
      local t = gateway({ wants("A", 401, changes), wants("B", 401) }, { upstreams = { api = {}, other = {} } })
      local res = t:request { path = "/p?a=1", headers = { B = "1", ["X-Old"] = "o" } }
      assert.status(res, 200)
      local _, last = t:seen "api"
      assert.same({ "GET", "/p", "a=1", "o", nil }, { last.method, last.path, last.query, last:header "X-Old",
        last:header "X-1" })
      assert.equal(0, (t:seen "other"))
    end)

    it("to the identity, which nobody has when all refuse", function()
      local t = gateway { wants("A", 403), { lua = "return { request = function(req) req.ctx.at_b = req.auth end }" } }
      local _, req = t:request { auth = { subject = "ann" } }
      assert.equal("ann", req.ctx.at_b.subject)
      _, req = t:request "/"
      assert.is_nil(req.ctx.at_b)
      _, req = gateway({ wants("A", 403) }):request "/"
      assert.is_nil(req.auth)
    end)

    it("to a copy and its identity as well", function()
      local copies = { lua = "return function(req, next) req.auth = { subject = 'ann' } return next(req:copy()) end" }
      local t = gateway({ wants("A", 401), { lua = [[return { request = function(req)
        req:set_header("X-Auth", req.auth.subject)
        req.auth = nil
        if req:header "B" then return mg.problem(401, "no") end
      end }]] }, { lua = "return { request = function(req) req:set_header('X-Auth', req.auth.subject) end }" } },
        { before = { copies } })
      for _, header in ipairs { "B", "C" } do
        assert.status(t:request { headers = { [header] = "1" } }, 200)
        assert.equal("ann", select(2, t:seen "api"):header "X-Auth")
        assert.is_nil(select(2, t:seen "api"):header "X-Who")
      end
    end)

    it("to the body, when that was in memory", function()
      local change = [[req:set_body(req:text() .. "!")]]
      local step = { lua = "return { request = function(req) req:text() end }" }
      local t = gateway({ wants("A", 401, change), wants("B", 401) }, { before = { step } })
      t:request { method = "POST", body = "abc", headers = { B = "1" } }
      assert.equal("abc", select(2, t:seen "api").body)
      t:request { method = "POST", body = "abc", headers = { A = "1" } }
      assert.equal("abc!", select(2, t:seen "api").body)
    end)

    it("but keeps a body that came into memory, and the request's id", function()
      local t = gateway { wants("A", 401, "req.ctx.text, req.ctx.id = req:text(), req.id"), wants("B", 401) }
      local res, req = t:request { method = "POST", chunks = { "ab", "c" }, headers = { B = "1" } }
      assert.status(res, 200)
      assert.equal("abc", select(2, t:seen "api").body)
      assert.equal(req.ctx.id, req.id)
    end)
  end)

  describe("refuses", function()
    local function answer(...)
      local steps = {}
      for i, status in ipairs { ... } do steps[i] = wants(string.char(64 + i), status) end
      local t = gateway(steps)
      local res = t:request "/"
      assert.called("api", 0)
      return res
    end

    it("with the challenges of all, each once", function()
      local res = answer(401, 400, 401)
      assert.problem(res, 401, "no-a")
      assert.same({ "A", "B", "C" }, res:header_values "WWW-Authenticate")
      res = gateway({ wants("A", 401), wants("A", 401) }):request "/"
      assert.same({ "A" }, res:header_values "WWW-Authenticate")
    end)

    it("with what tells most", function()
      for _, case in ipairs {
        { "no-a", 400, 400 }, { "no-b", 400, 401 }, { "no-a", 401, 401 }, { "no-b", 401, 429 }, { "no-a", 404, 401 },
        { "no-b", 429, 403 }, { "no-b", 401, 403, 401 }, { "no-b", 403, 503 }, { "no-a", 500, 503 },
      } do
        local slug = table.remove(case, 1)
        local res = answer(table.unpack(case))
        assert.problem(res, case[slug:byte(-1) - 96], slug)
      end
    end)

    it("with the 401 that saw credentials, before those that saw none", function()
      local bad = { lua = [[return { request = function()
        local challenge = 'Key realm="x", error="invalid_token"'
        return mg.problem(401, "bad", nil, { headers = { ["WWW-Authenticate"] = challenge } })
      end }]] }
      local res = gateway({ wants("A", 401), bad }):request "/"
      assert.problem(res, 401, "bad")
      assert.same({ "A", 'Key realm="x", error="invalid_token"' }, res:header_values "WWW-Authenticate")
    end)

    it("through the steps before, not through those that refused behind", function()
      local t = gateway({ { wants("A", 401), wants("B", 401) } }, { before = { wants("X", 401) } })
      assert.header(asked(t, { X = "1", A = "1" }), "X-Back", "A, X")
    end)
  end)

  describe("takes for an answer", function()
    it("what is no refusal", function()
      for _, status in ipairs { 200, 204, 302, 304 } do
        local t = gateway { wants("A", 401), { respond = { status = status } }, wants("B", 401) }
        local res, names = asked(t, { B = "1" })
        assert.status(res, status)
        assert.equal("A", names)
      end
    end)

    it("a body that is too large", function()
      local t = T.new {
        policies = { { ["any-of"] = { wants("A", 401), "buffer-reader", wants("B", 401) } } }, upstreams = { api = {} },
        config = { limits = { buffered_body_bytes = 10 }, lua = { path = { "tests/spec/policies" } } },
      }
      assert.status(t:request { method = "POST", body = "1234567890" }, 200)
      local res, req = t:request { method = "POST", body = "12345678901", headers = { B = "1" } }
      assert.problem(res, 413, "content-too-large")
      assert.equal("A", req.ctx.asked)
      assert.called("api", 1)
    end)
  end)

  describe("fails closed", function()
    local crash = { lua = "return { request = function() error 'down' end }" }

    it("when an alternative fails", function()
      local t = gateway { crash, wants("A", 401) }
      assert.problem(t:request "/", 500, "internal-error")
      assert.called("api", 0)
      assert.status(asked(t, { A = "1" }), 200)
    end)

    it("when one goes on after an error", function()
      local t = gateway { { lua = crash.lua, on_error = "continue" } }
      assert.problem(t:request "/", 403, "no-alternative")
      t = gateway { { lua = "return function(req, next) error 'down' end", on_error = "continue" }, wants("A", 401) }
      assert.problem(t:request "/", 401, "no-a")
      t = gateway { { lua = crash.lua, when = "req.nothing.here", on_error = "continue" } }
      assert.problem(t:request "/", 403, "no-alternative")
      assert.called("api", 0)
    end)

    it("when no alternative applies", function()
      local never = wants("A", 401)
      never.when = "req.method == 'PUT'"
      local t = gateway { never, { ["all-of"] = { never } }, { never, never },
        { headers = { response = { set = { ["X-A"] = "1" } } } } }
      assert.problem(asked(t, { A = "1" }), 403, "no-alternative")
      assert.status(t:request { method = "PUT", headers = { A = "1" } }, 200)
      assert.called("api", 1)
    end)

    it("on its own `when` only as told", function()
      local t = T.new { upstreams = { api = {} }, policies = {
        { ["any-of"] = { wants("A", 401) }, when = "req.method ~= 'GET'" } } }
      assert.status(t:request "/", 200)
      assert.status(t:request { method = "PUT" }, 401)
    end)
  end)

  describe("holds onions", function()
    local function onion(text) return { lua = "return function(req, next) " .. text .. " end" } end

    it("that call next once, twice or with a copy", function()
      local t = gateway { onion "local res = next(req) res:add_header('X-Back', 'A') return res" }
      assert.header(t:request "/", "X-Back", "A")
      t = gateway({ onion "next(req) return next(req)" }, { after = { wants("B", 401) } })
      assert.header(asked(t, { B = "1" }), "X-Back", "B")
      assert.called("api", 2)
      t = gateway { onion "local c = req:copy() c:set_header('X-Who', 'copy') return next(c)" }
      assert.header(t:request "/", "X-Seen", "copy")
    end)

    it("that refuse", function()
      local t = gateway { onion "return mg.problem(401, 'inside')", wants("B", 401) }
      assert.header(asked(t, { B = "1" }), "X-Back", "B")
      assert.problem(t:request "/", 401, "inside")
    end)

    it("whose word after next is the last", function()
      local t = gateway { onion "next(req) return mg.problem(401, 'after')", wants("B", 401) }
      assert.problem(asked(t, { B = "1" }), 401, "after")
      t = gateway { onion "next(req) error 'after'", wants("B", 401) }
      assert.problem(asked(t, { B = "1" }), 500)
      assert.called("api", 1)
    end)

    it("and stands in one", function()
      local t = gateway({ wants("A", 401), wants("B", 401) }, { before = { onion [[
        local res = next(req)
        if res.status == 401 then req:set_header("B", "1") res = next(req) end
        return res]] } })
      assert.header(t:request "/", "X-Back", "B")
    end)
  end)

  it("waits where its steps wait, and stops when the client leaves", function()
    local slow = { lua = [[return { request = function(req)
      mg.sleep(1)
      if not req:header "A" then return mg.problem(401, "slow") end
      return function(res) mg.sleep(1) res:set_header("X-Slow", "1") end
    end, finish = function() mg.log.info "finished slow" end }]] }
    local t = gateway { slow, wants("B", 401) }
    assert.header(t:request { headers = { A = "1" } }, "X-Slow", "1")
    assert.near(2, t:now(), 1e-6)
    assert.header(t:request { headers = { B = "1" } }, "X-Back", "B")
    assert.near(3, t:now(), 1e-6)
    t:settle()
    local before = #t:log "finished slow"
    local client = t:connect()
    client:send "GET / HTTP/1.1\r\nHost: a\r\nB: 1\r\n\r\n"
    client:reset()
    t:settle()
    assert.near(3, t:now(), 1e-6)
    assert.equal(before + 1, #t:log "finished slow")
    assert.equal(1, #t:log "finished B")
  end)

  it("keeps to the deadline", function()
    local t = T.new { upstreams = { api = {} }, timeout = 1, policies = {
      { ["any-of"] = { { lua = "return { request = function() mg.sleep(5) end }" }, wants("B", 401) } } } }
    assert.status(asked(t, { B = "1" }), 504)
    assert.near(1, t:now(), 1e-6)
  end)

  it("runs `finish` of the steps that were reached", function()
    local t = gateway({ { wants("A", 401), wants("X", 401) }, wants("B", 401), wants("C", 401) },
      { after = { wants("D", 401) } })
    asked(t, { B = "1", D = "1" })
    t:settle()
    local told = {}
    for _, name in ipairs { "A", "X", "B", "C", "D" } do told[#told + 1] = name .. #t:log("finished " .. name) end
    assert.equal("A1 X0 B1 C0 D1", table.concat(told, " "))
  end)

  it("shows its errors to the route's on_error steps once, and refusals never", function()
    local t = T.load("on_error.yaml", { upstreams = { api = {} }, text = [[
      services: { api: { backends: ["a:80"] } }
      routes:
        - match: /*
          service: api
          policies:
            - any-of:
                - lua: "return { request = function(req) if not req:header 'A' then error 'down' end end }"
                - lua: "return { request = function(req) if not req:header 'B' then return mg.reply(401) end end }"
          on_error:
            - lua: "return { response = function(_, res) mg.log.info 'handled' res:set_header('X-Handled', '1') end }"
    ]] })
    assert.status(t:request { headers = { B = "1" } }, 200)
    assert.equal(0, #t:log "handled")
    assert.header(t:request "/", "X-Handled", "1")
    assert.equal(1, #t:log "handled")
  end)

  describe("with the gateway's own authentication", function()
    local files = {}
    local function secret_file(text)
      local name = os.tmpname()
      local file = assert(io.open(name, "wb"))
      file:write(text)
      file:close()
      files[#files + 1] = name
      return { file = name }
    end

    local function secured(more, after)
      return gateway({ { jwt = { keys = "main" } }, { ["key-auth"] = {} }, more }, {
        after = after or { { ["claim-to-header"] = {} } },
        config = {
          keys = { main = { secret = SECRET, algorithms = "HS256" } },
          secrets = { k = secret_file "bobs-key" },
          consumers = { { name = "bob", keys = { "k" } } },
        },
        upstreams = { api = function(req) return { body = req:header "X-User-Id" or "nobody" } end },
      })
    end

    teardown(function()
      for _, name in ipairs(files) do os.remove(name) end
    end)

    local good = T.jwt({ sub = "ann", exp = NOW + 3600 }, { key = SECRET })
    local expired = T.jwt({ sub = "ann", exp = NOW - 1 }, { key = SECRET })
    local none = "eyJhbGciOiJub25lIn0." .. good:match "^[^.]+%.([^.]+)" .. "."

    it("takes either", function()
      local t = secured()
      assert.equal("ann", t:request({ headers = { Authorization = "Bearer " .. good } }):text())
      assert.equal("bob", t:request({ headers = { ["X-API-Key"] = "bobs-key" } }):text())
    end)

    it("asks for both", function()
      local res = secured():request "/"
      assert.problem(res, 401, "no-token")
      assert.same({ 'Bearer realm="moongate"', 'Key realm="moongate"' }, res:header_values "WWW-Authenticate")
    end)

    for what, headers in pairs {
      ["an expired token"] = { Authorization = "Bearer " .. expired },
      ["an unsigned token"] = { Authorization = "Bearer " .. none },
      ["half a token"] = { Authorization = "Bearer " .. good:sub(1, 60) },
      ["no token at all"] = { Authorization = "Bearer" },
      ["two tokens"] = { Authorization = { "Bearer " .. good, "Bearer " .. good } },
      ["bytes"] = { Authorization = "Bearer \255\254" },
      ["another scheme"] = { Authorization = "Basic Ym9iOng=" },
    } do
      it("lets nobody in with " .. what .. " and a bad key", function()
        local t = secured()
        headers["X-API-Key"] = "bobs-key "
        local both = { Authorization = headers.Authorization, ["X-API-Key"] = { "bobs-key", "bobs-key" } }
        for _, sent in ipairs { { Authorization = headers.Authorization }, both,
          { Authorization = headers.Authorization, ["X-API-Key"] = "bobs-kez" } } do
          local status = t:request({ headers = sent }).status
          assert.is_true(status == 401 or status == 400, status)
        end
        assert.called("api", 0)
      end)

      it("knows who has a good key by that, whatever " .. what .. " says", function()
        local t = secured()
        assert.equal("bob", t:request({
          headers = { Authorization = headers.Authorization, ["X-API-Key"] = "bobs-key", ["X-User-Id"] = "ann" },
        }):text())
      end)
    end

    it("takes the first of two good ones, and one identity", function()
      local t = secured()
      local res, req = t:request { headers = { Authorization = "Bearer " .. good, ["X-API-Key"] = "bobs-key" } }
      assert.equal("ann", res:text())
      assert.equal("jwt", req.auth.scheme)
      assert.is_nil(req.auth.claims.groups)
    end)

    it("never passes on who a client says it is", function()
      local t = secured({ ["ip-filter"] = { deny = "0.0.0.0/0" } })
      local res = t:request {
        headers = { ["X-API-Key"] = "bobs-key", ["X-User-Id"] = { "ann", "root" }, x_user_id = "root" },
      }
      assert.equal("bob", res:text())
    end)
  end)

  describe("config", function()
    local function faults(policies, more)
      local ok, fault = pcall(T.load, "x.yaml", { upstreams = {}, text = ([[
services: { api: { backends: ["a:80"] } }
keys: { main: { secret: s, algorithms: HS256 } }
secrets: { s: { env: PATH } }
%s
routes: [{ match: /*, service: api, policies: %s }]
]]):format(more or "", policies) })
      return not ok and tostring(fault) or ""
    end

    for _, case in ipairs {
      { "[{ any-of: [{ jwt: { keys: nope } }] }]", "routes[0].policies[0].any-of[0].jwt.keys" },
      { "[{ any-of: [{ jwt: { keys: [nope] } }] }]", "routes[0].policies[0].any-of[0].jwt.keys[0]" },
      { "[{ any-of: [[key-auth, { jwt: { kez: main } }]] }]",
        "routes[0].policies[0].any-of[0][1].jwt.kez: unknown field" },
      { "[{ any-of: [kez-auth] }]", "routes[0].policies[0].any-of[0]: unknown policy 'kez-auth'" },
      { "[{ any-of: [{ use: nope }] }]", "routes[0].policies[0].any-of[0].use: unknown pipeline 'nope'" },
      { "[{ any-of: [{ lua: 'return +' }] }]", "routes[0].policies[0].any-of[0].lua: Lua:" },
      { "[{ any-of: [] }]", "routes[0].policies[0].any-of: must have at least 1 item" },
      { "[any-of]", "routes[0].policies[0].any-of" },
      { "[{ any-of: [[]] }]", "routes[0].policies[0].any-of[0]: must have at least 1 step" },
      { "[{ any-of: [7] }]", "routes[0].policies[0].any-of[0]: expected step or list of steps, got number 7" },
      { "[{ any-of: { jwt: {} } }]", "routes[0].policies[0].any-of: expected list, got map" },
      { "[{ any-of: [{ csrf: {}, enabled: false }] }]", "routes[0].policies[0].any-of: no step is left in it" },
      { "[{ any-of: [csrf], on_error: continue }]",
        "routes[0].policies[0].on_error: stands with the steps in the group" },
      { "[{ any-of: [{ rbac: { roles: a } }] }]", 'any-of[0].rbac: needs "identity"; no step provides it' },
      { "[{ any-of: [{ ip-filter: { deny: 10.0.0.0/8 } }, { jwt: { keys: main } }] }, { rbac: { roles: a } }]",
        'routes[0].policies[1].rbac: needs "identity"; no step provides it' },
      { "[{ any-of: [{ rbac: { roles: a } }] }, { jwt: { keys: main } }]",
        'needs "identity"; the step that provides it (jwt, policies[1]) comes later' },
      { "[{ any-of: [{ use: p }] }]", "pipelines use each other in a circle: p -> p",
        "pipelines: { p: [{ any-of: [{ use: p }] }] }" },
    } do
      it("is wrong: " .. case[1], function()
        assert.matches(case[2], faults(case[1], case[3]), 1, true)
      end)
    end

    it("knows what every alternative provides", function()
      local jwt = "{ jwt: { keys: main } }"
      for _, policies in ipairs {
        ("[{ any-of: [%s, [{ ip-filter: { deny: 10.0.0.0/8 } }, %s]] }, { rbac: { roles: a } }]"):format(jwt, jwt),
        ("[{ any-of: [[%s, { rbac: { roles: a } }], { all-of: [%s, csrf] }] }, claim-to-header]"):format(jwt, jwt),
        ("[%s, { any-of: [{ rbac: { roles: a } }] }]"):format(jwt),
        ("[{ any-of: [%s, { csrf: {}, enabled: false }] }, claim-to-header]"):format(jwt),
      } do
        assert.equal("", faults(policies))
      end
    end)

    it("nests, but not for ever", function()
      local function nested(n) return ("[{ any-of: "):rep(n) .. "[csrf]" .. (" }]"):rep(n) end
      assert.equal("", faults(nested(16)))
      assert.matches("steps in steps, more than 16 levels deep", faults(nested(17)), 1, true)
      local pipelines = { "pipelines: { p0: [csrf]" }
      for i = 1, 17 do pipelines[i + 1] = (", p%d: [{ any-of: [{ use: p%d }] }]"):format(i, i - 1) end
      assert.matches("steps in steps, more than 16 levels deep",
        faults("[{ use: p17 }]", table.concat(pipelines) .. " }"), 1, true)
    end)

    it("counts steps in steps", function()
      local many = ("[csrf%s]"):format((", csrf"):rep(59))
      local text = ("[{ any-of: [%s%s] }]"):format(many, (", " .. many):rep(17))
      assert.matches("more than 1000 steps in one route", faults(text), 1, true)
    end)

    it("may hold functions", function()
      local t = gateway { function() return require "moongate".reply(204) end }
      assert.status(t:request "/", 204)
    end)
  end)

  it("serves on when the config is replaced by the same", function()
    local module = require "any-of"
    assert.truthy(T.validate(module, { "csrf", { { jwt = {} }, "csrf" } }))
    assert.is_nil((T.validate(module, "csrf")))
  end)
end)
