-- The routes in simulation: where they lead over HTTP.

local T = require "moongate.test"

local FOLDER = debug.getinfo(1, "S").source:match "^@(.*/)"

describe("ndjson", function()
  for path, service in pairs {
    ["/api/users/123"] = "users-service-v1", ["/api/v2/users/123"] = "users-service-v2",
    ["/api/orders/a/b"] = "orders-service-v1", ["/api/products/7"] = "products-service-v1",
    ["/api/payments/"] = "payments-service-v1",
  } do
    it(path .. " goes to " .. service, function()
      local t = T.load(FOLDER .. "routes.json",
        { upstreams = { [service] = function(req) return { body = req.path } end } })
      assert.equal(path, t:request(path):text())
    end)
  end

  it("leads nowhere else", function()
    local t = T.load(FOLDER .. "routes.json", {})
    for _, path in ipairs { "/api/users", "/api/usersX/1", "/api/carts/1" } do assert.status(t:request(path), 404) end
  end)
end)
