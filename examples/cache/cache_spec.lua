local T = require "moongate.test"

describe("the cache example", function()
  local t
  before_each(function()
    local count = 0
    local function answer(req)
      count = count + 1
      if req.path == "/api/products/none" then return { status = 404, json = { answer = count } } end
      return { json = { path = req.path, answer = count } }
    end
    t = T.load("examples/cache/moongate.yaml", { upstreams = { products = answer, users = answer } })
  end)

  local function ask(path, method)
    return t:request { path = path, method = method, listener = "gateway" }
  end

  it("keeps the list for five minutes", function()
    assert.header(ask "/api/products", "X-Cache", "MISS")
    t:advance(299)
    assert.header(ask "/api/products", "X-Cache", "HIT")
    t:advance(60)
    assert.header(ask "/api/products", "X-Cache", "MISS")
    assert.called("products", 2)
  end)

  it("keeps a product for one", function()
    ask "/api/products/7"
    t:advance(59)
    assert.header(ask "/api/products/7", "X-Cache", "HIT")
    t:advance(2)
    assert.header(ask "/api/products/7", "X-Cache", "MISS")
  end)

  it("never keeps errors or users", function()
    ask "/api/products/none"
    assert.header(ask "/api/products/none", "X-Cache", "MISS")
    ask "/api/users/1"
    assert.is_nil(ask("/api/users/1"):header "X-Cache")
    assert.called("users", 2)
  end)

  it("forgets what is changed", function()
    ask "/api/products/7"
    assert.is_nil(ask("/api/products/7", "PUT"):header "X-Cache")
    assert.header(ask "/api/products/7", "X-Cache", "MISS")
  end)
end)
