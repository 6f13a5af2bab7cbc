local T = require "moongate.test"

local policy = require "idempotency"

-- An order service that counts.
local function counting()
  local n = 0
  return function()
    n = n + 1
    return { status = 201, json = { order = n }, headers = { Location = "/orders/" .. n, ["X-Server"] = "7" } }
  end
end

local function gateway(conf, answer)
  return T.new { policies = { { idempotency = conf or {} } }, upstreams = { orders = answer or counting() } }
end

local function order(key, fields)
  local request = { method = "POST", path = "/orders", body = '{"product":1}', headers = {} }
  for name, value in pairs(fields or {}) do request[name] = value end
  request.headers = { ["Idempotency-Key"] = key, Authorization = request.token or "Bearer ann" }
  request.token = nil
  return request
end

describe("idempotency", function()
  describe("schema", function()
    it("has defaults", function()
      assert.same({
        header = "Idempotency-Key", required = true, keep = 86400, by = "${header.authorization}",
      }, T.validate(policy, {}))
    end)

    it("names the path of a bad field", function()
      local conf, err = T.validate(policy, { keep = "long", byy = "x" })
      assert.is_nil(conf)
      assert.matches("idempotency.byy: unknown field, did you mean 'by'?", err, 1, true)
      assert.matches("idempotency.keep: expected duration", err, 1, true)
    end)
  end)

  it("does a request once, however often it comes", function()
    local t = gateway()
    local first = t:request(order "k1")
    assert.status(first, 201)
    assert.json(first, { order = 1 })
    assert.is_nil(first:header "Idempotency-Replayed")
    for _ = 1, 3 do
      local res = t:request(order "k1")
      assert.status(res, 201)
      assert.json(res, { order = 1 })
      assert.header(res, "Content-Type", "application/json")
      assert.header(res, "Location", "/orders/1")
      assert.header(res, "Idempotency-Replayed", "true")
    end
    assert.called("orders", 1)
  end)

  it("does requests with different keys each", function()
    local t = gateway()
    assert.json(t:request(order "k1"), { order = 1 })
    assert.json(t:request(order "k2"), { order = 2 })
  end)

  it("gives nobody another one's answer", function()
    local t = gateway()
    assert.json(t:request(order("k1", { token = "Bearer ann" })), { order = 1 })
    assert.json(t:request(order("k1", { token = "Bearer bob" })), { order = 2 })
  end)

  it("forgets an answer when its time has come", function()
    local t = gateway { keep = "1h" }
    t:request(order "k1")
    t:advance(3599)
    assert.json(t:request(order "k1"), { order = 1 })
    t:advance(2)
    assert.json(t:request(order "k1"), { order = 2 })
  end)

  it("asks to wait while the first is under way", function()
    local t = gateway(nil, { status = 201, json = {}, delay = 2 })
    local first, second = t:start(order "k1"), t:start(order "k1")
    t:settle()
    local refused = first.res.status == 409 and first.res or second.res
    local done = refused == first.res and second.res or first.res
    assert.status(done, 201)
    assert.problem(refused, 409, "under-way")
    assert.header(refused, "Retry-After", "1")
    assert.status(t:request(order "k1"), 201)
    assert.called("orders", 1)
  end)

  it("refuses a key that was used for something else", function()
    local t = gateway()
    t:request(order "k1")
    assert.problem(t:request(order("k1", { body = '{"product":2}' })), 422, "key-reused")
    assert.problem(t:request(order("k1", { path = "/orders?now" })), 422, "key-reused")
    assert.problem(t:request(order("k1", { method = "PUT" })), 422, "key-reused")
    assert.called("orders", 1)
  end)

  for what, answer in pairs {
    refused = { error = "refused" }, late = { delay = 11, json = {} }, ["500"] = { status = 500, json = {} },
  } do
    it("lets a failed request be tried again: " .. what, function()
      local t = gateway(nil, answer)
      local status = t:request(order "k1").status
      assert.is_true(status >= 500)
      local res = t:request(order "k1")
      assert.status(res, status)
      assert.is_nil(res:header "Idempotency-Replayed")
    end)
  end

  it("keeps a refusal of the backend: it would come again", function()
    local t = gateway(nil, { status = 404, body = "no such product" })
    t:request(order "k1")
    local res = t:request(order "k1")
    assert.status(res, 404)
    assert.equal("no such product", res:text())
    assert.called("orders", 1)
  end)

  it("frees the key of a client that went away, in a minute", function()
    local t = gateway(nil, { status = 201, json = {}, delay = 5 })
    local client = t:connect()
    client:send "POST /orders HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k1\r\nAuthorization: Bearer ann\r\n"
    client:send "Content-Length: 13\r\n\r\n{\"product\":1}"
    t:advance(1)
    client:close()
    assert.problem(t:request(order "k1"), 409, "under-way")
    t:advance(60)
    assert.status(t:request(order "k1"), 201)
  end)

  it("keeps any bytes", function()
    local bytes = "\0\255\n\"\\"
    local t = gateway(nil, { body = bytes, headers = { ["Content-Type"] = "image/png" } })
    t:request(order "k1")
    local res = t:request(order "k1")
    assert.equal(bytes, res:text())
    assert.header(res, "Content-Type", "image/png")
  end)

  it("logs that an answer is too large to be kept", function()
    local t = T.new {
      policies = { { idempotency = {} } },
      upstreams = { orders = { body = ("x"):rep(200000) } },
      config = { shared = { idempotency = "128KiB" } },
    }
    assert.status(t:request(order "k1"), 200)
    assert.equal(1, #t:log "cannot keep an answer")
  end)

  it("wants a key", function()
    local t = gateway()
    for _, key in ipairs { false, "", ("k"):rep(256) } do
      assert.problem(t:request(order(key or nil)), 400, "key-missing")
    end
    assert.status(t:request(order(("k"):rep(255))), 201)
    assert.called("orders", 1)
  end)

  it("lets requests without a key pass, where none is required", function()
    local t = gateway { required = false }
    assert.json(t:request(order()), { order = 1 })
    assert.json(t:request(order()), { order = 2 })
  end)
end)
