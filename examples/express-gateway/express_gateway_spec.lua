-- The config in simulation.

local T = require "moongate.test"

local FOLDER = debug.getinfo(1, "S").source:match "^@(.*/)"

local function echo(req) return { json = { path = req.path, host = req:header "Host" } } end

local function gateway()
  return T.load(FOLDER .. "gateway.config.js",
    { upstreams = { userService = echo, productService = echo, orderService = echo } })
end

describe("express-gateway", function()
  for path, host in pairs {
    ["/users/7"] = "localhost:3001", ["/products"] = "localhost:3002", ["/categories/a/b"] = "localhost:3002",
    ["/orders/1"] = "localhost:3003", ["/cart"] = "localhost:3003",
  } do
    it(path .. " goes to " .. host, function()
      assert.same({ path = path, host = host }, gateway():request({ host = "localhost", path = path }):json())
    end)
  end

  it("has nothing for other hosts and paths", function()
    local t = gateway()
    assert.status(t:request { host = "other", path = "/cart" }, 404)
    for _, path in ipairs { "/users", "/cart/1", "/" } do
      assert.status(t:request { host = "localhost", path = path }, 404)
    end
  end)

  it("limits what the condition names", function()
    local t = gateway()
    local function order(method) return t:request { method = method, host = "localhost", path = "/orders" } end
    for _ = 1, 10 do assert.status(order "POST", 200) end
    assert.status(order "POST", 429)
    assert.status(order "GET", 200)
    t:advance(60)
    assert.status(order "POST", 200)
  end)
end)
