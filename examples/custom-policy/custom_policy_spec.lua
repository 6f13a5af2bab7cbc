-- The config as a whole: the policy stands where it should.

local T = require "moongate.test"

local FOLDER = debug.getinfo(1, "S").source:match "^@(.*/)"

local function example()
  return T.load(FOLDER .. "moongate.yaml", { upstreams = { orders = { status = 201, json = { order = 1 } } } })
end

describe("custom-policy", function()
  it("does an order once", function()
    local t = example()
    local order = { path = "/orders", json = { product = 1 }, headers = { ["Idempotency-Key"] = "a" } }
    assert.status(t:request(order), 201)
    t:advance(3599)
    assert.header(t:request(order), "Idempotency-Replayed", "true")
    assert.called("orders", 1)
    t:advance(2)
    assert.is_nil(t:request(order):header "Idempotency-Replayed")
    assert.called("orders", 2)
  end)

  it("wants a key", function()
    local t = example()
    assert.problem(t:request { path = "/orders", json = {} }, 400, "key-missing")
    assert.status(t:request { path = "/orders", method = "GET" }, 405)
    assert.called("orders", 0)
  end)

  it("plays the order service at its own door", function()
    local t = example()
    for n = 1, 2 do
      local res = t:request { path = "/orders", json = {}, listener = "orders" }
      assert.status(res, 201)
      assert.json(res, { order = n })
    end
  end)
end)
