local T = require "moongate.test"
local mg = require "moongate"

local SECRETS = { shop = "0123456789abcdef-shop", bank = "0123456789abcdef-bank", short = "0123456789abcde" }
local CONSUMERS = {
  { name = "shop", secret = "shop", roles = { "partner" }, groups = { "gold" } },
  { name = "bank", secret = "bank" },
  { name = "eve" },
}
local CHALLENGE = 'Signature realm="moongate"'
local BASE64 = mg.crypto.base64

-- A gateway, and a function that gives the time there.
local function gateway(conf, more, consumers)
  local t = T.new {
    policies = {
      function(req, next)
        if req.path == "/clock" then return mg.reply(200, ("%.0f"):format(mg.now())) end
        return next(req)
      end,
      { ["hmac-auth"] = conf or {} }, more,
    },
    upstreams = { api = { body = "ok" } },
    secrets = SECRETS, config = { consumers = consumers or CONSUMERS },
  }
  return t, function() return math.tointeger(tonumber((t:request "/clock"):text())) end
end

local ALL = '"@method" "@authority" "@path" "@query"'

-- What a client does, by the RFC and not by the policy's code: `parts` has the lines of the base without the last, the
-- covered list, the parameters, and the secret.
local function sign(parts)
  local params = ("(%s)%s"):format(parts.list, parts.params)
  local base = parts.lines .. ('"@signature-params": %s'):format(params)
  return {
    ["Signature-Input"] = "sig1=" .. params,
    Signature = ("sig1=:%s:"):format(BASE64(mg.crypto.hmac_sha256(parts.secret or SECRETS.shop, base, "raw"))),
  }
end

local LINES = '"@method": GET\n"@authority": shop.example\n"@path": /orders/7\n"@query": ?a=1\n'

local function headers(now, changes)
  local parts = { list = ALL, lines = LINES, params = (';created=%d;keyid="shop"'):format(now) }
  for key, value in pairs(changes or {}) do parts[key] = value end
  return sign(parts)
end

local function request(fields, changes)
  local out = { path = "/orders/7?a=1", host = "shop.example", headers = fields }
  for key, value in pairs(changes or {}) do out[key] = value end
  return out
end

local function with_body(now, body, changes)
  local digest = "sha-256=:" .. BASE64(mg.crypto.sha256(changes and changes.of or body, "raw")) .. ":"
  digest = changes and changes.digest or digest
  local fields = headers(now, {
    list = ALL .. ' "content-digest"',
    lines = LINES:gsub("GET", "POST") .. ('"content-digest": %s\n'):format(digest),
  })
  fields["Content-Digest"] = digest
  return request(fields, { method = "POST", body = body })
end

local function refuses(t, what, status, slug)
  local res = t:request(what)
  assert.problem(res, status, slug)
  assert.header(res, "WWW-Authenticate", CHALLENGE)
  assert.called("api", 0)
  return res
end

