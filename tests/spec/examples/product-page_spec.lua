-- luacheck: no max line length
local T = require "moongate.test"

describe("product-page", function()
  local function page(reviews) return T.new { policies = { { ["product-page"] = {} } }, upstreams = {
    products = { json = { id = 7 }, delay = 0.1 }, inventory = { json = { quantity = 3 }, delay = 0.3 }, reviews = reviews } } end

  it("takes as long as the slowest, not the sum", function()
    local t = page { json = { "good" }, delay = 0.2 }
    assert.same({ product = { id = 7 }, reviews = { "good" }, in_stock = true }, (t:request { params = { id = "7" } }):json())
    assert.near(0.3, t:now(), 1e-9)
  end)

  for what, stub in pairs { timeout = { json = {}, delay = 5 }, refused = { error = "refused" }, ["500"] = { status = 500 } } do
    it("lives without reviews: " .. what, function()
      local t = page(stub)
      local res = t:request { params = { id = "7" } }
      assert.status(res, 200)
      assert.is_true(t:now() <= 0.5)
      assert.equal(require "moongate".json.null, res:json().reviews)
    end)
  end
end)
