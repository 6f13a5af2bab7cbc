local T = require "moongate.test"
local mg = require "moongate"

local LOW = { ln = 4, r = 1, p = 1 }
local SECRETS = {
  ann = mg.crypto.password_hash("open: sesame", LOW),
  bob = mg.crypto.password_hash("g\u{fc}nter", { algorithm = "pbkdf2-sha256", iterations = 1000 }),
  nil_ = mg.crypto.password_hash("", LOW),
  plain = "open: sesame",
}
local CONSUMERS = {
  { name = "ann", password = "ann", roles = { "admin" }, groups = { "gold" } },
  { name = "b\u{f6}b", password = "bob" },
  { name = "eve" },
}
local CHALLENGE = 'Basic realm="moongate", charset="UTF-8"'

local function gateway(conf, consumers, more)
  return T.new {
    policies = { { ["basic-auth"] = conf or {} }, more },
    upstreams = { api = { body = "ok" } },
    secrets = SECRETS, config = { consumers = consumers or CONSUMERS },
  }
end

local function as(name, password, more)
  local request = { headers = { Authorization = "Basic " .. mg.crypto.base64(name .. ":" .. password) } }
  for key, value in pairs(more or {}) do request[key] = value end
  return request
end

local function sends(value)
  return { headers = { Authorization = value } }
end

local function refuses(t, request, status, slug)
  local res = t:request(request)
  assert.problem(res, status, slug)
  assert.header(res, "WWW-Authenticate", CHALLENGE)
  assert.called("api", 0)
end

-- Seconds of processor time, of the spec and the gateway: both are one process.
local function cost_of(t, request)
  local began = os.clock()
  t:request(request)
  return os.clock() - began
end

-- The least of some, each so many seconds after the one before: what else this process and this machine do is no part
-- of it.
local function least_cost(t, request, apart)
  local least = math.huge
  for _ = 1, 5 do
    t:advance(apart)
    least = math.min(least, cost_of(t, request))
  end
  return least
end

