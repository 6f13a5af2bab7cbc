-- The whole shop: what its routes let through, and where to.

local T = require "moongate.test"

local FOLDER = debug.getinfo(1, "S").source:match "^@(.*/)"
local ANN = { Authorization = "Bearer ann" }

-- Stands for any service: tells what it was asked.
local function echo(req) return { json = { method = req.method, path = req.path, query = req.query } } end

local function auth(req)
  if req.path ~= "/auth/session" then return echo(req) end
  if req:header "Authorization" == "Bearer ann" then return { json = { user = "1", role = "CUSTOMER" } } end
  return { status = 401, json = {} }
end

local function shop()
  return T.load(FOLDER .. "moongate.yaml", { upstreams = {
    users = echo, products = echo, orders = echo, reviews = echo, inventory = echo, payments = echo, auth = auth,
  } })
end

describe("shop", function()
  describe("forwards", function()
    local cases = {
      { "/api/products", "products", "/products" },
      { "/api/products/2", "products", "/products/2" },
      { "/api/products?cat=optics", "products", "/products", "category=optics" },
      { "/api/reviews?productId=1", "reviews", "/reviews", "productId=1" },
      { "/api/users/1", "users", "/users/1" },
      { "/api/orders?user=2", "orders", "/orders", "user=1" },
      { "/api/inventory/1", "inventory", "/inventory/1" },
    }
    for _, case in ipairs(cases) do
      local asked, service, path, query = table.unpack(case)
      it(asked .. " to " .. service, function()
        local t = shop()
        local res = t:request { path = asked, headers = ANN, client_ip = "10.1.2.3" }
        assert.status(res, 200)
        assert.header(res, "Access-Control-Allow-Origin", "*")
        assert.header(res, "X-Content-Type-Options", "nosniff")
        assert.matches("^%x+$", res:header "X-Request-ID")
        local count, last = t:seen(service)
        assert.equal(1, count)
        assert.equal(path, last.path)
        assert.equal(query, last.query)
      end)
    end
  end)

  describe("serves clients of version 1", function()
    local V1 = '{"user_name":"ann","items":[{"product_id":7,"qty":2,"price":9.90}]}'
    local V2 = '{"userName":"ann","orderItems":[{"productId":7,"quantity":2,"unitPrice":9.90}]}'
    local TYPE = { ["Content-Type"] = "application/json" }

    local function order(version)
      local t = T.load(FOLDER .. "moongate.yaml", { upstreams = {
        orders = { headers = TYPE, body = V2 }, auth = auth,
        users = echo, products = echo, reviews = echo, inventory = echo, payments = echo,
      } })
      local res = t:request { method = "POST", path = "/api/orders?user_id=7", body = V1, client_ip = "10.1.2.3",
        headers = {
        Authorization = "Bearer ann", ["Content-Type"] = "application/json", ["X-Api-Version"] = version,
      } }
      local _, last = t:seen "orders"
      return res, last
    end

    it("with requests that the service understands", function()
      local _, last = order "v1"
      assert.equal("userId=7&user=1", last.query)
      assert.equal(V2, last:text())
      assert.equal(tostring(#V2), last:header "Content-Length")
    end)

    it("with answers that they understand", function()
      local res = order "v1"
      assert.equal(V1, res:text())
      assert.header(res, "Content-Length", tostring(#V1))
      assert.equal(V2, order "v2":text())
      assert.equal(V2, order(nil):text())
    end)
  end)

  it("puts three services together under two paths", function()
    for _, path in ipairs { "/product-details/1", "/api/product-details/1" } do
      local body = shop():request(path):json()
      assert.equal("/products/1", body.product.path)
      assert.equal("/reviews", body.reviews.path)
      assert.equal("/inventory/1", body.inventory.path)
      assert.is_false(body.inStock)
    end
  end)

  describe("puts a product's details together", function()
    local PRODUCT, REVIEWS = { id = 7, name = "Telescope" }, { { stars = 5 } }

    local function details(other)
      local upstreams = {
        products = { json = PRODUCT, delay = 0.1 }, reviews = { json = REVIEWS, delay = 0.1 },
        inventory = { json = { quantity = 3 }, delay = 0.1 },
      }
      for name, answer in pairs(other or {}) do upstreams[name] = answer end
      for _, name in ipairs { "users", "orders", "payments", "auth" } do upstreams[name] = {} end
      local t = T.load(FOLDER .. "moongate.yaml", { upstreams = upstreams })
      return t:request "/product-details/7", t
    end

    it("in the time of one", function()
      local res, t = details()
      assert.status(res, 200)
      assert.header(res, "Content-Type", "application/json")
      assert.json(res, { product = PRODUCT, reviews = REVIEWS, inventory = { quantity = 3 }, inStock = true })
      assert.near(0.1, t:now(), 1e-6)
      assert.equal("productId=7", select(2, t:seen "reviews").query)
    end)

    it("and says whether there is one", function()
      for quantity, expected in pairs { [0] = false, [1] = true } do
        assert.equal(expected, details({ inventory = { json = { quantity = quantity } } }):json().inStock)
      end
    end)

    for what, answer in pairs {
      refuses = { error = "refused" }, ["is late"] = { json = PRODUCT, delay = 60 }, ["answers 404"] = { status = 404 },
      ["sends no JSON"] = { body = "<html>" },
    } do
      it("or fails when a service " .. what, function()
        for service, part in pairs { products = "product", reviews = "reviews", inventory = "inventory" } do
          local res, t = details { [service] = answer }
          assert.status(res, 500)
          local body = res:json()
          assert.equal("Failed to retrieve product details", body.error)
          assert.equal(part .. ": ", body.message:sub(1, #part + 2))
          assert.equal(1, #t:log "Error aggregating product details:")
        end
      end)
    end
  end)

  it("shows a profile without its orders, and none without its user", function()
    local function profile(users, orders)
      local upstreams = { auth = auth, users = users, orders = orders }
      for _, name in ipairs { "products", "reviews", "inventory", "payments" } do upstreams[name] = {} end
      return T.load(FOLDER .. "moongate.yaml", { upstreams = upstreams }):request { path = "/profile/1", headers = ANN }
    end
    local user = { json = { name = "Ann" } }
    assert.json(profile(user, { json = { 1 } }), { user = { name = "Ann" }, orders = { 1 } })
    assert.json(profile(user, { status = 500 }), { user = { name = "Ann" }, orders = require "moongate".json.null })
    local res = profile({ status = 404 }, { json = { 1 } })
    assert.status(res, 404)
    assert.json(res, { error = "The user could not be fetched" })
    assert.status(profile({ error = "refused" }, { json = {} }), 502)
  end)

  it("puts a profile together for its owner only", function()
    local t = shop()
    local res = t:request { path = "/profile/1", headers = ANN }
    assert.status(res, 200)
    assert.equal("/users/1", res:json().user.path)
    assert.problem(t:request { path = "/profile/2", headers = ANN }, 403, "not-yours")
    assert.problem(t:request { path = "/api/users/2", headers = ANN }, 403, "not-yours")
    assert.equal(1, (t:seen "users"))
  end)

  for _, path in ipairs { "/api/users/1", "/api/orders", "/api/payments", "/profile/1" } do
    it("asks for a session: " .. path, function()
      local t = shop()
      assert.problem(t:request(path), 401, "no-token")
      assert.problem(t:request { path = path, headers = { Authorization = "Bearer bob" } }, 401, "bad-token")
    end)
  end

  it("takes JSON only where bodies go", function()
    local t = shop()
    local function post(path, fields)
      fields.path, fields.headers = path, fields.headers or ANN
      return t:request(fields)
    end
    assert.status(post("/api/orders", { json = { product = 1 } }), 200)
    assert.status(post("/api/payments", { body = "x", method = "POST" }), 415)
    assert.status(post("/api/orders", { json = { text = ("x"):rep(20000) } }), 413)
    assert.status(post("/api/auth/login", { json = {}, method = "PUT" }), 405)
    assert.equal(1, (t:seen "orders"))
  end)

  it("never passes on who a client says it is", function()
    local t = shop()
    t:request { path = "/api/products", headers = { ["X-User-Id"] = "1" } }
    local _, last = t:seen "products"
    assert.is_nil(last:header "X-User-Id")
  end)

  it("shows the stock to private networks only", function()
    local t = shop()
    assert.status(t:request { path = "/api/inventory/1", client_ip = "192.0.2.7" }, 403)
    assert.status(t:request { path = "/api/inventory/1", client_ip = "192.168.1.7" }, 200)
    assert.equal(1, (t:seen "inventory"))
  end)

  it("answers preflights", function()
    local headers = { Origin = "https://x.example", ["Access-Control-Request-Method"] = "GET" }
    local res = shop():request { path = "/profile/1", method = "OPTIONS", headers = headers }
    assert.status(res, 204)
    assert.header(res, "Access-Control-Allow-Origin", "*")
  end)

  it("says that it is well", function()
    assert.json(shop():request "/health", { status = "ok" })
    assert.status(shop():request "/", 200)
  end)

  -- The services that the gateway plays itself, at their own doors.
  describe("service", function()
    local function ask(listener, request)
      request.listener = listener
      return shop():request(request)
    end

    it("users, products, orders, reviews and inventory have records", function()
      assert.equal("Ann", ask("users", { path = "/users/1" }):json().name)
      assert.equal(3, #ask("products", { path = "/products" }):json())
      assert.equal(2, #ask("orders", { path = "/orders?user=1" }):json())
      assert.equal(2, #ask("reviews", { path = "/reviews?productId=1" }):json())
      assert.equal(0, ask("inventory", { path = "/inventory/3" }):json().quantity)
      assert.status(ask("users", { path = "/users/9" }), 404)
      assert.status(ask("users", { path = "/products" }), 404)
    end)

    it("orders takes orders", function()
      local res = ask("orders", { path = "/orders", json = { product = 2 }, headers = { ["X-User-Id"] = "1" } })
      assert.status(res, 201)
      assert.json(res, { product = 2, status = "open", user = "1" })
      local items = { { productId = 2, quantity = 1 } }
      assert.same(items, ask("orders", { path = "/orders", json = { orderItems = items } }):json().orderItems)
      assert.problem(ask("orders", { path = "/orders", json = { product = "two" } }), 400, "bad-order")
      assert.problem(ask("orders", { path = "/orders", body = "{" }), 400, "bad-order")
    end)

    it("payments takes payments", function()
      local res = ask("payments", { path = "/payments", json = { amount = 12.5 } })
      assert.status(res, 201)
      assert.json(res, { amount = 12.5, status = "paid" })
      assert.problem(ask("payments", { path = "/payments", json = { amount = -1 } }), 400, "bad-payment")
    end)

    it("auth knows accounts and their tokens", function()
      local login = ask("auth", { path = "/auth/login", json = { username = "ann", password = "moon" } })
      assert.json(login, { token = "demo-token-ann", user = "1" })
      assert.problem(ask("auth", { path = "/auth/login", json = { username = "ann" } }), 401, "bad-login")
      local function session(token)
        return ask("auth", { path = "/auth/session", headers = { Authorization = "Bearer " .. token } })
      end
      assert.json(session "demo-token-bob", { user = "2", role = "CUSTOMER" })
      assert.problem(session "nobody", 401, "bad-token")
    end)
  end)
end)
