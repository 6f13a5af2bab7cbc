-- Keys that an issuer has: fetched, refreshed, rotated, and what happens while it is away.
local T = require "moongate.test"
local mg = require "moongate"

local NOW = 1767225600 -- 2026-01-01, when gateways of the kit begin
local ISSUER = "https://login.test"
local WELL_KNOWN = "/.well-known/openid-configuration"

local PEM = {
  one = [[
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgh/9GnwFQlcaT/FO0
GLWC7gZ6a5BxTXK5mSsaBDNxJR6hRANCAAQOOaNBv+1roS/7AyqphrHJF8WRjXYN
/GRfYae6K0kqZoQf/DgZQoMj7j/HFX0HfOwpBz4Mz41w8RRzMUzOtbsn
-----END PRIVATE KEY-----
]],
  two = [[
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgHEcaso5CrSyB4JlA
88maadup6jRy1whwHMkyOXEY5fWhRANCAASIqBCsW0vo7MDUrTRAP4c5C72hDNnj
g/YHakEthA3uOFzeCddbvBiEHnF19OfUbXNmJKrV6iSprHHRwRLAlUQi
-----END PRIVATE KEY-----
]],
}

local JWK = {
  one = { kty = "EC", crv = "P-256", kid = "one", x = "DjmjQb_ta6Ev-wMqqYaxyRfFkY12DfxkX2GnuitJKmY",
    y = "hB_8OBlCgyPuP8cVfQd87CkHPgzPjXDxFHMxTM61uyc" },
  two = { kty = "EC", crv = "P-256", kid = "two", x = "iKgQrFtL6OzA1K00QD-HOQu9oQzZ44P2B2pBLYQN7jg",
    y = "XN4J11u8GIQecXX059Rtc2YkqtXqJKmscdHBEsCVRCI" },
}

local function token(kid, claims)
  local all = { exp = NOW + 10 * 86400, sub = "ann", iss = ISSUER }
  for key, value in pairs(claims or {}) do all[key] = value end
  return T.jwt(all, { algorithm = "ES256", key = PEM[kid] or PEM.one, kid = kid })
end

