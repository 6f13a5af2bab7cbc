local T = require "moongate.test"

local TEXT = ("All work and no play makes Jack a dull boy. "):rep(50)
local HELLO = "\x1f\x8b\8\0\0\0\0\0\0\3\xcb\x48\xcd\xc9\xc9\xe7\2\0\x20\x30\x3a\x36\6\0\0\0" -- "hello\n" by gzip 1.12

-- A text in a coding, by the policy that does it.
local function coded(text, coding)
  local t = T.new { policies = { { compress = { min_size = 0, level = 9, codings = coding } } }, upstreams = {
    api = { headers = { ["Content-Type"] = "text/plain" }, body = text },
  } }
  return t:request({ headers = { ["Accept-Encoding"] = coding } }):text()
end

-- Its backend answers with what it got, by name.
local function gateway(conf, config)
  return T.new {
    policies = { { decompress = conf } }, config = config,
    upstreams = { api = function(req)
      local coding, digest = req:header "Content-Encoding", req:header "Content-Digest"
      return { json = { text = req:text(), coding = coding, digest = digest } }
    end },
  }
end

local function send(t, body, coding, headers)
  headers = headers or {}
  headers["Content-Encoding"] = coding
  return t:request { method = "POST", body = body, headers = headers }
end

local function serve(conf, answer)
  return T.new { policies = { { decompress = conf } }, upstreams = { api = answer } }
end