describe("basic-auth", function()
  describe("schema", function()
    it("has defaults", function()
      assert.same({ realm = "moongate", remember = 60, tries = 20, optional = false, forward = false },
        T.validate(require "basic-auth", {}))
    end)

    it("names the path of a bad field", function()
      local function fails(conf, what)
        local ok, err = T.validate(require "basic-auth", conf)
        assert.is_nil(ok)
        assert.matches(what, tostring(err), 1, true)
      end
      fails({ realms = "a" }, "basic-auth.realms: unknown field, did you mean 'realm'?")
      fails({ realm = 'a"b' }, "basic-auth.realm")
      fails({ realm = "a\\b" }, "basic-auth.realm")
      fails({ remember = "2h" }, "basic-auth.remember")
      fails({ tries = 0 }, "basic-auth.tries")
      fails({ consumers = {} }, "basic-auth.consumers")
    end)
  end)

  describe("load", function()
    local function fails(conf, consumers, what)
      local ok, err = pcall(gateway, conf, consumers)
      assert.is_false(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    it("wants consumers that are there and have a password", function()
      fails({ consumers = "zoe" }, nil, "unknown consumer 'zoe'")
      fails({ consumers = { "ann", "eve" } }, nil, "consumer 'eve' has no password")
      fails({}, { { name = "eve" } }, "no consumer has a password")
    end)

    it("wants hashes, and does not say what it found", function()
      fails({}, { { name = "ann", password = "plain" } }, "the password of 'ann' is not a password hash")
      local _, err = pcall(gateway, {}, { { name = "ann", password = "plain" } })
      assert.not_matches("sesame", tostring(err), 1, true)
    end)
  end)

  describe("allowed", function()
    it("knows who it is", function()
      local t = gateway({}, nil, function(req) return mg.reply_json(200, req.auth) end)
      for _ = 1, 2 do
        assert.json(t:request(as("ann", "open: sesame")), { scheme = "basic", subject = "ann", scopes = {},
          roles = { "admin" }, claims = { groups = { "gold" } } })
      end
      assert.equal("b\u{f6}b", (t:request(as("b\u{f6}b", "g\u{fc}nter"))):json().subject)
    end)

    it("does not care about the scheme's case", function()
      local t = gateway()
      local pair = mg.crypto.base64 "ann:open: sesame"
      for _, scheme in ipairs { "basic ", "BASIC ", "Basic  " } do
        assert.status(t:request(sends(scheme .. pair)), 200)
      end
    end)

    it("an empty password, when it is one", function()
      local t = gateway({}, { { name = "nil", password = "nil_" } })
      assert.status(t:request(as("nil", "")), 200)
      assert.problem(t:request(as("nil", " ")), 401, "credentials-invalid")
    end)

    it("takes the password out of the request", function()
      local t = gateway()
      assert.status(t:request(as("ann", "open: sesame")), 200)
      local _, last = t:seen "api"
      assert.is_nil(last:header "Authorization")
    end)

    it("leaves it there when it shall", function()
      local t = gateway { forward = true }
      local request = as("ann", "open: sesame")
      assert.status(t:request(request), 200)
      local _, last = t:seen "api"
      assert.equal(request.headers.Authorization, last:header "Authorization")
    end)

    it("lets those without credentials pass where that is optional", function()
      local t = gateway { optional = true }
      assert.status(t:request "/", 200)
      assert.status(t:request(sends "Bearer x"), 200)
      local _, last = t:seen "api"
      assert.equal("Bearer x", last:header "Authorization")
    end)

    it("gives each request an identity of its own", function()
      local t = gateway({}, nil, function(req)
        local roles = req.auth.roles
        roles[#roles + 1] = "root"
        return mg.reply(200, tostring(#roles))
      end)
      for _ = 1, 3 do assert.equal("2", (t:request(as("ann", "open: sesame"))):text()) end
    end)
  end)

  describe("refused", function()
    it("who sends nothing, or another scheme", function()
      for _, request in ipairs { {}, sends "", sends "Bearer YW5uOm9wZW4=", sends "Basically YW5uOm9wZW4=" } do
        refuses(gateway(), request, 401, "credentials-required")
      end
    end)

    it("what cannot be read", function()
      local t = gateway { optional = true }
      local base64 = mg.crypto.base64
      local bad = {
        "x", "====", (base64 "ann:open: sesame"):gsub("=", ""), base64 "ann:open: sesame" .. "=", "YW5u\tOg==",
        base64 "ann", base64 "ann:open:\0 sesame", base64 "ann:open: sesame\n", base64 "\x7fann:x", base64 "ann:\xff",
        base64 "b\xf6b:g\xfcnter", base64 "ann:open: sesame" .. " x", base64 "ann:open: sesame" .. ", Basic x",
      }
      for _, text in ipairs(bad) do
        assert.problem(t:request(sends("Basic " .. text)), 401, "credentials-invalid")
      end
      assert.problem(t:request(sends "Basic"), 401, "credentials-invalid")
      assert.called("api", 0)
    end)

    it("wrong names and passwords", function()
      local t = gateway { tries = 1000, optional = true }
      local wrong = {
        { "ann", "" }, { "ann", "open" }, { "ann", "open: sesam" }, { "ann", "open: sesamee" },
        { "Ann", "open: sesame" },
        { "", "open: sesame" }, { "zoe", "open: sesame" }, { "eve", "" }, { "ann ", "open: sesame" },
        { "b\u{f6}b", "open: sesame" }, { "bo\u{308}b", "g\u{fc}nter" }, { "ann", ("a"):rep(3000) },
        { "ann", SECRETS.ann },
      }
      for _, pair in ipairs(wrong) do refuses(t, as(pair[1], pair[2]), 401, "credentials-invalid") end
    end)

    it("a name that is not in the list", function()
      local t = gateway { consumers = "b\u{f6}b" }
      assert.status(t:request(as("b\u{f6}b", "g\u{fc}nter")), 200)
      assert.problem(t:request(as("ann", "open: sesame")), 401, "credentials-invalid")
    end)

    it("two of them", function()
      local value = as("ann", "open: sesame").headers.Authorization
      refuses(gateway { optional = true }, sends { value, value }, 400, "credentials-ambiguous")
      refuses(gateway(), sends { value, "Bearer x" }, 400, "credentials-ambiguous")
    end)

    it("says nothing about them in the log", function()
      local t = gateway()
      t:request(as("ann", "guess-7301"))
      assert.equal(1, #t:log "name or password refused")
      assert.equal(0, #t:log "guess%-7301")
    end)
  end)

  describe("wrong passwords", function()
    it("of one address are limited, and time brings them back", function()
      local t = gateway { tries = 3 }
      local from = { client_ip = "192.0.2.1" }
      for _ = 1, 3 do assert.problem(t:request(as("ann", "x", from)), 401, "credentials-invalid") end
      local res = t:request(as("ann", "open: sesame", from))
      assert.problem(res, 429, "too-many-tries")
      assert.header(res, "Retry-After", "20")
      assert.status(t:request(as("ann", "open: sesame", { client_ip = "192.0.2.2" })), 200)
      t:advance(21)
      assert.status(t:request(as("b\u{f6}b", "g\u{fc}nter", from)), 200)
    end)

    it("do not lock out who is remembered", function()
      local t = gateway { tries = 1 }
      assert.status(t:request(as("ann", "open: sesame")), 200)
      assert.problem(t:request(as("ann", "x")), 401, "credentials-invalid")
      assert.problem(t:request(as("ann", "x")), 429, "too-many-tries")
      assert.status(t:request(as("ann", "open: sesame")), 200)
    end)

    it("are not counted when they were right", function()
      local t = gateway { tries = 1, remember = 0 }
      for _ = 1, 5 do assert.status(t:request(as("ann", "open: sesame")), 200) end
    end)
  end)

  describe("memory", function()
    -- Each hash takes some 5 ms: enough to tell it from none by the processor's time.
    local slow = { { name = "ann", password = "slow" } }
    SECRETS.slower = mg.crypto.password_hash("open", { ln = 14, r = 8, p = 1 })
    SECRETS.slow = mg.crypto.password_hash("open", { ln = 12, r = 8, p = 1 })

    it("ends", function()
      local t = gateway({ remember = 10 }, slow)
      local hashed = least_cost(t, as("ann", "open"), 11)
      assert.is_true(least_cost(t, as("ann", "open"), 0) < hashed / 4)
    end)

    it("can be switched off", function()
      local hashed = least_cost(gateway({ remember = 10 }, slow), as("ann", "open"), 11)
      assert.is_true(least_cost(gateway({ remember = 0 }, slow), as("ann", "open"), 0) > hashed / 4)
    end)

    it("hashes, and no run of policy code is too long by that", function()
      local t = T.new {
        policies = { "basic-auth" }, upstreams = { api = { body = "ok" } },
        secrets = SECRETS,
        config = { consumers = { { name = "ann", password = "slower" } }, limits = { lua_run = "15ms" } },
      }
      assert.status(t:request(as("ann", "open")), 200)
    end)

    it("is of one password", function()
      local t = gateway({}, slow)
      assert.status(t:request(as("ann", "open")), 200)
      assert.problem(t:request(as("ann", "opem")), 401, "credentials-invalid")
      assert.problem(t:request(as("zoe", "open")), 401, "credentials-invalid")
    end)

    it("does not tell who there is", function()
      local t = gateway({ tries = 1000 }, slow)
      local known, unknown, tries = math.huge, math.huge, 0
      local function alike() return known < unknown * 1.5 and unknown < known * 1.5 end
      repeat
        known = math.min(known, cost_of(t, as("ann", "wrong")))
        unknown = math.min(unknown, cost_of(t, as("zoe", "wrong")))
        tries = tries + 1
      until tries >= 10 and alike() or tries == 400
      assert.is_true(alike())
    end)
  end)

  it("passes failures of the backend on", function()
    local t = T.new { policies = { "basic-auth" }, upstreams = { api = { error = "refused" } },
      secrets = SECRETS, config = { consumers = CONSUMERS } }
    assert.status(t:request(as("ann", "open: sesame")), 503)
  end)
end)
