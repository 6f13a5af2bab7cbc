-- TLS listeners: which certificate, which version, which cipher, and what becomes of those who speak something else.
local E = require "moongate.e2e"
local edge = require "tls.edge"

local tell, failure = edge.tell, edge.failure

describe("the certificate of a TLS listener", function()
  local ca, one, any, fallback

  setup(function()
    ca = E.authority()
    fallback = ca:issue { names = { "default.test" } }
    one = ca:issue { names = { "one.any.test" } }
    any = ca:issue { names = { "*.any.test", "any.test" } }
  end)

  local function shown(g, sni)
    return assert(g:connect { tls = { sni = sni, ca = ca.cert } }).tls.certificate.names[1]
  end

  local function start(more)
    return edge.start(edge.listener({ fallback, any, one }, more))
  end

  it("is that of the name the client asks for", function()
    local g = start()
    for asked, name in pairs {
      ["one.any.test"] = "one.any.test", ["ONE.any.Test"] = "one.any.test", ["one.any.test."] = "one.any.test",
      ["two.any.test"] = "*.any.test", ["any.test"] = "*.any.test", ["default.test"] = "default.test",
      ["a.two.any.test"] = "default.test", ["test"] = "default.test", ["x.test"] = "default.test",
    } do
      assert.equal(name, shown(g, asked), asked)
    end
    assert.equal("default.test", shown(g, nil))
  end)

  it("may be refused to who asks for another name", function()
    local g = start { unknown_names = "reject" }
    assert.equal("tlsv1 unrecognized name", failure(g, { sni = "x.test" }))
    assert.equal("one.any.test", shown(g, "one.any.test"))
    assert.equal("default.test", shown(g, nil))
  end)

  it("is for the names in the config when there are some", function()
    local g = edge.start(edge.listener {
      fallback, { cert = any.cert, key = any.key, only = { "mine.test", "*.mine.test" } },
    })
    assert.equal("*.any.test", shown(g, "mine.test"))
    assert.equal("*.any.test", shown(g, "x.mine.test"))
    assert.equal("default.test", shown(g, "any.test"))
  end)

  it("comes with those between it and the root", function()
    local leaf = ca:authority():authority():issue { names = { "deep.test" } }
    local g = edge.start(edge.listener(leaf))
    assert.equal("deep.test", shown(g, "deep.test"))
    assert.equal("certificate verify failed", failure(g, { ca = one.cert }))
  end)

  for name, kind in pairs { ["P-384"] = "P-384", ["RSA with 3072 bits"] = "rsa:3072" } do
    it("may have a key of " .. name, function()
      local g = edge.start(edge.listener(ca:issue { names = { "a.test" }, key = kind }))
      assert.equal("a.test", shown(g, "a.test"))
    end)
  end

  describe("with RSA beside EC", function()
    local g

    setup(function()
      g = edge.start(edge.listener {
        ca:issue { names = { "both.test" }, name = "RSA", key = "rsa" },
        ca:issue { names = { "both.test" }, name = "EC" },
        ca:issue { names = { "rsa.test" }, name = "only RSA", key = "rsa" },
      })
    end)

    for what, case in pairs {
      ["EC for who can do both"] = { nil, "EC" },
      ["EC for who likes RSA better"] = { "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256", "EC" },
      ["RSA for who can do no other"] = { "ECDHE-RSA-AES256-GCM-SHA384", "RSA" },
      ["EC for who can do no other"] = { "ECDHE-ECDSA-CHACHA20-POLY1305", "EC" },
    } do
      it("is " .. what, function()
        for _, sni in ipairs { "both.test", false } do
          local client = assert(g:connect { tls = { sni = sni or nil, ciphers = case[1], ca = ca.cert } })
          assert.equal(case[2], client.tls.certificate.name)
          assert.status(client:request "/", 200)
        end
      end)
    end

    it("is RSA where there is no other for the name", function()
      local client = assert(g:connect { tls = { sni = "rsa.test" } })
      assert.equal("only RSA", client.tls.certificate.name)
      assert.equal("sslv3 alert handshake failure",
        failure(g, { sni = "rsa.test", ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" }))
    end)
  end)
end)

describe("a TLS listener", function()
  local ca, g

  setup(function()
    ca = E.authority()
    g = edge.start(edge.listener { ca:issue { names = { "a.test" }, key = "rsa" }, ca:issue { names = { "a.test" } } })
  end)

  it("tells steps of the connection", function()
    local res = g:get("/", { tls = { sni = "A.test", alpn = { "http/1.1" } } })
    assert.json(res, { ip = "127.0.0.1", scheme = "https", worker = res:json().worker, tls = {
      version = "TLSv1.2", cipher = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", sni = "A.test", alpn = "http/1.1",
      resumed = false,
    } })
    assert.same({ "version", "cipher", "resumed" }, (function()
      local bare = tell(g)
      return { bare.version and "version", bare.cipher and "cipher", bare.resumed == false and "resumed", bare.sni }
    end)())
  end)

  it("tells backends of it", function()
    local up = E.upstream { body = "ok" }
    local other = edge.proxy(edge.listener(ca:issue { names = { "a.test" } }), up)
    other:get("/", { tls = { sni = "a.test" } })
    assert.equal("https", up.seen[1]:header "X-Forwarded-Proto")
    assert.equal(tostring(other.port), up.seen[1]:header "X-Forwarded-Port")
    assert.equal("for=127.0.0.1;proto=https;host=a.test;by=_gw", up.seen[1]:header "Forwarded")
  end)

  it("speaks TLS 1.2, and nothing older", function()
    assert.equal("TLSv1.2", tell(g, { version = "1.2" }).version)
    for _, version in ipairs { "1.0", "1.1" } do
      assert.equal("tlsv1 alert protocol version", failure(g, { version = version }))
    end
  end)

  for _, cipher in ipairs {
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305",
  } do
    it("knows " .. cipher, function()
      local client = assert(g:connect { tls = { version = "1.2", ciphers = cipher } })
      assert.equal(cipher, client.tls.cipher)
      local told = client:request("/"):json().tls.cipher:gsub("AES_", "AES")
      assert.equal(cipher:match "AES%d+" or "CHACHA20", told:match "AES%d+" or told:match "CHACHA20")
    end)
  end

  it("knows no cipher without forward secrecy and authenticated encryption", function()
    for _, cipher in ipairs {
      "AES128-GCM-SHA256", "AES256-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384",
      "DHE-RSA-AES128-GCM-SHA256",
      "ECDHE-ECDSA-AES128-CCM", "ECDHE-RSA-CAMELLIA128-SHA256",
      "ECDHE-RSA-NULL-SHA", "AECDH-AES128-SHA",
      "AES128-CCM8", "CAMELLIA128-SHA",
    } do
      assert.equal("sslv3 alert handshake failure",
        failure(g, { version = "1.2", ciphers = cipher .. ":@SECLEVEL=0" }), cipher)
    end
  end)

  for order, chosen in pairs {
    ["ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256"] = "ECDHE-ECDSA-CHACHA20-POLY1305",
    ["ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256"] = "ECDHE-RSA-CHACHA20-POLY1305",
    ["ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305"] = "ECDHE-ECDSA-AES128-GCM-SHA256",
    ["ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"] = "ECDHE-ECDSA-AES256-GCM-SHA384",
    ["ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"] = "ECDHE-ECDSA-AES128-GCM-SHA256",
    ["ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256"] =
      "ECDHE-RSA-AES128-GCM-SHA256",
  } do
    it("takes " .. chosen .. " of " .. order, function()
      assert.equal(chosen, assert(g:connect { tls = { version = "1.2", ciphers = order } }).tls.cipher)
    end)
  end

  it("agrees on modern curves", function()
    for _, curve in ipairs { "X25519", "P-256", "P-384" } do
      local rsa = { version = "1.2", ciphers = "ECDHE-RSA-AES128-GCM-SHA256", curves = curve }
      assert.is_nil(failure(g, rsa), curve)
    end
    for _, curve in ipairs { "P-521", "secp256k1", "brainpoolP256r1", "X448" } do
      local rsa = { version = "1.2", ciphers = "ECDHE-RSA-AES128-GCM-SHA256", curves = curve }
      assert.equal("sslv3 alert handshake failure", failure(g, rsa), curve)
    end
  end)

  it("agrees on a protocol that both speak", function()
    local function agreed(protocols)
      return assert(g:connect { tls = { alpn = protocols } }).tls.protocol
    end
    assert.equal("http/1.1", agreed { "h2", "http/1.1" })
    assert.equal("http/1.1", agreed { "http/1.1", "h2" })
    assert.is_nil(agreed(nil))
    assert.equal("tlsv1 alert no application protocol", failure(g, { alpn = { "h2", "spdy/3" } }))
  end)

  it("tells those who speak HTTP in words that they can read", function()
    for _, bytes in ipairs { "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" } do
      local answer, why = g:raw(bytes, { tls = false })
      assert.equal("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 33\r\n"
        .. "Connection: close\r\n\r\nThis port speaks HTTPS, not HTTP\n", answer)
      assert.equal("closed", why)
    end
  end)

  it("closes on garbage", function()
    for _, bytes in ipairs {
      "\0", ("\xff"):rep(100), "\r\n\r\n", "\x80\x2e\1\0\2", "\x16\x03\x01\xff\xff" .. ("\0"):rep(70000),
      "\x16\x03\x01\0\5\2\0\0\1\0", "\x16\x03\x01\0\0", "\x15\x03\x01\0\2\2\x28", "\x17\x03\x03\0\1a",
    } do
      local answer = g:raw(bytes, { tls = false })
      assert.is_true(answer == "" or answer:byte() == 0x15, "an alert or nothing")
    end
    assert.equal("TLSv1.2", tell(g).version)
  end)

  it("closes on records that were tampered with", function()
    local client = g:connect()
    assert.status(client:request "/", 200)
    client:raw_send("\x17\x03\x03\0\x40" .. ("x"):rep(64))
    local answer, why = client:until_close()
    assert.same({ "", "sslv3 alert bad record mac" }, { answer, why })
  end)

  it("does not renegotiate", function()
    local res = E.command { "openssl", "s_client", "-connect", "127.0.0.1:" .. g.port, input = "R\n" }
    assert.matches("RENEGOTIATING", res.stderr)
    assert.matches("no renegotiation", res.stderr)
    assert.equal("TLSv1.2", tell(g).version)
  end)

  it("says goodbye, and hears it", function()
    local client = g:connect()
    client:send "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    local answer, why = client:until_close()
    assert.matches("^HTTP/1.1 200 ", answer)
    assert.equal("closed", why)
    client = g:connect()
    client:send "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert.status(client:response(), 200)
    client:truncate() -- who knows whether that was the client
    assert.same({ "", "truncated" }, { client:until_close() })
  end)
end)

describe("slow and many handshakes", function()
  local leaf

  setup(function() leaf = E.authority():issue { names = { "a.test" } } end)

  local HELLO = "\x16\x03\x01\0\xc8\1\0\0\xc4\3\3" -- and so on

  it("are cut after the time for a head", function()
    local g = edge.start(edge.listener(leaf), { limits = { header_time = "300ms" } })
    local took = E.timed(function()
      local idle = {}
      for i, bytes in ipairs { "", "\x16", HELLO, HELLO .. ("\0"):rep(100) } do
        idle[i] = g:connect { tls = false }
        idle[i]:send(bytes)
      end
      for _, client in ipairs(idle) do
        local answer, why = client:until_close() -- reset, should the bytes come when it has ended already
        assert.equal("", answer)
        assert.not_equal("timeout", why)
      end
    end)
    assert.is_true(took > 0.29, took)
    E.eventually(function() assert.equal("TLSv1.2", tell(g).version) end) -- in time, where the machine is not too busy
  end)

  it("do not keep others waiting", function()
    local g = edge.start(edge.listener(leaf), { limits = { header_time = "1h" } })
    local idle = {}
    for i = 1, 200 do
      idle[i] = g:connect { tls = false }
      idle[i]:send(HELLO)
    end
    assert.equal("TLSv1.2", tell(g).version)
    for i = 1, 200 do assert.is_true(idle[i]:is_open()) end -- not a single one had to go for it
    for i = 1, 200 do idle[i]:close() end
  end)

  it("count as connections", function()
    local g = edge.start(edge.listener(leaf), { limits = { connections = 2 } })
    local first, second = g:connect(), g:connect { tls = false }
    second:send(HELLO)
    assert.status(first:request "/", 200)
    assert.is_nil((g:connect()))
    g:wait_log "too many connections"
    second:close()
    E.eventually(function() assert.equal("TLSv1.2", tell(g).version) end)
  end)

  it("do not hold up the end", function()
    local g = edge.start(edge.listener(leaf), { limits = { header_time = "1h" } })
    local half, idle = g:connect { tls = false }, g:connect()
    half:send(HELLO)
    assert.status(idle:request "/", 200)
    local took, status = E.timed(function() return g:stop() end)
    assert.equal(0, status)
    assert.is_true(took < E.limit(20), took) -- it waits 30 s for requests
    assert.same({ "", "closed" }, { idle:until_close() })
  end)
end)

describe("run --dev", function()
  it("makes a certificate for localhost when there is none", function()
    local g = edge.start({ address = "127.0.0.1:0", tls = {} }, nil, { args = { "--dev" } })
    local client = assert(g:connect { tls = { sni = "localhost" } })
    assert.equal("localhost", client.tls.certificate.names[1])
    assert.same({ "127.0.0.1", "::1" }, { table.unpack(client.tls.certificate.names, 2) })
    assert.status(client:request "/", 200)
  end)

  it("is needed for that", function()
    local config = "listen: { address: 127.0.0.1:0, tls: {} }\nroutes: []\n"
    local res = E.run { args = { "check", "CONFIG" }, config = config }
    assert.equal(1, res.status)
    local fault = "listen[0].tls.certificates: is required (with --dev one is made for localhost)"
    assert.matches(fault, res.stdout, 1, true)
  end)
end)
