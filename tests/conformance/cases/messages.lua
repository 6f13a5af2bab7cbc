-- Methods and bodies, both ways.

local assert = require "luassert"
local expect = ...

local LARGE = ("0123456789abcdef"):rep(1 << 13) -- 128 KiB: more than any buffer

return {
  {
    name = "methods",
    upstreams = { api = function(req) return { body = ("%s %d"):format(req.method, #(req.body or "")) } end },
    { "pass, known or not", function(g)
      for _, method in ipairs { "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "M-SEARCH" } do
        expect(g:request { method = method, path = "/a?b=c", body = method ~= "GET" and "x" or nil }, 200,
          { body = ("%s %d"):format(method, method ~= "GET" and 1 or 0) })
      end
    end },
    { "tell upstreams when a body is expected and there is none", function(g)
      for i, method in ipairs { "GET", "DELETE", "POST", "PUT", "PATCH" } do
        expect(g:request { method = method }, 200)
        assert.equal(i > 2 and "0" or nil, g:seen "api"[i].length)
      end
    end },
  },
  {
    name = "request bodies",
    upstreams = { api = function(req) return { body = req.body } end },
    { "with a length keep it", function(g)
      for i, body in ipairs { "x", "", LARGE } do
        expect(g:request { method = "POST", body = body }, 200, { body = body, ["Content-Length"] = tostring(#body) })
        assert.equal(tostring(#body), g:seen "api"[i].length)
        assert.is_false(g:seen "api"[i].chunked)
      end
    end },
    { "in chunks stay in chunks", function(g)
      expect(g:request { method = "POST", chunks = { "one ", LARGE, " two" } }, 200,
        { body = "one " .. LARGE .. " two" })
      assert.is_true(g:seen "api"[1].chunked)
      assert.is_nil(g:seen "api"[1].length)
    end },
    { "in no chunk but the last are empty", function(g)
      expect(g:request { method = "POST", chunks = {} }, 200, { body = "" })
    end },
    { "bring their trailers along", function(g)
      expect(g:request { method = "POST", chunks = { "abc" }, headers = { Trailer = "X-Sum" },
        trailers = { ["X-Sum"] = "7" } }, 200, { body = "abc" })
      assert.same({ { "X-Sum", "7" } }, g:seen "api"[1].trailers)
    end },
    { "may have extensions in their chunks, which end here", function(g)
      local said = g:raw("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        .. "3;a=b;c=\"d\"\r\nabc\r\n0\r\n\r\n")
      assert.matches("\r\n\r\nabc$", said)
      assert.equal("abc", g:seen "api"[1].body)
    end },
    { "of a GET pass too", function(g)
      expect(g:request { method = "GET", body = "why not" }, 200, { body = "why not" })
    end },
  },
  {
    name = "response bodies",
    upstreams = { api = function(req)
      local answers = {
        ["/length"] = { body = LARGE }, ["/empty"] = { body = "" },
        ["/chunks"] = { chunks = { "one ", "two ", LARGE } },
        ["/no-chunk"] = { chunks = {} }, ["/trailers"] = { chunks = { "abc" }, trailers = { ["X-Sum"] = "7" },
          headers = { Trailer = "X-Sum" } },
        ["/close"] = { raw = "HTTP/1.1 200 OK\r\nX-A: b\r\n\r\nto the end" },
        ["/204"] = { status = 204 }, ["/304"] = { status = 304, headers = { ETag = '"x"' } },
        ["/head"] = { body = "twelve bytes" }, ["/trickle"] = { body = "abcdef", trickle = { 2, 0.005 } },
        ["/interim"] = { interim = { { 103, { Link = "</a.css>" } } }, body = "ok" },
      }
      return answers[req.path]
    end },
    { "with a length keep it", function(g)
      expect(g:request "/length", 200, { body = LARGE, ["Content-Length"] = tostring(#LARGE) })
      expect(g:request "/empty", 200, { body = "", ["Content-Length"] = "0" })
      expect(g:request "/trickle", 200, { body = "abcdef", ["Content-Length"] = "6" })
    end },
    { "in chunks stay in chunks", function(g)
      local res = g:request "/chunks"
      expect(res, 200, { body = "one two " .. LARGE, ["Content-Length"] = expect.none })
      assert.equal("chunked", res.framing)
      expect(g:request "/no-chunk", 200, { body = "", ["Transfer-Encoding"] = "chunked" })
    end },
    { "bring their trailers along", function(g)
      local res = g:request { path = "/trailers", headers = { Connection = "TE", TE = "trailers" } }
      expect(res, 200, { body = "abc", Trailer = "X-Sum" })
      assert.same({ { "X-Sum", "7" } }, res.trailers)
    end },
    { "that end with the connection come in chunks, but to HTTP/1.0", function(g)
      local res = g:request "/close"
      expect(res, 200, { body = "to the end", ["X-A"] = "b" })
      assert.equal("chunked", res.framing)
      local said = g:raw "GET /close HTTP/1.0\r\n\r\n"
      assert.matches("\r\n\r\nto the end$", said)
      assert.is_nil(said:find("chunked", 1, true))
      assert.is_nil(g:raw "GET /chunks HTTP/1.0\r\n\r\n":find("chunked", 1, true))
    end },
    { "are not there with 204 and 304, nor for HEAD", function(g)
      local client = g:connect()
      expect(client:request "/204", 204, { body = "", ["Content-Length"] = expect.none })
      expect(client:request "/304", 304, { body = "", ETag = '"x"' })
      expect(client:request { method = "HEAD", path = "/head" }, 200, { body = "", ["Content-Length"] = "12" })
      expect(client:request "/head", 200, { body = "twelve bytes" })
      client:close()
    end },
    { "may have interim responses before them", function(g)
      local res = g:request "/interim"
      expect(res, 200, { body = "ok" })
      assert.equal(103, res.interim[1].status)
      assert.equal("</a.css>", res.interim[1]:header "Link")
    end },
  },
}
