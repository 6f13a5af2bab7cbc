-- What a connection of a client lives through: keep-alive, pipelining, closing.

local assert = require "luassert"
local expect = ...

return {
  {
    name = "a connection",
    upstreams = { api = function(req)
      return { body = req.path .. (req.body or ""), delay = req.path == "/slow" and 0.02 or nil }
    end },
    { "serves many requests", function(g)
      local client = g:connect()
      for i = 1, 5 do expect(client:request("/" .. i), 200, { body = "/" .. i, Connection = expect.none }) end
      client:close()
    end },
    { "answers what is pipelined in its order", function(g)
      local client = g:connect()
      client:send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        .. "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
        .. "POST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n")
      expect(client:response(), 200, { body = "/slowabc" })
      expect(client:response(), 200, { body = "/2" })
      expect(client:response(), 200, { body = "/3de" })
      client:close()
    end },
    { "is closed when the client asks for it", function(g)
      local client = g:connect()
      expect(client:request { headers = { Connection = "close" } }, 200, { Connection = "close" })
      assert.same({ "", "closed" }, { client:rest() })
    end },
    { "of HTTP/1.0 is closed, unless the client asks for more", function(g)
      local client = g:connect()
      client:send "GET /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"
      expect(client:response(), 200, { Connection = "keep-alive", body = "/a" })
      client:send "GET /b HTTP/1.0\r\nHost: x\r\n\r\n"
      expect(client:response(), 200, { Connection = "close", body = "/b" })
      assert.same({ "", "closed" }, { client:rest() })
    end },
    { "may be half closed behind its requests", function(g)
      local client = g:connect()
      client:send(("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"):rep(2) .. "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
      client:half_close()
      expect(client:response(), 200, { body = "/1" })
      expect(client:response(), 200, { body = "/1" })
      expect(client:response(), 200, { body = "/slow" })
      assert.same({ "", "closed" }, { client:rest() })
    end },
    { "may begin with an empty line", function(g)
      local said, how = g:raw "\r\nGET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
      assert.matches("\r\n\r\n/a$", said)
      assert.equal("closed", how)
    end },
    { "says nothing to one who says nothing", function(g)
      for _, bytes in ipairs { "", "GET / HTTP/1.1\r\nHo" } do
        local client = g:connect()
        client:send(bytes)
        client:half_close()
        assert.same({ "", "closed" }, { client:rest() })
      end
    end },
    { "takes requests in single bytes", function(g)
      local client = g:connect()
      for c in ("POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"):gmatch "." do
        client:send(c)
      end
      expect(client:response(), 200, { body = "/babc" })
      client:close()
    end },
  },
  {
    name = "100 Continue",
    upstreams = { api = function(req) return { body = req.body } end },
    { "is said to who waits for it", function(g)
      local client = g:connect()
      client:send "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
      assert.equal("HTTP/1.1 100 Continue", client.socket:line())
      assert.equal("", client.socket:line())
      client:send "body"
      expect(client:response(), 200, { body = "body" })
      client:close()
    end },
    { "is not said to others", function(g)
      assert.equal(0, #g:request { method = "POST", body = "x" }.interim)
      local said = g:raw "POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx"
      assert.matches("^HTTP/1%.1 200 ", said)
    end },
    { "is all that can be expected", function(g)
      expect.problem(g:request { headers = { Expect = "a-miracle" } }, 417, "expectation-failed")
    end },
  },
}
