-- The config as a whole, in simulation, with backends that the spec plays.

local T = require "moongate.test"

local FOLDER = debug.getinfo(1, "S").source:match "^@(.*/)"

local function example(upstreams)
  for _, name in ipairs { "catalog", "catalog-next", "payments", "reports" } do
    upstreams[name] = upstreams[name] or { body = name }
  end
  local t = T.load(FOLDER .. "moongate.yaml", { upstreams = upstreams })
  local function request(path, more)
    local what = { path = path, listener = "gateway" }
    for key, value in pairs(more or {}) do what[key] = value end
    return what
  end
  return t, request
end

describe("resilience", function()
  it("tries again when a backend fails", function()
    local asked = 0
    local t, get = example { catalog = function()
      asked = asked + 1
      return { status = asked % 2 == 1 and 503 or 200, body = "ok" }
    end }
    for _ = 1, 10 do assert.status(t:request(get("/catalog/1", { headers = { ["X-Canary"] = "never" } })), 200) end
    assert.equal(20, asked)
  end)

  it("leaves payments alone while they fail, and tries one of them later", function()
    local status = 500
    local t, get = example { payments = function() return { status = status, body = "paid" } end }
    for _ = 1, 5 do assert.status(t:request(get "/payments/1"), 500) end
    assert.problem(t:request(get "/payments/1"), 503, "circuit-open")
    assert.equal(5, (t:seen "payments"))
    status = 200
    t:advance(5)
    assert.equal("paid", (t:request(get "/payments/1")):text())
  end)

  it("lets two reports run at a time, and five wait", function()
    local t, get = example { reports = { body = "report", delay = 1 } }
    local handles, passed = {}, 0
    for i = 1, 10 do handles[i] = t:start(get "/reports/1") end
    t:settle()
    for _, handle in ipairs(handles) do passed = passed + (handle.res.status == 200 and 1 or 0) end
    assert.is_true(passed >= 4 and passed <= 6)
  end)

  it("sends who asks for it to the canary", function()
    local t, get = example {}
    assert.equal("catalog-next", (t:request(get("/catalog/1", { headers = { ["X-Canary"] = "always" } }))):text())
  end)

  it("limits clients", function()
    local t, get = example {}
    for _ = 1, 60 do assert.status(t:request(get "/payments/1"), 200) end
    assert.problem(t:request(get "/payments/1"), 429, "quota-exceeded")
    assert.header(t:request(get "/catalog/1"), "RateLimit-Policy", '"default";q=100;w=2')
  end)

  it("has closed the old shop", function()
    local t, get = example {}
    local res = t:request(get "/old/shop")
    assert.status(res, 503)
    assert.header(res, "Retry-After", "3600")
  end)
end)
