-- The config as a whole, in simulation: tests/e2e/tls_edge_spec.lua runs it with real certificates.

local T = require "moongate.test"

local FOLDER = debug.getinfo(1, "S").source:match "^@(.*/)"

-- With the backend played by the spec; it stands on a listener of its own otherwise.
local function example()
  return T.load(FOLDER .. "moongate.yaml", { upstreams = { backend = { body = "ok" } } })
end

local function person(name, issuer)
  return { client_cert = { common_name = name, issuer = issuer or "CN=Moongate example clients" } }
end

local function edge(host, path, tls, headers)
  return { host = host, path = path, listener = "edge", tls = tls, headers = headers }
end

describe("tls-edge", function()
  it("sends plain HTTP to HTTPS", function()
    local t = example()
    local res = t:request { host = "shop.localhost:8080", path = "/a?b=c", listener = "plain" }
    assert.status(res, 308)
    assert.header(res, "Location", "https://shop.localhost:8443/a?b=c")
    assert.is_nil(res:header "Strict-Transport-Security")
    assert.status(t:request { host = "evil.example", listener = "plain" }, 421)
    assert.called("backend", 0)
  end)

  it("serves two names, and tells browsers to come by HTTPS", function()
    local t = example()
    for _, host in ipairs { "shop.localhost", "api.localhost" } do
      local res = t:request(edge(host, "/orders"))
      assert.status(res, 200)
      assert.header(res, "Strict-Transport-Security", "max-age=300")
    end
    assert.status(t:request(edge("other.localhost", "/")), 404)
    local _, last = t:seen "backend"
    assert.same({ "backend.internal", "api.localhost", "https" },
      { last:header "Host", last:header "X-Forwarded-Host", last:header "X-Forwarded-Proto" })
  end)

  it("lets staff in by certificate", function()
    local t = example()
    assert.problem(t:request(edge("api.localhost", "/staff/x")), 403, "client-certificate-required")
    for _, tls in ipairs { person "eve", person("ann", "CN=Somebody else") } do
      assert.problem(t:request(edge("api.localhost", "/staff/x", tls)), 403, "client-certificate-refused")
    end
    assert.called("backend", 0)
    assert.status(t:request(edge("api.localhost", "/staff/x", person "ann")), 200)
    local _, last = t:seen "backend"
    assert.equal("ann", last:header "X-User")
    assert.matches("^:[%w+/=]+:$", last:header "Client-Cert")
  end)

  it("lets nobody else say who somebody is", function()
    local t = example()
    for _, tls in ipairs { {}, person "ann" } do
      t:request(edge("api.localhost", "/", tls, { ["X-User"] = "ann", ["Client-Cert"] = ":QQ==:" }))
      local _, last = t:seen "backend"
      assert.is_nil(last:header "X-User")
      assert.is_nil(last:header "Client-Cert")
    end
  end)
end)
