-- One answer of three services: the product, what people say of it, and how many there are.
--
-- The services are asked at the same time, so the answer takes as long as the slowest, not as all together. When one
-- of them fails (no answer in time, or a status that is not 2xx) the others are given up, and the client gets 500.

local mg, s = require "moongate", require "moongate.schema"
local reply = require "shop.reply"

local M = { name = "product-details", version = "1.0.0", summary = "A product with its reviews and its stock" }

M.schema = s.record {
  products = s.service { default = "products" },
  reviews = s.service { default = "reviews" },
  inventory = s.service { default = "inventory" },
  timeout = s.duration { default = 2, gt = 0, help = "for all three" },
}

local PARTS = { "product", "reviews", "inventory" }

local function fail(part, reason)
  mg.log.error("Error aggregating product details:", { part = part, reason = reason })
  return reply(500, { error = "Failed to retrieve product details", message = part .. ": " .. reason })
end

-- What the responses hold, by part; or nil, the part that is no use, and why.
local function values_of(responses)
  local values = {}
  for _, part in ipairs(PARTS) do
    local res = responses[part]
    if res.status < 200 or res.status > 299 then return nil, part, "status " .. res.status end
    local value, err = res:json()
    if err then return nil, part, "not JSON: " .. tostring(err) end
    values[part] = value
  end
  return values
end

local function in_stock(inventory)
  local quantity = type(inventory) == "table" and inventory.quantity
  return type(quantity) == "number" and quantity > 0
end

function M.new(conf)
  return {
    request = function(req)
      local id = req.params.id
      local got, failed = mg.fetch_all({
        product = { conf.products, path = mg.url("/products/{id}", { id = id }) },
        reviews = { conf.reviews, path = "/reviews", query = { productId = id } },
        inventory = { conf.inventory, path = mg.url("/inventory/{id}", { id = id }) },
      }, { timeout = conf.timeout })
      if not got then return fail(failed.name, failed.reason) end

      local details, part, reason = values_of(got)
      if not details then return fail(part, reason) end
      details.inStock = in_stock(details.inventory)
      return reply(200, details)
    end,
  }
end

return M
