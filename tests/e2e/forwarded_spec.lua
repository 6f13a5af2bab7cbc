-- Who the client is, as far as it can be believed, and what the backend is told.
local E = require "moongate.e2e"

local CLIENT_IP = [[return { request = function(req) return mg.reply(200, req.client_ip) end }]]

describe("forwarded headers", function()
  local up, g

  setup(function()
    up = E.upstream {}
    g = E.start { config = {
      trusted_proxies = { "127.0.0.2", "10.0.0.0/8", "::1" },
      services = { api = { backends = { up.address } } },
      routes = {
        { match = "/*", service = "api" },
        { match = "/ip", policies = { { lua = CLIENT_IP } } },
      },
    } }
  end)

  before_each(function() up:reset() end)

  local function seen(headers, from)
    g:get("/", { headers = headers, from = from })
    return up.seen[#up.seen]
  end

  it("tell the backend of the client", function()
    local req = seen { Host = "shop.example" }
    assert.equal("127.0.0.1", req:header("X-Forwarded-For"))
    assert.equal("http", req:header("X-Forwarded-Proto"))
    assert.equal("shop.example", req:header("X-Forwarded-Host"))
    assert.equal(tostring(g.port), req:header("X-Forwarded-Port"))
    assert.equal("for=127.0.0.1;proto=http;host=shop.example;by=_gw", req:header("Forwarded"))
    assert.equal("1.1 moongate", req:header("Via"))
  end)

  it("quote what Forwarded cannot hold bare", function()
    assert.equal('for=127.0.0.1;proto=http;host="shop.example:81";by=_gw',
      seen { Host = "shop.example:81" } :header("Forwarded"))
  end)

  it("are dropped when they come from somebody untrusted", function()
    local req = seen { Host = "x", ["X-Forwarded-For"] = "1.2.3.4", ["X-Forwarded-Proto"] = "https",
      ["X-Forwarded-Host"] = "evil", ["X-Forwarded-Port"] = "1", ["X-Forwarded-Prefix"] = "/evil",
      ["X-Real-IP"] = "1.2.3.4", Forwarded = "for=1.2.3.4" }
    assert.equal("127.0.0.1", req:header("X-Forwarded-For"))
    assert.equal("http", req:header("X-Forwarded-Proto"))
    assert.equal("x", req:header("X-Forwarded-Host"))
    assert.is_nil(req:header("X-Forwarded-Prefix"))
    assert.is_nil(req:header("X-Real-IP"))
    assert.is_nil(req:header("Forwarded"):find("1.2.3.4", 1, true))
  end)

  it("are extended when they come from a trusted proxy", function()
    local req = seen({ Host = "x", ["X-Forwarded-For"] = "1.2.3.4, 10.1.1.1", ["X-Forwarded-Proto"] = "https",
      ["X-Forwarded-Host"] = "shop", ["X-Forwarded-Port"] = "443", ["X-Forwarded-Prefix"] = "/p",
      Forwarded = "for=1.2.3.4" }, "127.0.0.2")
    assert.equal("1.2.3.4, 10.1.1.1, 127.0.0.2", req:header("X-Forwarded-For"))
    assert.equal("https", req:header("X-Forwarded-Proto"))
    assert.equal("shop", req:header("X-Forwarded-Host"))
    assert.equal("443", req:header("X-Forwarded-Port"))
    assert.equal("/p", req:header("X-Forwarded-Prefix"))
    assert.equal("for=1.2.3.4, for=127.0.0.2;proto=http;host=x;by=_gw", req:header("Forwarded"))
  end)

  it("add to a Via that came", function()
    assert.equal("1.0 other, 1.1 moongate", seen { Via = "1.0 other" } :header("Via"))
  end)

  local function client_ip(headers, from)
    return g:get("/ip", { headers = headers, from = from }).body
  end

  for _, case in ipairs {
    { "127.0.0.1", nil, { ["X-Forwarded-For"] = "1.2.3.4" } },
    { "127.0.0.2", "127.0.0.2", {} },
    { "1.2.3.4", "127.0.0.2", { ["X-Forwarded-For"] = "1.2.3.4" } },
    { "1.2.3.4", "127.0.0.2", { ["X-Forwarded-For"] = "6.6.6.6, 1.2.3.4, 10.0.0.1" } },
    { "1.2.3.4", "127.0.0.2", { { "X-Forwarded-For", "1.2.3.4" }, { "X-Forwarded-For", "10.0.0.1" } } },
    { "10.0.0.1", "127.0.0.2", { ["X-Forwarded-For"] = "nonsense, 10.0.0.1" } },
    { "2001:db8::1", "127.0.0.2", { Forwarded = 'for="[2001:db8::1]:4711"' } },
    { "1.2.3.4", "127.0.0.2",
      { Forwarded = "for=1.2.3.4;proto=https, for=10.0.0.1", ["X-Forwarded-For"] = "5.5.5.5" } },
    { "127.0.0.2", "127.0.0.2", { Forwarded = "for=_hidden" } },
  } do
    local said = {}
    for name, value in pairs(case[3]) do
      said[#said + 1] = type(value) == "table" and table.concat(value, ": ") or name .. ": " .. value
    end
    local peer = case[2] or "127.0.0.1"
    it(("client_ip is %s for a peer %s with %s"):format(case[1], peer, table.concat(said, ", ")), function()
      assert.equal(case[1], client_ip(case[3], case[2]))
    end)
  end
end)
