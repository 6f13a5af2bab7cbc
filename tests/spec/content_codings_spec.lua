-- Steps that work on bodies see content, whatever coding it came in; it goes on in that coding.
local T = require "moongate.test"

local HELLO = "\x1f\x8b\8\0\0\0\0\0\0\3\xcb\x48\xcd\xc9\xc9\xe7\2\0\x20\x30\x3a\x36\6\0\0\0" -- "hello\n" by gzip 1.12
local GZIP = { ["Content-Encoding"] = "gzip", ["Content-Type"] = "text/plain", ["Content-MD5"] = "x", ETag = '"1"' }

-- Any text in a coding, by the policy that does it.
local function coded(text, coding)
  local t = T.new { policies = { { compress = { min_size = 0, codings = coding } } },
    upstreams = { api = { headers = { ["Content-Type"] = "text/plain" }, body = text } } }
  return t:request({ headers = { ["Accept-Encoding"] = coding } }):text()
end

-- What a body is in no coding.
local function content(res)
  local t = T.new { policies = { { decompress = { always = true } } }, upstreams = { api = {
    headers = { ["Content-Encoding"] = res:header "Content-Encoding" }, body = res.body or res:text() } } }
  return t:request("/"):text()
end

local function with(step, answer)
  return T.new { policies = { step }, upstreams = { api = answer or { headers = GZIP, body = HELLO } } }
end

