local T = require "moongate.test"

local PRODUCT = { id = 7, name = "Telescope" }
local REVIEWS = { { stars = 5 } }
local STOCK = { id = 7, quantity = 3 }

-- A gateway with the three services; `other` takes the place of some of them.
local function shop(other, conf)
  local upstreams = {
    products = { json = PRODUCT, delay = 0.1 },
    reviews = { json = REVIEWS, delay = 0.1 },
    inventory = { json = STOCK, delay = 0.1 },
  }
  for name, answer in pairs(other or {}) do upstreams[name] = answer end
  return T.new { policies = { { ["product-details"] = conf or {} } }, upstreams = upstreams }
end

local function ask(t, id) return t:request { params = { id = id or "7" } } end

describe("product-details", function()
  describe("schema", function()
    it("has defaults", function()
      local conf = T.validate(require "product-details", {})
      assert.same({ products = "products", reviews = "reviews", inventory = "inventory", timeout = 2 }, conf)
    end)

    it("names the path of a bad field", function()
      local ok, err = T.validate(require "product-details", { timeout = 0 })
      assert.is_nil(ok)
      assert.matches("product-details.timeout: must be > 0", tostring(err), 1, true)
    end)
  end)

  it("merges three answers", function()
    local res = ask(shop())
    assert.status(res, 200)
    assert.header(res, "Content-Type", "application/json")
    assert.same({ product = PRODUCT, reviews = REVIEWS, inventory = STOCK, inStock = true }, (res:json()))
  end)

  it("asks each service for the id", function()
    local t = shop()
    ask(t, "a b")
    local function asked(service)
      local count, last = t:seen(service)
      assert.equal(1, count)
      return last.path, last.query
    end
    assert.equal("/products/a b", (asked "products"))
    assert.equal("/inventory/a b", (asked "inventory"))
    assert.same({ "/reviews", "productId=a%20b" }, { asked "reviews" })
  end)

  it("takes as long as the slowest, not as all", function()
    local t = shop()
    local before = t:now()
    ask(t)
    assert.near(0.1, t:now() - before, 1e-6)
  end)

  for quantity, expected in pairs { [0] = false, [1] = true, [-1] = false } do
    it(("says whether %d are in stock"):format(quantity), function()
      local res = ask(shop { inventory = { json = { quantity = quantity } } })
      assert.equal(expected, res:json().inStock)
    end)
  end

  it("says that nothing is in stock when the stock has no quantity", function()
    assert.is_false(ask(shop { inventory = { json = {} } }):json().inStock)
    assert.is_false(ask(shop { inventory = { json = { 1 } } }):json().inStock)
  end)

  describe("answers 500 when a service", function()
    local failures = {
      ["refuses"] = { error = "refused" },
      ["is late"] = { json = PRODUCT, delay = 60 },
      ["answers 500"] = { status = 500 },
      ["answers 404"] = { status = 404, json = {} },
      ["redirects"] = { status = 302, headers = { Location = "/elsewhere" } },
      ["sends no JSON"] = { body = "<html>" },
    }
    local parts = { products = "product", reviews = "reviews", inventory = "inventory" }
    for what, answer in pairs(failures) do
      for service, part in pairs(parts) do
        it(("%s: %s"):format(what, service), function()
          local t = shop { [service] = answer }
          local res = ask(t)
          assert.status(res, 500)
          local body = res:json()
          assert.equal("Failed to retrieve product details", body.error)
          assert.equal(part .. ": ", body.message:sub(1, #part + 2))
          local lines = t:log "Error aggregating product details:"
          assert.equal(1, #lines)
          assert.same({ "error", part }, { lines[1].level, lines[1].part })
          assert.is_true(t:now() <= 2.001)
        end)
      end
    end
  end)
end)
