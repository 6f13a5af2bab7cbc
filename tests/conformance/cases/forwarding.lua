-- Fields that pass, fields that do not, and those that tell of the client.

local assert = require "luassert"
local expect = ...

local function last(g)
  local all = g:seen "api"
  return all[#all]
end

return {
  {
    name = "requests",
    upstreams = { api = { body = "ok" } },
    { "keep their fields, and the order of these", function(g)
      g:request { headers = {
        { "X-One", "1" }, { "X-Two", "a, b" }, { "X-One", "2" }, { "X-Empty", "" },
        { "X-Bytes", "caf\xC3\xA9 \t \xFF" }, { "Accept", "*/*" }, { "Cookie", "a=1; b=2" },
        { "Authorization", "Basic x" },
      } }
      local names = {}
      for i, field in ipairs(last(g).fields) do names[i] = field[1] end
      assert.same({ "X-One", "X-Two", "X-One", "X-Empty", "X-Bytes", "Accept", "Cookie", "Authorization" },
        table.move(names, 1, 8, 1, {}))
      assert.equal("1, 2", last(g):header "X-One")
      assert.equal("caf\xC3\xA9 \t \xFF", last(g):header "X-Bytes")
      assert.equal("gw.example", last(g).host)
    end },
    { "lose what belongs to the connection, and what Connection names", function(g)
      g:request { headers = { Connection = "X-Mine, keep-alive", ["X-Mine"] = "1", ["Keep-Alive"] = "timeout=5",
        ["Proxy-Connection"] = "keep-alive", TE = "gzip", Upgrade = "foo", ["X-Stays"] = "1" } }
      for _, name in ipairs { "Connection", "X-Mine", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade" } do
        assert.is_nil(last(g):header(name), name)
      end
      assert.equal("1", last(g):header "X-Stays")
    end },
    { "say that trailers are welcome, when they are", function(g)
      g:request { headers = { Connection = "TE", TE = "trailers, deflate" } }
      assert.equal("trailers", last(g):header "TE")
      assert.equal("TE", last(g):header "Connection")
    end },
    { "do not upgrade to HTTP/2", function(g)
      g:request { headers = { Connection = "Upgrade, HTTP2-Settings", Upgrade = "h2c", ["HTTP2-Settings"] = "AAMA" } }
      assert.is_nil(last(g):header "Upgrade")
      assert.is_nil(last(g):header "HTTP2-Settings")
    end },
    { "in absolute-form name their host", function(g)
      expect(g:request { path = "http://shop.example/a?b", host = "shop.example" }, 200)
      assert.equal("/a?b", last(g).target)
      assert.equal("shop.example", last(g).host)
    end },
    { "of HTTP/1.0 need no host", function(g)
      local said, how = g:raw "GET /old HTTP/1.0\r\n\r\n"
      assert.matches("^HTTP/1%.1 200 OK\r\n", said)
      assert.equal("closed", how)
      assert.equal("/old", last(g).target)
    end },
  },
  {
    name = "the client",
    upstreams = { api = {} },
    config = { trusted_proxies = { "127.0.0.2", "10.0.0.0/8" } },
    { "is told in both forms", function(g)
      g:request { host = "shop.example" }
      assert.equal("127.0.0.1", last(g):header "X-Forwarded-For")
      assert.equal("http", last(g):header "X-Forwarded-Proto")
      assert.equal("shop.example", last(g):header "X-Forwarded-Host")
      assert.equal("for=127.0.0.1;proto=http;host=shop.example;by=_gw", last(g):header "Forwarded")
      assert.equal("1.1 moongate", last(g):header "Via")
    end },
    { "is quoted where it must be", function(g)
      g:request { host = "shop.example:81" }
      assert.equal('for=127.0.0.1;proto=http;host="shop.example:81";by=_gw', last(g):header "Forwarded")
    end },
    { "is not believed", function(g)
      g:request { headers = { ["X-Forwarded-For"] = "1.2.3.4", ["X-Forwarded-Proto"] = "https",
        ["X-Forwarded-Host"] = "evil", ["X-Forwarded-Port"] = "1", ["X-Forwarded-Prefix"] = "/evil",
        ["X-Real-IP"] = "1.2.3.4", Forwarded = "for=1.2.3.4" } }
      assert.equal("127.0.0.1", last(g):header "X-Forwarded-For")
      assert.equal("http", last(g):header "X-Forwarded-Proto")
      assert.is_nil(last(g):header "X-Forwarded-Prefix")
      assert.is_nil(last(g):header "X-Real-IP")
    end },
    { "is believed when it is a proxy of ours", function(g)
      g:request { from = "127.0.0.2", headers = { ["X-Forwarded-For"] = "1.2.3.4, 10.1.1.1",
        ["X-Forwarded-Proto"] = "https", ["X-Forwarded-Host"] = "shop", ["X-Forwarded-Port"] = "443",
        ["X-Forwarded-Prefix"] = "/p", Forwarded = "for=1.2.3.4" } }
      assert.equal("1.2.3.4, 10.1.1.1, 127.0.0.2", last(g):header "X-Forwarded-For")
      assert.equal("https", last(g):header "X-Forwarded-Proto")
      assert.equal("443", last(g):header "X-Forwarded-Port")
      assert.equal("/p", last(g):header "X-Forwarded-Prefix")
      assert.equal("for=1.2.3.4, for=127.0.0.2;proto=http;host=gw.example;by=_gw", last(g):header "Forwarded")
    end },
    { "may come by others, who stay in Via", function(g)
      g:request { headers = { Via = "1.0 other" } }
      assert.equal("1.0 other, 1.1 moongate", last(g):header "Via")
    end },
  },
  {
    name = "responses",
    upstreams = { api = function(req)
      if req.path == "/fields" then
        return { status = 201, body = "made", headers = { { "X-A", "1" }, { "Set-Cookie", "a=1" }, { "X-A", "2" },
          { "Set-Cookie", "b=2; Path=/" }, { "Location", "/new" }, { "Server", "stub" } } }
      elseif req.path == "/hop" then
        return { raw = "HTTP/1.1 200 OK\r\nConnection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nX-Stays: 1\r\n"
          .. "Proxy-Connection: close\r\nUpgrade: foo\r\nContent-Length: 2\r\n\r\nok" }
      elseif req.path == "/via" then
        return { headers = { Via = "1.1 other" } }
      elseif req.path == "/phrase" then
        return { raw = "HTTP/1.1 299 Rather Fine\r\nContent-Length: 0\r\n\r\n" }
      end
      return { raw = "HTTP/1.0 200 OK\r\nX-Old: 1\r\n\r\nold" }
    end },
    { "keep their fields, and the order of these", function(g)
      local res = g:request "/fields"
      expect(res, 201, { body = "made", ["X-A"] = "1, 2", Location = "/new", Server = "stub", Via = "1.1 moongate" })
      assert.same({ "a=1", "b=2; Path=/" }, res:header_values "Set-Cookie")
    end },
    { "lose what belongs to the connection, and what Connection names", function(g)
      expect(g:request "/hop", 200, { body = "ok", ["X-Stays"] = "1", ["X-Mine"] = expect.none,
        ["Keep-Alive"] = expect.none, ["Proxy-Connection"] = expect.none, Upgrade = expect.none,
        Connection = expect.none })
    end },
    { "tell all that they passed", function(g)
      expect(g:request "/via", 200, { Via = "1.1 other, 1.1 moongate" })
      expect(g:request "/old", 200, { Via = "1.0 moongate", ["X-Old"] = "1", body = "old" })
    end },
    { "keep their phrase", function(g)
      assert.equal("Rather Fine", g:request "/phrase".reason)
    end },
  },
}
