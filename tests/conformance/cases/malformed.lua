-- What is no HTTP, or could be read in two ways: the status and the reason, and that no upstream sees it.

local assert = require "luassert"
local expect = ...

local function crlf(text)
  return (text:gsub("|", "\r\n"))
end

local SMUGGLED = "|GET /smuggled HTTP/1.1|Host: x||"

local TITLES = { [400] = "bad-request", [501] = "not-implemented", [505] = "http-version-not-supported" }

-- A case for each { name, bytes, reason, status }; `|` stands for a line's end.
local function cases(list, group)
  for _, c in ipairs(list) do
    local name, bytes, reason, status = table.unpack(c, 1, 4)
    group[#group + 1] = { name, function(g)
      local client = g:connect()
      client:send(crlf(bytes .. SMUGGLED))
      local res = client:response()
      expect.problem(res, status or 400, TITLES[status or 400], reason)
      expect(res, status or 400, { Connection = "close" })
      assert.same({ "", "closed" }, { client:rest() })
      assert.equal(0, #g:seen "api")
    end }
  end
  return group
end

return {
  cases({
    { "length and chunked", "POST / HTTP/1.1|Host: x|Content-Length: 5|Transfer-Encoding: chunked||0||" },
    { "two lengths", "POST / HTTP/1.1|Host: x|Content-Length: 3|Content-Length: 4||abcd" },
    { "two equal lengths", "POST / HTTP/1.1|Host: x|Content-Length: 3|Content-Length: 3||abc" },
    { "a signed length", "POST / HTTP/1.1|Host: x|Content-Length: +3||abc" },
    { "a length beyond 64 bits", "POST / HTTP/1.1|Host: x|Content-Length: 99999999999999999999||" },
    { "chunked in HTTP/1.0", "POST / HTTP/1.0|Host: x|Transfer-Encoding: chunked||0||" },
    { "chunked twice", "POST / HTTP/1.1|Host: x|Transfer-Encoding: chunked, chunked||0||" },
  }, { name = "framing", upstreams = { api = {} } }),
  cases({
    { "no host", "GET / HTTP/1.1||", "host-missing" },
    { "two hosts", "GET / HTTP/1.1|Host: a|Host: b||" },
    { "a host that is none", "GET / HTTP/1.1|Host: a b||" },
    { "a host other than the target's", "GET http://a/ HTTP/1.1|Host: b||" },
    { "a folded field", "GET / HTTP/1.1|Host: x|X: a| b||" },
    { "a blank before the colon", "GET / HTTP/1.1|Host: x|X : a||" },
    { "a field without a name", "GET / HTTP/1.1|Host: x|: a||" },
    { "a field without a colon", "GET / HTTP/1.1|Host: x|nonsense||" },
    { "a bare line feed", "GET / HTTP/1.1\nHost: x\n\n" },
    { "a bare carriage return", "GET / HTTP/1.1|Host: x|X: a\rb||" },
    { "a NUL", "GET / HTTP/1.1|Host: x|X: a\0b||" },
    { "two blanks in the first line", "GET  / HTTP/1.1|Host: x||" },
    { "no version", "GET /|Host: x||" },
    { "a target without its slash", "GET a HTTP/1.1|Host: x||" },
    { "a method that is none", "G(T / HTTP/1.1|Host: x||" },
    { "another version", "GET / HTTP/2.0|Host: x||", nil, 505 },
    { "a coding that nobody knows", "POST / HTTP/1.1|Host: x|Transfer-Encoding: gzip, chunked||0||", nil, 501 },
  }, { name = "heads", upstreams = { api = {} } }),
  cases({
    { "no digits", "POST / HTTP/1.1|Host: x|Transfer-Encoding: chunked||zz|" },
    { "a signed size", "POST / HTTP/1.1|Host: x|Transfer-Encoding: chunked||+3|abc|0||" },
    { "a size beyond 64 bits", "POST / HTTP/1.1|Host: x|Transfer-Encoding: chunked||FFFFFFFFFFFFFFFFF|" },
    { "too much in a chunk", "POST / HTTP/1.1|Host: x|Transfer-Encoding: chunked||3|abcd|0||" },
    { "a trailer without a colon", "POST / HTTP/1.1|Host: x|Transfer-Encoding: chunked||0|nonsense||" },
  }, {
    name = "chunks",
    upstreams = { api = {} },
    config = { routes = { { match = "/*", service = "api", policies = { { lua = [[
      return { request = function(req) req:text() end }]] } } } } }, -- or an upstream could have seen the head
  }),
}
