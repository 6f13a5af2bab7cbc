local T = require "moongate.test"
local mg = require "moongate"

local null = mg.json.null

local function copy(t)
  local out = {}
  for key, value in pairs(t) do out[key] = value end
  return out
end

local PARTS = {
  product = { service = "products", path = "/products/${params.id}" },
  reviews = { service = "reviews", path = "/reviews", query = { productId = "${params.id}" } },
  inventory = { service = "inventory", path = "/inventory/${params.id}" },
}
local BODY = {
  product = "${product}", reviews = "${reviews}", inventory = "${inventory}", inStock = "${inventory.quantity > 0}",
}

-- The options for those parts, with `more` of them.
local function details(more, parts)
  local conf = { parts = {}, body = BODY }
  for name, part in pairs(PARTS) do
    conf.parts[name] = copy(part)
    for key, value in pairs(parts and parts[name] or {}) do conf.parts[name][key] = value end
  end
  for key, value in pairs(more or {}) do conf[key] = value end
  return conf
end

local function shop(conf, other, more)
  local upstreams = {
    products = { body = '{"id":7, "name":"Tele\\u0073cope"}', delay = 0.1 },
    reviews = { json = { { stars = 5 } }, delay = 0.2 },
    inventory = { json = { quantity = 3 }, delay = 0.1 },
  }
  for name, answer in pairs(other or {}) do upstreams[name] = answer end
  local opts = { match = "/product-details/{id}", policies = { { aggregate = conf } }, upstreams = upstreams }
  for key, value in pairs(more or {}) do opts[key] = value end
  return T.new(opts)
end

local function ask(t, path) return t:request(path or "/product-details/7") end

-- The answer to `body` with a part `a` that says `json`.
local function computed(body, json, path)
  local t = T.new {
    match = "/{id}", upstreams = { api = { json = json } },
    policies = { { aggregate = { parts = { a = { service = "api", path = "/" } }, body = { x = body } } } },
  }
  local res = t:request(path or "/7")
  assert.status(res, 200)
  return res:json().x
end

local function refuses(what, conf)
  local ok, err = T.validate(require "aggregate", conf)
  assert.is_nil(ok)
  assert.matches(what, tostring(err), 1, true)
end

local function one(part, more)
  local conf = { parts = { a = { service = "api", path = "/" } } }
  for key, value in pairs(part) do conf.parts.a[key] = value end
  for key, value in pairs(more or {}) do conf[key] = value end
  return conf
end

