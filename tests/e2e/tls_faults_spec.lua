-- Connections that break, or are tampered with, at every point of a handshake and behind it.
local E = require "moongate.e2e"
local edge = require "tls.edge"
local socket = require "moongate.e2e.socket"

-- Listens, and passes all on to a port of this machine, until `bytes` have gone in `direction` ("to" or "from"); then
-- ends both connections in the `way` "close" or "reset", or flips a bit of the next byte ("flip").
local function relay(port, direction, bytes, way)
  local left = bytes
  local function copy(from, to, counted)
    while true do
      local data = from:receive()
      if not data then break end
      if counted and #data > left and way ~= "flip" then
        if left > 0 then to:send(data:sub(1, left)) end
        if from.raw then from[way](from) end
        if to.raw then to[way](to) end
        return
      elseif counted and #data > left and left >= 0 then
        data = data:sub(1, left) .. string.char(data:byte(left + 1) ~ 1) .. data:sub(left + 2)
      end
      if counted then left = left - #data end
      to:send(data)
    end
    if to.raw then to:close() end
  end
  return E.upstream(nil, { serve = function(s)
    local other = assert(socket.connect(port))
    local back = E.spawn(copy, other, s, direction == "from")
    copy(s, other, direction == "to")
    back:wait()
  end })
end

-- Its time for a handshake is short: on a busy machine it may take more than one.
local function still_serves(g)
  E.eventually(function() assert.equal("TLSv1.2", edge.tell(g).version) end)
end

describe("a handshake that breaks", function()
  local ca, leaf

  setup(function()
    ca = E.authority()
    leaf = ca:issue { names = { "127.0.0.1" } }
  end)

  local STEP = { close = 41, reset = 43, flip = 29 } -- primes, so that each meets other bytes

  for _, way in ipairs { "close", "reset", "flip" } do
    for _, direction in ipairs { "to", "from" } do
      it(("(%s, %s the listener) costs nobody else anything"):format(way, direction), function()
        local g = edge.start(edge.listener(leaf, { client_auth = "request", client_ca = ca.cert }),
          { limits = { header_time = "1s" } })
        for bytes = 0, 2000, STEP[way] do
          local between = relay(g.port, direction, bytes, way)
          local client = g:connect { port = between.port, timeout = 3,
            tls = { ca = ca.cert, cert = leaf.cert, key = leaf.key, version = "1.2" } }
          if client then
            client:send "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            local answer = client:until_close()
            assert.is_true(answer == "" or answer:find "^HTTP/1.1 200 " ~= nil, answer)
            client:close()
          end
          between:close()
        end
        still_serves(g)
      end)

      it(("(%s, %s a backend) is a 502, and the next one is good"):format(way, direction), function()
        local up = E.upstream({ body = "ok" }, { tls = { cert = leaf.cert, key = leaf.key, version = "1.2" } })
        local statuses = {}
        for bytes = 0, 1500, STEP[way] * 3 do
          local between = relay(up.port, direction, bytes, way)
          local g = E.start { config = { services = { api = { url = between.url:gsub("http:", "https:"),
            tls = { ca = ca.cert }, keepalive = { max = 0 }, timeouts = { connect = "1s", first_byte = "2s" } } },
            routes = { { match = "/*", service = "api" } } } }
          local res = g:connect():request "/"
          statuses[res and res.status or 0] = true
          g:stop()
        end
        assert.is_true(statuses[502])
        for status in pairs(statuses) do
          assert.is_true(status == 200 or status == 502 or status == 504 or status == 0, status)
        end
      end)
    end
  end
end)

describe("every beginning of a ClientHello", function()
  it("may be all that comes", function()
    local ca = E.authority()
    local g = edge.start(edge.listener(ca:issue { names = { "a.test" } }), { limits = { header_time = "1s" } })
    local hello
    local trap = E.listen(function(s)
      E.spawn(function()
        hello = s:receive()
        s:close()
      end)
    end)
    g:connect { port = trap.port, tls = { sni = "a.test", alpn = { "h2", "http/1.1" } } }
    trap:close()
    assert.is_true(#hello > 100)
    for i = 1, #hello - 1 do
      local client = g:connect { tls = false }
      client:send(hello:sub(1, i))
      if i % 2 == 0 then client:reset() else client:close() end
    end
    for i = 6, #hello do -- a byte of it is another
      local client = g:connect { tls = false }
      client:send(hello:sub(1, i - 1) .. string.char(hello:byte(i) ~ 0x55) .. hello:sub(i + 1))
      client:close()
    end
    still_serves(g)
  end)
end)
