local T = require "moongate.test"
local mg = require "moongate"

local PEM = "-----BEGIN CERTIFICATE-----\nAQID\nBAUG\n-----END CERTIFICATE-----\n"
local PRINT = ("ab"):rep(32)

-- A certificate with something of everything.
local function certificate(changes)
  local cert = {
    subject = "CN=orders.svc.example,O=Example", common_name = "orders.svc.example", issuer = "CN=Inner CA,O=Example",
    serial = "1f", fingerprint = PRINT, pem = PEM,
    sans = {
      dns = { "orders.example", "Orders.svc.example" }, email = { "ann@Example.com" },
      uri = { "spiffe://example.com/orders" }, ip = { "10.1.2.3", "2001:db8::1" },
    },
  }
  for key, value in pairs(changes or {}) do cert[key] = value end
  return cert
end

local function gateway(conf, more, answer)
  return T.new {
    policies = { { ["client-cert"] = conf or {} }, more },
    upstreams = { api = answer or { body = "ok" } },
  }
end

local function with(cert, headers)
  return { tls = { client_cert = cert }, headers = headers }
end

describe("client-cert", function()
  describe("schema", function()
    local function refuses(conf, what)
      local ok, err = T.validate(require "client-cert", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    it("has defaults", function()
      assert.same({ match = "all", optional = false, subject_from = "common_name", forward = false },
        T.validate(require "client-cert", {}))
    end)

    it("takes one for a list", function()
      assert.same({ "a" }, T.validate(require "client-cert", { common_name = "a" }).common_name)
    end)

    it("names the path of a bad field", function()
      refuses({ san = { dsn = "a" } }, "client-cert.san.dsn: unknown field, did you mean 'dns'?")
      refuses({ san = {} }, "client-cert.san: needs 'dns', 'email', 'uri' or 'ip'")
      refuses({ san = { ip = "example.com" } }, "client-cert.san.ip")
      refuses({ san = { dns = { "a.*.example" } } }, "client-cert.san.dns")
      refuses({ common_name = {} }, "client-cert.common_name")
      refuses({ subject_from = "name" }, "client-cert.subject_from")
      refuses({ match = "some" }, "client-cert.match")
    end)

    it("knows a fingerprint", function()
      refuses({ fingerprint = ("ab"):rep(20) },
        ("client-cert.fingerprint: '%s' has not the 64 hex digits of a SHA-256"):format(("ab"):rep(20)))
      refuses({ fingerprint = ("xy"):rep(32) }, "client-cert.fingerprint")
    end)

    it("knows how much is too much", function()
      local function takes(conf) assert.truthy(T.validate(require "client-cert", conf)) end
      local function times(n, value)
        local list = {}
        for i = 1, n do list[i] = value end
        return list
      end
      for _, field in ipairs { "subject", "issuer" } do
        takes { [field] = "a" }
        takes { [field] = ("a"):rep(1024) }
        refuses({ [field] = "" }, "client-cert." .. field)
        refuses({ [field] = ("a"):rep(1025) }, "client-cert." .. field)
      end
      takes { common_name = { "a", ("a"):rep(253) } }
      refuses({ common_name = ("a"):rep(254) }, "client-cert.common_name")
      takes { subject = times(10000, "a"), san = { ip = times(10000, "::1") } }
      refuses({ subject = times(10001, "a") }, "client-cert.subject")
      refuses({ san = { ip = times(10001, "::1") } }, "client-cert.san.ip")
      refuses({ san = { ip = {} } }, "client-cert.san.ip")
    end)

    it("knows addresses", function()
      for _, text in ipairs { "ann", "@example.com", "ann@", "a b@example.com", "a@b@c" } do
        refuses({ san = { email = text } }, "client-cert.san.email")
      end
    end)

    it("wants something for match: any", function()
      refuses({ match = "any" }, "client-cert.match: needs any of")
      for field, value in pairs {
        subject = "CN=a", common_name = "a", issuer = "CN=a", fingerprint = PRINT, san = { dns = "a" },
      } do
        assert.truthy(T.validate(require "client-cert", { match = "any", [field] = value }))
      end
    end)

    it("provides an identity, for later steps that need one", function()
      assert.same({ "identity" }, require "client-cert".provides)
    end)
  end)

  describe("without a certificate", function()
    it("refuses", function()
      local t = gateway()
      local res = t:request "/"
      assert.problem(res, 403, "client-certificate-required")
      assert.equal("A client certificate is required here", res:json().detail)
      assert.problem(t:request { tls = {} }, 403, "client-certificate-required")
      assert.called(t, "api", 0)
    end)

    it("lets in when none is required, and knows nobody", function()
      local t = gateway { optional = true }
      for _, request in ipairs { {}, { tls = {} } } do
        local res, req = t:request(request)
        assert.status(res, 200)
        assert.is_nil(req.auth)
      end
    end)

    it("leaves an identity alone that another step has found", function()
      local _, req = gateway({ optional = true }):request { auth = { subject = "bob" } }
      assert.equal("bob", req.auth.subject)
    end)
  end)

  it("lets every verified certificate in when there are no lists", function()
    assert.status(gateway():request(with(certificate())), 200)
  end)

  describe("criteria", function()
    local colons = PRINT:upper():gsub("..", "%0:"):sub(1, -2)
    local cases = {
      { "subject", { subject = "CN=orders.svc.example,O=Example" },
        { subject = { "CN=orders.svc.example", "O=Example" } } },
      { "issuer", { issuer = { "CN=Other", "CN=Inner CA,O=Example" } }, { issuer = "CN=Other" } },
      { "common name", { common_name = "ORDERS.svc.example" }, { common_name = "svc.example" } },
      { "common name below another", { common_name = "*.example" },
        { common_name = { "*.orders.svc.example", "*.ple" } } },
      { "fingerprint", { fingerprint = { ("0"):rep(64), PRINT } }, { fingerprint = ("0"):rep(64) } },
      { "fingerprint as openssl writes it", { fingerprint = colons }, { fingerprint = (colons:gsub("AB$", "AC")) } },
      { "DNS name", { san = { dns = "orders.svc.example" } }, { san = { dns = { "svc.example", "orders" } } } },
      { "DNS name below another", { san = { dns = "*.svc.example" } }, { san = { dns = "*.orders.example" } } },
      { "email", { san = { email = "ann@EXAMPLE.com" } },
        { san = { email = { "Ann@example.com", "n@example.com" } } } },
      { "URI", { san = { uri = "spiffe://example.com/orders" } }, { san = { uri = "spiffe://example.com/order" } } },
      { "address", { san = { ip = "10.0.0.0/8" } }, { san = { ip = { "10.1.2.4", "2001:db8::/128" } } } },
      { "IPv6 address", { san = { ip = "2001:db8::1" } }, { san = { ip = "2001:db9::/32" } } },
      { "all of several", { issuer = "CN=Inner CA,O=Example", san = { dns = "orders.example" } },
        { issuer = "CN=Other", san = { dns = "orders.example" } } },
      { "all of the alternative names' kinds", { san = { dns = "orders.example", email = "ann@example.com" } },
        { san = { dns = "orders.example", email = "bob@example.com" } } },
      { "any of several",
        { match = "any", issuer = "CN=Other", san = { dns = "x.example", email = "ann@example.com" } },
        { match = "any", issuer = "CN=Other", san = { dns = "x.example", email = "bob@example.com" } } },
    }
    for _, case in ipairs(cases) do
      local what, takes, refuses = table.unpack(case)
      it("by " .. what, function()
        local t = gateway(takes)
        assert.status(t:request(with(certificate())), 200)
        t = gateway(refuses)
        assert.problem(t:request(with(certificate())), 403, "client-certificate-refused")
        assert.called(t, "api", 0)
        assert.problem(gateway(takes):request "/", 403, "client-certificate-required")
      end)
    end

    for what, conf in pairs {
      ["a common name"] = { common_name = "*.example" }, ["an alternative name"] = { san = { dns = "*.example" } },
    } do
      it("refuse a certificate without " .. what, function()
        local cert = certificate { sans = {} }
        cert.common_name = nil
        assert.problem(gateway(conf):request(with(cert)), 403, "client-certificate-refused")
      end)
    end

    it("compare names that are no addresses as they are", function()
      local t = gateway { san = { email = "ann@example.com" } }
      local cert = certificate { sans = { email = { "nobody" } } }
      assert.problem(t:request(with(cert)), 403, "client-certificate-refused")
      cert.sans.email[2] = "ann@example.com"
      assert.status(t:request(with(cert)), 200)
    end)

    it("take no name for one below itself", function()
      for _, name in ipairs { ".example", "example", "xexample" } do
        local t = gateway { common_name = "*.example" }
        assert.problem(t:request(with(certificate { common_name = name })), 403, "client-certificate-refused")
      end
    end)

    it("hold for those who need not show one, when they do", function()
      local t = gateway { optional = true, common_name = "other.example" }
      assert.problem(t:request(with(certificate())), 403, "client-certificate-refused")
    end)
  end)

  it("tells in the log who was refused, and why", function()
    local function line(conf, cert)
      local t = gateway(conf)
      local res = t:request(with(cert))
      assert.problem(res, 403, "client-certificate-refused")
      assert.equal("The client certificate is not accepted here", res:json().detail)
      return t:log("client certificate refused")[1]
    end
    local told = line({ common_name = "other.example" }, certificate())
    assert.same({ "it is not in the lists", "CN=orders.svc.example,O=Example", "CN=Inner CA,O=Example", PRINT },
      { told.reason, told.subject, told.issuer, told.fingerprint })
    assert.equal("it has expired", line({}, certificate { not_after = 1 }).reason)
    assert.equal("it has no san.uri", line({ subject_from = "san.uri" }, certificate { sans = {} }).reason)
  end)

  it("refuses what has expired since the connection began", function()
    local now
    local t = gateway({ optional = true }, function(req, next)
      now = mg.now()
      return next(req)
    end)
    t:request "/"
    local cert = certificate { not_after = now + 60 }
    assert.status(t:request(with(cert)), 200)
    t:advance(60)
    assert.status(t:request(with(cert)), 200)
    t:advance(1)
    assert.problem(t:request(with(cert)), 403, "client-certificate-refused")
  end)

  describe("identity", function()
    it("is the common name", function()
      local _, req = gateway():request(with(certificate()))
      assert.equal("mtls", req.auth.scheme)
      assert.equal("orders.svc.example", req.auth.subject)
      assert.same({ {}, {} }, { req.auth.scopes, req.auth.roles })
      local claims = req.auth.claims
      assert.same({ "CN=Inner CA,O=Example", "1f", PRINT, "ann@Example.com" },
        { claims.issuer, claims.serial, claims.fingerprint, claims.san.email[1] })
      assert.is_nil(claims.pem)
    end)

    for from, subject in pairs {
      subject = "CN=orders.svc.example,O=Example", fingerprint = PRINT, ["san.dns"] = "orders.example",
      ["san.email"] = "ann@Example.com", ["san.uri"] = "spiffe://example.com/orders",
    } do
      it("can be the " .. from, function()
        local _, req = gateway({ subject_from = from }):request(with(certificate()))
        assert.equal(subject, req.auth.subject)
      end)
    end

    it("must be there", function()
      local cert = certificate { sans = {} }
      cert.common_name = nil
      assert.problem(gateway():request(with(cert)), 403, "client-certificate-refused")
      assert.problem(gateway({ subject_from = "san.email" }):request(with(cert)), 403, "client-certificate-refused")
      assert.status(gateway({ subject_from = "fingerprint" }):request(with(cert)), 200)
    end)

    it("is what steps need that need one", function()
      local t = gateway({}, { headers = { request = { set = { ["X-User"] = "${auth.subject} ${claims.issuer}" } } } })
      t:request(with(certificate()))
      assert.equal("orders.svc.example CN=Inner CA,O=Example", select(2, t:seen "api"):header "X-User")
    end)
  end)

  describe("forward", function()
    local NAMES = { "Client-Cert", "client_cert", "Client-Cert-Chain", "CLIENT_CERT_CHAIN" }

    local function forged()
      local headers = {}
      for _, name in ipairs(NAMES) do headers[name] = ":Zm9yZ2Vk:" end
      return headers
    end

    it("tells the backend the certificate, as RFC 9440 says", function()
      local t = gateway { forward = true }
      assert.status(t:request(with(certificate(), forged())), 200)
      local _, last = t:seen "api"
      assert.same({ ":AQIDBAUG:" }, last:header_values "Client-Cert")
      for i = 2, #NAMES do assert.is_nil(last:header(NAMES[i])) end
    end)

    for what, conf in pairs {
      ["when it is off"] = {}, ["when there is no certificate"] = { optional = true, forward = true },
    } do
      it("lets nothing of the client's own pass " .. what, function()
        local t = gateway(conf)
        local request = conf.forward and { headers = forged() } or with(certificate(), forged())
        assert.status(t:request(request), 200)
        local _, last = t:seen "api"
        for _, name in ipairs(NAMES) do assert.is_nil(last:header(name)) end
      end)
    end
  end)

  describe("consumers", function()
    local CONSUMERS = { { name = "orders", roles = { "partner" }, groups = { "gold" } }, { name = "bank" } }

    local function judged(conf, cn)
      local seen
      local t = T.new {
        policies = { { ["client-cert"] = conf }, function(req, next)
          seen = req.auth
          return next(req)
        end },
        upstreams = { api = { body = "ok" } }, config = { consumers = CONSUMERS },
      }
      return t:request { tls = { client_cert = { common_name = cn } } }, seen
    end

    it("are known by their names, and bring roles and groups", function()
      local res, auth = judged({ consumers = { "orders", "bank" } }, "orders")
      assert.status(res, 200)
      assert.same({ "orders", { "partner" }, { "gold" } }, { auth.subject, auth.roles, auth.claims.groups })
      assert.same({}, select(2, judged({ consumers = { "orders", "bank" } }, "bank")).roles)
    end)

    it("are the only ones let in", function()
      assert.problem(judged({ consumers = "bank" }, "orders"), 403, "client-certificate-refused")
      assert.problem(judged({ consumers = "bank" }, "eve"), 403, "client-certificate-refused")
      assert.status(judged({}, "eve"), 200)
    end)

    it("must be there", function()
      local ok, fault = pcall(judged, { consumers = "zoe" }, "a")
      assert.is_false(ok)
      assert.matches("unknown consumer 'zoe'", tostring(fault), 1, true)
    end)
  end)

  it("lets upstream failures pass", function()
    assert.status(gateway({}, nil, { error = "refused" }):request(with(certificate())), 503)
  end)
end)
