-- Listeners behind a proxy that says whose connection it passes on (PROXY protocol), plain and with TLS behind it.
local E = require "moongate.e2e"
local edge = require "tls.edge"

local V2 = "\r\n\r\n\0\r\nQUIT\n"

-- A header of version 2. command: 0 LOCAL, 1 PROXY; family: 0x11 TCP over IPv4, 0x21 over IPv6.
local function v2(command, family, body)
  return V2 .. string.char(0x20 | command, family) .. string.pack(">s2", body)
end

local function ipv4(from, to, from_port, to_port)
  local function bytes(text) return text:gsub("(%d+)%.?", function(n) return string.char(tonumber(n)) end) end
  return bytes(from) .. bytes(to) .. string.pack(">I2I2", from_port, to_port)
end

local LINE = "PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\n"

describe("a listener with proxy_protocol", function()
  local ca, leaf, g, impatient
  local PLAIN, SECURE, WITHOUT = 1, 2, 3

  setup(function()
    ca = E.authority()
    leaf = ca:issue { names = { "a.test" } }
    local plain, secure = { address = "127.0.0.1:0", proxy_protocol = true }, edge.listener(leaf)
    secure.proxy_protocol = true
    local listen, trusted = { plain, secure, "127.0.0.1:0" }, { "127.0.0.1", "10.0.0.0/8" }
    g = edge.start(nil, { listen = listen, trusted_proxies = trusted }, { tls = false })
    impatient = edge.start(nil, { listen = listen, trusted_proxies = trusted, limits = { header_time = "500ms" } },
      { tls = false })
  end)

  -- What a step knows of a connection that begins with `header`.
  local function told(which, header, options)
    local all = { port = g.ports[which], first = header, tls = which == SECURE and { sni = "a.test" } }
    for key, value in pairs(options or {}) do all[key] = value end
    return g:get("/", all):json()
  end

  for name, which in pairs { plain = PLAIN, TLS = SECURE } do
    describe("(" .. name .. ")", function()
      it("takes the client's address from the header", function()
        for header, ip in pairs {
          [LINE] = "192.0.2.7",
          ["PROXY TCP6 2001:db8::7 2001:db8::1 5000 443\r\n"] = "2001:db8::7",
          [v2(1, 0x11, ipv4("192.0.2.9", "192.0.2.1", 5000, 443))] = "192.0.2.9",
          [v2(1, 0x21, ("\x20\1\x0d\xb8" .. ("\0"):rep(11) .. "\9"):rep(2) .. "\0\1\0\2")] = "2001:db8::9",
          [v2(1, 0x11, ipv4("192.0.2.9", "192.0.2.1", 5000, 443) .. "\4\0\3abc\5\0\4abcd")] = "192.0.2.9",
        } do
          local res = told(which, header)
          assert.equal(ip, res.ip)
          assert.equal(which == SECURE and "https" or "http", res.scheme)
          assert.equal(which == SECURE and "a.test" or nil, res.tls and res.tls.sni)
        end
      end)

      it("keeps the proxy's where the header knows none", function()
        for _, header in ipairs { "PROXY UNKNOWN\r\n", "PROXY UNKNOWN what ever\r\n", v2(0, 0, ""), v2(1, 0, "") } do
          assert.equal("127.0.0.1", told(which, header).ip)
        end
      end)

      it("takes a header in pieces, with the first bytes behind it or not", function()
        for _, header in ipairs { LINE, v2(1, 0x11, ipv4("192.0.2.7", "192.0.2.1", 5000, 443)) } do
          for _, at in ipairs { 1, 5, 12, 15, 16, #header - 1 } do
            local s = assert(require "moongate.e2e.socket".connect(g.ports[which]))
            s:send(header:sub(1, at))
            E.sleep(0.01)
            s:send(header:sub(at + 1))
            if which == SECURE then s = assert(require "moongate.e2e.tls".client(s, {})) end
            s:send "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            assert.matches('"ip":"192.0.2.7"', (s:until_close()), 1, true)
          end
        end
      end)

      it("closes on anything else", function()
        local bad = {
          "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "PROXY TCP4 192.0.2.7\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 99999 1\r\n",
          "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
          "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY " .. ("x"):rep(200), "\0\0\0", "\x16\x03\x01\0\5\1\0\0\1\0",
          V2 .. "\x31\x11\0\x0c" .. ipv4("1.2.3.4", "1.2.3.4", 1, 2), v2(1, 0x11, "short"), v2(2, 0x11, ("\0"):rep(12)),
          V2 .. "\x21\x11\xff\xff",
        }
        for i, bytes in ipairs(bad) do
          local answer = g:raw(bytes, { port = g.ports[which] })
          assert.equal("", answer, "bad header " .. i)
        end
        g:wait_log "connection without a valid PROXY header"
      end)

      it("waits no longer than for a head", function()
        for _, bytes in ipairs { "", "PROXY TCP4 192.0.2.7", V2 .. "\x21\x11\0" } do
          assert.same({ "", "closed" }, { impatient:raw(bytes, { port = impatient.ports[which] }) })
        end
      end)

      it("takes no header from somebody untrusted", function()
        for _, bytes in ipairs { LINE, "" } do
          -- It may be reset before the client has seen that it was accepted.
          local client = g:connect { port = g.ports[which], from = "127.0.0.2", first = bytes }
          assert.equal("", client and client:until_close() or "")
        end
        g:wait_log "the peer is not trusted to send one"
      end)

      it("reads one header, and what comes behind it is data", function()
        if which == SECURE then
          assert.is_nil((g:connect { port = g.ports[which], first = LINE .. LINE, tls = true }))
        else
          local answer = g:raw(LINE .. LINE .. "GET / HTTP/1.1\r\nHost: x\r\n\r\n", { port = g.ports[which] })
          assert.matches("^HTTP/1.1 400 ", answer)
        end
      end)
    end)
  end

  it("looks behind the header's address too, when that is a trusted proxy", function()
    local header = "PROXY TCP4 10.1.1.1 192.0.2.1 5000 443\r\n"
    assert.equal("198.51.100.1",
      told(PLAIN, header, { headers = { ["X-Forwarded-For"] = "198.51.100.1" } }).ip)
    assert.equal("192.0.2.7", told(PLAIN, LINE, { headers = { ["X-Forwarded-For"] = "198.51.100.1" } }).ip)
  end)

  it("hears from version 2 that the client spoke TLS to the proxy", function()
    -- PP2_TYPE_SSL: client flags (SSL), verified.
    local tls = "\x20" .. string.pack(">s2", "\1\0\0\0\0")
    local res = told(PLAIN, v2(1, 0x11, ipv4("192.0.2.7", "192.0.2.1", 5000, 443) .. tls))
    assert.equal("https", res.scheme)
    assert.is_nil(res.tls)
  end)

  it("tells backends of the client", function()
    local up = E.upstream { body = "ok" }
    local other = edge.proxy({ address = "127.0.0.1:0", proxy_protocol = true }, up,
      { trusted_proxies = { "127.0.0.1" } }, { tls = false })
    assert.status(other:get("/", { first = LINE, headers = { Host = "a" } }), 200)
    local req = up.seen[1]
    assert.equal("192.0.2.7", req:header "X-Forwarded-For")
    assert.equal("443", req:header "X-Forwarded-Port")
    assert.equal("for=192.0.2.7;proto=http;host=a;by=_gw", req:header "Forwarded")
  end)

  it("is for listeners that say so", function()
    local answer = g:raw(LINE .. "GET / HTTP/1.1\r\nHost: x\r\n\r\n", { port = g.ports[WITHOUT] })
    assert.matches("^HTTP/1.1 400 ", answer)
  end)

  it("counts connections that have not said theirs", function()
    local other = edge.start({ address = "127.0.0.1:0", proxy_protocol = true },
      { trusted_proxies = { "127.0.0.1" }, limits = { connections = 2 } }, { tls = false })
    local first, second = other:connect(), other:connect { first = LINE }
    assert.status(second:request "/", 200)
    assert.same({ "", "closed" }, { other:raw(LINE) })
    other:wait_log "too many connections"
    first:close()
    E.eventually(function() assert.status(other:get("/", { first = LINE }), 200) end)
  end)
end)
