-- The config in simulation. tests/e2e/rgate_spec.lua runs it with real sockets.

local T = require "moongate.test"

local FOLDER = debug.getinfo(1, "S").source:match "^@(.*/)"

local function rgate(upstreams)
  return T.load(FOLDER .. "config.yml", { upstreams = upstreams })
end

describe("rgate", function()
  it("sends a prefix to its backend, the path as it is", function()
    local t = rgate { payment = function(req) return { body = req.path } end }
    assert.equal("/api/payment", t:request("/api/payment"):text())
    assert.equal("/api/payment/7", t:request("/api/payment/7"):text())
  end)

  it("answers 503 when the backend is down", function()
    assert.status(rgate { orders = { error = "refused" } }:request "/api/orders", 503)
  end)

  it("has one answer for all else", function()
    local res = rgate {}:request "/api/paymentX"
    assert.status(res, 403)
    assert.equal("This is not reachable", res:text())
  end)
end)
