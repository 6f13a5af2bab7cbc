local T = require "moongate.test"

local TEXT = ("All work and no play makes Jack a dull boy. "):rep(100)

local function gateway(conf, answer, more)
  local policies = { { compress = conf } }
  for _, step in ipairs(more or {}) do policies[#policies + 1] = step end
  return T.new { policies = policies, upstreams = { api = answer } }
end

local function text(headers)
  headers = headers or {}
  headers["Content-Type"] = headers["Content-Type"] or "text/plain"
  return { headers = headers, body = TEXT }
end

local function ask(t, codings, more)
  local what = more or {}
  what.headers = what.headers or {}
  what.headers["Accept-Encoding"] = codings
  return t:request(what)
end

-- The content of a coded response, by the policy that undoes it.
local function content(res)
  local t = T.new { policies = { { decompress = { always = true } } }, upstreams = {
    api = { body = res:text(), headers = { ["Content-Encoding"] = res:header "Content-Encoding" } },
  } }
  return t:request("/"):text()
end

describe("compress", function()
  describe("schema", function()
    it("has defaults", function()
      local conf = T.validate(require "compress", {})
      assert.same({ 1024, 4, { "br", "gzip" } }, { conf.min_size, conf.level, conf.codings })
    end)

    it("names the path of a bad field", function()
      local bad = { types = "a b", min_size = "x", level = 10, codings = "zip" }
      for field, value in pairs(bad) do
        local ok, err = T.validate(require "compress", { [field] = value })
        assert.is_nil(ok)
        assert.matches("compress." .. field, tostring(err), 1, true)
      end
      assert.is_nil(T.validate(require "compress", { types = "*json*" }))
    end)
  end)

  it("gives each client the coding that it likes best", function()
    local t = gateway({}, text())
    for codings, coding in pairs {
      ["gzip"] = "gzip", ["br"] = "br", ["gzip, deflate, br"] = "br", ["gzip;q=1, br;q=0.5"] = "gzip", ["*"] = "br",
      ["br;q=0, *"] = "gzip",
    } do
      local res = ask(t, codings)
      assert.header(res, "Content-Encoding", coding)
      assert.header(res, "Vary", "Accept-Encoding")
      assert.is_nil(res:header "Content-Length")
      assert.is_true(#res:text() < #TEXT / 10)
      assert.equal(TEXT, content(res))
    end
  end)

  it("has the codings that it is told", function()
    assert.header(ask(gateway({ codings = { "gzip", "br" } }, text()), "br, gzip"), "Content-Encoding", "gzip")
    local res = ask(gateway({ codings = "deflate" }, text()), "br, gzip, deflate")
    assert.header(res, "Content-Encoding", "deflate")
    assert.equal(TEXT, content(res))
    assert.is_nil(ask(gateway({ codings = "gzip" }, text()), "br"):header "Content-Encoding")
  end)

  it("leaves responses as they are for others, and says that it depends", function()
    local t = gateway({}, text())
    for _, codings in ipairs { "", "identity", "zstd", "gzip;q=0", "br;q=zero", "identity;q=0" } do
      local res = ask(t, codings)
      assert.is_nil(res:header "Content-Encoding")
      assert.header(res, "Vary", "Accept-Encoding")
      assert.equal(TEXT, res:text())
    end
    assert.untouched(t:request "/")
  end)

  it("leaves alone what should not be compressed", function()
    local whole = text()
    for what, answer in pairs {
      image = text { ["Content-Type"] = "image/png" },
      ["no type"] = { body = TEXT },
      coded = text { ["Content-Encoding"] = "zstd" },
      forbidden = text { ["Cache-Control"] = "max-age=5, no-transform" },
      short = { headers = whole.headers, body = ("x"):rep(1023) },
      part = { status = 206, headers = { ["Content-Type"] = "text/plain", ["Content-Range"] = "bytes 0-4399/9999" },
        body = TEXT },
      empty = { status = 204 },
    } do
      local res = ask(gateway({}, answer), "gzip")
      assert.equal(answer.headers and answer.headers["Content-Encoding"], res:header "Content-Encoding", what)
      assert.equal(answer.body or "", res:text(), what)
      assert.is_nil(res:header "Vary", what)
    end
  end)

  it("knows types by kind and by suffix", function()
    local cases = {
      { "text/html; charset=utf-8", true }, { "TEXT/CSS", true }, { "application/json", true },
      { "application/problem+json", true }, { "image/svg+xml", true }, { "application/jsonp", false },
      { "text", false }, { "application/octet-stream", false },
    }
    for _, case in ipairs(cases) do
      local res = ask(gateway({}, text { ["Content-Type"] = case[1] }), "gzip")
      assert.equal(case[2], res:header "Content-Encoding" ~= nil, case[1])
    end
    local own = "application/vnd.shop"
    local res = ask(gateway({ types = own }, text { ["Content-Type"] = own }), "gzip")
    assert.header(res, "Content-Encoding", "gzip")
  end)

  it("puts right what tells of the bytes", function()
    local t = gateway({}, text {
      ETag = '"v1"', ["Content-MD5"] = "x", Digest = "x", ["Content-Digest"] = "sha-256=:eA==:",
      ["Repr-Digest"] = "sha-256=:eA==:", ["Accept-Ranges"] = "bytes", Vary = "Origin", ["X-Kept"] = "1",
    })
    local res = ask(t, "gzip")
    assert.header(res, "ETag", 'W/"v1"')
    for _, name in ipairs { "Content-MD5", "Digest", "Content-Digest", "Repr-Digest", "Accept-Ranges" } do
      assert.is_nil(res:header(name), name)
    end
    assert.header(res, "Vary", "Origin, Accept-Encoding")
    assert.header(res, "X-Kept", "1")
    assert.header(ask(t, "identity"), "ETag", '"v1"')
    assert.header(ask(gateway({}, text { ETag = 'W/"v2"', Vary = "accept-encoding" }), "gzip"), "ETag", 'W/"v2"')
    assert.header(ask(gateway({}, text { Vary = "accept-encoding" }), "gzip"), "Vary", "accept-encoding")
    assert.header(ask(gateway({}, text { Vary = "*" }), "gzip"), "Vary", "*")
  end)

  it("gives a 304 the tag of what the client has", function()
    local t = gateway({}, { status = 304, headers = { ETag = '"v1"' } })
    assert.header(ask(t, "gzip"), "ETag", 'W/"v1"')
    assert.header(ask(t, "identity"), "ETag", '"v1"')
  end)

  it("answers HEAD as it would GET", function()
    local t = gateway({}, text())
    local res = ask(t, "gzip", { method = "HEAD" })
    assert.header(res, "Content-Encoding", "gzip")
    assert.header(res, "Vary", "Accept-Encoding")
    assert.is_nil(res:header "Content-Length")
    assert.equal("", res:text())
  end)

  it("goes by what the client said, not by what the backend is told", function()
    local t = gateway({}, text(), { { headers = { request = { remove = "Accept-Encoding" } } } })
    assert.header(ask(t, "gzip"), "Content-Encoding", "gzip")
    local _, last = t:seen "api"
    assert.is_nil(last:header "Accept-Encoding")
  end)

  it("does not compress twice", function()
    local res = ask(gateway({ codings = "gzip" }, text(), { { compress = { codings = "br" } } }), "gzip, br")
    assert.header(res, "Content-Encoding", "br")
    assert.equal(TEXT, content(res))
  end)

  it("asks its condition with the response", function()
    local t = T.new {
      policies = { { compress = {}, when = "res.status == 200 and not req:header 'Cookie'" } },
      upstreams = { api = function(req)
        return { status = tonumber(req:arg "s"), headers = { ["Content-Type"] = "text/plain" }, body = TEXT }
      end },
    }
    assert.header(ask(t, "gzip", { path = "/?s=200" }), "Content-Encoding", "gzip")
    assert.is_nil(ask(t, "gzip", { path = "/?s=500" }):header "Content-Encoding")
    assert.is_nil(ask(t, "gzip", { path = "/?s=200", headers = { Cookie = "a=b" } }):header "Content-Encoding")
  end)

  it("is no look at who asks", function()
    local nobody = { respond = { status = 403 }, when = "false" }
    local t = T.new { policies = { { ["any-of"] = { { nobody, "compress" } } } }, upstreams = { api = text() } }
    assert.problem(t:request "/", 403, "no-alternative")
  end)

  it("compresses what the gateway itself says", function()
    local t = T.new { policies = { { compress = { min_size = 1 } }, { respond = { body = TEXT } } } }
    assert.equal(TEXT, content(ask(t, "gzip")))
  end)

  it("streams, whatever pieces come", function()
    for _, coding in ipairs { "br", "gzip" } do
      T.each_split(TEXT:sub(1, 40), function(first, second)
        local t = gateway({}, { headers = { ["Content-Type"] = "text/plain" }, chunks = { first, second } })
        assert.equal(first .. second, content(ask(t, coding)))
      end)
    end
  end)

  it("lets events through as they come", function()
    local times = {}
    local function watch(req, next)
      local mg, res = require "moongate", next(req)
      for _ in res:chunks() do times[#times + 1] = mg.monotonic() end
      return mg.reply(200)
    end
    local t = T.new {
      policies = { watch, { decompress = { always = true } }, { compress = { min_size = 0 } } },
      upstreams = { api = { headers = { ["Content-Type"] = "text/event-stream" }, body = ("data: tick\n\n"):rep(3),
        trickle = { 12, 5 } } },
    }
    assert.status(ask(t, "gzip"), 200)
    assert.equal(3, #times)
    assert.near(5, times[2] - times[1], 0.1)
    assert.near(5, times[3] - times[2], 0.1)
  end)

  it("passes trailers on", function()
    local t = gateway({}, { headers = { ["Content-Type"] = "text/plain", Trailer = "X-Sum" }, chunks = { TEXT },
      trailers = { ["X-Sum"] = "7" } })
    local res = t:raw "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\nAccept-Encoding: gzip\r\n\r\n"
    assert.matches("\nContent%-Encoding: gzip\r\n", res)
    assert.matches("\r\n0\r\nX%-Sum: 7\r\n\r\n$", res)
  end)

  it("breaks off what the backend breaks off", function()
    local answer = { headers = { ["Content-Type"] = "text/plain" }, chunks = { TEXT, TEXT }, close = "mid-body" }
    local t = gateway({}, answer)
    assert.is_string(ask(t, "gzip").broken)
  end)
end)
