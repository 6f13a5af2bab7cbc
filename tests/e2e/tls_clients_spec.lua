-- Clients' certificates: who gets in, and what steps hear of them. And sessions that are taken up again.
local E = require "moongate.e2e"
local edge = require "tls.edge"

local tell, failure = edge.tell, edge.failure

local DAY = 86400

local function with(leaf, more)
  local options = { cert = leaf.cert, key = leaf.key, password = leaf.password }
  for key, value in pairs(more or {}) do options[key] = value end
  return options
end

describe("client certificates", function()
  local server, ca, ann, stranger

  setup(function()
    server = E.authority():issue { names = { "a.test" } }
    ca = E.authority { name = "Clients" }
    ann = ca:issue { subject = "/O=Example \"x\"/OU=a, b/CN=ann", emails = { "ann@a.test", "a@b.test" },
      uris = { "spiffe://a.test/ann" }, names = { "ann.test", "10.0.0.1", "2001:db8::1" } }
    stranger = E.authority { name = "Clients" }:issue { name = "mallory" }
  end)

  local function start(auth, more)
    local tls = { client_auth = auth, client_ca = ca.cert }
    for key, value in pairs(more or {}) do tls[key] = value end
    return edge.start(edge.listener(server, tls))
  end

  it("are shown to steps", function()
    local g = start "require"
    local cert = tell(g, with(ann)).client_cert
    assert.near(os.time() - 3600, cert.not_before, 60)
    assert.near(os.time() + 365 * DAY, cert.not_after, 60)
    cert.not_before, cert.not_after = nil, nil
    assert.same({
      subject = 'CN=ann,OU=a\\, b,O=Example \\"x\\"', common_name = "ann", issuer = "CN=Clients",
      serial = ann.serial, fingerprint = ann.fingerprint, pem = ann.pem,
      sans = { dns = { "ann.test" }, email = { "ann@a.test", "a@b.test" }, uri = { "spiffe://a.test/ann" },
        ip = { "10.0.0.1", "2001:db8::1" } },
    }, cert)
  end)

  it("may be of RSA, and of P-384", function()
    local g = start "require"
    for _, kind in ipairs { "rsa", "P-384" } do
      assert.equal("bob", tell(g, with(ca:issue { name = "bob", key = kind })).client_cert.common_name)
    end
  end)

  describe("that are required", function()
    local g

    setup(function() g = start("require", { client_depth = 1 }) end)

    it("cannot be left out", function()
      assert.equal("sslv3 alert handshake failure", failure(g, {}))
    end)

    it("must be of the authority", function()
      assert.equal("tlsv1 alert unknown ca", failure(g, with(stranger)))
      assert.equal("tlsv1 alert unknown ca", failure(g, with(server)))
    end)

    it("must be valid now", function()
      assert.equal("sslv3 alert certificate expired", failure(g, with(ca:issue { from = -2 * DAY, to = -DAY })))
      assert.is_string(failure(g, with(ca:issue { from = DAY, to = 2 * DAY })))
    end)

    it("must be for clients, where they say what for", function()
      assert.equal("bob", tell(g, with(ca:issue { name = "bob", usage = "clientAuth" })).client_cert.common_name)
      assert.is_string(failure(g, with(ca:issue { usage = "serverAuth" })))
    end)

    it("may have so many authorities between", function()
      local below = ca:authority()
      assert.equal("bob", tell(g, with(below:issue { name = "bob" })).client_cert.common_name)
      assert.is_string(failure(g, with(below:authority():issue { name = "bob" })))
    end)

    it("are no authorities just because they are good", function()
      local fake = ca:issue { name = "ann" }
      local mallory = E.authority()
      os.execute(("cp '%s' '%s' && cp '%s' '%s/ca.key'"):format(fake.alone, mallory.cert, fake.key, mallory.folder))
      mallory.chain = fake.pem
      assert.is_string(failure(g, with(mallory:issue { name = "root" })))
    end)

    it("must come with their key", function()
      -- The stranger has seen ann's certificate, and signs with a key of his own.
      local res = E.command { "openssl", "s_client", "-connect", "127.0.0.1:" .. g.port, "-cert", ann.cert, "-key",
        stranger.key, input = "Q\n" }
      assert.matches("key values mismatch", res.stderr) -- openssl itself does not do it
    end)

    it("are forgotten when they were refused", function()
      assert.is_string(failure(g, with(stranger)))
      assert.equal("ann", tell(g, with(ann)).client_cert.common_name)
    end)
  end)

  describe("that are asked for", function()
    local g

    setup(function() g = start "request" end)

    it("may be left out", function()
      assert.is_nil(tell(g).client_cert)
      assert.equal("ann", tell(g, with(ann)).client_cert.common_name)
    end)

    it("must be good when they are there", function()
      for _, leaf in ipairs { stranger, ca:issue { from = -2 * DAY, to = -DAY }, ca:issue { usage = "serverAuth" } } do
        assert.equal("sslv3 alert bad certificate", failure(g, with(leaf)))
      end
    end)
  end)

  it("are not asked for otherwise", function()
    local g = edge.start(edge.listener(server))
    assert.is_nil(tell(g, with(ann)).client_cert)
  end)

  it("are refused when they were revoked", function()
    local below = ca:authority { name = "Below" }
    local gone, stays, deep = ca:issue { name = "gone" }, ca:issue { name = "stays" }, below:issue { name = "deep" }
    ca:revoke(gone)
    for _, auth in ipairs { "require", "request" } do
      local g = start(auth, { client_crl = ca:crl() })
      assert.equal(auth == "require" and "sslv3 alert certificate revoked" or "sslv3 alert bad certificate",
        failure(g, with(gone)))
      assert.equal("stays", tell(g, with(stays)).client_cert.common_name)
      assert.equal("deep", tell(g, with(deep)).client_cert.common_name)
    end
    ca:revoke(below)
    local g = start("require", { client_crl = ca:crl() })
    assert.is_string(failure(g, with(deep)))
  end)

  it("are refused when the list is out of date", function()
    local g = start("require", { client_crl = ca:crl { from = -2 * DAY, to = -DAY } })
    assert.is_string(failure(g, with(ann)))
  end)
end)

