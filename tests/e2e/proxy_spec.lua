-- What passes through, both ways, over real sockets.
local E = require "moongate.e2e"

local function config(up, more)
  local out = { services = { api = { backends = { up.address } } }, routes = { { match = "/*", service = "api" } } }
  for key, value in pairs(more or {}) do out[key] = value end
  return out
end

describe("requests and responses", function()
  local up, g

  setup(function()
    up = E.upstream(function(req)
      return { headers = { ["X-Seen"] = req.method .. " " .. req.target }, body = req.body }
    end)
    g = E.start { config = config(up) }
  end)

  before_each(function() up:reset() end)

  for _, method in ipairs { "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "M-SEARCH" } do
    it("passes " .. method, function()
      local res = g:request { method = method, path = "/a?b=c", body = method ~= "GET" and "x" or nil }
      assert.status(res, 200)
      assert.header(res, "X-Seen", method .. " /a?b=c")
    end)
  end

  it("keeps target, header fields and their order as they came", function()
    local res = g:get("/a%2Fb/%7Ec;p=1?x=%20&y&&z=%zz", { headers = {
      { "X-One", "1" }, { "X-Two", "a, b" }, { "X-One", "2" }, { "X-Empty", "" }, { "X-Bytes", "caf\xC3\xA9 \t \xFF" },
    } })
    assert.status(res, 200)
    local seen = up.seen[1]
    assert.equal("/a%2Fb/%7Ec;p=1?x=%20&y&&z=%zz", seen.target)
    assert.same({ "1", "2" }, seen:header_values("X-One"))
    assert.equal("a, b", seen:header("X-Two"))
    assert.equal("", seen:header("X-Empty"))
    assert.equal("caf\xC3\xA9 \t \xFF", seen:header("X-Bytes"))
    assert.equal("127.0.0.1:" .. g.port, seen:header("Host"))
  end)

  it("sends bodies with their length", function()
    local body = ("0123456789"):rep(30000)
    local res = g:request { method = "POST", body = body }
    assert.equal(tostring(#body), up.seen[1]:header("content-length"))
    assert.equal(body, up.seen[1].body)
    assert.equal("length", res.framing)
    assert.equal(body, res.body)
  end)

  it("sends chunked bodies and their trailers", function()
    local res = g:request { method = "POST", chunks = { "one ", ("x"):rep(70000), " two" },
      headers = { TE = "trailers", Connection = "TE", Trailer = "X-Sum" }, trailers = { ["X-Sum"] = "7" } }
    assert.status(res, 200)
    local seen = up.seen[1]
    assert.equal("chunked", seen.framing)
    assert.is_nil(seen:header("content-length"))
    assert.equal("one " .. ("x"):rep(70000) .. " two", seen.body)
    assert.equal("7", seen:trailer("X-Sum"))
  end)

  it("says that a POST without a body has none", function()
    g:request { method = "POST" }
    assert.equal("0", up.seen[1]:header("content-length"))
    g:get("/")
    assert.is_nil(up.seen[2]:header("content-length"))
  end)

  it("never passes hop-by-hop fields, nor what Connection names", function()
    g:get("/", { headers = { Connection = "X-Mine, keep-alive", ["X-Mine"] = "1", ["Keep-Alive"] = "timeout=5",
      ["Proxy-Connection"] = "keep-alive", TE = "gzip", Upgrade = "foo", ["X-Stays"] = "1" } })
    local seen = up.seen[1]
    for _, name in ipairs { "Connection", "X-Mine", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade" } do
      assert.is_nil(seen:header(name), name)
    end
    assert.equal("1", seen:header("X-Stays"))
  end)

  it("answers OPTIONS * itself", function()
    local res = g:request { method = "OPTIONS", path = "*" }
    assert.status(res, 204)
    assert.header(res, "Allow")
    assert.called(up, 0)
  end)

  it("counts Max-Forwards down for OPTIONS", function()
    g:request { method = "OPTIONS", headers = { ["Max-Forwards"] = 2 } }
    assert.equal("1", up.seen[1]:header("Max-Forwards"))
    assert.status(g:request { method = "OPTIONS", headers = { ["Max-Forwards"] = 0 } }, 204)
    assert.called(up, 1)
  end)

  it("refuses CONNECT", function()
    assert.problem(g:request { method = "CONNECT", path = "example.com:443" }, 501, "not-implemented")
    assert.called(up, 0)
  end)

  it("understands absolute-form", function()
    local res = g:get("http://shop.example/a?b", { headers = { Host = "shop.example" } })
    assert.status(res, 200)
    assert.equal("/a?b", up.seen[1].target)
    assert.equal("shop.example", up.seen[1]:header("Host"))
  end)

  it("refuses an absolute-form that Host contradicts", function()
    assert.problem(g:get("http://shop.example/", { headers = { Host = "other.example" } }), 400, "bad-request")
    assert.called(up, 0)
  end)

  it("serves HTTP/1.0: without Host, and closing", function()
    local client = g:connect()
    client:send("GET /old HTTP/1.0\r\n\r\n")
    local res = client:response()
    assert.status(res, 200)
    assert.equal("1.1", up.seen[1].version)
    assert.equal("", (client:until_close()))
  end)

  it("keeps HTTP/1.0 alive when asked", function()
    local client = g:connect()
    for _ = 1, 2 do
      client:send("GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
      local res = client:response()
      assert.header(res, "Connection", "keep-alive")
      assert.equal("length", res.framing)
    end
  end)

  it("closes when the client asks for it", function()
    local client = g:connect()
    local res = client:request { headers = { Connection = "close" } }
    assert.header(res, "Connection", "close")
    local rest, how = client:until_close()
    assert.same({ "", "closed" }, { rest, how })
  end)

  it("answers a client that half-closes after its request", function()
    local client = g:connect()
    client:send_request { method = "POST", body = "all" }
    client:half_close()
    local res = client:response()
    assert.equal("all", res.body)
    assert.equal("", (client:until_close()))
  end)

  it("finds the request in single bytes", function()
    local client = g:connect()
    local bytes = "\r\nPOST /slow HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    for i = 1, #bytes do
      client:send(bytes:sub(i, i))
      E.sleep(0)
    end
    assert.equal("abc", client:response().body)
  end)
end)

describe("keep-alive", function()
  local up, g

  before_each(function()
    up = E.upstream(function(req) return { body = req.path } end)
    g = E.start { config = config(up) }
  end)

  it("serves many requests on one connection, by one connection to the backend", function()
    local client = g:connect()
    for i = 1, 20 do assert.equal("/" .. i, client:request("/" .. i).body) end
    assert.equal(1, up:connections())
  end)

  it("shares the backend's connections between clients", function()
    for i = 1, 5 do g:get("/" .. i) end
    assert.equal(1, up:connections())
  end)

  it("answers pipelined requests in their order", function()
    up.answer = function(req) return { body = req.path, delay = req.path == "/1" and 0.05 or nil } end
    local client, bytes = g:connect(), {}
    for i = 1, 10 do bytes[i] = ("POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"):format(i) end
    client:send(table.concat(bytes))
    for i = 1, 10 do assert.equal("/" .. i, client:response().body) end
  end)

  it("answers what was pipelined before the client half-closed", function()
    local client = g:connect()
    client:send(("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"):rep(3))
    client:half_close()
    for _ = 1, 3 do assert.status(client:response(), 200) end
    assert.equal("", (client:until_close()))
  end)
end)

describe("bodies", function()
  it("passes a response's chunks on as they come, with trailers", function()
    local may_go_on = false
    local up = E.upstream(function(req)
      req.socket:send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" .. E.chunk("first"))
      E.until_true(function() return may_go_on end)
      req.socket:send(E.chunk("second") .. "0\r\nX-Sum: 11\r\n\r\n")
      return { handled = true }
    end)
    local g = E.start { config = config(up) }
    local client = g:connect()
    client:send_request { headers = { TE = "trailers", Connection = "TE" } }
    local head = {}
    repeat head[#head + 1] = client:line() until head[#head] == ""
    assert.equal("5", client:line())
    assert.equal("first", client:receive(5))
    may_go_on = true
    local rest = ""
    while not rest:find("\r\n\r\n", 1, true) do rest = rest .. assert(client:receive()) end
    assert.matches("6\r\nsecond\r\n0\r\nX%-Sum: 11\r\n\r\n$", rest)
  end)

  it("passes a response that ends with the connection", function()
    local up = E.upstream { raw = "HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nto the end" }
    local g = E.start { config = config(up) }
    local res = g:get("/")
    assert.equal("to the end", res.body)
    assert.equal("chunked", res.framing)
    local old = g:raw("GET / HTTP/1.0\r\n\r\n")
    assert.matches("\r\n\r\nto the end$", old)
    assert.is_nil(old:find("chunked", 1, true))
  end)

  it("speaks to HTTP/1.0 backends", function()
    local up = E.upstream { version = "1.0", body = "old" }
    local g = E.start { config = config(up) }
    local client = g:connect()
    for _ = 1, 2 do
      local res = client:request("/")
      assert.equal("old", res.body)
      assert.equal("1.1", res.version)
    end
    assert.equal(2, up:connections())
  end)

  it("passes HEAD, 204 and 304 without a body", function()
    local up = E.upstream(function(req)
      if req.path == "/204" then return { status = 204 } end
      if req.path == "/304" then return { status = 304, headers = { ETag = '"x"' } } end
      return { headers = { ["Content-Length"] = 1234 }, body = "" }
    end)
    local g = E.start { config = config(up) }
    local client = g:connect()
    local res = client:request { method = "HEAD", path = "/" }
    assert.status(res, 200)
    assert.header(res, "Content-Length", 1234)
    res = client:request("/204")
    assert.status(res, 204)
    assert.no_header(res, "Content-Length")
    res = client:request("/304")
    assert.status(res, 304)
    assert.header(res, "ETag", '"x"')
    assert.equal(1, up:connections())
  end)

  it("moves many megabytes both ways without holding them", function()
    local size, piece = 24 << 20, ("x"):rep(1 << 16)
    local up = E.upstream(nil, { serve = function(s)
      while true do
        local head = ""
        repeat
          local line = s:line()
          if not line then return end
          head = head .. line .. "\n"
        until line == ""
        local length = math.tointeger(tonumber(head:match("[Cc]ontent%-[Ll]ength: (%d+)")))
        local left = length or 0
        while left > 0 do left = left - #assert(s:receive(math.min(left, 1 << 16))) end
        s:send(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):format(size))
        for _ = 1, size // #piece do
          if not s:send(piece) then return end
        end
      end
    end })
    local g = E.start { config = config(up, { limits = { body_bytes = "1GiB" } }) }
    local function resident()
      local file = assert(io.open(("/proc/%d/status"):format(g:serving_pid())))
      local kib = file:read("a"):match("VmRSS:%s*(%d+)")
      file:close()
      return tonumber(kib)
    end
    local client = g:connect { timeout = 60 }
    client:send(("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"):format(size))
    local before = resident()
    for _ = 1, size // #piece do assert(client:send(piece)) end
    repeat until client:line() == ""
    local most, left = resident(), size
    while left > 0 do
      left = left - #assert(client:receive(math.min(left, 1 << 20)))
      most = math.max(most, resident())
    end
    if E.limit(1) == 1 then assert.is_true(most - before < 4096, ("grew by %d KiB"):format(most - before)) end
  end)

  it("stops a backend that is faster than the client reads", function()
    local sent, piece = 0, ("x"):rep(1 << 16)
    local up = E.upstream(nil, { serve = function(s)
      repeat until s:line() == ""
      s.timeout = 3600
      s:send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
      while s:send(piece) do sent = sent + #piece end
    end })
    local g = E.start { config = config(up) }
    local client = g:connect()
    client:send_request { path = "/" }
    local last = -1
    while sent == 0 or sent ~= last do -- until nothing moves any more
      last = sent
      E.sleep(0.05)
    end
    assert.is_true(sent < 32 << 20, ("the backend could send %d MiB"):format(sent >> 20))
    client:reset()
    E.until_true(function() return up:open_connections() == 0 end)
    assert.equal(0, up:open_connections())
  end)

  it("resets the client when a response breaks off, never a clean end", function()
    local chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    local has_head = false
    local up = E.upstream(function(req)
      if req.path == "/closed" then return { body = ("x"):rep(1000), close = "mid-body" } end
      if req.path == "/reset" then return { body = ("x"):rep(1000), close = "reset" } end
      if req.path == "/no-last-chunk" then return { raw = chunked } end
      req.socket:send(chunked)
      E.until_true(function() return has_head end)
      req.socket:send("zz\r\n")
      return { hang = true }
    end)
    local g = E.start { config = config(up) }
    for i, path in ipairs { "/closed", "/reset", "/no-last-chunk" } do
      local client = g:connect()
      local res, why, part = client:request(path)
      assert.is_nil(res)
      assert.is_true(why == "reset" or why == "closed", why)
      if part then assert.is_true(#part.body < 1000) end
      E.eventually(function() assert.equal(i, #g:log("response cut short")) end)
    end
    local client = g:connect()
    client:send_request { path = "/bad-chunk" }
    repeat until client:line() == ""
    has_head = true
    local rest, why = client:until_close()
    assert.is_true(why == "reset" or why == "closed", why)
    assert.matches("hello", rest)
    assert.not_matches("\r\n0\r\n", rest)
    E.eventually(function() assert.equal(4, #g:log("response cut short")) end)
  end)
end)

describe("100 Continue", function()
  it("asks the backend before the client, and passes its 100 on", function()
    local up = E.upstream(function(req) return { body = req:read_body() } end, { early = true })
    local g = E.start { config = config(up) }
    local client = g:connect()
    client:send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert.equal("HTTP/1.1 100 Continue", client:line())
    assert.equal("", client:line())
    assert.equal("100-continue", up.seen[1]:header("Expect"))
    client:send("body")
    assert.equal("body", client:response().body)
  end)

  it("passes a refusal on; the body is never asked for", function()
    local up = E.upstream({ status = 403, body = "no", close = "said" }, { early = true })
    local g = E.start { config = config(up) }
    local client = g:connect()
    client:send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    local res = client:response()
    assert.status(res, 403)
    assert.equal(0, #res.interim)
    assert.header(res, "Connection", "close")
  end)

  it("is not said to a client that did not ask, nor to HTTP/1.0", function()
    local up = E.upstream(function(req) return { body = req.body } end)
    local g = E.start { config = config(up) }
    assert.equal(0, #g:request { method = "POST", body = "x" }.interim)
    local answer = g:raw("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx")
    assert.matches("^HTTP/1.1 200", answer)
  end)

  it("is no matter when the body comes along at once", function()
    local up = E.upstream(function(req) return { body = req.body } end)
    local g = E.start { config = config(up) }
    local res = g:request { method = "POST", body = "now", headers = { Expect = "100-continue" } }
    assert.equal("now", res.body)
  end)

  it("refuses other expectations", function()
    local up = E.upstream {}
    local g = E.start { config = config(up) }
    assert.problem(g:request { headers = { Expect = "200-maybe" } }, 417, "expectation-failed")
    assert.called(up, 0)
  end)
end)

describe("interim responses", function()
  it("passes 103 on, to HTTP/1.1 alone", function()
    local up = E.upstream { interim = { { 103, { Link = "</a.css>; rel=preload" } }, { 102 } }, body = "end" }
    local g = E.start { config = config(up) }
    local res = g:get("/")
    assert.equal("end", res.body)
    assert.equal(2, #res.interim)
    assert.status(res.interim[1], 103)
    assert.header(res.interim[1], "Link", "</a.css>; rel=preload")
    assert.matches("^HTTP/1.1 200", (g:raw("GET / HTTP/1.0\r\n\r\n")))
  end)
end)

describe("upgrades", function()
  local HEAD = "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

  -- A backend that switches, and then sends back what comes, in upper case; and "bye" at the end.
  local function echo()
    return E.upstream(nil, { serve = function(s)
      local head = {}
      repeat head[#head + 1] = s:line() until head[#head] == "" or not head[#head]
      s:send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Key: k\r\n\r\nhello ")
      while true do
        local bytes = s:receive()
        if not bytes then break end
        s:send(bytes:upper())
      end
      s:send("bye")
      s:close()
    end })
  end

  it("tunnels both ways, also half-closed", function()
    local up = echo()
    local g = E.start { config = config(up) }
    local client = g:connect()
    client:send(HEAD)
    local res = client:response()
    assert.status(res, 101)
    assert.header(res, "Upgrade", "echo")
    assert.header(res, "X-Key", "k")
    assert.equal("upgrade", res:header("Connection"):lower())
    assert.equal("hello ", client:receive(6))
    for _ = 1, 3 do
      client:send("ping")
      assert.equal("PING", client:receive(4))
    end
    client:half_close()
    assert.same({ "bye", "closed" }, { client:until_close() })
  end)

  it("takes bytes that came with the request", function()
    local up = echo()
    local g = E.start { config = config(up) }
    local client = g:connect()
    client:send(HEAD .. "early")
    assert.status(client:response(), 101)
    assert.equal("hello EARLY", client:receive(11))
    client:close()
    E.until_true(function() return up:open_connections() == 0 end)
    assert.equal(0, up:open_connections())
  end)

  it("lets the client go on when the backend has ended its direction", function()
    local got
    local up = E.upstream(nil, { serve = function(s)
      repeat until s:line() == ""
      s:send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\ndone")
      s:half_close()
      got = s:until_close()
      s:close()
    end })
    local g = E.start { config = config(up) }
    local client = g:connect()
    client:send(HEAD)
    client:response()
    assert.same({ "done", "closed" }, { client:until_close() })
    client:send("still here")
    client:half_close()
    E.until_true(function() return got end)
    assert.equal("still here", got)
  end)

  it("passes a refusal to upgrade", function()
    local up = E.upstream { status = 426, body = "later" }
    local g = E.start { config = config(up) }
    local client = g:connect()
    client:send(HEAD)
    assert.status(client:response(), 426)
    assert.equal("upgrade", up.seen[1]:header("Connection"):lower())
    assert.status(client:request("/"), 426)
  end)

  it("turns an upgrade that nobody asked for into 502", function()
    local up = E.upstream { raw = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n" }
    local g = E.start { config = config(up) }
    assert.problem(g:get("/"), 502, "bad-gateway")
  end)

  it("does not pass h2c", function()
    local up = E.upstream { body = "plain" }
    local g = E.start { config = config(up) }
    local res = g:get("/", { headers = { Connection = "Upgrade, HTTP2-Settings", Upgrade = "h2c",
      ["HTTP2-Settings"] = "AAMAAABkAARAAAAAAAIAAAAA" } })
    assert.status(res, 200)
    assert.is_nil(up.seen[1]:header("Upgrade"))
    assert.is_nil(up.seen[1]:header("HTTP2-Settings"))
  end)
end)
