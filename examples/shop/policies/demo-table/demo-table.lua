-- Plays a service: a table of records that can be read.
--
--     GET /products?category=optics    the records with these fields; /products: all of them
--     GET /products/2                  the record with that id (the route's pattern has an {id})

local mg, s = require "moongate", require "moongate.schema"
local data, reply = require "shop.data", require "shop.reply"

local M = { name = "demo-table", version = "1.0.0", summary = "A service with fixed data, for demonstrations" }

M.schema = s.record {
  table = s.enum { "users", "products", "inventory", "reviews", "orders", required = true },
}

local function fits(record, wanted)
  for field, value in pairs(wanted) do
    if tostring(record[field]) ~= value then return false end
  end
  return true
end

local function list(records, wanted)
  local found = mg.json.array() -- marked, so that none is `[]` and not `{}`
  for _, record in ipairs(records) do
    if fits(record, wanted) then found[#found + 1] = record end
  end
  return reply(200, found)
end

local function one(records, id)
  for _, record in ipairs(records) do
    if tostring(record.id) == id then return reply(200, record) end
  end
  return mg.problem(404, "not-found", "There is no record with this id")
end

function M.new(conf)
  local records = data[conf.table]
  return {
    request = function(req)
      local id = req.params.id
      if id then return one(records, id) end
      return list(records, req:args())
    end,
  }
end

return M