describe("a response that came coded", function()
  local reads = {
    text = function(res) return res:text() end,
    chunks = function(res)
      local all = {}
      for chunk in res:chunks() do all[#all + 1] = chunk end
      res:set_body(table.concat(all))
      return table.concat(all)
    end,
    transform = function(res)
      res:transform(function(chunk) return chunk end)
      return nil
    end,
  }
  for name, read in pairs(reads) do
    it("is read as content by " .. name .. ", and goes on as it came", function()
      local seen
      local res = with(function(req, next)
        local res = next(req)
        seen = read(res)
        return res
      end):request { headers = { ["Accept-Encoding"] = "gzip" } }
      if name ~= "transform" then assert.equal("hello\n", seen) end
      -- What a step makes has no coding unless it says so.
      assert.equal(name ~= "chunks" and "gzip" or nil, res:header "Content-Encoding")
      if name ~= "chunks" then assert.header(res, "Vary", "Accept-Encoding") end
      -- It was strong: of bytes that are others now, and may mean something else when a step has set them.
      assert.equal(name == "text" and 'W/"1"' or nil, res:header "ETag")
      assert.equal("hello\n", content(res))
      assert.is_nil(res:header "Content-MD5")
    end)
  end

  it("goes on without its coding to a client that would not take it", function()
    for _, accept in ipairs { "br", "gzip;q=0", "identity" } do
      local res = with(function(req, next)
        local res = next(req)
        res:transform(function(chunk) return chunk end)
        return res
      end):request { headers = { ["Accept-Encoding"] = accept } }
      assert.equal("hello\n", res:text())
      assert.is_nil(res:header "Content-Encoding")
      assert.header(res, "Vary", "Accept-Encoding")
    end
  end)

  it("has its fields when it has no body", function()
    local res = with(function(req, next)
      local res = next(req)
      res:transform(function(chunk) return chunk end)
      return res
    end):request { method = "HEAD", headers = { ["Accept-Encoding"] = "gzip" } }
    assert.header(res, "Content-Encoding", "gzip")
    assert.is_nil(res:header "Content-Length")
  end)

  it("goes on in all codings that it came in", function()
    local both = coded(coded("hello", "br"), "gzip")
    local res = with(function(req, next)
      local res = next(req)
      res:transform(function(chunk) return (chunk:upper()) end)
      return res
    end, { headers = { ["Content-Encoding"] = { "br", "gzip" } }, body = both })
      :request { headers = { ["Accept-Encoding"] = "gzip, br" } }
    assert.header(res, "Content-Encoding", "br, gzip")
    assert.equal("HELLO", content(res))
  end)

  it("may be replaced in the coding that it came in", function()
    local res = with(function(req, next)
      local res = next(req)
      res:set_body("other", { recode = true })
      return res
    end):request { headers = { ["Accept-Encoding"] = "gzip" } }
    assert.header(res, "Content-Encoding", "gzip")
    assert.equal("other", content(res))
    res = with(function(req, next)
      local answer = next(req)
      local function misuse() answer:set_body("other", { encode = true }) end
      assert.error_matches(misuse, "unknown option 'encode'", 1, true)
      assert.error_matches(function() answer:set_body("other", 1) end, "table expected", 1, true)
      answer:set_body("other", { recode = false })
      return answer
    end):request { headers = { ["Accept-Encoding"] = "gzip" } }
    assert.equal("other", res:text())
  end)

  it("stays content where a decompress further out wants that", function()
    local t = T.new { policies = { { decompress = { always = true } }, function(req, next)
      local res = next(req)
      res:text()
      return res
    end }, upstreams = { api = { headers = GZIP, body = HELLO } } }
    assert.equal("hello\n", t:request({ headers = { ["Accept-Encoding"] = "gzip" } }):text())
  end)

  it("is read as JSON, in each coding", function()
    for _, coding in ipairs { "gzip", "br", "deflate" } do
      local t = with(function(req, next)
        local res = next(req)
        res:set_json { n = res:json().n + 1 }
        return res
      end, { headers = { ["Content-Encoding"] = coding }, body = coded('{"n":1}', coding) })
      assert.json(t:request { headers = { ["Accept-Encoding"] = coding } }, { n = 2 })
    end
  end)

  it("is left as it is by steps that do not read it", function()
    local res = with(function(req, next) return next(req) end):request "/"
    assert.equal(HELLO, res:text())
    assert.header(res, "Content-Encoding", "gzip")
    assert.untouched(res)
  end)

  it("is left as it is when the coding is unknown", function()
    local res = with(function(req, next)
      local res = next(req)
      res:set_header("X-Size", #res:text())
      return res
    end, { headers = { ["Content-Encoding"] = "zstd" }, body = "abc" }):request "/"
    assert.header(res, "X-Size", "3")
    assert.header(res, "Content-Encoding", "zstd")
  end)

  it("is an error for who reads it when it is broken", function()
    local err
    local res = with(function(req, next)
      local _
      _, err = next(req):text()
      return require "moongate".reply(200)
    end, { headers = GZIP, body = HELLO:sub(1, -3) }):request "/"
    assert.status(res, 200)
    assert.equal("bad_response", err.code)
  end)

  it("is content for mg.fetch", function()
    local res = with(function()
      local mg = require "moongate"
      return mg.reply(200, mg.fetch("api", { path = "/" }):text())
    end):request "/"
    assert.equal("hello\n", res:text())
  end)

  it("is compressed again further out", function()
    local t = T.new { policies = { { compress = { min_size = 0 } }, function(req, next)
      local res = next(req)
      res:text()
      return res
    end }, upstreams = { api = { headers = GZIP, body = HELLO } } }
    local res = t:request { headers = { ["Accept-Encoding"] = "gzip" } }
    assert.header(res, "Content-Encoding", "gzip")
    assert.header(res, "ETag", 'W/"1"')
  end)
end)

describe("a request that came coded", function()
  local function send(step, body, kind)
    local t = T.new { policies = { step }, upstreams = { api = function(req) return { body = req:text() } end } }
    local res = t:request { method = "POST", body = body,
      headers = { ["Content-Encoding"] = "gzip", ["Content-Type"] = kind or "application/json",
        ["Content-Digest"] = "sha-256=:x:" } }
    local _, last = t:seen "api"
    return res, last
  end

  it("is read as JSON, and as content, and goes on as it was sent", function()
    local n, text
    local body = coded('{"n":7}', "gzip")
    local _, last = send(function(req, next)
      n, text = req:json().n, req:content()
      return next(req)
    end, body)
    assert.same({ 7, '{"n":7}' }, { n, text })
    assert.header(last, "Content-Encoding", "gzip")
    assert.header(last, "Content-Digest", "sha-256=:x:")
    assert.equal(body, last.body)
  end)

  it("is read as a form", function()
    local name
    local body = coded("name=ann", "gzip")
    local _, last = send(function(req, next)
      name = req:form().name
      return next(req)
    end, body, "application/x-www-form-urlencoded")
    assert.same({ "ann", body }, { name, last.body })
  end)

  it("is content up to a limit, whatever its code is", function()
    local seen = {}
    local body = coded(("a"):rep(5000), "gzip")
    send(function(req, next)
      for i, limit in ipairs { 10, 4999, 5000 } do
        local text, err = req:content(limit)
        seen[i] = text and #text or err.code
      end
      return next(req)
    end, body)
    assert.same({ "too_large", "too_large", 5000 }, seen)
  end)

  it("is no bomb for those who read it", function()
    local code
    send(function(req, next)
      local _, err = req:json()
      code = err.code
      return next(req)
    end, coded(("a"):rep(2 << 20), "gzip"))
    assert.equal("too_large", code)
  end)

  it("is rewritten as content, and goes on in its coding", function()
    local _, last = send(function(req, next)
      req:transform(function(chunk) return chunk and chunk:upper() end)
      return next(req)
    end, HELLO)
    assert.header(last, "Content-Encoding", "gzip")
    assert.is_nil(last:header "Content-Digest")
    assert.equal("HELLO\n", content(last))
  end)

  it("is rewritten by several steps, and coded once", function()
    local t = T.new { policies = { function(req, next)
      req:transform(function(chunk) return chunk .. "1" end)
      return next(req)
    end, function(req, next)
      req:transform(function(chunk, eof) return eof and "2" or chunk end)
      return next(req)
    end }, upstreams = { api = {} } }
    t:request { method = "POST", body = HELLO, headers = { ["Content-Encoding"] = "gzip" } }
    local _, last = t:seen "api"
    assert.matches("^hello\n1+2$", content(last))
  end)

  it("goes on in memory with its length, and again when it is tried again", function()
    local t = T.new { policies = { function(req, next)
      req:set_body(req:content():upper(), { recode = true })
      next(req)
      return next(req)
    end }, upstreams = { api = {} } }
    t:request { method = "POST", body = HELLO, headers = { ["Content-Encoding"] = "gzip" } }
    local count, _, all = t:seen "api"
    assert.equal(2, count)
    for _, last in ipairs(all) do
      assert.header(last, "Content-Length", tostring(#last.body))
      assert.header(last, "Content-Encoding", "gzip")
      assert.equal("HELLO\n", content(last))
    end
  end)

  it("goes on without its coding behind a decompress", function()
    local t = T.new { policies = { "decompress", function(req, next)
      req:transform(function(chunk) return (chunk:upper()) end)
      return next(req)
    end }, upstreams = { api = {} } }
    t:request { method = "POST", body = HELLO, headers = { ["Content-Encoding"] = "gzip" } }
    local _, last = t:seen "api"
    assert.is_nil(last:header "Content-Encoding")
    assert.equal("HELLO\n", last.body)
  end)

  it("is text as it was sent, which may be signed; and JSON still", function()
    local text, n
    local body = coded('{"n":7}', "gzip")
    send(function(req, next)
      text, n = req:text(), req:json().n
      return next(req)
    end, body)
    assert.same({ body, 7 }, { text, n })
  end)

  it("stays as it is when the alternative that read it has refused", function()
    local names, last = {}, nil
    local function wants(name)
      return { lua = ([[return { request = function(req)
        if req:json().name ~= "%s" then return mg.reply(401) end
        req:set_header("X-Way", "%s")
      end }]]):format(name, name) }
    end
    local t = T.new { policies = { { ["any-of"] = { wants "ann", wants "bob" } } }, upstreams = {
      api = function(req)
        names[1], last = req:header "X-Way", req
        return {}
      end,
    } }
    local text = '{"name":"bob"}'
    t:request { method = "POST", body = coded(text, "br"),
      headers = { ["Content-Encoding"] = "br", ["Content-Type"] = "application/json" } }
    assert.equal("bob", names[1])
    assert.equal(text, content(last))
  end)

  it("is an error for who reads it when it is broken", function()
    local err
    send(function(req)
      local _
      _, err = req:json()
      return require "moongate".reply(200)
    end, HELLO:sub(1, -3))
    assert.equal("request_body", err.code)
  end)
end)
