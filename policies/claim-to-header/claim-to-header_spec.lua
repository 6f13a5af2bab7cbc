local T = require "moongate.test"
local mg = require "moongate"

local ANN = { subject = "ann", claims = { sub = "ann" } }

local function gateway(conf, more)
  return T.new { policies = { { ["claim-to-header"] = conf or {} }, more }, upstreams = { api = { body = "ok" } } }
end

-- What the backend gets in `header` for an identity.
local function header_for(conf, auth, header, headers)
  local t = gateway(conf)
  assert.status(t:request { auth = auth, headers = headers }, 200)
  return select(2, t:seen "api"):header(header or "X-User-Id")
end

describe("claim-to-header", function()
  describe("schema", function()
    local function refuses(conf, what)
      local ok, err = T.validate(require "claim-to-header", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    local function takes(conf) assert.truthy(T.validate(require "claim-to-header", conf)) end

    it("needs somebody who provides the identity, unless that is optional", function()
      local text = [[
        services: { api: { backends: ["a:80"] } }
        routes: [{ match: /*, service: api, policies: [{ claim-to-header: %s }] }]
      ]]
      local function load(conf)
        return T.load("x.yaml", { text = text:format(conf), upstreams = { api = { body = "ok" } } })
      end
      local ok, fault = pcall(load, "{}")
      assert.is_false(ok)
      assert.matches('needs "identity"', tostring(fault), 1, true)
      local t = load "{ optional: true }"
      t:request { headers = { ["X-User-Id"] = "ann" } }
      assert.is_nil(select(2, t:seen "api"):header "X-User-Id")
      refuses({ optional = true, required = true }, "claim-to-header.optional")
    end)

    it("knows how much is too much", function()
      takes { claim = "a" }
      takes { claim = ("a"):rep(256), required = { ("a"):rep(256) } }
      refuses({ claim = ("a"):rep(257) }, "claim-to-header.claim")
      refuses({ required = { ("a"):rep(257) } }, "claim-to-header.required")
      refuses({ required = { "" } }, "claim-to-header.required")
      refuses({ claims = { [("a"):rep(257)] = "X-A" } }, "claim-to-header.claims")
      refuses({ claims = { [""] = "X-A" } }, "claim-to-header.claims")
      takes { claims = { [("a"):rep(256)] = "X-A" } }
      local many = {}
      for i = 1, 100 do many["c" .. i] = "X-C" .. i end
      takes { claims = many }
      many.more = "X-More"
      refuses({ claims = many }, "claim-to-header.claims")
    end)

    it("takes a claim alone, or several", function()
      assert.same({ required = false, optional = false }, T.validate(require "claim-to-header", {}))
      assert.same({ "userId" }, T.validate(require "claim-to-header",
        { claims = { userId = "X-User-Id" }, required = "userId" }).required)
      assert.truthy(T.validate(require "claim-to-header", { required = "sub" }))
      assert.is_nil((T.validate(require "claim-to-header", { required = "" })))
      assert.truthy(T.validate(require "claim-to-header", { claim = "a", header = "X-A", required = { "a" } }))
    end)

    it("takes one form alone", function()
      refuses({ claims = { a = "X-A" }, claim = "b" }, "claim-to-header.claim: is in 'claims', or alone, but not both")
      refuses({ claims = { a = "X-A" }, header = "X-B" }, "claim-to-header.header: stands in 'claims' beside its claim")
      refuses({ claims = {} }, "claim-to-header.claims")
      refuses({ claims = { a = "X A" } }, "claim-to-header.claims.a")
      refuses({ header = "X A" }, "claim-to-header.header")
      refuses({ claim = "" }, "claim-to-header.claim")
    end)

    it("refuses headers that are not its business", function()
      for _, name in ipairs { "Host", "content-length", "Content_Length", "Connection", "Transfer-Encoding", "te" } do
        refuses({ header = name }, ("claim-to-header.header: '%s' is written by the gateway itself"):format(name))
        refuses({ claims = { a = name } }, "claim-to-header.claims: ")
      end
    end)

    it("refuses a header for two claims", function()
      refuses({ claims = { a = "X-A", b = "x_a" } }, "comes twice")
    end)

    it("refuses to require what goes nowhere", function()
      refuses({ claims = { a = "X-A" }, required = { "b" } }, "claim-to-header.required: 'b' goes to no header")
      refuses({ claim = "a", required = { "sub" } }, "claim-to-header.required: 'sub' goes to no header")
    end)
  end)

  it("needs somebody who provides the identity", function()
    local ok, fault = pcall(T.load, "x.yaml", { text = [[
      services: { api: { backends: ["a:80"] } }
      routes: [{ match: /*, service: api, policies: [claim-to-header] }]
    ]] })
    assert.is_false(ok)
    assert.matches('needs "identity"', tostring(fault), 1, true)
  end)

  describe("values", function()
    local CASES = {
      { "text", "ann", "ann" },
      { "other alphabets", "Jörg", "Jörg" },
      { "an integer", 42, "42" },
      { "a whole float", 42.0, "42" },
      { "a float", 0.5, "0.5" },
      { "a negative number", -1, "-1" },
      { "true", true, "true" },
      { "false", false, "false" },
      { "a list", { "a", 2, 3.0, true }, "a, 2, 3, true" },
      { "blanks inside", "ann  b\tc", "ann  b\tc" },
      { "a comma", "Doe, Jane", "Doe, Jane" },
      { "an empty text", "", nil },
      { "an empty list", {}, nil },
      { "a very large number", 1e300, "1e+300" },
      { "a number that is just no integer", 2.0 ^ 63, "9.2233720368548e+18" },
      { "null", mg.json.null, nil },
    }
    for _, case in ipairs(CASES) do
      it("can be " .. case[1], function()
        assert.equal(case[3], header_for({ claim = "x" }, { subject = "s", claims = { x = case[2] } }))
      end)
    end

    local BAD = {
      { "a line break", "a\r\nX-Admin: 1" }, { "a line feed", "a\n" }, { "a carriage return", "a\rb" },
      { "NUL", "a\0b" }, { "DEL", "a\127" }, { "a blank in front", " ann" }, { "a blank behind", "ann " },
      { "a tab behind", "ann\t" },
      { "an object", { a = 1 } }, { "a list in a list", { { "a" } } }, { "an object in a list", { { a = 1 } } },
      { "a line break in a list", { "a", "b\r\nc" } }, { "a comma in a list", { "user", "x, admin" } },
      { "an empty item", { "a", "" } }, { "null in a list", { "a", mg.json.null } },
    }
    for _, case in ipairs(BAD) do
      it("cannot have " .. case[1], function()
        local t = gateway { claim = "x" }
        local auth = { subject = "s", claims = { x = case[2] } }
        local res = t:request { auth = auth, headers = { ["X-User-Id"] = "evil" } }
        assert.problem(res, 403, "unusable-claim")
        assert.equal("The claim 'x' cannot be passed on", res:json().detail)
        assert.called(t, "api", 0)
        assert.same({ "x", "X-User-Id" }, { t:log("a claim cannot stand in a header")[1].claim,
          t:log("a claim cannot stand in a header")[1].header })
        assert.same({}, t:log "policy failed")
      end)
    end
  end)

  describe("claims", function()
    it("are several, each with its header", function()
      local t = gateway { claims = { userId = "X-User-Id", role = "X-User-Role" } }
      t:request { auth = { subject = "x", claims = { userId = 42, role = "ADMIN", other = "o" } } }
      local _, last = t:seen "api"
      assert.same({ "42", "ADMIN" }, { last:header "X-User-Id", last:header "X-User-Role" })
    end)

    it("lie inside of others", function()
      local auth = { subject = "s", claims = { a = { b = { c = "deep" } }, text = "t" } }
      assert.equal("deep", header_for({ claim = "a.b.c" }, auth))
      for _, path in ipairs { "a.b.x", "a.x.c", "x.b.c", "text.b", "a..", "." } do
        assert.is_nil((header_for({ claim = path, header = "X-A" }, auth, "X-A")) or nil)
      end
    end)

    it("may have dots in their names", function()
      assert.equal("v", header_for({ claim = "https://example.com/id" },
        { subject = "s", claims = { ["https://example.com/id"] = "v" } }))
      local both = { ["a.b"] = "flat", a = { b = "x" } }
      assert.equal("flat", header_for({ claim = "a.b" }, { subject = "s", claims = both }))
    end)

    it("have the subject as sub, whatever has verified it", function()
      assert.equal("ann", header_for({}, { subject = "ann" }))
      assert.equal("bob", header_for({}, { subject = "ann", claims = { sub = "bob" } }))
    end)
  end)

  it("tells who it is of copies of requests, too", function()
    local t = T.new { policies = { function(req, next)
      local copy = req:copy()
      copy.auth = { subject = "bob" }
      return next(copy)
    end, "claim-to-header" }, upstreams = { api = { body = "ok" } } }
    t:request { auth = ANN, headers = { ["X-User-Id"] = "evil" } }
    assert.same({ "bob" }, select(2, t:seen "api"):header_values "X-User-Id")
  end)

  it("asks no metamethod of what a step says of the client", function()
    local asked = 0
    local claims = setmetatable({}, { __index = function()
      asked = asked + 1
      return "ann"
    end })
    local t = T.new { policies = { function(req, next)
      req.auth = { claims = claims }
      return next(req)
    end, { ["claim-to-header"] = { claim = "x", required = true } } }, upstreams = { api = { body = "ok" } } }
    assert.problem(t:request "/", 403, "missing-claim")
    assert.equal(0, asked)
  end)

  describe("required", function()
    local ALL = { claims = { userId = "X-User-Id", role = "X-User-Role" }, required = true }

    it("is nothing by default", function()
      assert.is_nil((header_for({ claim = "x" }, ANN)))
    end)

    for what, claims in pairs {
      ["not there"] = { userId = 1 }, null = { userId = 1, role = mg.json.null }, empty = { userId = 1, role = "" },
    } do
      it("means 403 for a claim that is " .. what, function()
        local t = gateway(ALL)
        local res = t:request { auth = { subject = "x", claims = claims } }
        assert.problem(res, 403, "missing-claim")
        assert.equal("The identity has no claim 'role'", res:json().detail)
        assert.called(t, "api", 0)
      end)
    end

    it("names the first that lacks", function()
      local claims = {}
      for letter in ("abcdefghijklmnopqrstuvwxyz"):gmatch "." do claims[letter] = "X-" .. letter end
      local res = gateway({ claims = claims, required = true }):request { auth = { subject = "x" } }
      assert.equal("The identity has no claim 'a'", res:json().detail)
    end)

    it("may be some of them", function()
      local t = gateway { claims = ALL.claims, required = "userId" }
      assert.status(t:request { auth = { subject = "x", claims = { userId = 1 } } }, 200)
      assert.problem(t:request { auth = { subject = "x", claims = { role = "a" } } }, 403, "missing-claim")
      assert.problem(t:request { auth = false }, 401, "unauthenticated")
    end)
  end)

  describe("without identity", function()
    it("is 401 where a claim is required", function()
      local res = gateway({ required = true }):request { auth = false }
      assert.problem(res, 401, "unauthenticated")
      assert.header(res, "WWW-Authenticate", 'Bearer realm="moongate"')
    end)

    it("tells the backend nothing, and lets nobody else do so", function()
      assert.is_nil((header_for({}, false, "X-User-Id", { ["X-User-Id"] = "evil" })))
      assert.is_nil((header_for({ required = {} }, false, "x_user_id", { x_user_id = "evil" })))
    end)
  end)

  -- --------------------------------------------------------------------------------------------- attacks

  describe("what the client sends itself", function()
    local NAMES = { "X-User-Id", "X-User-Role" }

    local function normal(name) return (name:lower():gsub("[^%w]", "-")) end

    -- All values that reached the backend under any spelling of our names, but for those the step wrote.
    local function forged(request)
      local found = {}
      for name, value in request:headers() do
        for _, own in ipairs(NAMES) do
          if normal(name) == normal(own) and value ~= "ann" then found[#found + 1] = name .. ": " .. value end
        end
      end
      return found
    end

    local function respell(name, random)
      return (name:gsub(".", function(c)
        if c == "-" then
          local other = { "-", "-", "_", ".", "~" }
          return other[random(#other)]
        end
        return random(2) == 1 and c:upper() or c:lower()
      end))
    end

    -- A generator of its own, so that a failure can be repeated.
    local function generator(seed)
      local state = seed
      return function(n)
        state = (state * 6364136223846793005 + 1442695040888963407) & math.maxinteger
        return (state >> 33) % n + 1
      end
    end

    -- Requests that are sent as bytes have their identity from a step.
    local function raw_gateway(conf)
      local who = {}
      local t = T.new { policies = { function(req, next)
        req.auth = who.auth
        return next(req)
      end, { ["claim-to-header"] = conf } }, upstreams = { api = { body = "ok" } } }
      return t, who
    end

    it("never reaches the backend, in any spelling, order or number", function()
      local t, who = raw_gateway { claims = { sub = "X-User-Id", role = "X-User-Role" } }
      local identities = {
        ANN, { subject = "ann", claims = { role = "" } }, { subject = "ann", claims = { role = "ann" } },
      }
      for seed = 1, 300 do
        local random = generator(seed)
        local lines = { "GET / HTTP/1.1", "Host: a" }
        local innocent = 0
        for _ = 1, random(12) do
          local at = 2 + random(#lines - 1)
          if random(4) == 1 then
            innocent = innocent + 1
            table.insert(lines, at, "X-User-Idea: fine")
          else
            table.insert(lines, at, respell(NAMES[random(2)], random) .. ": evil")
          end
        end
        who.auth = identities[random(4)]
        assert.matches("^HTTP/1.1 200 ", (t:raw(table.concat(lines, "\r\n") .. "\r\n\r\n")), nil, "seed " .. seed)
        local _, last = t:seen "api"
        assert.same({}, forged(last), "seed " .. seed)
        assert.same(who.auth and { "ann" } or {}, last:header_values "X-User-Id")
        assert.equal(innocent, #last:header_values "X-User-Idea")
      end
    end)

    it("cannot make the gateway drop what the step wrote", function()
      local t, who = raw_gateway {}
      who.auth = ANN
      assert.matches("^HTTP/1.1 200 ",
        (t:raw "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-User-Id\r\nX-User-Id: evil\r\n\r\n"))
      assert.same({ "ann" }, select(2, t:seen "api"):header_values "X-User-Id")
    end)

    it("is gone for the steps behind, too", function()
      local seen
      local t = gateway({ claim = "none" }, function(req, next)
        seen = req:header "X-User-Id"
        return next(req)
      end)
      t:request { auth = ANN, headers = { ["X-User-Id"] = "evil" } }
      assert.is_nil(seen)
    end)
  end)

  it("lets upstream failures pass", function()
    local t = T.new { policies = { "claim-to-header" }, upstreams = { api = { error = "refused" } } }
    assert.status(t:request { auth = ANN }, 503)
  end)
end)