describe("decompress", function()
  describe("schema", function()
    it("has defaults", function()
      assert.same({ request = true, response = true, always = false, max_ratio = 200 },
        T.validate(require "decompress", {}))
    end)

    it("names the path of a bad field", function()
      local bad = { request = 1, response = 1, always = "x", max_request = "x", max_response = -1, max_ratio = 1 }
      for field, value in pairs(bad) do
        local ok, err = T.validate(require "decompress", { [field] = value })
        assert.is_nil(ok)
        assert.matches("decompress." .. field, tostring(err), 1, true)
      end
    end)

    it("wants something to do", function()
      assert.is_nil(T.validate(require "decompress", { request = false, response = false }))
      assert.is_nil(T.validate(require "decompress", { response = false, always = true }))
    end)
  end)

  describe("of requests", function()
    it("gives the backend the content", function()
      for _, coding in ipairs { "gzip", "br", "deflate" } do
        local res = send(gateway {}, coded(TEXT, coding), coding, { ["Content-Digest"] = "sha-256=:eA==:" })
        assert.json(res, { text = TEXT })
      end
      assert.json(send(gateway {}, HELLO, "x-gzip"), { text = "hello\n" })
      assert.json(send(gateway {}, HELLO .. HELLO, "GZIP"), { text = "hello\nhello\n" })
    end)

    it("takes codings around codings off", function()
      assert.json(send(gateway {}, coded(coded(TEXT, "gzip"), "br"), "gzip, br"), { text = TEXT })
      assert.json(send(gateway {}, coded(TEXT, "gzip"), { "identity", "gzip" }), { text = TEXT })
    end)

    it("reads whatever pieces come", function()
      T.each_split(HELLO, function(first, second)
        local res = gateway {}:request { chunks = { first, second }, headers = { ["Content-Encoding"] = "gzip" } }
        assert.json(res, { text = "hello\n" })
      end)
    end)

    it("leaves those without a coding as they are", function()
      assert.json(send(gateway {}, TEXT), { text = TEXT })
      assert.json(send(gateway {}, TEXT, "identity"), { text = TEXT, coding = "identity" })
      assert.json(send(gateway {}, "", "gzip"), { text = "" })
      local t = T.new { policies = { { decompress = { request = false } } },
        upstreams = { api = function(req) return { body = req:header "Content-Encoding" .. req:text() } end } }
      assert.equal("gzip" .. HELLO, send(t, HELLO, "gzip"):text())
    end)

    it("refuses codings that it does not know, and says which it does", function()
      for _, coding in ipairs { "zstd", "gzip, zstd", "gzip, gzip, gzip, gzip" } do
        local t = gateway {}
        local res = send(t, HELLO, coding)
        assert.problem(res, 415, "unsupported-content-encoding")
        assert.header(res, "Accept-Encoding", "gzip, br, deflate")
        assert.called("api", 0)
      end
    end)

    it("refuses what is broken", function()
      for what, body in pairs {
        ["cut"] = HELLO:sub(1, -2), ["no gzip"] = "hello", ["more behind it"] = HELLO .. "x",
        ["a wrong sum"] = HELLO:sub(1, -6) .. "\0" .. HELLO:sub(-4),
      } do
        assert.equal(400, send(gateway {}, body, "gzip").status, what)
      end
    end)

    it("refuses bombs", function()
      local zeros = ("\0"):rep(4 << 20)
      local bomb = coded(zeros, "gzip")
      assert.status(send(gateway {}, bomb, "gzip"), 413)
      assert.status(send(gateway { max_request = "3MiB", max_ratio = 2000 }, bomb, "gzip"), 413)
      local config = { limits = { body_bytes = "5MiB", buffered_body_bytes = "5MiB" } }
      local t = T.new { policies = { { decompress = { max_ratio = 2000 } } }, config = config,
        upstreams = { api = function(req) return { body = tostring(#req:text()) } end } }
      assert.equal(tostring(4 << 20), send(t, bomb, "gzip"):text())
      config.limits.body_bytes = "3MiB"
      t = T.new { policies = { { decompress = { max_ratio = 2000 } } }, config = config, upstreams = { api = {} } }
      assert.status(send(t, bomb, "gzip"), 413)
    end)
  end)

  describe("of responses", function()
    local function page(coding, more)
      local headers = { ["Content-Encoding"] = coding, ["Content-Type"] = "text/plain", ETag = '"v1"' }
      for name, value in pairs(more or {}) do headers[name] = value end
      return { headers = headers, body = coded(TEXT, coding) }
    end

    it("gives the content to those who would not take it coded", function()
      for _, coding in ipairs { "gzip", "br", "deflate" } do
        local t = serve({}, page(coding, { ["Content-MD5"] = "x" }))
        local res = t:request "/"
        assert.equal(TEXT, res:text())
        assert.is_nil(res:header "Content-Encoding")
        assert.is_nil(res:header "Content-MD5")
        assert.header(res, "ETag", 'W/"v1"')
        assert.header(res, "Vary", "Accept-Encoding")
        res = t:request { headers = { ["Accept-Encoding"] = coding } }
        assert.header(res, "Content-Encoding", coding)
        assert.header(res, "ETag", '"v1"')
        assert.header(res, "Vary", "Accept-Encoding")
      end
    end)

    it("does so always where it is told", function()
      local res = serve({ always = true }, page "gzip"):request { headers = { ["Accept-Encoding"] = "gzip" } }
      assert.equal(TEXT, res:text())
      assert.is_nil(res:header "Vary")
    end)

    it("leaves others as they are", function()
      for what, answer in pairs {
        plain = { body = TEXT }, unknown = { body = TEXT, headers = { ["Content-Encoding"] = "zstd" } },
        part = { status = 206, body = "abc",
          headers = { ["Content-Encoding"] = "gzip", ["Content-Range"] = "bytes 0-2/9" } },
      } do
        local res = serve({}, answer):request "/"
        assert.equal(answer.body, res:text(), what)
        assert.equal(answer.headers and answer.headers["Content-Encoding"], res:header "Content-Encoding", what)
      end
      assert.header(serve({ response = false }, page "gzip"):request "/", "Content-Encoding", "gzip")
    end)

    it("answers HEAD as it would GET", function()
      local res = serve({}, page "gzip"):request { method = "HEAD" }
      assert.is_nil(res:header "Content-Encoding")
      assert.is_nil(res:header "Content-Length")
    end)

    it("breaks off where the code does, or a limit is met", function()
      local answer = page "gzip"
      assert.is_string(serve({ max_response = 100 }, answer):request("/").broken)
      answer.body = answer.body:sub(1, -3)
      assert.is_string(serve({}, answer):request("/").broken)
    end)

    it("does nothing where its condition did not hold", function()
      local step = { decompress = {}, when = "req.path == '/a'" }
      local t = T.new { policies = { step }, upstreams = { api = page "gzip" } }
      assert.equal(TEXT, t:request("/a"):text())
      assert.header(t:request "/b", "Content-Encoding", "gzip")
    end)
  end)
end)
