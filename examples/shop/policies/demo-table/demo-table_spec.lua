local T = require "moongate.test"

local function service(table) return T.new { policies = { { ["demo-table"] = { table = table } } } } end

local function names(res)
  local out = {}
  for i, record in ipairs(res:json()) do out[i] = record.name end
  return out
end

describe("demo-table", function()
  it("wants one of its tables", function()
    local ok, err = T.validate(require "demo-table", { table = "cats" })
    assert.is_nil(ok)
    assert.matches("demo-table.table: must be one of", tostring(err), 1, true)
    assert.is_nil((T.validate(require "demo-table", {})))
  end)

  it("lists all records", function()
    assert.same({ "Telescope", "Star chart", "Moon globe" }, names(service("products"):request "/products"))
  end)

  it("lists those that fit the query", function()
    local t = service "products"
    assert.same({ "Moon globe" }, names(t:request "/products?category=globes"))
    assert.same({ "Moon globe" }, names(t:request "/products?category=globes&id=3"))
  end)

  it("lists none as an empty array", function()
    assert.equal("[]\n", (service("products"):request("/products?category=cats"):text()))
  end)

  it("gives one record", function()
    local res = service("inventory"):request { params = { id = "3" } }
    assert.status(res, 200)
    assert.equal('{"id":3,"quantity":0,"warehouse":"north"}\n', (res:text()))
  end)

  it("answers 404 where there is none", function()
    assert.problem(service("inventory"):request { params = { id = "9" } }, 404, "not-found")
  end)
end)