describe("hmac-auth", function()
  describe("schema", function()
    it("has defaults", function()
      assert.same({
        components = { "@method", "@authority", "@path", "@query" }, digest = true, max_age = 300, leeway = 5,
        replay = false, realm = "moongate", optional = false,
      }, T.validate(require "hmac-auth", {}))
    end)

    it("names the path of a bad field", function()
      local function fails(conf, what)
        local ok, err = T.validate(require "hmac-auth", conf)
        assert.is_nil(ok)
        assert.matches(what, tostring(err), 1, true)
      end
      fails({ realms = "a" }, "hmac-auth.realms: unknown field, did you mean 'realm'?")
      fails({ components = { "Date" } }, "hmac-auth.components: 'Date' is no component")
      fails({ components = { "@query-param" } }, "hmac-auth.components: '@query-param' is no component")
      fails({ leeway = "2m" }, "hmac-auth.leeway")
      fails({ max_age = 0 }, "hmac-auth.max_age")
    end)
  end)

  it("wants consumers that are there and have a good secret", function()
    local function fails(conf, consumers, what)
      local ok, err = pcall(gateway, conf, nil, consumers)
      assert.is_false(ok)
      assert.matches(what, tostring(err), 1, true)
    end
    fails({ consumers = "zoe" }, nil, "unknown consumer 'zoe'")
    fails({ consumers = "eve" }, nil, "consumer 'eve' has no secret")
    fails({}, { { name = "eve" } }, "no consumer has a secret")
    fails({}, { { name = "a", secret = "short" } }, "the secret of 'a' has less than 16 bytes")
  end)

  describe("allowed", function()
    it("knows who signed", function()
      local t, clock = gateway({}, function(req) return mg.reply_json(200, req.auth) end)
      assert.json(t:request(request(headers(clock()))), { scheme = "hmac", subject = "shop", scopes = {},
        roles = { "partner" }, claims = { groups = { "gold" } } })
      local bank = headers(clock(), { secret = SECRETS.bank, params = (';created=%d;keyid="bank"'):format(clock()) })
      assert.equal("bank", (t:request(request(bank))):json().subject)
    end)

    it("every parameter", function()
      local t, clock = gateway()
      local params = (';created=%d;expires=%d;nonce="n;,(1)";keyid="shop";alg="hmac-sha256";tag="x"'):format(
        clock(), clock() + 10)
      assert.status(t:request(request(headers(clock(), { params = params }))), 200)
    end)

    it("fields, joined as they came", function()
      local t, clock = gateway { components = { "@path", "x-a" } }
      local fields = headers(clock(), {
        list = '"x-a" "@path" "@scheme" "@request-target" "@target-uri"',
        lines = '"x-a": 1, b  c\n"@path": /orders/7\n"@scheme": http\n"@request-target": /orders/7?a=1\n'
          .. '"@target-uri": http://shop.example/orders/7?a=1\n',
      })
      fields["X-A"] = { "1", "b  c" }
      assert.status(t:request(request(fields)), 200)
      fields["X-A"] = { "1", "b c" }
      assert.problem(t:request(request(fields)), 401, "signature-invalid")
    end)

    it("no query, a host in capitals with the port of the scheme", function()
      local t, clock = gateway()
      local fields = headers(clock(), { lines = LINES:gsub("%?a=1", "?") })
      assert.status(t:request(request(fields, { path = "/orders/7", host = "Shop.Example:80" })), 200)
    end)

    it("bodies with their digest", function()
      local t, clock = gateway()
      assert.status(t:request(with_body(clock(), "two pears")), 200)
      local _, last = t:seen "api"
      assert.equal("two pears", last:text())
      local both = ("sha-512=:%s:, sha-256=:%s:"):format(BASE64(mg.crypto.sha512("two", "raw")),
        BASE64(mg.crypto.sha256("two", "raw")))
      assert.status(t:request(with_body(clock(), "two", { digest = both })), 200)
      assert.status(t:request(with_body(clock(), "one", { digest = "md5=:AAAA:, " ..
        "sha-256=:" .. BASE64(mg.crypto.sha256("one", "raw")) .. ":" })), 200)
    end)

    it("those without a signature where that is optional", function()
      local t = gateway { optional = true }
      assert.status(t:request "/", 200)
      assert.problem(t:request { headers = { Signature = "sig1=:AAAA:" } }, 400, "signature-malformed")
    end)
  end)

  describe("refused", function()
    it("who sends none", function()
      refuses(gateway(), "/", 401, "signature-required")
    end)

    it("what was changed on the way", function()
      local t, clock = gateway()
      local fields = headers(clock())
      for _, change in ipairs {
        { method = "DELETE" }, { path = "/orders/8?a=1" }, { path = "/orders/7?a=2" }, { path = "/orders/7" },
        { path = "/./orders/7?a=1" }, { path = "/orders/7/?a=1" }, { path = "/orders/%37?a=1" },
        { host = "bank.example" }, { host = "shop.example:8080" },
      } do
        refuses(t, request(fields, change), 401, "signature-invalid")
      end
      assert.status(t:request(request(fields)), 200)
    end)

    it("another key, another signature, another algorithm", function()
      local t, clock = gateway()
      local now = clock()
      local function params(text) return { params = (";created=%d%s"):format(now, text) } end
      local cut = headers(now)
      cut.Signature = "sig1=:" .. BASE64(("\0"):rep(31)) .. ":"
      local empty = headers(now)
      empty.Signature = "sig1=::"
      local moved = headers(now)
      moved["Signature-Input"] = headers(now - 1)["Signature-Input"]
      local cases = {
        headers(now, { secret = SECRETS.bank }), headers(now, { secret = "" }), headers(now, params ';keyid="bank"'),
        headers(now, params ';keyid="zoe"'), headers(now, params ';keyid="eve"'), headers(now, params ""),
        headers(now, params ';keyid="shop";alg="none"'), headers(now, params ';keyid="shop";alg="rsa-pss-sha512"'),
        headers(now, params ';keyid="shop";nonce=""'),
        headers(now, params(';keyid="shop";nonce="' .. ("n"):rep(129) .. '"')), cut, empty, moved,
      }
      for _, fields in ipairs(cases) do refuses(t, request(fields), 401, "signature-invalid") end
    end)

    it("one that covers too little, or what is not there", function()
      local t, clock = gateway()
      local missing = {
        { list = "", lines = "" },
        { list = '"@method" "@authority" "@path"', lines = LINES:gsub('"@query": %?a=1\n', "") },
        { list = ALL .. ' "x-none"', lines = LINES .. '"x-none": \n' },
      }
      for _, changes in ipairs(missing) do
        refuses(t, request(headers(clock(), changes)), 401, "signature-invalid")
      end
    end)

    it("what is of another time", function()
      local t, clock = gateway()
      local now = clock()
      local function at(params) return request(headers(now, { params = params .. ';keyid="shop"' })) end
      refuses(t, at "", 401, "signature-invalid")
      refuses(t, at((";created=%d"):format(now + 7)), 401, "signature-invalid")
      refuses(t, at((";created=%d"):format(now - 306)), 401, "signature-invalid")
      refuses(t, at((";created=%d;expires=%d"):format(now - 60, now - 6)), 401, "signature-invalid")
      refuses(t, at((";expires=%d"):format(now + 60)), 401, "signature-invalid")
      assert.status(t:request(at((";created=%d"):format(now + 3))), 200)
      assert.status(t:request(at((";created=%d"):format(now - 300))), 200)
      assert.status(t:request(at((";created=%d;expires=%d"):format(now - 60, now))), 200)
    end)

    it("one that came before, for as long as it is good", function()
      local t, clock = gateway()
      local plain = headers(clock())
      local function nonce(text, more)
        local params = (';created=%d;keyid="shop";nonce="%s"%s'):format(clock(), text, more or "")
        return headers(clock(), { params = params })
      end
      assert.status(t:request(request(plain)), 200)
      assert.problem(t:request(request(plain)), 401, "signature-invalid")
      assert.status(t:request(request(nonce "1")), 200)
      assert.problem(t:request(request(nonce("1", ';tag="x"'))), 401, "signature-invalid")
      assert.status(t:request(request(nonce "2")), 200)
      t:advance(299)
      assert.problem(t:request(request(plain)), 401, "signature-invalid")
      t:advance(10)
      assert.problem(t:request(request(plain)), 401, "signature-invalid")
      assert.status(t:request(request(nonce "1")), 200)
    end)

    it("no replay where that is allowed", function()
      local t, clock = gateway { replay = true }
      local fields = headers(clock())
      for _ = 1, 3 do assert.status(t:request(request(fields)), 200) end
    end)

    it("another body", function()
      local t, clock = gateway()
      local now = clock()
      refuses(t, request(headers(now, { lines = LINES:gsub("GET", "POST") }), { method = "POST", body = "x" }), 401,
        "signature-invalid")
      for _, changes in ipairs {
        { of = "two" }, { digest = "md5=:AAAA:" }, { digest = "sha-256=AAAA" }, { digest = "sha-256=::" },
        { digest = "sha-256=:" .. BASE64(mg.crypto.sha256("one", "raw")) .. ":," },
        { digest = "sha-256=:" .. BASE64(mg.crypto.sha256("one", "raw")) .. ":, sha-512=:AAAA:" },
      } do
        refuses(t, with_body(now, "one", changes), 401, "signature-invalid")
      end
    end)

    it("fields that are not exactly as they should be", function()
      local t, clock = gateway { optional = true }
      local now = clock()
      local good = headers(now)
      local input, signature = good["Signature-Input"], good.Signature
      local function bad(new_input, new_signature)
        refuses(t, request { ["Signature-Input"] = new_input, Signature = new_signature }, 400, "signature-malformed")
      end
      bad(input, nil)
      bad(nil, signature)
      bad(input .. ", " .. input:gsub("sig1", "sig2"), signature)
      bad({ input, input }, signature)
      bad(input, signature .. ", " .. signature:gsub("sig1", "sig2"))
      bad(input, { signature, signature })
      bad(input, (signature:gsub("sig1", "sig2")))
      bad(input, (signature:gsub(":$", "")))
      bad(input, (signature:gsub("=:$", ":")))
      bad(input, signature .. ";a=1")
      bad((input:gsub('" "', '"  "')), signature)
      bad((input:gsub('%("', '( "')), signature)
      bad((input:gsub('"%)', '" )')), signature)
      bad((input:gsub('" "', '""', 1)), signature)
      bad((input:gsub('"@path"', '"@path";req')), signature)
      bad((input:gsub('"@path"', '"@Path"')), signature)
      bad((input:gsub('"@path"', '@path')), signature)
      bad((input:gsub('"@path"', '"@method"')), signature)
      bad((input:gsub(";created", "; created")), signature)
      bad(input .. ";created=1", signature)
      bad(input .. ';keyid="bank"', signature)
      bad(input .. ";x=1", signature)
      bad(input .. ";tag", signature)
      bad(input .. ";", signature)
      bad((input:gsub('"@path"', '"@path" "@status"')), signature)
      bad((input:gsub('"@path"', '"@path" "@query-param"')), signature)
      bad((input:gsub('"shop"', '"sh\\"op"')), signature)
      bad((input:gsub('"shop"', "shop")), signature)
      bad((input:gsub("created=%d+", "created=-1")), signature)
      bad((input:gsub("created=%d+", "created=1.5")), signature)
      bad((input:gsub("created=%d+", "created=" .. ("9"):rep(16))), signature)
      bad((input:gsub("sig1=", "SIG1=")), signature)
      bad((input:gsub("sig1=", "=")), signature)
      local many = {}
      for i = 1, 33 do many[i] = ('"x-%d"'):format(i) end
      bad((input:gsub("%(.*%)", "(" .. table.concat(many, " ") .. ")")), signature)
      assert.status(t:request(request(good)), 200)
    end)

    it("a body that is too large to be verified", function()
      local t, clock = gateway()
      local res = t:request(with_body(clock(), ("x"):rep((1 << 20) + 1)))
      assert.status(res, 413)
      assert.called("api", 0)
    end)
  end)

  -- RFC 9421 B.2.5 has a key in base64, and a time long ago.
  it("agrees with the RFC about what is signed", function()
    local key = mg.crypto.base64.decode(
      "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
    local base = '"date": Tue, 20 Apr 2021 02:07:55 GMT\n"@authority": example.com\n"content-type": application/json\n'
      .. '"@signature-params": ("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
    assert.equal("pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=", BASE64(mg.crypto.hmac_sha256(key, base, "raw")))
  end)

  it("passes failures of the backend on", function()
    local t = T.new {
      policies = { { ["hmac-auth"] = { optional = true } } }, upstreams = { api = { error = "refused" } },
      secrets = SECRETS, config = { consumers = CONSUMERS },
    }
    assert.status(t:request "/", 503)
  end)
end)
