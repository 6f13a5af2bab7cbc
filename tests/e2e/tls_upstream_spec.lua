-- Backends over tls: whom the gateway believes, what it shows them, and what it makes of a connection that ends early.
local E = require "moongate.e2e"

local DAY = 86400
local TELL_ERROR = [[return { response = function(_, res) res:set_header("X-Error", res.error.code) end }]]

describe("backends over TLS", function()
  local ca, leaf

  setup(function()
    ca = E.authority()
    leaf = ca:issue { names = { "localhost", "127.0.0.1", "backend.test" } }
  end)

  local function serve(answer, more)
    local options = { cert = leaf.cert, key = leaf.key }
    for key, value in pairs(more or {}) do options[key] = value end
    return E.upstream(answer or { body = "ok" }, { tls = options })
  end

  -- A gateway for one service. `tls` is the service's, `service` more of it.
  local function start(up, tls, service, options)
    local api = { backends = { up.address }, protocol = "https", tls = tls }
    for key, value in pairs(service or {}) do api[key] = value end
    local all = { config = { services = { api = api }, routes = { {
      match = "/*", service = "api", on_error = { { lua = TELL_ERROR } },
    } } } }
    for key, value in pairs(options or {}) do all[key] = value end
    return E.start(all)
  end

  it("get what the client sent, and their answer gets back", function()
    local up = serve(function(req) return { json = { path = req.path, body = req.body } } end)
    local g = start(up, { ca = ca.cert })
    assert.json(g:request { method = "POST", path = "/x", body = "hello" }, { path = "/x", body = "hello" })
    assert.equal("http", up.seen[1]:header "X-Forwarded-Proto")
    local tls = up.seen[1].socket.tls
    assert.same({ "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256" }, { tls.version, tls.cipher })
  end)

  it("keep their connection for the next request", function()
    local up = serve()
    local g = start(up, { ca = ca.cert })
    for _ = 1, 5 do assert.status(g:get "/", 200) end
    assert.equal(1, up:connections())
  end)

  for _, case in ipairs {
    { "RSA", { key = "rsa" } }, { "P-384", { key = "P-384" } }, { "P-521", { key = "P-521" } },
  } do
    it("may have a key of " .. case[1], function()
      case[2].names = { "127.0.0.1" }
      local other = ca:issue(case[2])
      assert.status(start(serve(nil, { cert = other.cert, key = other.key }), { ca = ca.cert }):get "/", 200)
    end)
  end

  it("agree on HTTP/1.1", function()
    local up = serve(nil, { alpn = { "h2", "http/1.1" } })
    assert.status(start(up, { ca = ca.cert }):get "/", 200)
    assert.equal("http/1.1", up.seen[1].socket.tls.protocol)
  end)

  -- ---------------------------------------------------------------------------------------------- who they are

  describe("are asked for", function()
    local function seen_name(up, tls, service)
      assert.status(start(up, tls, service):get "/", 200)
      return up.seen[#up.seen].socket.tls.sni
    end

    it("by their name in the config", function()
      local up = serve()
      assert.equal("localhost", seen_name(up, { ca = ca.cert }, { backends = { "localhost:" .. up.port } }))
    end)

    it("by the name that 'tls' says", function()
      assert.equal("backend.test", seen_name(serve(), { ca = ca.cert, name = "backend.test" }))
    end)

    it("by no name when they have an address", function()
      assert.is_nil(seen_name(serve(), { ca = ca.cert }))
    end)
  end)

  -- The cause as the log has it, and what the client gets.
  local function refusal(up, tls, service, options)
    local g = start(up, tls, service, options)
    local res = g:get "/"
    assert.problem(res, 502, "bad-gateway")
    assert.header(res, "X-Error", "tls")
    local line = g:wait_log '"upstream failed"'[1]
    return line:match '"reason":"([^"]*)"', g
  end

  describe("are refused", function()
    local function other(options)
      options.names = options.names or { "127.0.0.1" }
      local bad = (options.by or ca):issue(options)
      return serve(nil, { cert = bad.cert, key = bad.key })
    end

    it("when nobody vouches for them", function()
      local up = other { by = E.authority() }
      assert.equal("tls: unknown issuer", (refusal(up, { ca = ca.cert })))
      E.eventually(function() assert.equal("tlsv1 alert unknown ca", up.refused[1]) end)
      assert.called(up, 0)
    end)

    it("when the system's authorities do not", function()
      assert.equal("tls: unknown issuer", (refusal(serve())))
      assert.equal("tls: unknown issuer", (refusal(serve(), {})))
    end)

    it("but not when the system's authorities do", function()
      local g = start(serve(), nil, nil, { env = { SSL_CERT_FILE = ca.cert } })
      assert.status(g:get "/", 200)
    end)

    it("when they are somebody else", function()
      assert.equal("tls: not for this name", (refusal(other { names = { "other.test" } }, { ca = ca.cert })))
      assert.equal("tls: not for this name", (refusal(other { names = { "10.0.0.1" } }, { ca = ca.cert })))
      local up = serve()
      assert.equal("tls: not for this name", (refusal(up, { ca = ca.cert, name = "other.test" })))
      assert.equal("tls: not for this name", (refusal(up, { ca = ca.cert, name = "10.0.0.1" })))
      up = other { names = { "*.test" } }
      assert.equal("tls: not for this name", (refusal(up, { ca = ca.cert, name = "a.b.test" })))
      assert.status(start(up, { ca = ca.cert, name = "a.test" }):get "/", 200)
    end)

    it("when an address is only their common name", function()
      assert.equal("tls: not for this name",
        (refusal(other { name = "127.0.0.1", names = { "other.test" } }, { ca = ca.cert })))
    end)

    it("when their certificate has ended, or has not begun", function()
      assert.equal("tls: expired", (refusal(other { from = -2 * DAY, to = -DAY }, { ca = ca.cert })))
      assert.equal("tls: not valid yet", (refusal(other { from = DAY, to = 2 * DAY }, { ca = ca.cert })))
    end)

    it("when it was revoked", function()
      local gone = ca:issue { names = { "127.0.0.1" } }
      local up = serve(nil, { cert = gone.cert, key = gone.key })
      assert.status(start(up, { ca = ca.cert, crl = ca:crl() }):get "/", 200)
      ca:revoke(gone)
      assert.equal("tls: revoked", (refusal(up, { ca = ca.cert, crl = ca:crl() })))
    end)

    it("when it is for clients only", function()
      assert.equal("tls: not for this use", (refusal(other { usage = "clientAuth" }, { ca = ca.cert })))
    end)

    it("when they speak something older", function()
      assert.matches("^tls: the peer says: ",
        (refusal(serve(nil, { version = "1.1" }), { ca = ca.cert })))
    end)

    it("when they know no good cipher", function()
      local up = serve(nil, { version = "1.2", ciphers = "ECDHE-ECDSA-AES128-SHA" })
      assert.equal("tls: the peer says: handshake failure", (refusal(up, { ca = ca.cert })))
    end)

    it("when they speak no TLS", function()
      assert.matches("^tls: ", (refusal(E.upstream { body = "ok" }, { ca = ca.cert })))
    end)

    it("when they hang up", function()
      local up = E.upstream(nil, { serve = function(s)
        s:receive(1)
        s:close()
      end })
      assert.equal("tls: the peer closed the connection", (refusal(up, { ca = ca.cert })))
    end)

    it("unless anybody will do", function()
      local up = other { by = E.authority(), names = { "other.test" }, from = -2 * DAY, to = -DAY }
      assert.status(start(up, { verify = false }):get "/", 200)
    end)
  end)

  it("that do not answer the handshake are given up in time", function()
    local up = E.upstream(nil, { serve = function(s) s:until_close() end })
    local g = start(up, { ca = ca.cert }, { timeouts = { connect = "200ms", first_byte = "1h" } })
    assert.problem(g:get "/", 504, "gateway-timeout") -- it would never come otherwise
    g:wait_log '"upstream failed"'
  end)

  it("are reached through another when one is bad", function()
    local bad, good = serve(nil, (function()
      local other = E.authority():issue { names = { "127.0.0.1" } }
      return { cert = other.cert, key = other.key }
    end)()), serve()
    local g = start(good, { ca = ca.cert }, { backends = { bad.address, good.address } })
    for _ = 1, 4 do assert.status(g:get "/", 200) end
    assert.called(good, 4)
  end)

  -- ---------------------------------------------------------------------------------------------- who we are

  describe("that ask who we are", function()
    local me

    setup(function() me = ca:issue { name = "gateway" } end)

    it("see the certificate", function()
      local up = serve(nil, { ca = ca.cert, request = "require" })
      local g = start(up, { ca = ca.cert, cert = me.cert, key = me.key })
      assert.status(g:get "/", 200)
      assert.equal("gateway", up.seen[1].socket.tls.certificate.name)
    end)

    it("see it with those between it and the root, and its key may have a password", function()
      local deep = ca:authority():issue { name = "deep", password = "open sesame", key = "rsa" }
      local up = serve(nil, { ca = ca.cert, request = "require" })
      local g = E.start {
        env = { MG_E2E_KEY = "open sesame" },
        config = {
          secrets = { k = { env = "MG_E2E_KEY" } },
          services = { api = { url = up.url,
            tls = { ca = ca.cert, cert = deep.cert, key = deep.key, password = "k" } } },
          routes = { { match = "/*", service = "api" } },
        },
      }
      assert.status(g:get "/", 200)
      assert.equal("deep", up.seen[1].socket.tls.certificate.name)
    end)

    it("may refuse who has none", function()
      local up = serve(nil, { ca = ca.cert, request = "require", version = "1.2" })
      assert.equal("tls: the peer says: handshake failure", (refusal(up, { ca = ca.cert })))
      assert.same({ "peer did not return a certificate" }, up.refused)
    end)

    it("may be wrong in how they take up sessions", function()
      -- OpenSSL refuses its own sessions when the application did not name itself, which this one does not.
      local up = serve(nil, { ca = ca.cert, request = "require" })
      local g = start(up, { ca = ca.cert, cert = me.cert, key = me.key }, { keepalive = { max = 0 } })
      local answers = {}
      for i = 1, 4 do answers[i] = g:get("/").status end
      g:log '"upstream failed"'
      assert.same({ 200, 502, 200, 200 }, answers)
    end)
  end)

  -- ---------------------------------------------------------------------------------------------- sessions

  it("take up sessions again", function()
    -- What goes over the wire: a server that takes a session up shows no certificate (RFC 5246 7.3).
    local up, whole = serve(), {}
    local between = E.upstream(nil, { serve = function(s, n)
      local other = assert(require "moongate.e2e.socket".connect(up.port))
      local back = E.spawn(function()
        while true do
          local bytes = other:receive()
          if not bytes then break end
          -- The flight's first record is the ServerHello; a Certificate (11) follows it, or a ticket or an end.
          if whole[n] == nil then
            local length = bytes:byte(4) * 256 + bytes:byte(5)
            whole[n] = bytes:byte(5 + length + 6) == 11
          end
          s:send(bytes)
        end
        s:close()
      end)
      while true do
        local bytes = s:receive()
        if not bytes then break end
        other:send(bytes)
      end
      other:close()
      back:wait()
    end })
    local g = start(between, { ca = ca.cert }, { keepalive = { max = 0 } })
    for _ = 1, 4 do assert.status(g:get "/", 200) end
    assert.same({ true, false, false, false }, whole)
  end)

  -- ---------------------------------------------------------------------------------------------- ends

  describe("that end a body with the connection", function()
    local function answer(how)
      return serve(nil, nil), function(s)
        repeat until s:line() == ""
        s:send "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"
        if how == "truncate" then
          s:truncate()
          s:until_close(1)
        end
        s:close()
      end
    end

    local function ask(how)
      local _, play = answer(how)
      local up = E.upstream(nil, { serve = play, tls = { cert = leaf.cert, key = leaf.key } })
      local g = start(up, { ca = ca.cert })
      local client = g:connect()
      local res, why, part = client:request "/"
      g:log '"response cut short"'
      return res, why, part
    end

    it("are believed when they say goodbye", function()
      assert.equal("hello", ask("close").body)
    end)

    it("are not when the connection is cut off", function()
      local res, why, part = ask "truncate"
      assert.is_nil(res)
      assert.is_string(why)
      assert.equal("hello", part and part.body)
    end)
  end)

  for _, way in ipairs { "mid-body", "reset" } do
    it("that break off (" .. way .. ") break the response", function()
      local up = serve { body = ("x"):rep(100000), close = way }
      local g = start(up, { ca = ca.cert })
      local res, _, part = g:connect():request "/"
      assert.is_nil(res)
      assert.status(part, 200)
      g:wait_log '"response cut short"'
    end)
  end

  it("that end an idle connection are asked again on a new one", function()
    for _, way in ipairs { "close", "truncate" } do
      local up = serve()
      local g = start(up, { ca = ca.cert })
      assert.status(g:get "/", 200)
      local idle = up.seen[1].socket
      idle[way](idle)
      assert.status(g:request { method = "GET" }, 200)
      assert.equal(2, up:connections())
    end
  end)
end)

describe("steps that fetch over TLS", function()
  it("hear why it failed", function()
    local up = E.upstream({ body = "ok" }, { tls = true })
    local FETCH = [[return { request = function(req)
      local res, err = mg.fetch("api", { path = "/x" })
      return mg.reply(200, res and res:text() or err.code .. ": " .. tostring(err))
    end }]]
    local function answer(tls)
      local g = E.start { config = {
        services = { api = { url = up.url, tls = tls } }, routes = { { match = "/*", policies = { { lua = FETCH } } } },
      } }
      return g:get("/").body
    end
    assert.equal("ok", answer { ca = up.ca })
    assert.matches("^tls: .*unknown issuer", answer {})
  end)
end)
