local mg, s = require "moongate", require "moongate.schema"
local M = { name = "product-page", version = "1.0.0" }
M.schema = s.record { timeout = s.number { default = 2 } }

function M.new(conf)
  return { request = function(req)
    local id = req.params.id
    local got, failed = mg.fetch_all({
      product   = { "products",  path = "/products/" .. id },
      inventory = { "inventory", path = "/stock/" .. id },
      reviews   = { "reviews",   path = "/reviews?product=" .. id, timeout = 0.5, optional = true },
    }, { timeout = conf.timeout })
    if not got then
      return mg.problem(502, "upstream-failed", failed.name .. ": " .. failed.reason)
    end
    local stock = got.inventory:json()
    return mg.reply_json(200, {
      product = got.product:json(),
      reviews = got.reviews and got.reviews:json() or mg.json.null,
      in_stock = stock.quantity > 0,
    })
  end }
end
return M
