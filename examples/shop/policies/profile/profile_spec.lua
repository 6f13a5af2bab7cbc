local T = require "moongate.test"

local null = require("moongate").json.null

local USER = { id = 1, name = "Ann" }
local ORDERS = { { id = 5, user = 1 } }

local function shop(other, conf)
  local upstreams = { users = { json = USER, delay = 0.1 }, orders = { json = ORDERS, delay = 0.1 } }
  for name, answer in pairs(other or {}) do upstreams[name] = answer end
  return T.new { policies = { { profile = conf or {} } }, upstreams = upstreams }
end

local function ask(t) return t:request { params = { id = "1" } } end

describe("profile", function()
  describe("schema", function()
    it("has defaults", function()
      local conf = T.validate(require "profile", {})
      assert.same({ users = "users", orders = "orders", optional = {}, timeout = 2 }, conf)
    end)

    it("names the path of a bad field", function()
      local ok, err = T.validate(require "profile", { optional = { "reviews" } })
      assert.is_nil(ok)
      assert.matches("profile.optional[0]: must be one of", tostring(err), 1, true)
    end)
  end)

  it("merges two answers", function()
    local t = shop()
    local res = ask(t)
    assert.status(res, 200)
    assert.header(res, "Content-Type", "application/json")
    assert.same({ user = USER, orders = ORDERS }, (res:json()))
    local _, users = t:seen "users"
    local _, orders = t:seen "orders"
    assert.equal("/users/1", users.path)
    assert.same({ "/orders", "user=1" }, { orders.path, orders.query })
  end)

  it("takes as long as the slower one", function()
    local t = shop()
    local before = t:now()
    ask(t)
    assert.near(0.1, t:now() - before, 1e-6)
  end)

  it("answers 404 for a user that does not exist", function()
    assert.problem(ask(shop { users = { status = 404, json = {} } }), 404, "no-such-user")
    local t = shop({ users = { status = 404, json = {} } }, { optional = { "user", "orders" } })
    assert.problem(ask(t), 404, "no-such-user")
  end)

  local failures = {
    ["refused"] = { error = "refused" },
    ["late"] = { json = {}, delay = 60 },
    ["status 500"] = { status = 500 },
    ["status 403"] = { status = 403, json = {} },
    ["no JSON"] = { body = "oops" },
  }
  for what, answer in pairs(failures) do
    it("answers 502 when a part that it needs fails: " .. what, function()
      assert.problem(ask(shop { users = answer }), 502, "upstream-failed")
      assert.problem(ask(shop { orders = answer }), 502, "upstream-failed")
    end)

    it("lives without a part that is optional: " .. what, function()
      local res = ask(shop({ orders = answer }, { optional = { "orders" } }))
      assert.status(res, 200)
      assert.same(USER, res:json().user)
      assert.equal(null, res:json().orders)
    end)
  end
end)