describe("TLS sessions", function()
  local ca, leaf, keep

  setup(function()
    ca = E.authority()
    leaf = ca:issue { names = { "a.test" } }
    keep = ca.folder .. "/session"
  end)

  -- One request by openssl, which keeps its session in `keep`, or takes up the one there. Gives req.tls and the worker
  -- of it, and whether openssl says so too.
  local function ask(port, how, more)
    local res = E.command { "openssl", "s_client", "-connect", "127.0.0.1:" .. port, how, keep, "-ign_eof",
      "-CAfile", ca.cert, input = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
      table.unpack(more or {}) }
    local json = require "dkjson"
    local told = json.decode(res.stdout:match "\r\n\r\n({.*})" or error(res.stdout .. res.stderr))
    return told.tls, told.worker, res.stdout:find("\nReused, TLSv1.2", 1, true) ~= nil
  end

  it("are taken up again by any worker", function()
    local g = edge.start(edge.listener(leaf), { workers = 2 })
    assert.is_false(ask(g.port, "-sess_out").resumed)
    local workers, count = {}, 0
    for _ = 1, 100 do
      local told, worker, reused = ask(g.port, "-sess_in")
      assert.is_true(told.resumed)
      assert.is_true(reused)
      if not workers[worker] then workers[worker], count = true, count + 1 end
      if count == 2 then break end
    end
    assert.equal(2, count)
  end)

  it("keep the client's certificate", function()
    local ann = ca:issue { name = "ann", emails = { "ann@a.test" } }
    local g = edge.start(edge.listener(leaf, { client_auth = "require", client_ca = ca.cert }))
    local first = ask(g.port, "-sess_out", { "-cert", ann.cert, "-key", ann.key })
    local again = ask(g.port, "-sess_in")
    assert.is_true(again.resumed)
    assert.equal(ann.fingerprint, again.client_cert.fingerprint)
    assert.same(first.client_cert, again.client_cert)
  end)

  it("of one listener are nothing to another", function()
    local g = edge.start(nil, { listen = {
      edge.listener(leaf), edge.listener(leaf, { client_auth = "request", client_ca = ca.cert }), edge.listener(leaf),
    } })
    ask(g.ports[1], "-sess_out")
    assert.is_true(ask(g.ports[1], "-sess_in").resumed)
    for i = 2, 3 do
      local told, _, reused = ask(g.ports[i], "-sess_in")
      assert.same({ false, false }, { told.resumed, reused })
    end
  end)

  it("are nothing to another gateway", function()
    local g = edge.start(edge.listener(leaf))
    ask(g.port, "-sess_out")
    local other = edge.start(edge.listener(leaf))
    assert.is_false(ask(other.port, "-sess_in").resumed)
  end)

  it("are not kept when the config says so", function()
    local g = edge.start(edge.listener(leaf, { session_tickets = false }))
    ask(g.port, "-sess_out")
    local told, _, reused = ask(g.port, "-sess_in")
    assert.same({ false, false }, { told.resumed, reused })
  end)

  it("that are damaged make for a whole handshake", function()
    local g = edge.start(edge.listener(leaf))
    ask(g.port, "-sess_out")
    local process = require "moongate.e2e.process"
    -- The ticket is in the PEM file's DER as an octet string; a bit of it changes.
    assert.equal(0, E.command { "sh", "-c", ([[
      openssl sess_id -in '%s' -outform DER -out '%s.der' &&
      size=$(stat -c %%s '%s.der') &&
      printf 'X' | dd of='%s.der' bs=1 seek=$((size - 60)) conv=notrunc status=none &&
      openssl sess_id -inform DER -in '%s.der' -out '%s']]):format(keep, keep, keep, keep, keep, keep) }.status)
    assert.is_string(process.read(keep))
    local told, _, reused = ask(g.port, "-sess_in")
    assert.same({ false, false }, { told.resumed, reused })
  end)
end)
