-- What goes through TLS: HTTP as it is without, on both sides, with and without acceleration.
local E = require "moongate.e2e"
local edge = require "tls.edge"

local MIB = 1 << 20

-- Bytes that no piece of which looks like another.
local function noise(n)
  local parts = {}
  for i = 1, n // 16 do parts[i] = ("%015d\n"):format(i) end
  return table.concat(parts)
end

for _, acceleration in ipairs { "on", "off" } do
  describe("TLS with acceleration " .. acceleration, function()
    local ca, leaf, rsa, up, g

    setup(function()
      ca = E.authority()
      leaf = ca:issue { names = { "a.test", "127.0.0.1" } }
      rsa = ca:issue { names = { "a.test", "127.0.0.1" }, key = "rsa" }
    end)

    -- TLS on both sides.
    local function start(answer, config)
      up = E.upstream(answer, { tls = { cert = leaf.cert, key = leaf.key } })
      -- A hundred handshakes at once take their time under a sanitizer.
      local whole = { services = { api = { url = up.url, tls = { ca = ca.cert }, timeouts = { connect = "60s" } } } }
      for key, value in pairs(config or {}) do whole[key] = value end
      g = edge.proxy(edge.listener { leaf, rsa }, up, whole, { env = { MOONGATE_TLS_ACCEL = acceleration } })
    end

    for _, cipher in ipairs {
      "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
      "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305",
    } do
      it("moves bodies of any size with " .. cipher, function()
        local sent = noise(3 * MIB)
        up = E.upstream(function(req) return { body = req.body } end,
          { tls = { cert = rsa.cert, key = rsa.key, version = "1.2", ciphers = cipher:gsub("ECDSA", "RSA") } })
        local config = { services = { api = { url = up.url, tls = { ca = ca.cert } } } }
        g = edge.proxy(edge.listener { leaf, rsa }, up, config, { env = { MOONGATE_TLS_ACCEL = acceleration } })
        -- An EC certificate's own curve is needed too (RFC 8422 5.1).
        local curves = cipher:find "ECDSA" and { "X25519:P-256", "P-256" } or { "X25519", "P-256", "P-384" }
        for _, curve in ipairs(curves) do
          local client = assert(g:connect { tls = { ciphers = cipher, version = "1.2", curves = curve } })
          for _, n in ipairs { 0, 1, 16, 16384, 16400, 3 * MIB } do
            local res = assert(client:request { method = "POST", body = sent:sub(1, n) })
            assert.is_true(res.body == sent:sub(1, n), ("%d bytes"):format(n))
          end
          client:close()
        end
      end)
    end

    it("moves 50 MB both ways", function()
      local sent, got = noise(50 * MIB), nil
      local length = tostring(#sent)
      start(function(req)
        got = req.body
        return { body = sent }
      end, { limits = { body_bytes = "60MiB" } })
      local client = g:connect { timeout = 60 }
      local res = assert(client:request { method = "POST", body = sent, headers = { ["Content-Length"] = length } })
      assert.is_true(got == sent, "what the backend got is what was sent")
      assert.is_true(res.body == sent, "what the client got is what was sent")
    end)

    it("moves chunks and trailers", function()
      start(function(req)
        return { chunks = { "a", req.body, ("x"):rep(40000) }, trailers = { ["X-Sum"] = req:trailer "X-Sum" } }
      end)
      local res = g:connect():request { method = "POST", chunks = { "12", "345", ("y"):rep(20000) },
        trailers = { ["X-Sum"] = "7" }, headers = { TE = "trailers", Connection = "TE", Trailer = "X-Sum" } }
      assert.equal("a12345" .. ("y"):rep(20000) .. ("x"):rep(40000), res.body)
    end)

    it("stops a backend whose client does not read", function()
      start { body = ("x"):rep(30 * MIB) }
      local client = g:connect { timeout = 60 }
      client:send_request { path = "/" }
      E.eventually(function() assert.called(up, 1) end)
      E.sleep(0.3) -- all that goes into buffers has gone
      local status = require "moongate.e2e.process".read("/proc/" .. g:serving_pid() .. "/status")
      local memory = status:match "VmRSS:%s*(%d+)"
      assert.is_true(tonumber(memory) < 60000 or E.limit(1) > 1, memory)
      assert.equal(30 * MIB, #client:response().body)
    end)

    it("keeps a connection for many requests", function()
      start(function(req) return { body = req.path } end)
      local client = g:connect()
      for i = 1, 200 do assert.equal("/" .. i, client:request("/" .. i).body) end
      assert.equal(1, up:connections())
    end)

    it("answers requests that came together, in order", function()
      start(function(req) return { body = req.path } end)
      local client = g:connect()
      local all = {}
      for i = 1, 50 do all[i] = ("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"):format(i) end
      client:send(table.concat(all))
      for i = 1, 50 do assert.equal("/" .. i, client:response().body) end
    end)

    it("takes a head in pieces of any size", function()
      start { body = "ok" }
      local client = g:connect()
      for piece in ("GET / HTTP/1.1\r\nHost: x\r\nX-Long: " .. ("y"):rep(100) .. "\r\n\r\n"):gmatch "." do
        client:send(piece)
      end
      assert.equal("ok", client:response().body)
    end)

    it("serves many connections at the same time", function()
      start { body = "ok" }
      for _, res in ipairs(E.times(100, function(i) return g:get("/" .. i) end)) do assert.equal("ok", res.body) end
      assert.called(up, 100)
    end)

    it("tunnels upgrades both ways", function()
      up = E.upstream(nil, { tls = { cert = leaf.cert, key = leaf.key }, serve = function(s)
        repeat until s:line() == ""
        s:send "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello "
        while true do
          local bytes = s:receive()
          if not bytes then break end
          s:send(bytes:upper())
        end
        s:close()
      end })
      g = edge.proxy(edge.listener(leaf), up, { services = { api = { url = up.url, tls = { ca = ca.cert } } } },
        { env = { MOONGATE_TLS_ACCEL = acceleration } })
      local client = g:connect()
      client:send "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
      assert.status(client:response(), 101)
      assert.equal("hello ", client:receive(6))
      for n = 1, 100000, 9999 do
        client:send(("a"):rep(n))
        assert.equal(("A"):rep(n), client:receive(n))
      end
      client:close()
      E.eventually(function() assert.equal(0, up:open_connections()) end)
    end)

    it("passes no body on that was cut off", function()
      local seen
      start(function(req)
        seen = req.complete
        return {}
      end)
      local client = g:connect()
      client:send "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello"
      client:truncate()
      client:until_close()
      E.eventually(function() assert.equal(0, up:open_connections()) end)
      assert.is_nil(seen)
    end)

    it("finishes what is under way at the end", function()
      local may_answer = false
      start(function()
        E.until_true(function() return may_answer end)
        return { body = ("x"):rep(MIB) }
      end, { workers = 2 })
      local client, idle = g:connect(), g:connect()
      client:send_request { path = "/" }
      E.eventually(function() assert.called(up, 1) end)
      g:terminate()
      assert.same({ "", "closed" }, { idle:until_close() })
      may_answer = true
      local res = client:response()
      assert.equal(MIB, #res.body)
      assert.header(res, "Connection", "close")
      assert.same({ "", "closed" }, { client:until_close() })
      assert.equal(0, g:wait())
    end)
  end)
end
