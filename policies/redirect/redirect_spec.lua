local T = require "moongate.test"

local function gateway(conf, opts)
  opts = opts or {}
  return T.new {
    policies = { { redirect = conf } },
    upstreams = { api = opts.answer or { body = "ok" } },
    match = opts.match,
    config = opts.config,
  }
end

-- Where a request is sent to; nil: it went on to the backend.
local function target(t, request)
  local res = t:request(request)
  if res.status == 200 then return nil end
  assert.status(res, 308)
  assert.equal("", res:text())
  return res:header "Location"
end

local TLS = { version = "TLSv1.2" }

describe("redirect", function()
  describe("schema", function()
    local function refuses(conf, what)
      local ok, err = T.validate(require "redirect", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    it("has defaults", function()
      assert.same({ scheme = "https", query = "keep", status = 308 },
        T.validate(require "redirect", { scheme = "https" }))
    end)

    it("wants somewhere to go", function() refuses({ status = 301 }, "needs 'to', 'scheme', 'host' or 'path'") end)

    it("names the path of a bad field", function()
      refuses({ scheme = "http" }, "redirect.scheme")
      refuses({ host = "a/b" }, "redirect.host")
      refuses({ host = "user@a" }, "redirect.host")
      refuses({ scheme = "https", status = 304 }, "redirect.status")
      refuses({ path = "new" }, "redirect.path")
      refuses({ path = "/new?a=b" }, "redirect.path")
      refuses({ path = "/${parms.id}" }, "unknown name 'parms.id'")
      refuses({ scheme = "https", hosts = { "a.*" } }, "redirect.hosts[0]")
      refuses({ scheme = "https", hosts = {} }, "redirect.hosts")
    end)

    it("knows ports, and how long hosts are", function()
      local function takes(conf) assert.truthy(T.validate(require "redirect", conf)) end
      takes { scheme = "https", port = 1 }
      takes { scheme = "https", port = 65535 }
      takes { host = "a" }
      takes { host = ("a"):rep(253) }
      takes { scheme = "https", hosts = "a.example" }
      refuses({ scheme = "https", port = 0 }, "redirect.port")
      refuses({ scheme = "https", port = 65536 }, "redirect.port")
      refuses({ host = "" }, "redirect.host")
      refuses({ host = ("a"):rep(254) }, "redirect.host")
    end)

    it("refuses what would do nothing", function()
      refuses({ path = "/x", port = 8443 }, "redirect.port: needs 'scheme' or 'host'")
      refuses({ scheme = "https", host = "a.example", hosts = { "b.example" } }, "redirect.hosts: is for 'scheme'")
      refuses({ path = "/x", hosts = { "b.example" } }, "redirect.hosts: is for 'scheme'")
    end)
  end)

  describe("to a target", function()
    local function goes(to, request, more)
      local conf = { to = to }
      for key, value in pairs(more or {}) do conf[key] = value end
      return target(gateway(conf, { match = "/a/{id}" }), request or { path = "/a/x%20y?q=1" })
    end

    it("that is a URL", function()
      assert.equal("https://www.example.com/new?q=1", goes "https://www.example.com/new")
      assert.equal("http://www.example.com:8080/new?q=1", goes "http://www.example.com:8080/new")
      assert.equal("https://www.example.com/?q=1", goes "https://www.example.com")
      assert.equal("https://www.example.com/a/x%20y?q=1", goes "https://www.example.com${path}")
      assert.equal("https://localhost/b?q=1", goes "https://${host}/b")
    end)

    it("that is a path", function()
      assert.equal("/b/x%20y?q=1", goes "/b/${params.id}")
      assert.equal("https://localhost/b?q=1", goes("/b", nil, { scheme = "https" }))
      assert.equal("http://other.example:81/b", goes("/b", nil, { host = "other.example", port = 81, query = "drop" }))
    end)

    it("with a query of its own", function()
      assert.equal("/b?id=x%20y&v=2", goes "/b?id=${params.id}&v=2")
      assert.equal("https://e.example/?v=1&q=1", goes "https://e.example?v=1&${query}")
      assert.equal("/b?a=b?%22", goes '/b?a=b?"')
    end)

    it("and stays when the client is there", function()
      assert.is_nil(goes("/a/${params.id}", { path = "/a/x" }))
      assert.is_nil(goes("http://localhost/a/x", { path = "/a/x" }))
      assert.is_nil(goes("/a/x?v=1", { path = "/a/x?v=1" }))
      assert.equal("/a/x?v=1", goes("/a/x?v=1", { path = "/a/x" }))
    end)

    it("which the config refuses when it is none", function()
      local function refuses(conf, what)
        local ok, err = T.validate(require "redirect", conf)
        assert.is_nil(ok)
        assert.matches(what, tostring(err), 1, true)
      end
      for _, to in ipairs { "new", "ftp://a/b", "//a/b", "https://", "https://a b/", "https://u@a/", "https://a:0/",
        "https://a:65536/", "https://a:x/", "https://${header.x}/", "/a#b", "" } do
        refuses({ to = to }, "redirect.to")
      end
      refuses({ to = "/${parms.id}" }, "unknown name 'parms.id'")
      refuses({ to = "/a", path = "/b" }, "redirect.path: stands in 'to'")
      refuses({ to = "https://a/b", scheme = "https" }, "redirect.scheme: stands in 'to'")
      refuses({ to = "https://a/b", host = "a" }, "redirect.host: stands in 'to'")
      refuses({ to = "https://a/b", port = 1 }, "redirect.port: stands in 'to'")
      refuses({ to = "https://a/b", hosts = "a" }, "redirect.hosts: is for 'scheme'")
      refuses({ to = "/b", port = 1 }, "redirect.port: needs 'scheme' or 'host'")
      assert.truthy(T.validate(require "redirect", { to = "https://${host}/", hosts = "a.example" }))
    end)
  end)

  describe("to HTTPS", function()
    it("keeps host, path and query as the client wrote them", function()
      local t = gateway { scheme = "https" }
      assert.equal("https://shop.example/a/../b%20c?x=%2F&y",
        target(t, { host = "Shop.example", path = "/a/../b%20c?x=%2F&y" }))
      assert.called(t, "api", 0)
    end)

    it("drops the port of plain HTTP", function()
      assert.equal("https://shop.example/", target(gateway { scheme = "https" }, { host = "shop.example:8080" }))
    end)

    it("names the port of HTTPS when it is not 443", function()
      assert.equal("https://shop.example:8443/",
        target(gateway { scheme = "https", port = 8443 }, { host = "shop.example:8080" }))
      assert.equal("https://shop.example/", target(gateway { scheme = "https", port = 443 }, { host = "shop.example" }))
    end)

    it("keeps the brackets of IPv6", function()
      assert.equal("https://[2001:db8::1]:8443/",
        target(gateway { scheme = "https", port = 8443 }, { host = "[2001:DB8::1]:8080" }))
    end)

    it("can drop the query", function()
      local t = gateway { scheme = "https", query = "drop" }
      assert.equal("https://a.example/x", target(t, { host = "a.example", path = "/x?y=1" }))
    end)

    it("leaves HTTPS alone", function()
      for _, port in ipairs { 443, 8443 } do
        local t = gateway { scheme = "https", port = port }
        assert.is_nil(target(t, { tls = TLS, path = "/x?y" }))
        assert.called(t, "api", 1)
      end
    end)

    it("leaves alone what a trusted proxy got by HTTPS, and nobody else's word", function()
      local headers = { ["X-Forwarded-Proto"] = "https" }
      local proxied = gateway({ scheme = "https" }, { config = { trusted_proxies = { "10.0.0.0/8" } } })
      assert.is_nil(target(proxied, { headers = headers, client_ip = "10.0.0.1" }))
      assert.equal("https://localhost/", target(proxied, { headers = headers, client_ip = "192.0.2.1" }))
      assert.equal("https://localhost/", target(proxied, { client_ip = "10.0.0.1" }))
    end)

    it("is not fooled by what stands in the target", function()
      local t = gateway { scheme = "https" }
      local said = t:raw "GET https://a.example/x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
      assert.matches("^HTTP/1.1 308 ", said)
      assert.matches("\r\nlocation: https://a.example/x\r\n", said:lower(), 1, true)
    end)

    it("keeps method and body by default, and takes another status", function()
      assert.status(gateway { scheme = "https" }:request { method = "POST", body = "x" }, 308)
      for _, status in ipairs { 301, 302, 303, 307 } do
        assert.status(gateway { scheme = "https", status = status }:request "/", status)
      end
    end)
  end)

  describe("believes a host", function()
    local function answer(t, host)
      return t:raw(("GET /x HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"):format(host))
    end

    it("only when it is one", function()
      local t = gateway { scheme = "https" }
      assert.matches('"detail":"The request names no host","error":"no-host"', answer(t, "a'b"), 1, true)
      for _, host in ipairs { "", "a'b.example", "a%2eb", "-a.example", "a.example,b.example", "(a)", "a;b" } do
        local said = answer(t, host)
        assert.matches("^HTTP/1.1 400 ", said)
        assert.not_matches("\r\nlocation:", said:lower(), 1, true)
      end
    end)

    it("only when it is in the list", function()
      local t = gateway { scheme = "https", hosts = { "shop.example", "*.Shop.example" } }
      for _, host in ipairs { "shop.example", "SHOP.example:80", "www.shop.example", "a.b.shop.example" } do
        assert.matches("^HTTP/1.1 308 ", answer(t, host))
      end
      for _, host in ipairs { "evil.example", "shop.example.evil", "evilshop.example", ".shop.example" } do
        assert.not_matches("\r\nlocation:", answer(t, host):lower(), 1, true)
      end
      local res = t:request { host = "evil.example" }
      assert.problem(res, 421, "host-refused")
      assert.equal("This host is not served here", res:json().detail)
    end)
  end)

  describe("to a host", function()
    it("keeps the scheme, and what follows", function()
      local t = gateway { host = "www.Shop.example" }
      assert.equal("http://www.shop.example/a?b=c", target(t, { host = "shop.example", path = "/a?b=c" }))
      assert.equal("https://www.shop.example/a", target(t, { host = "shop.example", path = "/a", tls = TLS }))
      assert.is_nil(target(t, { host = "WWW.shop.example", path = "/a" }))
    end)

    it("with HTTPS redirects once", function()
      local t = gateway { scheme = "https", host = "www.shop.example", port = 8443 }
      assert.equal("https://www.shop.example:8443/a", target(t, { host = "shop.example", path = "/a" }))
      assert.equal("https://www.shop.example:8443/a", target(t, { host = "shop.example", path = "/a", tls = TLS }))
      assert.equal("https://www.shop.example:8443/a", target(t, { host = "www.shop.example:8080", path = "/a" }))
      assert.is_nil(target(t, { host = "www.shop.example:8443", path = "/a", tls = TLS }))
    end)

    it("needs none of the client's", function()
      local said = gateway { host = "a.example" }:raw "GET /x HTTP/1.0\r\n\r\n"
      assert.matches("\r\nlocation: http://a.example/x\r\n", said:lower(), 1, true)
    end)

    it("names a port when it is not the scheme's", function()
      assert.equal("http://a.example:8080/", target(gateway { host = "a.example", port = 8080 }, "/"))
      assert.equal("http://a.example/", target(gateway { host = "a.example", port = 80 }, "/"))
    end)
  end)

  describe("to a path", function()
    it("stays on the host it is on", function()
      assert.equal("/new?a=b", target(gateway { path = "/new" }, { path = "/old?a=b", host = "evil.example" }))
      assert.equal("/new", target(gateway { path = "/new", query = "drop" }, "/old?a=b"))
    end)

    it("does nothing when it is there", function()
      local t = gateway { path = "/new" }
      assert.is_nil(target(t, "/new?a=b"))
      assert.called(t, "api", 1)
      assert.is_nil(target(gateway { path = "/b\u{e4}r" }, "/b%C3%A4r"))
    end)

    it("fills in what the request has", function()
      local t = gateway({ path = "/shops/${params.shop}/items/${params.item}" }, { match = "/s/{shop}/{item+}" })
      assert.equal("/shops/a%20b/items/c/d%3Fe", target(t, "/s/a%20b/c/d%3fe"))
      assert.equal("/shops/a%2Fb/items/c%25", target(t, "/s/a%2fb/c%25"))
      assert.equal("/v2/x%20y", target(gateway { path = "/v2${path}" }, "/x%20y"))
      assert.equal("/v2/x%41", target(gateway { path = "/v2${raw_path}" }, "/x%41"))
      assert.equal("/go/a%2Fb%3Fc/", target(gateway { path = "/go/${arg.to}/", query = "drop" }, "/?to=a/b%3Fc"))
    end)

    it("goes to the other host with it", function()
      local t = gateway({ scheme = "https", host = "b.example", path = "/b/${params.rest}" }, { match = "/a/{rest+}" })
      assert.equal("https://b.example/b/c/d?e", target(t, "/a/c/d?e"))
      assert.is_nil(target(gateway { scheme = "https", path = "/x" }, { path = "/x", tls = TLS }))
      assert.equal("https://localhost/x", target(gateway { scheme = "https", path = "/x" }, { path = "/y", tls = TLS }))
    end)

    it("never leaves the host by what a client wrote", function()
      local t = gateway { path = "/${arg.to}", query = "drop" }
      for to, expected in pairs {
        ["//evil.example"] = "/%2F%2Fevil.example", ["\\\\evil.example"] = "/%5C%5Cevil.example",
        ["%0d%0aX-Evil:%201"] = "/%0D%0AX-Evil%3A%201", ["%09/evil"] = "/%09%2Fevil",
      } do
        assert.equal(expected, target(t, "/go?to=" .. to))
      end
      assert.equal("/evil.example/x", target(gateway { path = "/${raw_path}" }, "//evil.example/x"))
      assert.equal("/evil.example/x", target(gateway { path = "/${path}" }, "//evil.example/x"))
    end)
  end)

  it("has nothing to do with upstream failures", function()
    assert.status(gateway({ scheme = "https" }, { answer = { error = "refused" } }):request { tls = TLS }, 503)
  end)
end)
