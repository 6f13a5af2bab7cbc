local T = require "moongate.test"

-- An origin that counts: its body is the number of the request.
local function counting(answer)
  local count = 0
  return function(req)
    count = count + 1
    local made = type(answer) == "function" and answer(req, count) or answer or {}
    return { status = made.status, headers = made.headers, body = made.body or tostring(count), delay = made.delay,
      chunks = made.chunks, trickle = made.trickle, close = made.close, error = made.error, interim = made.interim }
  end
end

local function gateway(conf, answer)
  return T.new { policies = { { cache = conf or {} } }, upstreams = { api = counting(answer) } }
end

local FRESH = { headers = { ["Cache-Control"] = "max-age=60" } }

describe("cache", function()
  it("answers again from what it has, with Age and Cache-Status", function()
    local t = gateway({}, FRESH)
    local first = t:request "/a"
    assert.header(first, "Cache-Status", "moongate;fwd=uri-miss;fwd-status=200;stored")
    assert.is_nil(first:header "Age")
    t:advance(10)
    local second = t:request "/a"
    assert.equal("1", second:text())
    assert.header(second, "Age", "10")
    assert.header(second, "Cache-Status", "moongate;hit;ttl=50")
    assert.header(second, "Via", "1.1 moongate")
    t:advance(51)
    assert.equal("2", t:request("/a"):text())
    assert.called("api", 2)
  end)

  it("tells who made a response, and which backend was asked", function()
    local seen, broken
    local function watch(req, next)
      local res = next(req)
      seen = { res.source, res.upstream and res.upstream.service, res.upstream and res.upstream.attempts }
      return res
    end
    local t = T.new { policies = { watch, { cache = { stale_if_error = 600 } } }, upstreams = { api = function(req)
      if broken then return { status = 500 } end
      if req:header "If-None-Match" then return { status = 304 } end
      return { headers = { ["Cache-Control"] = "max-age=60", ETag = '"a"' } }
    end } }
    local function ask() t:request "/a"; return seen end
    assert.same({ "upstream", "api", 1 }, ask())
    assert.same({ "cache" }, ask())
    t:advance(61)
    assert.same({ "cache", "api", 1 }, ask())
    t:advance(61)
    broken = true
    assert.same({ "cache", "api", 1 }, ask())
  end)

  it("tells URLs and hosts apart", function()
    local t = gateway({}, FRESH)
    for _, path in ipairs { "/a", "/b", "/a?x=1", "/a?x=2", "/a?" } do t:request(path) end
    t:request { path = "/a", headers = { Host = "other.example" } }
    assert.called("api", 6)
    t:request "/a?x=1"
    assert.called("api", 6)
  end)

  it("tells ways to write a path apart, for the origin sees them, and drops them together", function()
    local t = gateway({}, function(req) return { headers = FRESH.headers, body = req.raw_path } end)
    for _ = 1, 2 do
      for _, path in ipairs { "/a", "//a", "/b/../a", "/%61", "/a%2Fb", "/a/b" } do
        assert.equal(path, t:request(path):text())
      end
    end
    assert.called("api", 6)
    t:request { method = "DELETE", path = "/a" }
    t:request "//a"
    assert.called("api", 8)
  end)

  it("tells routes and services apart", function()
    local function echo(name) return function() return { headers = FRESH.headers, body = name } end end
    local t = T.new { upstreams = { old = echo "old", new = echo "new" }, config = { routes = {
      { match = { path = "/*", headers = { ["X-Beta"] = "1" } }, service = "new", policies = { { cache = {} } } },
      { match = "/*", service = "old", policies = { { cache = {} } } },
    } } }
    for _ = 1, 2 do
      assert.equal("old", t:request("/a"):text())
      assert.equal("new", t:request({ path = "/a", headers = { ["X-Beta"] = "1" } }):text())
    end
    assert.called("old", 1)
    assert.called("new", 1)
  end)

  it("believes what a trusted proxy relays, and tells it apart", function()
    local t = T.new { policies = { { cache = {} } }, config = { trusted_proxies = { "10.0.0.0/8" } },
      upstreams = { api = function(req)
        local host = req:header("Forwarded"):match "host=(%w*)"
        return { headers = FRESH.headers, body = req:header "X-Forwarded-Host" .. host }
      end } }
    local function ask(ip, headers)
      headers.Host = "own"
      return t:request({ path = "/a", client_ip = ip, headers = headers }):text()
    end
    for _ = 1, 2 do
      assert.equal("ownown", ask("192.0.2.1", { ["X-Forwarded-Host"] = "evil", Forwarded = "host=evil" }))
      assert.equal("ownown", ask("192.0.2.2", {}))
      assert.equal("oneown", ask("10.0.0.1", { ["X-Forwarded-Host"] = "one" }))
      assert.equal("ownone", ask("10.0.0.1", { Forwarded = "for=192.0.2.3;host=one" }))
      assert.equal("ownone", ask("10.0.0.1", { Forwarded = 'host=one ; For="192.0.2.4"' }))
    end
    assert.called("api", 4)
  end)

  it("does not take one field's value for another's", function()
    local t = gateway({}, function(req)
      local name = req:header "X-Plan" and "X-Plan" or "X-Tenant"
      return { headers = { ["Cache-Control"] = "max-age=60", Vary = name }, body = name .. req:header(name) }
    end)
    local function ask(name) return t:request({ path = "/a", headers = { [name] = "v" } }):text() end
    assert.equal("X-Planv", ask "X-Plan")
    assert.equal("X-Tenantv", ask "X-Tenant")
    assert.equal("X-Planv", ask "X-Plan")
  end)

  it("says 304 of pages alone", function()
    local t = gateway({}, { status = 404, headers = { ["Cache-Control"] = "max-age=60", ETag = '"v1"' } })
    t:request "/a"
    assert.status(t:request { path = "/a", headers = { ["If-None-Match"] = '"v1"' } }, 404)
    assert.called("api", 1)
  end)

  it("refreshes the whole, whoever was given what is stale", function()
    for _, asks in ipairs { { method = "HEAD" }, { headers = { Range = "bytes=0-1" } } } do
      for _, etag in ipairs { '"v1"', "" } do
        local t = gateway({ ttl = 10, stale_while_revalidate = 30 }, { body = "0123", headers = { ETag = etag } })
        t:request "/a"
        t:advance(15)
        asks.path = "/a"
        t:request(asks)
        t:settle()
        local _, last = t:seen "api"
        assert.equal("GET", last.method)
        assert.is_nil(last:header "Range")
        assert.header(t:request "/a", "Age", "0")
        assert.called("api", 2)
      end
    end
  end)

  it("gives what one client got to all, Vary to those alike", function()
    local t = gateway({}, { headers = { ["Cache-Control"] = "max-age=60", Vary = "Accept-Language" } })
    local function ask(language)
      return t:request { path = "/a", headers = { ["Accept-Language"] = language } }
    end
    assert.equal("1", ask("de"):text())
    local other = ask("fr")
    assert.equal("2", other:text())
    assert.matches("fwd=vary%-miss", other:header "Cache-Status")
    assert.equal("1", ask("de"):text())
    assert.equal("2", ask("fr"):text())
    assert.called("api", 2)
  end)

  it("keeps nothing that its origin forbids", function()
    for _, control in ipairs { "no-store", "private", "max-age=0" } do
      local t = gateway({ ttl = 60 }, { headers = { ["Cache-Control"] = control } })
      t:request "/a"
      t:request "/a"
      assert.called("api", 2)
    end
  end)

  it("goes by its own times where the origin names none, or always", function()
    local t = gateway({ ttl = 60 })
    t:request "/a"
    t:request "/a"
    assert.called("api", 1)
    t = gateway({ ttl = 10, force_ttl = true }, FRESH)
    t:request "/a"
    t:advance(11)
    t:request "/a"
    assert.called("api", 2)
  end)

  it("validates what is stale, and goes on with what is still good", function()
    local t = gateway({}, function(req)
      if req:header "If-None-Match" == '"v1"' then
        return { status = 304, headers = { ETag = '"v1"', ["Cache-Control"] = "max-age=60" }, body = "" }
      end
      return { headers = { ETag = '"v1"', ["Cache-Control"] = "max-age=60" } }
    end)
    t:request "/a"
    t:advance(61)
    local res = t:request "/a"
    assert.equal("1", res:text())
    assert.header(res, "Cache-Status", "moongate;fwd=stale;fwd-status=304;stored")
    t:advance(30)
    assert.header(t:request "/a", "Age", "30")
    assert.called("api", 2)
  end)

  it("answers a client's condition itself", function()
    local t = gateway({}, { headers = { ETag = '"v1"', ["Cache-Control"] = "max-age=60" } })
    t:request "/a"
    local res = t:request { path = "/a", headers = { ["If-None-Match"] = '"v1"' } }
    assert.status(res, 304)
    assert.equal("", res:text())
    assert.called("api", 1)
  end)

  it("answers HEAD and ranges from a stored GET", function()
    local t = gateway({}, { headers = { ["Cache-Control"] = "max-age=60" }, body = "0123456789" })
    t:request "/a"
    local head = t:request { method = "HEAD", path = "/a" }
    assert.header(head, "Content-Length", "10")
    assert.equal("", head:text())
    local part = t:request { path = "/a", headers = { Range = "bytes=2-4" } }
    assert.status(part, 206)
    assert.header(part, "Content-Range", "bytes 2-4/10")
    assert.equal("234", part:text())
    assert.status(t:request { path = "/a", headers = { Range = "bytes=20-" } }, 416)
    assert.called("api", 1)
  end)

  describe("asked for a part", function()
    local ETAG = { ["Cache-Control"] = "max-age=10", ETag = '"v1"' }

    -- An origin that sends one part of ten bytes; `at` says what else of its answer there is.
    local function in_parts(at)
      return function(req, count)
        local made = {}
        for name, value in pairs(type(at) == "function" and at(req, count) or at or {}) do made[name] = value end
        made.headers = made.headers or { ["Cache-Control"] = "max-age=10" }
        local first, last = (req:header "Range" or ""):match "^bytes=(%d*)%-(%d*)$"
        if not first or made.status then return made end
        if first == "" then first, last = 10 - last, 9 end
        if last == "" then last = 9 end
        local headers = { ["Content-Range"] = ("bytes %d-%d/10"):format(first, last) }
        for name, value in pairs(made.headers) do headers[name] = value end
        made.status, made.headers, made.body = 206, headers, ("0123456789"):sub(first + 1, last + 1)
        return made
      end
    end

    local function ranged(at, conf) return gateway(conf, in_parts(at)) end

    local function part(range, more)
      local headers = { Range = range }
      for name, value in pairs(more or {}) do headers[name] = value end
      return { path = "/a", headers = headers }
    end

    it("keeps it for those who ask for the same, however they write it", function()
      local t = ranged()
      local first = t:request(part "bytes=2-4")
      assert.header(first, "Cache-Status", "moongate;fwd=uri-miss;fwd-status=206;stored")
      t:advance(3)
      for _, range in ipairs { "bytes=2-4", "Bytes=02-0004", "bytes=, 2-4 ," } do
        local again = t:request(part(range))
        assert.status(again, 206)
        assert.equal("234", again:text())
        assert.header(again, "Content-Range", "bytes 2-4/10")
        assert.header(again, "Content-Length", "3")
        assert.header(again, "Age", "3")
        assert.header(again, "Cache-Status", "moongate;hit;ttl=7")
      end
      assert.called("api", 1)
      assert.equal("89", t:request(part "bytes=-2"):text())
      assert.equal("89", t:request(part "bytes=-2"):text())
      assert.equal("56789", t:request(part "bytes=5-"):text())
      assert.equal("56789", t:request(part "bytes=5-"):text())
      assert.called("api", 3)
    end)

    it("asks the origin for it, without the client's conditions", function()
      local t = ranged { headers = ETAG }
      local res = t:request(part("BYTES=2-4", { ["If-None-Match"] = '"v0"' }))
      assert.equal("234", res:text())
      local _, seen = t:seen "api"
      assert.header(seen, "Range", "bytes=2-4")
      assert.is_nil(seen:header "If-None-Match")
    end)

    it("gives it to nobody else", function()
      local t = ranged { body = "whole" }
      t:request(part "bytes=2-4")
      assert.equal("whole", t:request("/a"):text())
      t = ranged()
      t:request(part "bytes=2-4")
      assert.equal("2345", t:request(part "bytes=2-5"):text())
      t:request { method = "HEAD", path = "/a", headers = { Range = "bytes=2-4" } }
      t:request(part "bytes=2-4,6-7")
      t:request(part "lines=2-4")
      t:request(part { "bytes=2-4", "bytes=2-4" })
      assert.called("api", 6)
    end)

    it("takes it from the whole, where that is there", function()
      local t = gateway({}, function(req, count)
        local made = in_parts()(req, count)
        if made.status == 206 then made.body = "old" end
        made.body = made.body or "0123456789"
        return made
      end)
      assert.equal("old", t:request(part "bytes=2-4"):text())
      t:request "/a"
      assert.equal("234", t:request(part "bytes=2-4"):text())
      t:advance(20)
      assert.equal("old", t:request(part "bytes=2-4"):text())
      assert.called("api", 3)
    end)

    it("takes it from a part that has it", function()
      local t = ranged { headers = { ["Cache-Control"] = "max-age=10", ETag = '"v1"', ["Content-Digest"] = "x" } }
      assert.header(t:request(part "bytes=1-"), "Content-Digest", "x")
      t:request(part "bytes=0-1")
      for range, text in pairs {
        ["bytes=2-4"] = "234", ["bytes=1-1"] = "1", ["bytes=5-"] = "56789", ["bytes=-3"] = "789", ["bytes=9-99"] = "9",
      } do
        local res = t:request(part(range))
        assert.status(res, 206)
        assert.equal(text, res:text())
        local first = tonumber(text:sub(1, 1))
        assert.header(res, "Content-Range", ("bytes %d-%d/10"):format(first, first + #text - 1))
        assert.header(res, "Content-Length", tostring(#text))
        assert.is_nil(res:header "Content-Digest")
        assert.matches("moongate;hit", res:header "Cache-Status")
      end
      assert.status(t:request(part("bytes=2-4", { ["If-None-Match"] = '"v1"' })), 304)
      assert.status(t:request(part("bytes=2-4", { ["If-Range"] = '"v1"' })), 206)
      assert.called("api", 2)
      t:request(part("bytes=2-4", { ["If-Range"] = '"v2"' }))
      t:request(part "bytes=0-5")
      t:request(part "bytes=-10")
      t:request(part "bytes=2-4,6-7")
      assert.called("api", 6)
      t:advance(11)
      t:request(part "bytes=2-4")
      assert.is_nil(select(2, t:seen "api"):header "If-None-Match")
      assert.called("api", 7)
    end)

    it("takes it from no part that does not say what it is, or that is still on its way", function()
      for _, range in ipairs { "bytes 4-9/10", "bytes 0-4/*" } do
        local t = gateway({}, { status = 206, body = "01234",
          headers = { ["Cache-Control"] = "max-age=10", ["Content-Range"] = range } })
        t:request(part "bytes=0-9")
        t:request(part "bytes=4-4")
        assert.called("api", 2)
      end
      local t = gateway({}, function(_, count)
        local range = count == 1 and "bytes 0-9/10" or "bytes 0-9/*"
        return { status = 206, body = "0123456789",
          headers = { ["Cache-Control"] = "max-age=10", ["Content-Range"] = range } }
      end)
      t:request(part "bytes=0-9")
      t:request(part("bytes=0-9", { ["Cache-Control"] = "no-cache" }))
      t:request(part "bytes=4-4")
      assert.called("api", 3)
      t = ranged { trickle = { 1, 1 } }
      local wide = t:start(part "bytes=0-")
      t:advance(3)
      local narrow = t:start(part "bytes=2-4")
      t:settle()
      assert.equal("0123456789", wide.res:text())
      assert.equal("234", narrow.res:text())
      assert.called("api", 2)
      assert.equal("56", t:request(part "bytes=5-6"):text())
      assert.called("api", 2)
    end)

    it("knows the widest by what is there now", function()
      local t = ranged { headers = { ["Cache-Control"] = "max-age=10", Vary = "X-Plan", ETag = '"v1"' } }
      local plan = { ["X-Plan"] = "a" }
      t:request(part("bytes=0-4", plan))
      t:request(part "bytes=1-2")
      t:request(part("bytes=0-5", plan))
      assert.called("api", 3)
      assert.equal("12", t:request(part("bytes=1-2", plan)):text())
      assert.equal("1", t:request(part("bytes=1-1", plan)):text())
      assert.called("api", 3)
      t:advance(11)
      t:request(part("bytes=1-3", plan))
      t:request(part("bytes=2-2", plan))
      assert.called("api", 4)
    end)

    it("stays out of the way of what is asked for again", function()
      local t = T.new { policies = { { cache = {} } },
        config = { caches = { default = { size = "1MiB", max_object = 20000 } } },
        upstreams = { api = function(req)
          if req.path == "/hot" then return FRESH end
          return { status = 206, body = ("x"):rep(1000),
            headers = { ["Cache-Control"] = "max-age=60", ["Content-Range"] = "bytes 0-999/*" } }
        end } }
      for _ = 1, 3 do t:request "/hot" end
      for i = 1, 1500 do t:request(part("bytes=" .. i .. "-")) end
      assert.matches("hit", t:request("/hot"):header "Cache-Status")
      assert.matches("fwd=uri%-miss", t:request(part "bytes=1-"):header "Cache-Status")
    end)

    it("keeps the whole when the origin sends that", function()
      local t = gateway({}, { headers = FRESH.headers, body = "0123456789" })
      local first = t:request(part "bytes=2-4")
      assert.is_true(first.status == 206 and first:text() == "234" or first:text() == "0123456789")
      assert.equal("567", t:request(part "bytes=5-7"):text())
      assert.equal("0123456789", t:request("/a"):text())
      assert.called("api", 1)
    end)

    it("keeps nothing that is not one part of the whole", function()
      for _, made in ipairs {
        { status = 416, headers = { ["Cache-Control"] = "max-age=10", ["Content-Range"] = "bytes */10" } },
        { status = 404 },
        { status = 206 },
        { status = 200, headers = { ["Cache-Control"] = "max-age=10", ["Content-Range"] = "bytes 2-4/10" } },
        { status = 206, headers = { ["Cache-Control"] = "max-age=10", ["Content-Range"] = "lines 2-4/10" } },
        { status = 206, headers = { ["Cache-Control"] = "max-age=10", ["Content-Range"] = "bytes 2-4/10",
          ["Content-Type"] = "Multipart/byteranges; boundary=x" } },
        { status = 206, headers = { ["Cache-Control"] = "private", ["Content-Range"] = "bytes 2-4/10" } },
        { status = 206, headers = { ["Cache-Control"] = "max-age=10", ["Content-Range"] = "bytes 2-4/10",
          Vary = "*" } },
      } do
        local t = ranged(made)
        local status = t:request(part "bytes=2-4").status
        assert.equal(made.status, status)
        assert.status(t:request(part "bytes=2-4"), status)
        t:request "/a"
        assert.called("api", 3)
      end
      local t = ranged()
      t:request(part("bytes=2-4", { Authorization = "Basic YTph" }))
      t:request(part("bytes=2-4", { ["Cache-Control"] = "no-store" }))
      t:request(part "bytes=2-4")
      assert.called("api", 3)
    end)

    it("answers as the origin did, even where that counts wrong", function()
      local t = gateway({}, { status = 206, body = "01234",
        headers = { ["Cache-Control"] = "max-age=10", ["Content-Range"] = "bytes 4-9/10" } })
      for _ = 1, 2 do
        local res = t:request(part "bytes=-5")
        assert.status(res, 206)
        assert.equal("01234", res:text())
        assert.header(res, "Content-Range", "bytes 4-9/10")
      end
      assert.called("api", 1)
    end)

    it("heeds If-Range: only a strong validator that is the same will do", function()
      local modified, later = "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:01 GMT"
      local t = ranged { headers = { ["Cache-Control"] = "max-age=10", ETag = '"v1"', ["Last-Modified"] = modified } }
      t:request(part("bytes=2-4", { ["If-Range"] = '"v1"' })) -- what comes may be for this client alone
      t:request(part "bytes=2-4")
      assert.called("api", 2)
      for _, good in ipairs { '"v1"', modified } do
        assert.matches("hit", t:request(part("bytes=2-4", { ["If-Range"] = good })):header "Cache-Status")
      end
      assert.called("api", 2)
      for i, other in ipairs { '"v2"', 'W/"v1"', later, "junk" } do
        local res = t:request(part("bytes=2-4", { ["If-Range"] = other }))
        assert.header(res, "Cache-Status", "moongate;fwd=partial;fwd-status=206")
        assert.header(select(2, t:seen "api"), "If-Range", other)
        assert.called("api", 2 + i)
      end
    end)

    it("answers conditions about the representation, before all else", function()
      local t = ranged { headers = ETAG }
      t:request(part "bytes=2-4")
      local res = t:request(part("bytes=2-4", { ["If-None-Match"] = '"v1"' }))
      assert.status(res, 304)
      assert.is_nil(res:header "Content-Range")
      assert.equal("", res:text())
      assert.status(t:request(part("bytes=2-4", { ["If-None-Match"] = '"v2"', ["If-Range"] = '"v1"' })), 206)
      assert.called("api", 1)
    end)

    it("validates it when it is stale", function()
      local t = ranged(function(req)
        local good = req:header "If-None-Match" == '"v1"'
        return { status = good and 304 or nil, headers = ETAG, body = good and "" or nil }
      end)
      t:request(part "bytes=2-4")
      t:advance(11)
      local res = t:request(part "bytes=2-4")
      assert.status(res, 206)
      assert.equal("234", res:text())
      assert.header(res, "Content-Range", "bytes 2-4/10")
      assert.header(res, "Cache-Status", "moongate;fwd=stale;fwd-status=304;stored")
      assert.header(select(2, t:seen "api"), "Range", "bytes=2-4")
      assert.matches("hit", t:request(part "bytes=2-4"):header "Cache-Status")
      assert.called("api", 2)
    end)

    it("asks again for the same part when a 304 is about something else", function()
      local t = ranged(function(req)
        if not req:header "If-None-Match" then return { headers = ETAG } end
        return { status = 304, headers = { ETag = '"other"' }, body = "" }
      end)
      t:request(part "bytes=2-4")
      t:advance(11)
      assert.equal("234", t:request(part "bytes=2-4"):text())
      assert.header(select(2, t:seen "api"), "Range", "bytes=2-4")
      assert.called("api", 3)
    end)

    it("refreshes a part as that part, and lets it stand in for an origin that fails", function()
      local bad = false
      local t = ranged(function()
        return { status = bad and 503 or nil, headers = { ["Cache-Control"] = "max-age=5" } }
      end, { stale_while_revalidate = 10, stale_if_error = 60 })
      t:request(part "bytes=2-4")
      t:advance(8)
      assert.header(t:request(part "bytes=2-4"), "Age", "8")
      t:settle()
      assert.header(select(2, t:seen "api"), "Range", "bytes=2-4")
      assert.header(t:request(part "bytes=2-4"), "Age", "0")
      assert.called("api", 2)
      bad = true
      t:advance(20)
      assert.equal("234", t:request(part "bytes=2-4"):text())
      assert.called("api", 3)
    end)

    it("validates the whole by the whole alone", function()
      local t = ranged(function(req)
        return { headers = ETAG, body = req:header "If-None-Match" and "" or "0123456789",
          status = req:header "If-None-Match" and 304 or nil }
      end)
      t:request "/a"
      t:advance(11)
      assert.equal("234", t:request(part "bytes=2-4"):text())
      local _, seen = t:seen "api"
      assert.is_nil(seen:header "If-None-Match")
      assert.equal("0123456789", t:request("/a"):text())
      assert.is_nil(select(2, t:seen "api"):header "Range")
      assert.called("api", 3)
    end)

    it("tells variants apart by Vary", function()
      local t = ranged { headers = { ["Cache-Control"] = "max-age=10", Vary = "X-Plan" } }
      for _ = 1, 2 do
        t:request(part("bytes=2-4", { ["X-Plan"] = "a" }))
        t:request(part("bytes=2-4", { ["X-Plan"] = "b" }))
      end
      assert.called("api", 2)
    end)

    it("fetches once for many", function()
      for _, status in ipairs { 206, 200 } do
        local t = ranged { delay = 1, body = "0123456789", status = status == 200 and 200 or nil }
        local handles = {}
        for i = 1, 20 do handles[i] = t:start(part(i % 2 == 0 and "bytes=2-4" or "bytes=02-4")) end
        t:settle()
        for _, h in ipairs(handles) do
          assert.equal(h.res.status == 200 and "0123456789" or "234", h.res:text())
          assert.is_true(h.res.status == 206 or status == 200)
        end
        assert.called("api", 1)
      end
    end)

    it("lets each fetch for himself what is not for sharing", function()
      local t = ranged { delay = 1, headers = { ["Cache-Control"] = "private" } }
      local before, handles = t:now(), {}
      for i = 1, 5 do handles[i] = t:start(part "bytes=2-4") end
      t:settle()
      for _, h in ipairs(handles) do assert.equal("234", h.res:text()) end
      assert.called("api", 5)
      assert.near(before + 2, t:now(), 0.1)
      t:start(part "bytes=2-4")
      t:request(part "bytes=2-4")
      assert.near(before + 3, t:now(), 0.1)
    end)

    it("gives what turns out too large to all who read it, and keeps nothing", function()
      local chunks = {}
      for i = 1, 20 do chunks[i] = ("%06d "):format(i):rep(500) end
      local t = T.new { policies = { { cache = { ttl = 60 } } },
        upstreams = { api = { status = 206, headers = { ["Content-Range"] = "bytes 0-69999/*" },
          chunks = chunks, trickle = { 5000, 0.1 } } },
        config = { caches = { default = { size = "1MiB", max_object = 20000 } } } }
      local a, b = t:start(part "bytes=0-69999"), t:start(part "bytes=0-69999")
      t:settle()
      for _, h in ipairs { a, b } do assert.equal(table.concat(chunks), h.res:text()) end
      assert.called("api", 1)
      t:request(part "bytes=0-69999")
      assert.called("api", 2)
    end)

    it("says 504 where it may not ask, and nothing is kept", function()
      local t = ranged()
      local only = { ["Cache-Control"] = "only-if-cached" }
      assert.status(t:request(part("bytes=2-4", only)), 504)
      t:request(part "bytes=2-4")
      assert.status(t:request(part("bytes=2-4", only)), 206)
    end)

    it("drops it with all that is kept of its URL", function()
      local tagged = { ["Cache-Control"] = "max-age=60", ["Surrogate-Key"] = "one", ETag = '"v"' }
      for _, drop in ipairs {
        { request = { method = "POST", path = "/a", body = "x" } },
        { request = { method = "PURGE", path = "/a" }, count = 2 }, -- with what tells of the widest
        { request = { method = "PURGE", path = "/", headers = { ["Surrogate-Key"] = "one" } }, count = 1 },
        { request = { method = "PURGE", path = "/a", headers = { ["Soft-Purge"] = "1" } }, count = 2, soft = true },
      } do
        local t = ranged({ headers = tagged }, { purge = { allow = "0.0.0.0/0" } })
        t:request(part "bytes=2-4")
        drop.request.client_ip = "10.0.0.9"
        local res = t:request(drop.request)
        if drop.count then assert.equal(drop.count, res:json().purged) end
        local status = t:request(part "bytes=2-4"):header "Cache-Status"
        assert.matches(drop.soft and "fwd=stale" or "fwd=uri%-miss", status)
        assert.equal(drop.soft and '"v"' or nil, select(2, t:seen "api"):header "If-None-Match")
      end
    end)

    it("keeps it inside of other steps, too", function()
      local t = T.new {
        policies = { { ["holds-steps"] = { parts = { a = { { cache = {} } } }, run = [[
          local conf = ...
          return function(req, next) return conf.parts.a(req, function(inner) return (next(inner)) end) end]] } } },
        upstreams = { api = counting(in_parts { delay = 1 }) }, config = { lua = { path = { "tests/spec/policies" } } },
      }
      local a, b = t:start(part "bytes=2-4"), t:start(part "bytes=2-4")
      t:settle()
      for _, h in ipairs { a, b } do
        assert.status(h.res, 206)
        assert.equal("234", h.res:text())
      end
      assert.called("api", 1)
    end)
  end)

  it("drops what an unsafe request changes, and what that names", function()
    local t = gateway({}, function(req)
      if req.method == "POST" then return { status = 201, headers = { Location = "/list" } } end
      return FRESH
    end)
    t:request "/item"
    t:request "/list"
    t:request { method = "POST", path = "/item", body = "x" }
    t:request "/item"
    t:request "/list"
    assert.called("api", 5)
  end)

  it("keeps it when the unsafe request failed", function()
    local t = gateway({}, function(req) return req.method == "POST" and { status = 409 } or FRESH end)
    t:request "/item"
    t:request { method = "POST", path = "/item", body = "x" }
    t:request "/item"
    assert.called("api", 2)
  end)

  it("fetches once for many, and all read along", function()
    local t = gateway({}, { headers = { ["Cache-Control"] = "max-age=60" }, delay = 1 })
    local handles = {}
    for i = 1, 50 do handles[i] = t:start "/a" end
    t:settle()
    for _, h in ipairs(handles) do assert.equal("1", h.res:text()) end
    assert.called("api", 1)
    local collapsed = 0
    for _, h in ipairs(handles) do
      if h.res:header("Cache-Status"):find "collapsed" then collapsed = collapsed + 1 end
    end
    assert.equal(49, collapsed)
  end)

  it("lets each fetch for itself what is not for sharing", function()
    local t = gateway({}, { headers = { ["Cache-Control"] = "private" }, delay = 1 })
    local handles = {}
    for i = 1, 5 do handles[i] = t:start "/a" end
    t:settle()
    local seen = {}
    for _, h in ipairs(handles) do seen[h.res:text()] = true end
    for i = 1, 5 do assert.is_true(seen[tostring(i)]) end
    -- And from now on nobody waits.
    local before = t:now()
    local a, b = t:start "/a", t:start "/a"
    t:settle()
    assert.near(before + 1, math.max(a.at or 0, b.at or 0), 0.1)
  end)

  it("does not wait for ever", function()
    local t = gateway({ wait = 2 }, function(_, count)
      return { headers = FRESH.headers, delay = count == 1 and 8 or 0 }
    end)
    local first, second = t:start "/a", t:start "/a"
    t:settle()
    local quick = first.res:text() == "2" and first or second
    local slow = quick == first and second or first
    assert.equal("1", slow.res:text())
    assert.equal("2", quick.res:text())
    assert.matches("waited%-too%-long", quick.res:header "Cache-Status")
  end)

  it("gives what is stale at once, and refreshes it meanwhile", function()
    local t = gateway({ ttl = 10, stale_while_revalidate = 30 }, { delay = 1 })
    t:request "/a"
    t:advance(15)
    local before = t:now()
    assert.equal("1", t:request("/a"):text())
    assert.near(before, t:now(), 0.01)
    t:advance(5)
    assert.equal("2", t:request("/a"):text())
    assert.called("api", 2)
  end)

  it("stands in for an origin that fails", function()
    local bad = false
    local t = gateway({ ttl = 10, stale_if_error = 100 }, function() return bad and { status = 503 } or {} end)
    t:request "/a"
    bad = true
    t:advance(20)
    local res = t:request "/a"
    assert.status(res, 200)
    assert.equal("1", res:text())
    t:advance(100)
    assert.status(t:request "/a", 503)
  end)

  it("gives what is stale while the origin cannot be reached, but for what forbids that", function()
    local forbids = { "max-age=2, must-revalidate", "max-age=2, proxy-revalidate", "s-maxage=2" }
    for _, control in ipairs { "max-age=2", table.unpack(forbids) } do
      local t = gateway({}, function(_, count)
        if count > 1 then return { close = "before-headers" } end
        return { headers = { ["Cache-Control"] = control } }
      end)
      t:request "/a"
      t:advance(5)
      assert.status(t:request "/a", control == "max-age=2" and 200 or 502)
    end
  end)

  it("ends uncleanly for all when the origin does, and keeps nothing", function()
    local t = gateway({}, function(_, count)
      if count > 1 then return FRESH end
      return { headers = FRESH.headers, body = ("x"):rep(100), close = "mid-body" }
    end)
    local a, b = t:start "/a", t:start "/a"
    t:settle()
    assert.is_truthy(a.res.broken)
    assert.is_truthy(b.res.broken)
    assert.is_nil(t:request("/a").broken)
  end)

  it("gives what turns out too large to all who read it, and keeps nothing", function()
    local chunks = {}
    for i = 1, 40 do chunks[i] = ("%06d "):format(i):rep(500) end
    local t = T.new { policies = { { cache = { ttl = 60 } } },
      upstreams = { api = { chunks = chunks, trickle = { 5000, 0.1 } } },
      config = { caches = { default = { size = "1MiB", max_object = 20000 } } } }
    local handles = {}
    for i = 1, 10 do handles[i] = t:start "/a" end
    t:advance(0.35) -- in the middle of what can be kept
    for i = 11, 15 do handles[i] = t:start "/a" end
    t:advance(1) -- too late: what it began with has gone
    handles[16] = t:start "/a"
    t:settle()
    for _, h in ipairs(handles) do
      assert.is_nil(h.res.broken)
      assert.equal(table.concat(chunks), h.res:text())
    end
    assert.called("api", 2)
    t:request "/a"
    assert.called("api", 3)
  end)

  it("says that there is no room for what is too large", function()
    local t = T.new { policies = { { cache = { ttl = 60 } } }, upstreams = { api = { body = ("x"):rep(20001) } },
      config = { caches = { default = { max_object = 20000 } } } }
    assert.header(t:request "/a", "Cache-Status", "moongate;fwd=uri-miss;fwd-status=200;detail=no-room")
  end)

  it("sends X-Cache where that is wanted", function()
    local t = gateway({ legacy_headers = true, status_header = false }, FRESH)
    local first = t:request "/a"
    assert.header(first, "X-Cache", "MISS")
    assert.is_nil(first:header "Cache-Status")
    assert.header(t:request "/a", "X-Cache", "HIT")
    assert.is_nil(t:request({ method = "POST", path = "/a" }):header "X-Cache")
  end)

  it("keeps users apart by key, and passes what is to bypass it", function()
    local t = gateway({ ttl = 60, key = "${header.x-user}", bypass = "${cookie.session}" })
    local function ask(headers) return t:request({ path = "/a", headers = headers }):text() end
    assert.equal("1", ask { ["X-User"] = "ann" })
    assert.equal("2", ask { ["X-User"] = "bob" })
    assert.equal("1", ask { ["X-User"] = "ann" })
    assert.equal("3", ask { ["X-User"] = "ann", Cookie = "session=1" })
    assert.equal("1", ask { ["X-User"] = "ann" })
  end)

  describe("asked to purge", function()
    local TAGGED = { headers = {
      ["Cache-Control"] = "max-age=60", Vary = "X-Plan", ["Surrogate-Key"] = "one two", ETag = '"v"' } }

    local function purge(t, path, headers)
      return t:request { method = "PURGE", path = path, headers = headers, client_ip = "10.0.0.9" }
    end

    local function filled(conf)
      local t = gateway({ purge = conf or { allow = "10.0.0.0/8" } }, TAGGED)
      for _, plan in ipairs { "a", "b" } do t:request { path = "/a", headers = { ["X-Plan"] = plan } } end
      t:request "/b"
      return t
    end

    it("drops all variants of a URL", function()
      local t = filled()
      assert.json(purge(t, "/a"), { purged = 3, by = "url", soft = false }) -- with what tells of the two
      t:request { path = "/a", headers = { ["X-Plan"] = "a" } }
      t:request "/b"
      assert.called("api", 4)
    end)

    it("drops what has a tag", function()
      local t = filled()
      assert.json(purge(t, "/", { ["Surrogate-Key"] = "none, two" }), { purged = 3, by = "tag", soft = false })
      t:request "/b"
      assert.called("api", 4)
      assert.json(purge(t, "/", { ["Cache-Tag"] = "three" }), { purged = 0, by = "tag", soft = false })
    end)

    it("makes it stale and no more, softly", function()
      for _, name in ipairs { "Soft-Purge", "Fastly-Soft-Purge" } do
        local t = filled()
        assert.json(purge(t, "/b", { [name] = "1" }), { purged = 2, by = "url", soft = true })
        assert.matches("fwd=stale", t:request("/b"):header "Cache-Status")
        assert.equal('"v"', select(2, t:seen "api"):header "If-None-Match")
      end
    end)

    it("refuses who may not", function()
      local t = filled()
      assert.problem(t:request { method = "PURGE", path = "/b", client_ip = "192.0.2.1" }, 403, "purge-forbidden")
      t:request "/b"
      assert.called("api", 3)
    end)

    it("goes by what steps before have found out, and by both where both are given", function()
      local function answer(conf, who, client)
        local t = gateway({ purge = conf }, TAGGED)
        return t:request({ method = "PURGE", path = "/", client_ip = client,
          auth = { subject = who, claims = { admin = who == "ann" and "1" or "0" } } }).status
      end
      local when = { when = "${claims.admin}" }
      assert.same({ 200, 403 }, { answer(when, "ann"), answer(when, "bob") })
      local both = { when = "${claims.admin}", allow = { "10.0.0.1" } }
      assert.same({ 200, 403, 403 },
        { answer(both, "ann", "10.0.0.1"), answer(both, "ann", "10.0.0.2"), answer(both, "bob", "10.0.0.1") })
    end)

    it("forwards the method like any other where nobody said so, and takes another one", function()
      local t = gateway({}, TAGGED)
      assert.equal("1", purge(t, "/a"):text())
      t = gateway({ purge = { method = "BAN", allow = "10.0.0.0/8" } }, TAGGED)
      assert.equal("1", purge(t, "/a"):text())
      assert.json(t:request { method = "BAN", path = "/b", client_ip = "10.0.0.1" },
        { purged = 0, by = "url", soft = false })
    end)

    it("wants to be told who may", function()
      local module = require "cache"
      local _, err = T.validate(module, { purge = {} })
      assert.matches("cache.purge: needs 'allow' or 'when': nobody else may purge", err, 1, true)
      _, err = T.validate(module, { purge = { method = "GET", allow = "::1" } })
      assert.matches("cache.purge.method: 'GET' is not for purging", err, 1, true)
    end)
  end)

  describe("inside of other steps", function()
    local BEHIND = { lua = "return { response = function(_, res) res:add_header('X-Behind', 'yes') end }" }

    for group, held in pairs {
      ["any-of"] = { { { lua = "return function() return mg.problem(401, 'no') end" } }, { { cache = {} } } },
      ["all-of"] = { { cache = {} } },
    } do
      it("works in " .. group .. ", with what lies behind it", function()
        local t = T.new { policies = { { [group] = held }, BEHIND }, upstreams = { api = counting {
          headers = { ["Cache-Control"] = "max-age=10, stale-while-revalidate=20" }, status = 404, delay = 1 } } }
        local handles = {}
        for i = 1, 5 do handles[i] = t:start "/a" end
        t:settle()
        for _, h in ipairs(handles) do assert.equal("1", h.res:text()) end
        assert.status(handles[1].res, 404)
        assert.header(t:request "/a", "X-Behind", "yes")
        assert.called("api", 1)
        t:advance(15)
        assert.equal("1", t:request("/a"):text())
        t:settle()
        assert.equal("2", t:request("/a"):text())
        assert.equal("3", t:request({ path = "/a", headers = { ["Cache-Control"] = "no-cache" } }):text())
      end)
    end

    -- A policy that runs the step, and then takes the request itself: as `use` of a part of `aggregate`.
    local function holder(answer, conf)
      conf = conf or { ttl = 10, stale_while_revalidate = 20, stale_if_error = 60 }
      return T.new {
        policies = { { ["holds-steps"] = { parts = { a = { { cache = conf } } }, run = [[
          local conf = ...
          return function(req, next)
            return conf.parts.a(req, function(inner)
              local res = next(inner)
              res:add_header("X-Last", "yes")
              return res
            end)
          end]] } } },
        upstreams = { api = counting(answer) }, config = { lua = { path = { "tests/spec/policies" } } },
      }
    end

    it("works where a policy takes the request off the end", function()
      local t = holder { delay = 1 }
      local handles = {}
      for i = 1, 5 do handles[i] = t:start "/a" end
      t:settle()
      for _, h in ipairs(handles) do
        assert.equal("1", h.res:text())
        assert.header(h.res, "X-Last", "yes")
      end
      assert.called("api", 1)
      t:advance(15)
      local res = t:request "/a"
      assert.equal("2", res:text())
      assert.header(res, "Cache-Status", "moongate;fwd=stale;fwd-status=200;stored")
      assert.matches("hit", t:request("/a"):header "Cache-Status")
    end)

    it("works in a part of an aggregate", function()
      local t = T.new {
        policies = { { aggregate = { parts = {
          price = { service = "api", path = "/price", use = { cache = { ttl = 60 } } },
          stock = { service = "stock", path = "/stock" },
        } } } },
        upstreams = { api = counting(), stock = counting() },
      }
      assert.json(t:request "/", { price = 1, stock = 1 })
      assert.json(t:request "/", { price = 1, stock = 2 })
    end)

    it("tells there why it stored nothing, and who waits asks for himself", function()
      local t = holder({ headers = { ["Cache-Control"] = "private" }, delay = 1 }, {})
      local a, b = t:start "/a", t:start "/a"
      t:settle()
      assert.not_equal(a.res:text(), b.res:text())
      local told = { a.res:header "Cache-Status", b.res:header "Cache-Status" }
      table.sort(told)
      assert.same({ "moongate;fwd=uri-miss;fwd-status=200;collapsed",
        "moongate;fwd=uri-miss;fwd-status=200;detail=private" }, told)
    end)

    it("stands in there for an origin that fails", function()
      local t = holder(function(_, count) return count > 1 and { status = 503 } or {} end)
      t:request "/a"
      t:advance(40)
      assert.equal("1", t:request("/a"):text())
      t:advance(61)
      assert.status(t:request "/a", 503)
    end)

    it("lets another one fetch when the one that did was cut", function()
      local t = holder(function(_, count)
        return { chunks = { "one ", "two" }, close = count == 1 and "mid-body" or nil, delay = 1 }
      end)
      local a, b = t:start "/a", t:start "/a"
      t:settle()
      local cut, whole = a, b
      if b.res.broken then cut, whole = b, a end
      assert.is_truthy(cut.res.broken)
      assert.equal("one two", whole.res:text())
    end)
  end)

  it("gives the fields that are for one client to that client", function()
    local t = gateway({}, function(_, count)
      return { headers = { ["Cache-Control"] = 'max-age=60, private="X-For", no-cache="Set-Cookie"',
        ["Set-Cookie"] = { "a=" .. count, "b=" .. count }, ["X-For"] = "one", ETag = '"v"' },
        status = count == 2 and 304 or nil, body = count == 2 and "" or nil }
    end)
    local first = t:request "/a"
    assert.header(first, "Set-Cookie", "a=1, b=1")
    assert.header(first, "X-For", "one")
    local second = t:request "/a"
    assert.equal("1", second:text())
    assert.is_nil(second:header "Set-Cookie")
    assert.is_nil(second:header "X-For")
    t:advance(61)
    local third = t:request "/a"
    assert.equal("1", third:text())
    assert.header(third, "Set-Cookie", "a=2, b=2")
    assert.called("api", 2)
  end)

  it("keeps no session with a backend, and gives who fetches its own", function()
    for control, calls in pairs { ["max-age=60"] = 1, private = 2 } do
      local t = T.new { policies = { { cache = {} } },
        upstreams = { api = counting { headers = { ["Cache-Control"] = control } } },
        config = { services = { api = { backends = { "api:80" }, sticky = { cookie = "at" } } } } }
      assert.matches("^at=%x+;", t:request("/a"):header "Set-Cookie")
      local second = t:request("/a"):header "Set-Cookie"
      assert.equal(calls == 2, second ~= nil)
      assert.called("api", calls)
    end
  end)

  it("asks again for the same when a 304 is about something else", function()
    local paths = {}
    local t = T.new { policies = { { cache = {} }, function(req, next)
      req.path = "/v2" .. req.path
      return next()
    end }, upstreams = { api = function(req)
      paths[#paths + 1] = req.path
      if req:header "If-None-Match" then return { status = 304, headers = { ETag = '"other"' } } end
      return { headers = { ["Cache-Control"] = "max-age=10", ETag = '"v1"' }, body = req.path }
    end } }
    t:request "/a"
    t:advance(11)
    assert.equal("/v2/a", t:request("/a"):text())
    assert.same({ "/v2/a", "/v2/a", "/v2/a" }, paths)
  end)

  it("does not let one variant that is not for sharing stand for all", function()
    local t = gateway({}, function(req)
      return { headers = { Vary = "X-Plan", ["Cache-Control"] = req:header "X-Plan" and "private" or "max-age=60" } }
    end)
    t:request "/a"
    t:request { path = "/a", headers = { ["X-Plan"] = "1" } }
    assert.equal("1", t:request("/a"):text())
    assert.called("api", 2)
  end)

  it("fetches once for many that want it fresh", function()
    local t = gateway({}, { headers = FRESH.headers, delay = 1 })
    for round = 1, 2 do
      local handles = {}
      for i = 1, 50 do handles[i] = t:start { path = "/a", headers = { ["Cache-Control"] = "no-cache" } } end
      t:settle()
      for _, h in ipairs(handles) do assert.equal(tostring(round), h.res:text()) end
      assert.called("api", round)
    end
  end)

  it("lets nobody wait twice for what each has to validate", function()
    local t = gateway({}, { headers = { ["Cache-Control"] = "no-cache", ETag = '"v1"' }, delay = 1 })
    local before, handles = t:now(), {}
    for i = 1, 50 do handles[i] = t:start "/a" end
    t:settle()
    for _, h in ipairs(handles) do assert.is_true(h.at <= before + 2.1) end
  end)

  it("passes interim responses to who leads", function()
    local t = gateway({}, { headers = FRESH.headers, interim = { { 103, { Link = "</s.css>" } } } })
    local c = t:connect()
    local text = c:send "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
    text = text .. c:receive()
    assert.matches("^HTTP/1.1 103 ", text)
    assert.matches("HTTP/1.1 200 ", text)
  end)

  it("names what is wrong with its options", function()
    local module = require "cache"
    local _, err = T.validate(module, { ttl_by_status = { ["4044"] = 1 } })
    assert.matches("'4044' is no status, such as 404, 300-308 or 5xx", err, 1, true)
  end)
end)