describe("keys of an issuer", function()
  local served, asked, answer -- the names of the keys it has; paths that were asked for; instead of the keys

  before_each(function() served, asked, answer = { "one" }, {}, nil end)

  local function keys_text()
    local keys = {}
    for i, name in ipairs(served) do keys[i] = JWK[name] end
    return { keys = keys }
  end

  local function issuer(req)
    asked[#asked + 1] = req.path
    if answer then return answer(req) end
    if req.path == WELL_KNOWN then return { json = { issuer = ISSUER, jwks_uri = "https://keys.test/jwks" } } end
    return { json = keys_text() }
  end

  local function gateway(keys, conf)
    conf = conf or {}
    conf.keys = conf.keys or "main"
    return T.new {
      policies = { { jwt = conf } }, service = "api",
      upstreams = { api = { body = "ok" }, ["login.test"] = issuer, ["keys.test"] = issuer },
      config = { keys = { main = keys or { jwks = "https://keys.test/jwks" }, static = {
        secret = ("s"):rep(32), algorithms = "HS256" } } },
    }
  end

  local function status(t, text)
    return (t:request { headers = { Authorization = "Bearer " .. text } }).status
  end

  it("are there before the first request is", function()
    local t = gateway()
    assert.equal(200, status(t, token "one"))
    assert.same({ "/jwks" }, asked)
  end)

  it("verify what they were made for, and nothing else", function()
    local t = gateway()
    assert.equal(401, status(t, token("one", { exp = NOW - 1 })))
    assert.equal(401, status(t, T.jwt({ exp = NOW + 60 }, { algorithm = "ES256", key = PEM.two, kid = "one" })))
    assert.equal(401, status(t, T.jwt({ exp = NOW + 60 }, { algorithm = "HS256", key = PEM.one, kid = "one" })))
  end)

  it("are asked for again, a little before the time is over", function()
    local t = gateway { jwks = "https://keys.test/jwks", refresh = "10m" }
    t:advance(530)
    assert.equal(1, #asked)
    t:advance(80)
    assert.equal(2, #asked)
    t:advance(3600)
    assert.is_true(#asked >= 8 and #asked <= 9)
  end)

  -- ---------------------------------------------------------------------------------------------- discovery

  describe("that are found by its document", function()
    it("are fetched from where that says", function()
      local t = gateway { issuer = ISSUER }
      assert.same({ WELL_KNOWN, "/jwks" }, asked)
      assert.equal(200, status(t, token "one"))
    end)

    it("are for its own tokens alone, unless the step says otherwise", function()
      local other = token("one", { iss = "https://other.test" })
      assert.equal(401, status(gateway { issuer = ISSUER }, other))
      assert.equal(401, status(gateway({ issuer = ISSUER }, { keys = { "static", "main" } }), other))
      assert.equal(200, status(gateway({ issuer = ISSUER }, { issuer = "https://other.test" }), other))
      assert.equal(200, status(gateway(), other))
    end)

    it("may be elsewhere: then the issuer is only for its tokens", function()
      local t = gateway { jwks = "https://keys.test/jwks", issuer = ISSUER }
      assert.same({ "/jwks" }, asked)
      assert.equal(200, status(t, token "one"))
      assert.equal(401, status(t, token("one", { iss = "https://other.test" })))
    end)

    for what, text in pairs {
      ["of another issuer"] = [[{"issuer":"https://login.test/","jwks_uri":"https://keys.test/jwks"}]],
      ["without keys"] = [[{"issuer":"https://login.test"}]],
      ["that is no object"] = "[]",
      ["that is no JSON"] = "<html>",
      ["that says it twice"] = [[{"issuer":"https://login.test","issuer":"https://login.test",
        "jwks_uri":"https://keys.test/jwks"}]],
      ["with an odd URL"] = [[{"issuer":"https://login.test","jwks_uri":"file:///etc/passwd"}]],
    } do
      it("are not there after a document " .. what, function()
        answer = function() return { body = text } end
        local t = gateway { issuer = ISSUER }
        assert.same({ WELL_KNOWN }, asked)
        assert.equal(503, status(t, token "one"))
        assert.equal(1, #t:log "cannot read the issuer's document")
      end)
    end
  end)

  -- ---------------------------------------------------------------------------------------------- rotation

  describe("that rotate", function()
    it("are fetched at once for a token with a new one, which waits for it", function()
      local t = gateway()
      served = { "one", "two" }
      assert.equal(200, status(t, token "two"))
      assert.equal(200, status(t, token "one"))
      assert.equal(2, #asked)
    end)

    it("are fetched once for all that wait", function()
      local t = gateway()
      served = { "two" }
      answer = function() mg.sleep(0.5) return { json = keys_text() } end
      local calls = {}
      for i = 1, 20 do calls[i] = t:start { headers = { Authorization = "Bearer " .. token "two" } } end
      for _, call in ipairs(calls) do assert.status(call:wait(), 200) end
      assert.equal(2, #asked)
    end)

    it("are not waited for longer than two seconds", function()
      local t = gateway()
      answer = function() mg.sleep(4) return { json = keys_text() } end
      served = { "two" }
      local before = t:now()
      assert.equal(401, status(t, token "two"))
      assert.near(2, t:now() - before, 0.02)
      t:advance(3)
      assert.equal(200, status(t, token "two"))
    end)

    it("are not fetched for every token that makes a name up", function()
      local t = gateway()
      for i = 1, 50 do assert.equal(401, status(t, token("made-up-" .. i))) end
      assert.equal(2, #asked)
      t:advance(10)
      assert.equal(401, status(t, token "made-up"))
      assert.equal(3, #asked)
    end)

    it("refuse at once what was good by one that is gone", function()
      local t = gateway { jwks = "https://keys.test/jwks", refresh = "1m" }
      local old = token "one"
      assert.equal(200, status(t, old))
      assert.equal(200, status(t, old))
      served = { "two" }
      t:advance(60)
      assert.equal(401, status(t, old))
      assert.equal(200, status(t, token "two"))
    end)
  end)

  -- ---------------------------------------------------------------------------------------------- while it is away

  describe("while it is away", function()
    it("stay as they are", function()
      local t = gateway { jwks = "https://keys.test/jwks", refresh = "1m" }
      answer = function() return { status = 500 } end
      t:advance(3600)
      assert.is_true(#asked > 60)
      assert.equal(200, status(t, token "one"))
      assert.equal(1, #t:log "cannot fetch keys of issuer")
    end)

    it("are asked for less and less often, up to twice a minute", function()
      answer = function() return { status = 404 } end
      local t = gateway()
      t:advance(600)
      assert.is_true(#asked >= 22 and #asked <= 30)
    end)

    it("are missed, which is not the client's fault", function()
      answer = function() return { status = 500 } end
      local t = gateway()
      local res = t:request { headers = { Authorization = "Bearer " .. token "one" } }
      assert.status(res, 503)
      assert.header(res, "Retry-After", "5")
      assert.equal(401, (t:request "/").status)
      answer = nil
      t:advance(5)
      assert.equal(200, status(t, token "one"))
    end)

    it("leave others alone that are known", function()
      answer = function() return { status = 500 } end
      local t = gateway(nil, { keys = { "main", "static" } })
      assert.equal(200, status(t, T.jwt({ exp = NOW + 60 }, { key = ("s"):rep(32) })))
      assert.equal(503, status(t, token "one"))
    end)

    it("are waited for five seconds before the first request", function()
      answer = function() mg.sleep(60) return { json = keys_text() } end
      local t = gateway()
      assert.near(5, t:now(), 0.02)
      assert.equal(503, status(t, token "one"))
    end)

    for what, text in pairs {
      ["no JSON"] = "<html>", ["no set"] = "[]", ["an empty set"] = [[{"keys":[]}]],
      ["a key twice"] = [[{"keys":[],"keys":[]}]],
      ["a secret"] = [[{"keys":[{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0","alg":"HS256"}]}]],
      ["more than a mebibyte"] = (" "):rep(1 << 20) .. [[{"keys":[]}]],
    } do
      it("are not replaced by " .. what, function()
        local t = gateway { jwks = "https://keys.test/jwks", refresh = "1m" }
        answer = function() return { body = text } end
        t:advance(61)
        assert.is_true(#asked > 1)
        assert.equal(200, status(t, token "one"))
      end)
    end
  end)
end)
