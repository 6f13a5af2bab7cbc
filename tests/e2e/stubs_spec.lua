-- The stubs for editors say what moongate.e2e has: no more and no less. See tests/spec/stubs_spec.lua.

local E = require "moongate.e2e"
local namespaces = require "luassert.namespaces"
local stubs = require "lint.stubs"

local function classes()
  local out = {}
  for _, name in ipairs { "moongate.test", "moongate.e2e" } do
    local file = assert(io.open(("lua/stubs/%s.lua"):format(name), "rb"))
    local _, findings = stubs.read(file:read "a", out)
    file:close()
    assert.same({}, findings)
  end
  return out
end

describe("the stubs of moongate.e2e", function()
  local live, samples = {}, nil

  setup(function()
    local up = E.upstream { body = "ok" }
    local g = E.start { config = { services = { api = { backends = { up.address } } },
      listen = { "127.0.0.1:0", { address = "127.0.0.1:0", tls = {} } },
      routes = { { match = "/*", service = "api" } } }, args = { "--dev" } }
    local client = assert(g:connect())
    local secure = assert(g:connect { port = g.ports[2], tls = true }).socket
    live.Authority = E.authority()
    samples = { TlsState = secure.tls, Certificate = secure.tls.certificate, Leaf = live.Authority:issue() }
    live.e2e, live.Gateway, live.Client = E, g, client
    live.Response = assert(client:request "/")
    live.Request, live.Upstream, live.Socket = up.seen[1], up, client.socket
    live.Listener = E.listen(function() end)
    live.Listener:close()
    live.Task = E.spawn(function() end)
    live.Task:wait()
  end)

  for _, name in ipairs {
    "Gateway", "Client", "Response", "Request", "Upstream", "Socket", "Listener", "Task", "Authority",
  } do
    it("have its " .. name, function()
      local class = "moongate.e2e." .. name
      assert.same({}, stubs.compare(classes(), class, stubs.describe(live[name])))
    end)
  end

  for _, name in ipairs { "TlsState", "Certificate", "Leaf" } do
    it("have its " .. name, function()
      assert.same({}, stubs.compare(classes(), "moongate.e2e." .. name, stubs.sample(samples[name])))
    end)
  end

  it("have its functions", function()
    local module = stubs.describe(E)
    module.members.null.live = nil -- a table, but none to look into
    assert.same({}, stubs.compare(classes(), "moongate.e2e", module))
  end)

  it("have its matchers, beside those of moongate.test", function()
    local matchers = { members = {} }
    for name, assertion in pairs(namespaces.assertion) do
      if debug.getinfo(assertion.callback, "S").source:find "moongate/%w+/matchers" then
        matchers.members[name] = { kind = "function" }
      end
    end
    assert.same({}, stubs.compare(classes(), "luassert.internal", matchers))
  end)
end)