describe("aggregate", function()
  describe("schema", function()
    it("wants parts with a service and a path", function()
      refuses("aggregate.parts: is required", {})
      refuses("aggregate.parts: must have at least 1 entry", { parts = {} })
      refuses("aggregate.parts.a.path: is required", { parts = { a = { service = "api" } } })
      refuses("aggregate.parts.a.service: is required", { parts = { a = { path = "/" } } })
      refuses("parts.a: path: must begin with '/'", one { path = "${params.id}" })
    end)

    it("wants names that expressions can say", function()
      refuses("must match", { parts = { ["a-b"] = { service = "api", path = "/" } } })
      for _, name in ipairs { "and", "it", "failed", "failures", "end", "null" } do
        refuses("cannot be a part's name", { parts = { [name] = { service = "api", path = "/" } } })
      end
    end)

    it("tells what is wrong with an expression, and where", function()
      refuses("aggregate.body.x: '${a.}': a '.' needs a name behind it", one({}, { body = { x = "${a.}" } }))
      refuses("body: x: '${b}': unknown name 'b', did you mean 'a'?", one({}, { body = { x = "${b}" } }))
      refuses("body: x: '${mop(a, it)}': unknown function 'mop', did you mean 'map'?",
        one({}, { body = { x = "${mop(a, it)}" } }))
      refuses("map: is written map(list, what of it)", one({}, { body = { x = "${map(a)}" } }))
      refuses("'!=' is written '~='", one({}, { body = { x = "${a != 1}" } }))
      refuses("expected '}' behind the expression", one({}, { body = { x = "${a b}" } }))
      refuses("there is an 'it' only where", one({}, { body = { x = "${it}" } }))
      refuses("aggregate.parts.a.path: '${params.id': expected '}'", one { path = "/${params.id" })
      refuses("parts.a: query: q: '${a}': unknown name 'a'", one { query = { q = "${a}" } })
      refuses("on_failure: body: m: '${faild}'", one({}, { on_failure = { body = { m = "${faild}" } } }))
      refuses("a list is written list(a, b)", one({}, { body = { x = "${ {1, 2} }" } }))
      refuses("is nested too deeply", one({}, { body = { x = "${" .. ("("):rep(60) .. "a" .. (")"):rep(60) .. "}" } }))
      refuses("is too long", one({}, { body = { x = "${a" .. (" + a"):rep(60) .. "}" } }))
    end)

    it("refuses parts that need each other, or what is not there", function()
      refuses("parts: a, b need each other", { parts = {
        a = { service = "api", path = "/${b.id}" }, b = { service = "api", path = "/${a.id}" },
      } })
      refuses("parts.a: needs: there is no other part 'b'", one { needs = "b" })
      refuses("parts.a: needs: there is no other part 'a'", one { needs = { "a" } })
    end)

    it("refuses options that do not go together", function()
      refuses("use: cannot stand with 'each'", one { each = "list(1)", use = "request-id" })
      refuses("'use' cannot stand with 'stream'", one({ use = "request-id" }, { stream = true }))
      refuses("on_failure: 'headers' needs 'body'", one({}, { on_failure = { headers = { A = "b" } } }))
      refuses("accept: has a range that ends before it begins", one { accept = "300-200" })
    end)
  end)

  describe("puts together", function()
    it("what services say, asked at the same time", function()
      local t = shop(details())
      local res = ask(t)
      assert.status(res, 200)
      assert.header(res, "Content-Type", "application/json")
      assert.json(res, { product = { id = 7, name = "Telescope" }, reviews = { { stars = 5 } },
        inventory = { quantity = 3 }, inStock = true })
      assert.near(0.2, t:now(), 1e-9)
      assert.equal("/products/7", select(2, t:seen "products").path)
      assert.equal("productId=7", select(2, t:seen "reviews").query)
    end)

    it("texts as they came, in the order of the file", function()
      local t = T.load("a.yaml", { text = [[
        services: { products: { backends: ["a:1"] }, inventory: { backends: ["b:1"] } }
        routes:
          - match: "/{id}"
            policies:
              - aggregate:
                  parts:
                    product: { service: products, path: "/${params.id}" }
                    inventory: { service: inventory, path: / }
                  body:
                    z: ${product}
                    inStock: ${inventory.quantity > 0}
                    a: "is ${inventory.quantity}"
                    list: [1, null, "$${x}", true]
                    none: ~
      ]], upstreams = { products = { body = '{"b":1.50, "a":"\\u0041"}' }, inventory = { json = { quantity = 0 } } } })
      assert.equal('{"z":{"b":1.50, "a":"\\u0041"},"inStock":false,"a":"is 0","list":[1,null,"${x}",true],"none":null}',
        (t:request "/7"):text())
    end)

    it("all parts when nothing is said", function()
      local conf = details()
      conf.body = nil
      assert.json(ask(shop(conf)), { product = { id = 7, name = "Telescope" }, reviews = { { stars = 5 } },
        inventory = { quantity = 3 } })
    end)

    it("with a status and headers of its own", function()
      local headers = { ["X-Id"] = "${product.id}", ["Cache-Control"] = "no-store" }
      local res = ask(shop(details { status = 203, headers = headers }))
      assert.status(res, 203)
      assert.header(res, "X-Id", "7")
      assert.header(res, "Cache-Control", "no-store")
      assert.header(res, "Content-Type", "application/json")
    end)

    it("what came compressed", function()
      local packed = { headers = { ["Content-Encoding"] = "gzip" },
        body = mg.crypto.base64.decode "H4sIAAAAAAACA6tWSlSyMqwFAK+sG1YHAAAA" }
      for _, each in ipairs { "nil", "list(1)" } do
        local t = T.new { upstreams = { api = packed }, policies = { { aggregate = {
          parts = { a = { service = "api", path = "/" },
            l = { service = "api", path = "/", each = each ~= "nil" and each or nil } },
          body = { a = "${a}", l = "${l}", n = "${a.a}" } } } } }
        assert.json(t:request "/", { a = { a = 1 }, l = each == "nil" and { a = 1 } or { { a = 1 } }, n = 1 })
      end
    end)

    it("what is no value, as null", function()
      local res = ask(shop(details(), { reviews = { status = 204 }, inventory = { body = "null" } }))
      assert.json(res, { product = { id = 7, name = "Telescope" }, reviews = null, inventory = null, inStock = false })
    end)
  end)

  describe("asks", function()
    local function asked(part, request)
      local conf = one(part)
      local t = T.new { match = "/{id}/*", policies = { { aggregate = conf } }, upstreams = { api = { json = 1 } } }
      local res = t:request(request or "/7/x")
      return select(2, t:seen "api"), res, t
    end

    it("with values encoded, wherever they come from", function()
      local last = asked({ path = "/p/${params.id}?x=${arg.q}", method = "PUT" }, "/a%2Fb%20c/x?q=1%262")
      assert.equal("PUT", last.method)
      assert.equal("/p/a%2Fb%20c", last.raw_path)
      assert.equal("x=1%262", last.query)
      last = asked({ query = { q = "${arg.q}", none = "${arg.none}", n = "${1 + 1}", fixed = "a b" } }, "/7/x?q=%3F%26")
      assert.equal("fixed=a%20b&n=2&q=%3F%26", last.query)
    end)

    it("nothing where a path has no value, or one that would lead elsewhere", function()
      for _, path in ipairs { "/7/x", "/7/x?q=", "/7/x?q=..", "/7/x?q=." } do
        local last, res, t = asked({ path = "/p/${arg.q}" }, path)
        assert.is_nil(last)
        assert.problem(res, 502, "upstream-failed")
        assert.equal("no_value", t:log "a part of an answer failed"[1].code)
      end
    end)

    it("with headers of its own, and those that are passed", function()
      local last = asked({ headers = { ["X-A"] = "${header.x-in}-b", ["X-B"] = "${header.x-none}" }, pass = "X-Pass" },
        { path = "/7/x", headers = { ["X-In"] = "a", ["X-Pass"] = "p", ["X-Other"] = "o" } })
      assert.header(last, "X-A", "a-b")
      assert.header(last, "X-Pass", "p")
      assert.is_nil(last:header "X-Other")
      assert.is_nil(last:header "X-B")
    end)

    it("with a body that is JSON or a text", function()
      local last = asked { body = { id = "${params.id}", n = { 1 } } }
      assert.same({ "POST", '{"id":"7","n":[1]}', "application/json" },
        { last.method, last.body, last:header "Content-Type" })
      last = asked { body = { a = 1 }, method = "PATCH", headers = { ["content-type"] = "application/x+json" } }
      assert.same({ "PATCH", "application/x+json" }, { last.method, last:header "Content-Type" })
      last = asked { body = "id=${params.id}" }
      assert.same({ "id=7", nil }, { last.body, last:header "Content-Type" })
    end)

    it("again, as often as it may", function()
      local n = 0
      local t = T.new { policies = { { aggregate = one { retries = 1 } } }, upstreams = { api = function()
        n = n + 1
        return n == 1 and { error = "reset" } or { json = n }
      end } }
      assert.json(t:request "/", { a = 2 })
    end)
  end)

  describe("lets parts depend", function()
    local function chain(more, answers)
      local conf = { parts = {
        order = { service = "orders", path = "/orders/${params.id}" },
        user = { service = "users", path = "/users/${order.user}" },
        news = { service = "news", path = "/news" },
      }, body = { user = "${user}", order = "${order}", news = "${news}" } }
      for name, part in pairs(more or {}) do
        conf.parts[name] = conf.parts[name] or {}
        for key, value in pairs(part) do conf.parts[name][key] = value end
      end
      local upstreams = {
        orders = { json = { user = "u 1", items = { { product = 3 }, { product = 9 } } }, delay = 0.1 },
        users = { json = { name = "Ann" }, delay = 0.2 }, news = { json = {}, delay = 0.25 },
        products = function(req)
          mg.sleep(0.1)
          return { json = { id = tonumber(req.path:match "%d+"), query = req.query } }
        end,
      }
      for name, answer in pairs(answers or {}) do upstreams[name] = answer end
      return T.new { match = "/{id}", policies = { { aggregate = conf } }, upstreams = upstreams }, conf
    end

    it("on what others said, and takes as long as the slowest chain", function()
      local t = chain()
      assert.json(t:request "/1", { user = { name = "Ann" }, news = {},
        order = { user = "u 1", items = { { product = 3 }, { product = 9 } } } })
      assert.equal("/users/u%201", select(2, t:seen "users").raw_path)
      assert.near(0.3, t:now(), 1e-9)
    end)

    it("on others only for their order", function()
      local t = chain { news = { needs = "user" } }
      t:request "/1"
      assert.near(0.55, t:now(), 1e-9)
    end)

    it("on one that is missing", function()
      local t = chain({ order = { optional = true }, user = { path = "/users/${order.user or 'nobody'}" } },
        { orders = { error = "refused" } })
      assert.same({ name = "Ann" }, t:request("/1"):json().user)
      assert.equal("/users/nobody", select(2, t:seen "users").path)
    end)

    it("only when a condition holds", function()
      local t = chain { user = { when = "arg.user == 'yes'", default = "nobody" } }
      assert.equal("nobody", t:request("/1"):json().user)
      assert.equal(0, (t:seen "users"))
      assert.same({ name = "Ann" }, t:request("/1?user=yes"):json().user)
    end)

    it("one for each item of a list", function()
      local conf = { parts = {
        order = { service = "orders", path = "/" },
        products = { service = "products", each = "order.items", path = "/products/${it.product}", parallel = 1 },
      }, body = { items = "${join(order.items, 'product', products, 'id', 'details')}", products = "${products}" } }
      local _, _ = chain()
      local t = T.new { policies = { { aggregate = conf } }, upstreams = {
        orders = { json = { items = { { product = 3 }, { product = 9 }, { product = 4 } } } },
        products = function(req)
          mg.sleep(0.1)
          local id = tonumber(req.path:match "%d+")
          return id == 4 and { status = 404 } or { json = { id = id } }
        end,
      } }
      assert.problem(t:request "/", 502, "upstream-failed")
      conf.parts.products.optional = true
      t = T.new { policies = { { aggregate = conf } }, upstreams = {
        orders = { json = { items = { { product = 3 }, { product = 9 }, { product = 4 } } } },
        products = function(req)
          mg.sleep(0.1)
          local id = tonumber(req.path:match "%d+")
          return id == 4 and { status = 404 } or { json = { id = id } }
        end,
      } }
      assert.json(t:request "/", {
        items = { { product = 3, details = { id = 3 } }, { product = 9, details = { id = 9 } },
          { product = 4, details = null } },
        products = { { id = 3 }, { id = 9 }, null },
      })
      assert.near(0.3, t:now(), 1e-9)
    end)

    it("all ids in one request", function()
      local t = T.new { policies = { { aggregate = { parts = {
        order = { service = "orders", path = "/" },
        products = { service = "products", path = "/products",
          query = { ids = "${concat(unique(map(order.items, it.product)), ',')}" } },
      }, body = { products = "${products}" } } } }, upstreams = {
        orders = { json = { items = { { product = 3 }, { product = 9 }, { product = 3 } } } },
        products = { json = mg.json.array() } } }
      assert.equal('{"products":[]}', (t:request "/"):text())
      assert.equal("ids=3%2C9", select(2, t:seen "products").query)
    end)

    it("on no list, and on one that is too long", function()
      local function each(items, more)
        local part = { service = "products", each = "order.items", path = "/${it}", max_items = 2 }
        for key, value in pairs(more or {}) do part[key] = value end
        local t = T.new { policies = { { aggregate = { parts = { products = part,
          order = { service = "orders", path = "/" } }, body = "${products}" } } },
          upstreams = { orders = { json = { items = items } }, products = { json = 1 } } }
        local res = t:request "/"
        return res, t:log "a part of an answer failed"[1]
      end
      assert.equal("[]", (each(nil)):text())
      assert.equal("[1,1]", (each { 1, 2 }):text())
      assert.equal("too_many", select(2, each { 1, 2, 3 }).code)
      assert.equal("no_list", select(2, each { a = 1 }).code)
      assert.equal("no_list", select(2, each "x").code)
      assert.equal("[null,1]", (each({ null, 2 }, { optional = true })):text())
    end)
  end)

  describe("gives a part steps of its own", function()
    local STEP = { lua = [[return { request = function(req)
      if req.query == "stop" then return mg.reply_json(200, { stopped = true }) end
      req:set_header("X-Step", req.method .. " " .. req.path .. " " .. req.service)
    end, response = function(req, res) res:set_json { was = res:json() } end }]] }

    it("that see its request and its answer", function()
      local t = T.new { policies = { { aggregate = one { path = "/x?q=1", use = { STEP }, headers = { ["X-A"] = "b" },
        body = { n = 1 }, pass = "X-In" } } }, upstreams = { api = { json = { n = 1 } } } }
      local res = t:request { path = "/", headers = { ["X-In"] = "i", ["X-Out"] = "o" } }
      assert.json(res, { a = { was = { n = 1 } } })
      local _, last = t:seen "api"
      assert.same({ "POST", "/x", "q=1", '{"n":1}' }, { last.method, last.path, last.query, last.body })
      assert.header(last, "X-Step", "POST /x api")
      assert.header(last, "X-A", "b")
      assert.header(last, "X-In", "i")
      assert.is_nil(last:header "X-Out")
    end)

    it("that may answer", function()
      local t = T.new { policies = { { aggregate = one { path = "/?stop", use = STEP } } }, upstreams = { api = {} } }
      assert.json(t:request "/", { a = { stopped = true } })
      local refusing = one { use = { { respond = { status = 403 } } } }
      t = T.new { policies = { { aggregate = refusing } }, upstreams = { api = {} } }
      assert.problem(t:request "/", 502)
      assert.equal("status 403", t:log "a part of an answer failed"[1].reason)
      assert.called(t, "api", 0)
    end)

    it("whose failure is the part's", function()
      local t = T.new { policies = { { aggregate = one { use = "request-id", timeout = 1 } } },
        upstreams = { api = { delay = 5 } } }
      assert.problem(t:request "/", 504)
      assert.equal("timeout", t:log "a part of an answer failed"[1].code)
    end)

    it("that fail with their own faults", function()
      local fails = { lua = "return { request = function() error 'x' end }" }
      local t = T.new { policies = { { aggregate = one { use = { fails }, timeout = 1 } } }, upstreams = { api = {} } }
      assert.problem(t:request "/", 502)
      assert.equal("status 500", t:log "a part of an answer failed"[1].reason)
    end)

    describe("that end at once", function()
      local held

      -- A part `a` with a step that waits for a minute, beside a part `b`.
      local function beside(a, b, more)
        held = 0
        local function waits()
          held = held + 1
          local _ <close> = setmetatable({}, { __close = function() held = held - 1 end })
          mg.sleep(60)
        end
        local conf = { parts = { a = { service = "api", path = "/a", use = { { lua = waits } } },
          b = { service = "other", path = "/b" } }, timeout = "30s" }
        for key, value in pairs(a) do conf.parts.a[key] = value end
        for key, value in pairs(more or {}) do conf[key] = value end
        return T.new { policies = { { aggregate = conf } }, upstreams = { api = {}, other = b } }
      end

      -- What holds at `before` does not 10 ms later.
      local function ends(t, at)
        t:advance(at - 0.005)
        assert.equal(1, held)
        t:advance(0.01)
        assert.equal(0, held)
      end

      it("at the part's time-out", function()
        local t = beside({ optional = true, timeout = "500ms" }, { json = 1, delay = 5 })
        local handle = t:start "/"
        ends(t, 0.5)
        assert.json(handle:wait(), { a = null, b = 1 })
        assert.near(5, t:now(), 0.01)
      end)

      it("when all are late", function()
        local t = beside({ optional = true }, { json = 1, delay = 1 }, { timeout = "3s" })
        local handle = t:start "/"
        ends(t, 3)
        assert.json(handle:wait(), { a = null, b = 1 })
      end)

      it("when another fails that is needed", function()
        local t = beside({}, { status = 500, delay = 2 })
        local handle = t:start "/"
        ends(t, 2)
        assert.problem(handle.res, 502)
      end)

      it("when the client leaves", function()
        local t = beside({}, { json = 1, delay = 5 })
        local client = t:connect()
        client:send "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        t:advance(1)
        assert.equal(1, held)
        client:reset()
        t:advance(0.01)
        assert.equal(0, held)
      end)
    end)
  end)

  describe("keeps what a part said", function()
    local n

    -- Says how often it was asked, and by whom.
    local function counter(req)
      n = n + 1
      return { json = { n = n, who = req:header "X-User" } }
    end

    local function keeping(part, more, answer)
      n = 0
      local conf = one(part, more)
      conf.parts.a.cache = conf.parts.a.cache or "30s"
      return T.new { match = "/{id}", policies = { { aggregate = conf } }, upstreams = { api = answer or counter } }
    end

    it("for its time", function()
      local t = keeping {}
      for _ = 1, 3 do assert.json(t:request "/1", { a = { n = 1 } }) end
      assert.called(t, "api", 1)
      t:advance(29)
      assert.json(t:request "/1", { a = { n = 1 } })
      t:advance(2)
      assert.json(t:request "/1", { a = { n = 2 } })
    end)

    it("for the same path and query alone", function()
      local t = keeping { path = "/${params.id}", query = { q = "${arg.q}" } }
      assert.json(t:request "/1", { a = { n = 1 } })
      assert.json(t:request "/2", { a = { n = 2 } })
      assert.json(t:request "/1?q=x", { a = { n = 3 } })
      assert.json(t:request "/1?q=y", { a = { n = 4 } })
      assert.json(t:request "/1?q=x&other=1", { a = { n = 3 } })
      assert.json(t:request "/1", { a = { n = 1 } })
    end)

    for what, part in pairs {
      ["that are passed"] = { pass = "X-User" }, ["of its own"] = { headers = { ["X-User"] = "${header.x-user}" } },
    } do
      it("for the same headers alone: those " .. what, function()
        local t = keeping(part)
        local function by(user) return t:request { path = "/1", headers = { ["X-User"] = user } } end
        assert.json(by "ann", { a = { n = 1, who = "ann" } })
        assert.json(by "bob", { a = { n = 2, who = "bob" } })
        assert.json(by "ann", { a = { n = 1, who = "ann" } })
        assert.json(by { "ann", "bob" }, { a = { n = 3, who = "ann, bob" } })
        -- One value is not two, for whom they are passed to.
        assert.json(by "ann, bob", { a = { n = part.pass and 4 or 3, who = "ann, bob" } })
        assert.json(by(nil), { a = { n = part.pass and 5 or 4 } })
        assert.json(by "bob", { a = { n = 2, who = "bob" } })
      end)
    end

    it("for the same headers alone: those that its steps have set", function()
      local t = keeping { use = { { lua = [[return { request = function(req)
        req:set_header("X-User", req.auth.subject)
      end }]] } } }
      local function by(user) return t:request { path = "/1", auth = { subject = user } } end
      assert.json(by "ann", { a = { n = 1, who = "ann" } })
      assert.json(by "bob", { a = { n = 2, who = "bob" } })
      assert.json(by "ann", { a = { n = 1, who = "ann" } })
      assert.called(t, "api", 2)
    end)

    it("also where expressions look into it, and item by item", function()
      local t = keeping({}, { body = { n = "${a.n + 1}", a = "${a}" } })
      for _ = 1, 2 do assert.json(t:request "/1", { n = 2, a = { n = 1 } }) end
      t = keeping({ each = "list(1, 2, params.id)", path = "/x/${it}" }, { body = { a = "${a}" } })
      assert.equal(3, #t:request("/3"):json().a)
      assert.called(t, "api", 3)
      local first = t:request("/4"):json().a
      assert.called(t, "api", 4)
      assert.same(first, t:request("/4"):json().a)
      assert.called(t, "api", 4)
    end)

    for what, answer in pairs {
      ["a failure"] = { status = 500 }, ["what is no JSON"] = { body = "no" },
      ["what is private"] = { json = 1, headers = { ["Cache-Control"] = "max-age=60, private" } },
      ["what must not be stored"] = { json = 1, headers = { ["Cache-Control"] = "no-store" } },
      ["what must be asked for again"] = { json = 1, headers = { ["Cache-Control"] = "no-cache" } },
      ["what has a cookie"] = { json = 1, headers = { ["Set-Cookie"] = "a=b" } },
      ["what is larger than the dictionary"] = { json = ("x"):rep(900000) },
    } do
      it("never " .. what, function()
        local t = keeping({ optional = true }, nil, answer)
        for _ = 1, 2 do t:request "/1" end
        assert.called(t, "api", 2)
      end)
    end

    it("in the coding that it came in, or none", function()
      local t = keeping({}, nil, { headers = { ["Content-Encoding"] = "gzip" },
        body = mg.crypto.base64.decode "H4sIAAAAAAACA6tWSlSyMqwFAK+sG1YHAAAA" })
      for _ = 1, 2 do assert.json(t:request "/1", { a = { a = 1 } }) end
      assert.called(t, "api", 1)
    end)

    it("of GET alone", function()
      refuses("cache: is for GET alone", one { cache = "1s", method = "POST" })
      refuses("cache: is for GET alone", one { cache = "1s", body = { a = 1 } })
      assert.truthy(T.validate(require "aggregate", one { cache = "1s", method = "GET" }))
    end)
  end)

  describe("makes one list of pages", function()
    local ITEMS = { '{"id":1, "z":1, "a":2.50}', '{"id":2}', '"\\u00e9"', "[3, []]", "null" }

    -- A service with a page for each item, told as `tell(n, last)` has it: fields of the answer, and its body around
    -- the list.
    local function paged(tell)
      return function(req)
        local n = math.tointeger(tonumber(req:arg "p" or "1")) or 1
        local answer, around = tell(n, n >= #ITEMS, req)
        local list = "[ " .. (ITEMS[n] or "") .. " ]"
        answer.body = (around or "%s"):gsub("%%s", function() return list end)
        return answer
      end
    end

    local function by_link(n, last)
      local link = last and '</?p=1>; rel="first"' or ('</?p=%d>; rel="next prefetch", </>; rel=first'):format(n + 1)
      return { headers = { Link = link } }
    end

    local function gateway(pages, answer, part, more)
      local conf = one({ pages = pages, path = "/x" }, more or { body = "${a}" })
      for key, value in pairs(part or {}) do conf.parts.a[key] = value end
      return T.new { policies = { { aggregate = conf } }, upstreams = { api = answer } }
    end

    local ALL = '[ {"id":1, "z":1, "a":2.50} , {"id":2} , "\\u00e9" , [3, []] , null ]'
    local function same_items(res)
      assert.status(res, 200)
      assert.equal((ALL:gsub(" ", "")), (res:text():gsub(" ", "")))
    end

    local WAYS = {
      ["links"] = { {}, by_link },
      ["links, said so"] = { { next = "link" }, by_link },
      ["addresses"] = { { items = "data", next = "page.next" }, function(n, last)
        return {}, ('{"next": %s, "data": %%s}'):format(last and "null" or ('"/x?p=%d"'):format(n + 1))
      end },
      ["addresses with other hosts"] = { { items = "data", next = "page.next" }, function(n, last)
        local next_one = last and "" or ("https://shop.example:8443/x?p=%d#top"):format(n + 1)
        return {}, ('{"data":%%s,"next":"%s"}'):format(next_one)
      end },
      ["queries alone"] = { { items = "data", next = "page.next" }, function(n, last)
        return {}, last and '{"data":%s}' or ('{"data":%%s,"next":"?p=%d"}'):format(n + 1)
      end },
      ["cursors"] = { { items = "result.items", cursor = { arg = "p", value = "page.meta.after" } }, function(n, last)
        return {}, ('{"list":1,"result":{"items":%%s},"meta":{"after":%s}}'):format(last and "null" or n + 1)
      end },
      ["numbers"] = { { page = { arg = "p" } }, function() return {} end, 6 },
      ["numbers of pages that have a size"] = { { page = { arg = "p", first = 1, size = 1 }, max = 6 },
        function() return {} end, 6 },
      ["offsets"] = { { offset = { arg = "p", first = 1 } }, function() return {} end, 6 },
    }
    for what, way in pairs(WAYS) do
      it("by " .. what, function()
        local t = gateway(way[1], paged(way[2]))
        same_items(t:request "/")
        assert.called(t, "api", way[3] or 5)
      end)
    end

    it("with what the part says besides: headers, arguments, steps, a cache", function()
      local t = gateway({ cursor = { arg = "p", value = "page.n" }, items = "l" }, paged(function(n, last, req)
        assert.same({ "b", "1" }, { req:header "X-A", req:arg "q" })
        return {}, ('{"l":%%s,"n":%s}'):format(last and "null" or n + 1)
      end), { query = { q = "1" }, use = { { headers = { request = { set = { ["X-A"] = "b" } } } } }, cache = "1m" })
      for _ = 1, 2 do same_items(t:request "/") end
      assert.called(t, "api", 5)
    end)

    it("that expressions look into", function()
      local t = gateway({}, paged(by_link), {}, { body = { n = "${#a}", first = "${a[1].id}" } })
      assert.json(t:request "/", { n = 5, first = 1 })
    end)

    it("that is empty", function()
      assert.equal("[]", gateway({}, { json = mg.json.array() }):request("/"):text())
      assert.equal("[]", gateway({ items = "a.b" }, { body = '{"a":{"b":[ ]}}' }):request("/"):text())
    end)

    local function reason(t)
      assert.problem(t:request "/", 502)
      return t:log "a part of an answer failed"[1]
    end

    it("within bounds", function()
      assert.equal("too_many", reason(gateway({ max = 4 }, paged(by_link))).code)
      same_items(gateway({ max = 5 }, paged(by_link)):request "/")
      assert.equal("too_large", reason(gateway({ max_bytes = 30 }, paged(by_link))).code)
      assert.json(gateway({ max = 2, partial = true }, paged(by_link)):request "/",
        { { id = 1, z = 1, a = 2.5 }, { id = 2 } })
      assert.json(gateway({ max_bytes = 30, partial = true }, paged(by_link)):request "/",
        { { id = 1, z = 1, a = 2.5 } })
    end)

    it("within the part's time", function()
      local t = gateway({}, paged(function(n, last)
        local answer = by_link(n, last)
        answer.delay = 0.4
        return answer
      end), { timeout = 1 })
      assert.problem(t:request "/", 504)
      assert.near(1, t:now(), 0.01)
    end)

    for what, address in pairs {
      ["leads back"] = "/?p=1", ["climbs"] = "/a/%2e./b", ["is no path"] = "x?p=2", ["has spaces"] = "/x y",
      ["is a number"] = 7, ["has a bad escape"] = "/x?p=%zz", ["has a line break"] = "/x\r\nHost: a",
    } do
      it("but of no page that " .. what, function()
        local t = gateway({ items = "l", next = "page.next" }, function(req)
          if req:arg "p" == nil and what == "leads back" then
            return { body = '{"l":[1],"next":"/?p=1"}' }
          end
          return { json = { l = { 1 }, next = address } }
        end)
        assert.equal("bad_page", reason(t).code)
      end)
    end

    it("but of nothing else", function()
      assert.equal("no_list", reason(gateway({}, { json = { a = 1 } })).code)
      assert.equal("no_list", reason(gateway({ items = "a" }, { json = { a = { b = 1 } } })).code)
      assert.equal("no_list", reason(gateway({ items = "a.b" }, { json = { a = 1 } })).code)
      assert.equal("bad_json", reason(gateway({}, { body = "[1" })).code)
      assert.equal("status", reason(gateway({}, paged(function(n, last)
        local answer = by_link(n, last)
        answer.status = n == 3 and 500 or 200
        return answer
      end))).code)
    end)

    it("as its options have it", function()
      refuses("needs one of 'next', 'cursor', 'page' and 'offset'",
        one { pages = { next = "link", page = { arg = "p" } } })
      refuses("pages: cannot stand with 'each'", one { pages = {}, each = "list(1)" })
      refuses("parts.a: pages.next: 'pages.next': unknown name 'pages', did you mean 'page'?",
        one { pages = { next = "pages.next" } })
      refuses("pages.cursor.value", one { pages = { cursor = { arg = "a", value = "x" } } })
      refuses("pages.items: must match", one { pages = { items = ".a" } })
    end)
  end)

  -- The tutorial's words, exactly.
  local ON_FAILURE = {
    status = 500, log = "Error aggregating product details:",
    body = { error = "Failed to retrieve product details", message = "${failed.message}" },
  }
  local FAILURES = {
    ["is away"] = { error = "refused" }, ["breaks off"] = { error = "reset" }, ["is late"] = { json = 1, delay = 60 },
    ["answers 500"] = { status = 500 }, ["answers 404"] = { status = 404, json = {} },
    ["redirects"] = { status = 302, headers = { Location = "/elsewhere" } }, ["sends no JSON"] = { body = "<html>" },
    ["sends half"] = { body = '{"a":' }, ["sends nothing"] = { body = "" },
  }
  local SERVICES = { product = "products", reviews = "reviews", inventory = "inventory" }

  for what, answer in pairs(FAILURES) do
    it("fails when one " .. what, function()
      for part, service in pairs(SERVICES) do
        local t = shop(details { on_failure = ON_FAILURE, timeout = "2s" }, { [service] = answer })
        local res = ask(t)
        assert.status(res, 500)
        local body = res:json()
        assert.equal("Failed to retrieve product details", body.error)
        assert.equal(part .. ": ", body.message:sub(1, #part + 2))
        local lines = t:log "Error aggregating product details:"
        assert.equal(1, #lines)
        assert.same({ "error", part }, { lines[1].level, lines[1].part })
        assert.is_true(t:now() <= 2)
      end
    end)

    it("lives without one that is optional and " .. what, function()
      local parts = { reviews = { optional = true }, inventory = { default = { quantity = 9 } } }
      local t = shop(details({ timeout = "2s" }, parts), { reviews = answer, inventory = answer })
      assert.json(ask(t), { product = { id = 7, name = "Telescope" }, reviews = null, inventory = { quantity = 9 },
        inStock = true })
    end)

    it("needs everything with all-or-nothing: " .. what, function()
      local t = shop(details({ mode = "all-or-nothing", timeout = "2s" }, { reviews = { optional = true } }),
        { reviews = answer })
      assert.is_true(ask(t).status >= 502)
    end)

    it("tells what is missing with partial: " .. what, function()
      local t = shop(details { mode = "partial", partial = { status = 206 }, timeout = "2s" }, { reviews = answer })
      local res = ask(t)
      assert.status(res, 206)
      local body = res:json()
      assert.equal(null, body.reviews)
      assert.is_true(body.inStock)
      assert.equal(1, #body.errors)
      assert.equal("reviews", body.errors[1].part)
    end)
  end

  describe("says of a failure", function()
    local function failed(answer, more, conf)
      local t = shop(details(conf, more), { inventory = answer })
      return ask(t)
    end

    it("503, 504 or 502 when nothing else is said, and no more than it must", function()
      assert.problem(failed { error = "refused" }, 503, "upstream-failed")
      assert.problem(failed({ delay = 5 }, { inventory = { timeout = "1s" } }), 504, "upstream-failed")
      assert.problem(failed { status = 404 }, 502, "upstream-failed")
      assert.equal("inventory could not be fetched", failed({ status = 500 }):json().detail)
    end)

    it("a status that depends on it", function()
      local rule = { on_failure = { status = "${failed.status == 404 and 404 or 502}",
        body = { what = "${failed.part}", code = "${failed.code}", all = "${count(failures)}" } } }
      local res = failed({ status = 404 }, nil, rule)
      assert.status(res, 404)
      assert.json(res, { what = "inventory", code = "status", all = 1 })
      assert.status(failed({ status = 403 }, nil, rule), 502)
      assert.status(failed({ status = 500 }, nil, { on_failure = { status = "${failed.part}" } }), 502)
    end)

    it("nothing for statuses that are accepted", function()
      local res = failed({ status = 404, json = {} }, { inventory = { accept = { 404, "200-299" } } })
      assert.status(res, 200)
      assert.is_false(res:json().inStock)
      assert.status(failed({ status = 500, json = {} }, { inventory = { accept = "500-599" } }), 200)
    end)

    it("all of them with partial when nothing is left", function()
      local gone = { error = "refused" }
      local t = shop(details { mode = "partial" }, { products = gone, reviews = gone, inventory = gone })
      assert.problem(ask(t), 503, "upstream-failed")
    end)

    it("in the place that the template has for it", function()
      local t = shop(details { mode = "partial", partial = { field = "missing" },
        body = { product = "${product}", missing = "${map(failures, it.part)}" } }, { reviews = { status = 500 } })
      assert.json(ask(t), { product = { id = 7, name = "Telescope" }, missing = { "reviews" } })
    end)
  end)

  describe("cancels", function()
    local NOTICED = 1.1 -- a service that sees the end of the connection's stream waits a second for more

    -- A gateway whose slow services count the requests that they work on.
    local function counted(conf, bad)
      local open = 0
      local function slow(_)
        open = open + 1
        local _ <close> = setmetatable({}, { __close = function() open = open - 1 end })
        mg.sleep(30)
        return { json = {} }
      end
      local t = shop(conf, { products = slow, reviews = slow, inventory = bad or slow })
      return t, function() return open end
    end

    local function dependent() -- not in one call
      return details(nil, { product = { when = "true" } })
    end

    for kind, conf in pairs { ["in one call"] = details(), ["in tasks"] = dependent() } do
      it("the others when one that is needed fails: " .. kind, function()
        local t, open = counted(conf, { status = 500, delay = 1 })
        assert.status(ask(t), 502)
        assert.equal(1, t:now())
        t:advance(NOTICED)
        assert.equal(0, open())
      end)

      it("what is not there in time: " .. kind, function()
        local late = copy(conf)
        late.timeout = "2s"
        local t, open = counted(late)
        assert.status(ask(t), 504)
        assert.equal(2, t:now())
        t:advance(NOTICED)
        assert.equal(0, open())
      end)

      it("all when the client leaves: " .. kind, function()
        local t, open = counted(conf)
        local c = t:connect()
        c:send "GET /product-details/7 HTTP/1.1\r\nHost: x\r\n\r\n"
        t:advance(1)
        assert.equal(3, open())
        c:reset()
        assert.equal(0, open())
        assert.is_true(t:now() <= 1 + NOTICED)
      end)
    end
  end)

  describe("streams", function()
    local function streamed(answers, more)
      local conf = details(more)
      conf.stream = true
      local t = shop(conf, answers)
      return t, t:connect()
    end
    local GET = "GET /product-details/7 HTTP/1.1\r\nHost: x\r\n\r\n"

    it("what is there before the rest has come", function()
      local t, c = streamed({ reviews = { json = { 1 }, delay = 5 } })
      local first = c:send(GET) .. c:receive(1)
      assert.matches('"inventory":{"quantity":3}', first, 1, true)
      assert.matches('"name":"Tele', first, 1, true)
      assert.is_nil(first:find("reviews\":[", 1, true))
      assert.matches("%[1%].*0\r\n\r\n$", (c:receive()))
      assert.near(5, t:now(), 1e-6)
    end)

    it("what services write, as they write it", function()
      local big = '{"id": 123456789012345678901234567890, "n": 1.00, "n": 2}'
      local conf = details { stream = true }
      assert.matches('"reviews":' .. big, ask(shop(conf, { reviews = { body = big } })):text(), 1, true)
      conf = details({ stream = true }, { reviews = { optional = true } })
      assert.equal(null, ask(shop(conf, { reviews = { body = "<p>" } })):json().reviews)
    end)

    it("the same as is sent at once", function()
      local conf = details()
      conf.stream = true
      assert.same(ask(shop(details())):json(), ask(shop(conf)):json())
    end)

    it("defaults, and breaks off without what is needed", function()
      local t, c = streamed({ reviews = { status = 500, delay = 1 } })
      local said = c:send(GET) .. c:receive()
      assert.matches("^HTTP/1.1 200 ", said)
      assert.is_nil(said:find "0\r\n\r\n$")
      assert.not_equal("open", c.state)
      assert.equal(1, #t:log "a part of an answer failed")
      local conf = details({ stream = true }, { reviews = { optional = true } })
      assert.equal(null, ask(shop(conf, { reviews = { status = 500, delay = 1 } })):json().reviews)
    end)
  end)

  describe("computes", function()
    local STOCK = { n = 5, f = 1.5, s = "x", t = true, z = null, l = { 3, 1, 2 }, m = { ["a b"] = { 7 } } }
    for body, expected in pairs {
      ["${a.n}"] = 5, ["${a.s}"] = "x", ["${a.z}"] = null, ["${a.none.deeper}"] = null, ["${a.l[1]}"] = 3,
      ["${a.m['a b'][1]}"] = 7, ["n is ${a.n}, ${a.t}, ${a.z}${a.l}."] = "n is 5, true, .",
      ["${a.n + 1}"] = 6, ["${a.n - 1 - 1}"] = 3, ["${-a.n * 2}"] = -10, ["${a.n / 2}"] = 2.5, ["${a.n // 2}"] = 2,
      ["${a.n % 2}"] = 1, ["${a.n // 0}"] = null, ["${a.n % 0}"] = null, ["${1 / 0}"] = null, ["${a.s + 1}"] = null,
      ["${1 + 2 * 3}"] = 7, ["${(1 + 2) * 3}"] = 9, ["${a.n > 4 and a.n < 6}"] = true, ["${not (a.n >= 5)}"] = false,
      ["${a.n <= 5}"] = true, ["${a.none > 0}"] = false, ["${a.s > 0}"] = false, ["${a.s < 'y'}"] = true,
      ["${a.l > 0}"] = false, ["${a.n == 5}"] = true, ["${a.s ~= 'x'}"] = false, ["${a.none == nil}"] = true,
      ["${a.none or 'd'}"] = "d", ["${a.s .. '-' .. a.n}"] = "x-5", ["${#a.l}"] = 3, ["${'it\\'s \\n'}"] = "it's \n",
      ["${params.id}"] = "7", ["${number(params.id) + 1}"] = 8, ["${arg.q}"] = "1", ["${method}"] = "GET",
      ["${arg['q']}"] = "1", ["${header.x-none}"] = null, ["${1e3}"] = 1000.0, ["${1..2}"] = "12",
      ["${auth.subject or 'none'}"] = "none", ["${claims.role}"] = null, ["${ctx.none}"] = null, ["$${a}"] = "${a}",
      ["${count(a.l)}"] = 3, ["${count(a.m)}"] = 1, ["${count(a.n)}"] = null, ["${upper(a.s)}"] = "X",
      ["${lower('AB')}"] = "ab", ["${round(2.567, 1)}"] = 2.6, ["${round(2.5)}"] = 3,
      ["${text(a.n, 'a', a.z, true)}"] = "5atrue",
      ["${first(a.l)}"] = 3, ["${concat(a.l, '; ')}"] = "3; 1; 2", ["${sum(a.l)}"] = 6, ["${average(a.l)}"] = 2.0,
      ["${average(list())}"] = null, ["${find(a.l, it < 3)}"] = 1, ["${route}"] = "test",
    } do
      it(body, function() assert.equal(expected, computed(body, STOCK, "/7?q=1")) end)
    end

    local LIST = { { id = 1, k = "x", v = 2 }, { id = 2, k = "y" }, { id = 3, k = "x", v = null } }
    for body, expected in pairs {
      ["${map(a, it.id)}"] = { 1, 2, 3 }, ["${map(a, it.v)}"] = { 2, null, null }, ["${map(a.none, it)}"] = null,
      ["${filter(a, it.k == 'x' and it.id > 1)}"] = { { id = 3, k = "x", v = null } },
      ["${map(a, { n = it.id, ['the k'] = it.k, none = it.none })}"] = {
        { n = 1, ["the k"] = "x" }, { n = 2, ["the k"] = "y" }, { n = 3, ["the k"] = "x" } },
      ["${group(a, it.k)}"] = { x = { LIST[1], LIST[3] }, y = { LIST[2] } },
      ["${unique(map(a, it.k))}"] = { "x", "y" }, ["${unique(a, it.k)}"] = { LIST[1], LIST[2] },
      ["${map(sort(a, 0 - it.id), it.id)}"] = { 3, 2, 1 }, ["${map(reverse(a), it.id)}"] = { 3, 2, 1 },
      ["${map(sort(a, it.v), it.id)}"] = { 1, 2, 3 },
      ["${sort(list('b', 'a', 2, nil))}"] = { 2, "a", "b", null },
      ["${pick(a[1], 'id', 'v')}"] = { id = 1, v = 2 }, ["${pick(first(a, 2), 'k')}"] = { { k = "x" }, { k = "y" } },
      ["${omit(a[1], 'k', 'v')}"] = { id = 1 }, ["${rename(a[2], { k = 'kind' })}"] = { id = 2, kind = "y" },
      ["${merge(a[2], { k = 1 }, nil)}"] = { id = 2, k = 1 }, ["${first(a, 1)}"] = { LIST[1] },
      ["${join(first(a, 1), 'id', list({ i = 1, n = 'one' }), 'i', 'more')}"] = {
        { id = 1, k = "x", v = 2, more = { i = 1, n = "one" } } },
      ["${filter(list(1, 2), it > 1)}"] = { 2 }, ["${list()}"] = {}, ["${pick('x', 'a')}"] = null,
    } do
      it(body, function() assert.same(expected, computed(body, LIST)) end)
    end

    it("never what a client could put into it", function()
      local x = computed("${arg.q}", 1, "/7?q=%22%2C%22admin%22%3Atrue%2C%22%00")
      assert.equal('","admin":true,"\0', x)
    end)
  end)

  describe("leaks nothing, whatever happens:", function()
    local working, asked

    local function at_work()
      working = working + 1
      return setmetatable({}, { __close = function() working = working - 1 end })
    end

    local function service(seed)
      return function()
        asked = asked + 1
        local _ <close> = at_work()
        local lot = (asked * seed) % 17
        mg.sleep(lot * 0.05)
        if lot == 3 then return { error = "reset" } end
        if lot == 5 then return { status = 500 } end
        if lot == 7 then return { body = "no json" } end
        if lot == 9 then mg.sleep(60) end
        if lot == 11 then return { body = ("x"):rep(3000), trickle = { 100, 0.1 } } end
        return { json = { quantity = lot } }
      end
    end

    -- A part's steps: one around it, one that waits on the way there, one on the way back.
    local function steps(seed)
      local n = 0
      local function lot_of()
        n = n + 1
        return (n * seed) % 13
      end
      local function around(req, next)
        local _ <close> = at_work()
        return next(req)
      end
      local function before(req, next)
        local lot = lot_of()
        local _ <close> = at_work()
        if lot == 2 then error "a step that fails" end
        if lot == 3 then mg.sleep(60) end
        if lot == 4 then mg.fetch("inventory", { path = "/more", timeout = 0.7 }) end
        if lot == 5 then return mg.reply_json(200, { quantity = 1 }) end
        if lot == 6 then mg.spawn(function()
          local _ <close> = at_work()
          mg.sleep(30)
        end) end
        mg.sleep(lot * 0.02)
        return next(req)
      end
      local function after(req, next)
        local res = next(req)
        local _ <close> = at_work()
        local lot = lot_of()
        if lot == 1 then mg.sleep(60) end
        mg.sleep(lot * 0.02)
        return res
      end
      return { around, before, after }
    end

    -- Requests to the paths in turn, in 200 rounds of 50, some of whose clients leave.
    local function storm(t, paths)
      local statuses, heap = {}, nil
      for i = 1, 200 do
        local clients, handles = {}, {}
        for j = 1, 50 do
          local path = paths[(i + j) % #paths + 1] .. j
          if j % 5 == 0 then
            clients[#clients + 1] = t:connect()
            clients[#clients]:send("GET " .. path .. " HTTP/1.1\r\nHost: x\r\n\r\n")
          else
            handles[#handles + 1] = t:start(path)
          end
        end
        t:advance(i % 11 * 0.1)
        for _, client in ipairs(clients) do client:reset() end
        t:advance(3) -- every answer is there by now, and who is left without a client has noticed it
        assert.equal(0, working)
        t:settle()
        for _, handle in ipairs(handles) do statuses[handle.res.status] = (statuses[handle.res.status] or 0) + 1 end
        if i == 100 then
          collectgarbage()
          heap = collectgarbage "count"
        end
      end
      collectgarbage()
      -- The kit itself remembers what the upstreams have seen.
      assert.is_true(collectgarbage "count" < heap * 2.2)
      -- The idle connections are closed, and then there is nothing left that has a time.
      t:advance(600)
      local turns = t:turns()
      t:advance(3600)
      assert.is_true(t:turns() - turns <= 2)
      return statuses
    end

    before_each(function() working, asked = 0, 0 end)

    it("10,000 times", function()
      local quick = details({ timeout = "1s" }, { reviews = { optional = true, timeout = "500ms" } })
      local chained = details({ mode = "partial", timeout = "1s" }, { reviews = { needs = { "product" } } })
      local t = T.new {
        config = { routes = {
          { match = "/quick/{id}", policies = { { aggregate = quick } } },
          { match = "/chained/{id}", policies = { { aggregate = chained } } },
        } },
        upstreams = { products = service(3), reviews = service(5), inventory = service(7) },
      }
      local statuses = storm(t, { "/quick/", "/chained/" })
      assert.is_true(statuses[200] > 1000 and statuses[502] > 100 and statuses[504] > 100)
    end)

    it("10,000 times with steps of their own", function()
      local quick = details({ timeout = "1s" }, {
        product = { use = steps(2) }, reviews = { optional = true, timeout = "500ms", use = steps(3) } })
      local chained = details({ mode = "partial", timeout = "1s" }, {
        product = { use = steps(5) }, reviews = { needs = { "product" }, use = steps(7), timeout = "300ms" } })
      local t = T.new {
        config = { routes = {
          { match = "/quick/{id}", policies = { { aggregate = quick } } },
          { match = "/chained/{id}", policies = { { aggregate = chained } } },
        } },
        upstreams = { products = service(3), reviews = service(5), inventory = service(7) },
      }
      local statuses = storm(t, { "/quick/", "/chained/" })
      assert.is_true(statuses[200] > 500 and statuses[502] > 100 and statuses[504] > 100)
    end)
  end)
end)
