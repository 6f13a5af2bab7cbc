-- What could be read in two ways is refused: status, a closed connection, and nothing of it reaches the backend.
local E = require "moongate.e2e"

local SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

-- Name, head and body (a lone "|" stands for CRLF), status.
local REFUSED = {
  -- Framing
  { "length and chunked", "POST / HTTP/1.1|Host: x|Content-Length: 5|Transfer-Encoding: chunked||0||" },
  { "chunked and length", "POST / HTTP/1.1|Host: x|Transfer-Encoding: chunked|Content-Length: 5||0||" },
  { "two equal lengths", "POST / HTTP/1.1|Host: x|Content-Length: 3|Content-Length: 3||abc" },
  { "two lengths", "POST / HTTP/1.1|Host: x|Content-Length: 3|Content-Length: 4||abcd" },
  { "a list of lengths", "POST / HTTP/1.1|Host: x|Content-Length: 3, 3||abc" },
  { "a signed length", "POST / HTTP/1.1|Host: x|Content-Length: +3||abc" },
  { "a negative length", "POST / HTTP/1.1|Host: x|Content-Length: -3||abc" },
  { "a hexadecimal length", "POST / HTTP/1.1|Host: x|Content-Length: 0x3||abc" },
  { "a fractional length", "POST / HTTP/1.1|Host: x|Content-Length: 3.0||abc" },
  { "a length with a blank", "POST / HTTP/1.1|Host: x|Content-Length: 1 2||abc" },
  { "an empty length", "POST / HTTP/1.1|Host: x|Content-Length:||" },
  { "a length beyond 64 bits", "POST / HTTP/1.1|Host: x|Content-Length: 99999999999999999999||" },
  { "coding other than chunked", "POST / HTTP/1.1|Host: x|Transfer-Encoding: identity||" },
  { "coding with a prefix", "POST / HTTP/1.1|Host: x|Transfer-Encoding: xchunked||0||" },
  { "coding in quotes", 'POST / HTTP/1.1|Host: x|Transfer-Encoding: "chunked"||0||' },
  { "coding with a parameter", "POST / HTTP/1.1|Host: x|Transfer-Encoding: chunked;q=1||0||" },
  { "coding with a vertical tab", "POST / HTTP/1.1|Host: x|Transfer-Encoding: \vchunked||0||" },
  { "chunked not last", "POST / HTTP/1.1|Host: x|Transfer-Encoding: chunked, gzip||0||" },
  { "chunked twice", "POST / HTTP/1.1|Host: x|Transfer-Encoding: chunked, chunked||0||" },
  { "two coding fields", "POST / HTTP/1.1|Host: x|Transfer-Encoding: chunked|Transfer-Encoding: identity||0||" },
  { "gzip, then chunked", "POST / HTTP/1.1|Host: x|Transfer-Encoding: gzip, chunked||0||", 501 },
  { "coding in HTTP/1.0", "POST / HTTP/1.0|Host: x|Transfer-Encoding: chunked||0||" },
  { "a lookalike of coding", "POST / HTTP/1.1|Host: x|Transfer_Encoding: chunked||0||" },
  { "a lookalike of length", "POST / HTTP/1.1|Host: x|Content_Length: 5||" },
  -- Field lines
  { "a blank before the colon", "POST / HTTP/1.1|Host: x|Content-Length : 5||abcde" },
  { "a folded line", "GET / HTTP/1.1|Host: x|X-A: b| c||" },
  { "a folded coding", "POST / HTTP/1.1|Host: x|Transfer-Encoding:| chunked||0||" },
  { "a leading blank", "GET / HTTP/1.1| Host: x|| " },
  { "no colon", "GET / HTTP/1.1|Host: x|nonsense||" },
  { "an empty name", "GET / HTTP/1.1|Host: x|: y||" },
  { "NUL in a value", "GET / HTTP/1.1|Host: x|X-A: b\0c||" },
  { "NUL in a name", "GET / HTTP/1.1|Host: x|X\0A: b||" },
  { "a control byte", "GET / HTTP/1.1|Host: x|X-A: b\1c||" },
  { "DEL", "GET / HTTP/1.1|Host: x|X-A: b\127c||" },
  { "8 bits in a name", "GET / HTTP/1.1|Host: x|X-\xE9: b||" },
  { "bare LF", "GET / HTTP/1.1\nHost: x\n\n" },
  { "one bare LF", "GET / HTTP/1.1|Host: x|X-A: b\nX-B: c||" },
  { "bare LF at the end", "GET / HTTP/1.1|Host: x|\n" },
  { "bare CR in a value", "GET / HTTP/1.1|Host: x|X-A: b\rX-B: c||" },
  { "CR CR LF", "GET / HTTP/1.1|Host: x|X-A: b\r||" },
  -- Host
  { "no Host", "GET / HTTP/1.1||" },
  { "two Hosts", "GET / HTTP/1.1|Host: x|Host: y||" },
  { "a list of Hosts", "GET / HTTP/1.1|Host: x, y||" },
  { "a user in Host", "GET / HTTP/1.1|Host: u@x||" },
  { "a path in Host", "GET / HTTP/1.1|Host: x/y||" },
  { "a bad port in Host", "GET / HTTP/1.1|Host: x:99999||" },
  { "a blank in Host", "GET / HTTP/1.1|Host: x y||" },
  -- Request line
  { "two blanks", "GET  / HTTP/1.1|Host: x||" },
  { "a tab", "GET\t/ HTTP/1.1|Host: x||" },
  { "no version", "GET /|Host: x||" },
  { "HTTP/0.9", "GET /||" },
  { "a version in lower case", "GET / http/1.1|Host: x||" },
  { "a version of two digits", "GET / HTTP/1.10|Host: x||" },
  { "more behind the version", "GET / HTTP/1.1 x|Host: x||" },
  { "a fragment", "GET /#a HTTP/1.1|Host: x||" },
  { "NUL in the target", "GET /\0 HTTP/1.1|Host: x||" },
  { "8 bits in the target", "GET /\xE9 HTTP/1.1|Host: x||" },
  { "a bad percent-encoding", "GET /%zz HTTP/1.1|Host: x||" },
  { "a bare name as target", "GET a HTTP/1.1|Host: x||" },
  { "another scheme", "GET ftp://x/ HTTP/1.1|Host: x||" },
  { "an odd method", "G@T / HTTP/1.1|Host: x||" },
  { "TLS", "\22\3\1\2\0\1\0\1\252\3\3" },
  { "HTTP/2's preface", "PRI * HTTP/2.0||SM||", "4xx or 5xx" },
}

