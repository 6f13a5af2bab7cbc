-- Steps that read bodies see content, whatever coding it came in.
local T = require "moongate.test"

local HELLO = "\x1f\x8b\8\0\0\0\0\0\0\3\xcb\x48\xcd\xc9\xc9\xe7\2\0\x20\x30\x3a\x36\6\0\0\0" -- "hello\n" by gzip 1.12
local GZIP = { ["Content-Encoding"] = "gzip", ["Content-Type"] = "text/plain", ["Content-MD5"] = "x", ETag = '"1"' }

-- Any text in a coding, by the policy that does it.
local function coded(text, coding)
  local t = T.new { policies = { { compress = { min_size = 0, codings = coding } } },
    upstreams = { api = { headers = { ["Content-Type"] = "text/plain" }, body = text } } }
  return t:request({ headers = { ["Accept-Encoding"] = coding } }):text()
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
    it("is read as content by " .. name, function()
      local seen
      local res = with(function(req, next)
        local res = next(req)
        seen = read(res)
        return res
      end):request { headers = { ["Accept-Encoding"] = "gzip" } }
      if name ~= "transform" then assert.equal("hello\n", seen) end
      assert.equal("hello\n", res:text())
      assert.is_nil(res:header "Content-Encoding")
      assert.is_nil(res:header "Content-MD5")
    end)
  end

  it("is read as JSON, in each coding", function()
    for _, coding in ipairs { "gzip", "br", "deflate" } do
      local t = with(function(req, next)
        local res = next(req)
        res:set_json { n = res:json().n + 1 }
        return res
      end, { headers = { ["Content-Encoding"] = coding }, body = coded('{"n":1}', coding) })
      assert.json(t:request "/", { n = 2 })
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
      headers = { ["Content-Encoding"] = "gzip", ["Content-Type"] = kind or "application/json" } }
    local _, last = t:seen "api"
    return res, last
  end

  it("is read as JSON and goes on without its coding", function()
    local n
    local res, last = send(function(req, next)
      n = req:json().n
      return next(req)
    end, coded('{"n":7}', "gzip"))
    assert.same({ 7, '{"n":7}' }, { n, res:text() })
    assert.is_nil(last:header "Content-Encoding")
  end)

  it("is read as a form", function()
    local name
    local res = send(function(req, next)
      name = req:form().name
      return next(req)
    end, coded("name=ann", "gzip"), "application/x-www-form-urlencoded")
    assert.same({ "ann", "name=ann" }, { name, res:text() })
  end)

  it("is rewritten as content", function()
    local res, last = send(function(req, next)
      req:transform(function(chunk) return chunk and chunk:upper() end)
      return next(req)
    end, HELLO)
    assert.equal("HELLO\n", res:text())
    assert.is_nil(last:header "Content-Encoding")
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

  it("stays content when the alternative that read it has refused", function()
    local names = {}
    local function wants(name)
      return { lua = ([[return { request = function(req)
        if req:json().name ~= "%s" then return mg.reply(401) end
        req:set_header("X-Way", "%s")
      end }]]):format(name, name) }
    end
    local t = T.new { policies = { { ["any-of"] = { wants "ann", wants "bob" } } }, upstreams = {
      api = function(req)
        names[1], names[2] = req:header "X-Way", req:header "Content-Encoding"
        return { body = req:text() }
      end,
    } }
    local text = '{"name":"bob"}'
    local res = t:request { method = "POST", body = coded(text, "br"),
      headers = { ["Content-Encoding"] = "br", ["Content-Type"] = "application/json" } }
    assert.same({ "bob", text }, { names[1], res:text() })
    assert.is_nil(names[2])
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