-- Bodies that turn out bad when the backend may have the request already.
local BROKEN = {
  { "no hex digits", "zz|" },
  { "an empty size", "|" },
  { "a signed size", "+3|abc|0||" },
  { "0x before a size", "0x3|abc|0||" },
  { "a size beyond 64 bits", "FFFFFFFFFFFFFFFFF|" },
  { "a blank before the size", " 3|abc|0||" },
  { "bare LF after a size", "3\nabc|0||" },
  { "too much in a chunk", "3|abcd|0||" },
  { "bare LF after a chunk", "3|abc\n0||" },
  { "bare CR in an extension", "3;a\rb|abc|0||" },
  { "a NUL in an extension", "3;a=\0|abc|0||" },
  { "a folded trailer", "0|X: y| z||" },
  { "a trailer without colon", "0|nonsense||" },
  { "a blank before a trailer's colon", "0|X : y||" },
}

local function crlf(text)
  return (text:gsub("|", "\r\n"))
end

describe("refused as a smuggling risk", function()
  local up, g

  setup(function()
    up = E.upstream { body = "ok" }
    g = E.start { config = { services = { api = { backends = { up.address } } },
      routes = { { match = "/*", service = "api" } } } }
  end)

  before_each(function() up:reset() end)

  for _, case in ipairs(REFUSED) do
    it(case[1], function()
      local client = g:connect()
      client:send(crlf(case[2]) .. SMUGGLED)
      local res = assert(client:response())
      if type(case[3]) == "string" then
        assert.is_true(res.status >= 400)
      else
        assert.problem(res, case[3] or 400)
      end
      assert.same({ "", "closed" }, { client:until_close() })
      for _, req in ipairs(up.seen) do assert.equal("/broken", req.target) end -- of the cases below, come late
    end)
  end

  for _, case in ipairs(BROKEN) do
    it("chunked body: " .. case[1], function()
      local client = g:connect()
      client:send(crlf("POST /broken HTTP/1.1|Host: x|Transfer-Encoding: chunked||" .. case[2]) .. SMUGGLED)
      assert.problem(client:response(), 400, "bad-request")
      assert.equal("", (client:until_close()))
      for _, req in ipairs(up.seen) do
        assert.equal("/broken", req.target)
        assert.is_falsy(req.complete)
      end
    end)
  end

  it("but not extensions of chunks, nor blank lines before a request", function()
    local client = g:connect()
    client:send(crlf('||POST /good HTTP/1.1|Host: x|Transfer-Encoding: chunked||3;a;b="c d"|abc|0||'))
    assert.status(client:response(), 200)
    assert.equal("/good", up.seen[#up.seen].target)
    assert.equal("abc", up.seen[#up.seen].body)
    assert.status(client:request("/"), 200)
  end)
end)

describe("a backend's answer that could be read in two ways", function()
  for name, answer in pairs {
    ["length and chunked"] = "HTTP/1.1 200 OK|Content-Length: 1|Transfer-Encoding: chunked||0||",
    ["two lengths"] = "HTTP/1.1 200 OK|Content-Length: 1|Content-Length: 2||ab",
    ["bare LF"] = "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    ["a folded line"] = "HTTP/1.1 200 OK|X: y| z|Content-Length: 0||",
    ["NUL"] = "HTTP/1.1 200 OK|X: \0|Content-Length: 0||",
    ["no HTTP"] = "hello\r\n\r\n",
    ["nothing but a status"] = "200 OK||",
    ["a status of 99"] = "HTTP/1.1 099 No||",
    ["an unknown coding"] = "HTTP/1.1 200 OK|Transfer-Encoding: gzip||x",
  } do
    it("is 502: " .. name, function()
      local up = E.upstream { raw = crlf(answer) }
      local g = E.start { config = { services = { api = { backends = { up.address } } },
        routes = { { match = "/*", service = "api" } } } }
      assert.problem(g:get("/"), 502, "bad-gateway")
      g:wait_log("upstream failed")
    end)
  end
end)
