local T = require "moongate.test"
local mg = require "moongate"

local JSON = { ["Content-Type"] = "application/json" }

-- What the backend got.
local function sent(rule, request)
  local t = T.new { policies = { { transform = { request = rule } } }, upstreams = { api = { body = "ok" } } }
  if type(request) == "string" then request = { body = request } end
  request.method = request.method or "POST"
  request.headers = request.headers or JSON
  assert.status(t:request(request), 200)
  local _, last = t:seen "api"
  return last
end

local function sent_body(rule, body) return sent(rule, body):text() end

-- What the client gets.
local function got(rule, answer, request)
  if type(answer) == "string" then answer = { body = answer } end
  answer.headers = answer.headers or JSON
  local t = T.new { policies = { { transform = { response = rule } } }, upstreams = { api = answer } }
  return t:request(request or "/")
end

describe("transform", function()
  describe("schema", function()
    local function refuses(rule, what)
      local ok, err = T.validate(require "transform", { request = rule })
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    it("wants a side", function()
      local ok, err = T.validate(require "transform", {})
      assert.is_nil(ok)
      assert.matches("needs 'request' or 'response'", tostring(err), 1, true)
    end)

    it("knows queries and forms of requests alone", function()
      for _, field in ipairs { "query", "form" } do
        local ok, err = T.validate(require "transform", { response = { [field] = { remove = "a" } } })
        assert.is_nil(ok)
        assert.matches("unknown field", tostring(err), 1, true)
      end
    end)

    it("names what is wrong with a path", function()
      for _, path in ipairs { "a..b", ".a", "a.", "a[b]", "a[", "[]a", "a\\" } do
        refuses({ remove = path }, ("'%s' is no path like a.b or items[].id"):format(path))
      end
      refuses({ remove = ("a."):rep(24) .. "a" }, "is deeper than 24")
    end)

    it("refuses what one pass cannot do", function()
      local own = "put one of them into a rule of its own"
      refuses({ move = { a = "b" }, rename = { ["a.x"] = "y" } },
        "transform.request.rename: 'a.x' is in 'move' already; " .. own)
      refuses({ set = { a = 1, ["a.b"] = 2 } }, "'a.b' is in 'set' already")
      refuses({ rename = { ["a.b"] = "c" }, default = { a = 1 } }, "something below 'a' is changed as well")
      refuses({ copy = { x = "a.b" }, move = { a = "c" } }, "something below 'a' is changed as well")
      refuses({ rename = { a = "b" }, set = { a = 1 } }, "'a' has got another name")
      refuses({ rename = { a = "c", b = "c" } }, "two fields would be called 'c'")
      refuses({ rename = { ["l[].a"] = "m[].a", ["l[].b"] = "n[].b" } }, "would get two names")
      refuses({ rename = { ["a.b"] = "c.d" } }, "'a.b' stays in its object; what goes elsewhere is in 'move'")
      refuses({ rename = { a = "b.c" } }, "stays in its object")
      refuses({ map = { ["a[]"] = { to = "b.c[]" } } }, "transform.request.map: 'a[]' stays in its object")
      refuses({ move = { ["l[].a"] = "b" } }, "'l[].a' is of each item, and its value goes elsewhere")
      refuses({ copy = { ["l[]"] = "b" } }, "'l[]' is no field")
      refuses({ remove = "l[]" }, "'l[]' are items, and only fields can be removed")
      refuses({ set = { a = "${body.l[].x}" } }, "is of each item")
      refuses({ rename = { a = "b" }, map = { ["l[]"] = { remove = { "x", "x" } } } }, "'x' is in 'remove' already")
    end)

    it("looks at expressions and conditions", function()
      refuses({ set = { a = "${nobody}" } }, "unknown name 'nobody'")
      refuses({ default = { a = "${nobody}" } }, "transform.request.default: unknown name 'nobody'")
      refuses({ map = { ["l[]"] = { set = { a = "${nobody}" } } } }, "transform.request.map: ")
      refuses({ headers = { set = { A = "${nobody}" } } }, "nobody")
      refuses({ when = "req.method ==" }, "transform.request.when: Lua: unexpected symbol")
      refuses({ body = { remove = "a" }, remove = "b" }, "transform.request.body: holds operations")
      refuses({ body = { remove = "a." } }, "transform.request.body: 'a.' is no path")
    end)

    it("leaves the connection's headers to the gateway", function()
      refuses({ headers = { set = { Connection = "x" } } }, "'Connection' is written by the gateway itself")
      refuses({ headers = { remove = "Content-Length" } }, "'Content-Length' is written by the gateway itself")
      refuses({ headers = { rename = { A = "TE" } } }, "'TE' is written by the gateway itself")
      refuses({ headers = { copy = { Upgrade = "A" } } }, "'Upgrade' is written by the gateway itself")
    end)
  end)

  -- ---------------------------------------------------------------------------------------------- JSON

  it("renames", function()
    assert.equal('{"userName":"ann"}', sent_body({ rename = { user_name = "userName" } }, '{"user_name":"ann"}'))
    assert.equal('{"a":{"c":1}, "b":2}', sent_body({ rename = { ["a.b"] = "c" } }, '{"a":{"b":1}, "b":2}'))
    assert.equal('{"a":{"c":1}}', sent_body({ rename = { ["a.b"] = "a.c" } }, '{"a":{"b":1}}'))
    assert.equal('{"b":1,"a":2}', sent_body({ rename = { a = "b", b = "a" } }, '{"a":1,"b":2}'))
    assert.equal('{"x y":1}', sent_body({ rename = { ["a\\.b"] = "x y" } }, '{"a.b":1}'))
    assert.equal('[{"b":1},{"b":2}]', sent_body({ rename = { ["[].a"] = "b" } }, '[{"a":1},{"a":2}]'))
    assert.equal('{"m":[{"b":1}]}', sent_body({ rename = { ["l[].a"] = "m[].b" } }, '{"l":[{"a":1}]}'))
  end)

  it("writes a name once: the first", function()
    assert.equal('{"b":1}', sent_body({ rename = { a = "b" } }, '{"a":1,"b":2}'))
    assert.equal('{"b":2}', sent_body({ rename = { a = "b" } }, '{"b":2,"a":1}'))
  end)

  it("leaves all else as it was written", function()
    local body = ' { "z" : 12345678901234567890.10 , "\\u0061b" : "\\u00e4\\/", ' ..
      '"user_name":null, "n":[ 1.0 ,9007199254740993 ], "z":1e999 } '
    assert.equal((body:gsub("user_name", "userName")), sent_body({ rename = { user_name = "userName" } }, body))
    assert.equal(body, sent_body({ rename = { nothing = "here" } }, body))
  end)

  it("maps lists", function()
    local rule = { map = { ["items[]"] = {
      to = "orderItems[]", rename = { product_id = "productId", qty = "quantity" }, remove = "note",
        set = { unit = "piece" },
      default = { gift = false }, cast = { qty = "integer" },
    } } }
    rule.map["items[]"].cast = { quantity = "integer" }
    assert.equal('{"orderItems":[{"productId":1,"quantity":2,"gift":false,"unit":"piece"},7],"note":1}',
      sent_body(rule, '{"items":[{"product_id":1,"qty":"2","note":""},7],"note":1}'))
    assert.equal('{"l":[{"m":[{"b":1}]}]}',
      sent_body({ map = { ["l[]"] = { map = { ["m[]"] = { rename = { a = "b" } } } } } }, '{"l":[{"m":[{"a":1}]}]}'))
    assert.equal('{"buyer":{"b":1}}', sent_body({ map = { customer = { to = "buyer", rename = { a = "b" } } } },
      '{"customer":{"a":1}}'))
    assert.equal('{"m":[{"id":1}]}', sent_body({ map = { ["l[]"] = { to = "m", keep = "id" } } },
      '{"l":[{"x":2,"id":1}]}'))
  end)

  it("removes and keeps", function()
    assert.equal('{"c":{"d":1}}', sent_body({ remove = { "a", "b", "c.x" } }, '{"a":1,"b":[{}],"c":{"x":"}","d":1}}'))
    assert.equal('{"l":[{},{"y":1}]}', sent_body({ remove = "l[].x" }, '{"l":[{"x":1},{"x":2,"y":1}]}'))
    assert.equal('{"id":1,"a":{"b":2}}', sent_body({ keep = { "id", "a.b" } }, '{"id":1,"x":2,"a":{"c":1,"b":2}}'))
    assert.equal('{"b":1}', sent_body({ rename = { a = "b", c = "d" }, keep = "b" }, '{"c":2,"a":1,"e":3}'))
    assert.equal('{"b":1,"x":5}', sent_body({ copy = { a = "z" }, keep = "b", set = { x = 5 } }, '{"a":2,"b":1}'))
    assert.equal('{"a":{"b":1,"c":2}}', sent_body({ keep = { "a.b", "a" } }, '{"a":{"b":1,"c":2},"d":3}'))
  end)

  it("finds nothing where nothing was kept", function()
    local secret = '{"id":1,"key":"7","deep":{"key":2,"more":3}}'
    assert.equal('{"id":1}', sent_body({ keep = "id", cast = { key = "number" } }, secret))
    assert.equal('{"id":1,"key":0}', sent_body({ keep = "id", default = { key = 0 } }, secret))
    assert.equal('{"id":1,"deep":{"key":0}}', sent_body({ keep = "id", default = { ["deep.key"] = 0 } }, secret))
    assert.equal('{"id":1,"deep":{"by":0}}', sent_body({ keep = "id", set = { ["deep.by"] = 0 } }, secret))
    assert.equal('{"id":1,"key":{"by":0}}', sent_body({ keep = "id", set = { ["key.by"] = 0 } }, secret))
    local each = { map = { ["[]"] = { keep = "id", cast = { key = "number" } } } }
    assert.equal('[{"id":1}]', sent_body(each, "[" .. secret .. "]"))
  end)

  it("sets, and fills in what is missing", function()
    local rule = { set = { a = { b = { 1 } }, ["c.d"] = mg.json.null }, default = { e = false, ["l[].n"] = 1,
      ["c.f"] = 2 } }
    assert.equal('{"a":{"b":[1]},"l":[{"n":1},{"n":0}],"c":{"d":null,"f":2},"e":false}',
      sent_body(rule, '{"a":0,"l":[{},{"n":0}]}'))
    assert.equal('{"c":{"x":1,"d":null,"f":2},"e":true,"a":{"b":[1]}}', sent_body(rule, '{"c":{"x":1},"e":true}'))
    assert.equal('{"c":5,"a":{"b":[1]},"e":false}', sent_body(rule, '{"c":5}'))
    assert.equal("[1]", sent_body(rule, "[1]"))
    assert.equal('{"b":7}', sent_body({ rename = { a = "b" }, default = { b = 7 } }, "{}"))
    assert.equal('{"b":1}', sent_body({ rename = { a = "b" }, default = { b = 7 } }, '{"a":1}'))
    assert.equal('{"t":["x","x"]}', sent_body({ set = { ["t[]"] = "x" } }, '{"t":[1,{}]}'))
  end)

  it("casts what can be cast", function()
    local rule = { cast = { n = "number", i = "integer", s = "string", b = "boolean", ["l[]"] = "number" } }
    assert.equal('{"n":12.50,"i":3,"s":"1.0","b":true,"l":[1,"x"]}',
      sent_body(rule, '{"n":"12.50","i":3.0,"s":1.0,"b":"true","l":["1","x"]}'))
    assert.equal('{"n":"x","i":3.5,"s":null,"b":{},"l":5}', sent_body(rule, '{"n":"x","i":3.5,"s":null,"b":{},"l":5}'))
    assert.equal('{"m":5}', sent_body({ rename = { n = "m" }, cast = { m = "number" } }, '{"n":"5"}'))
  end)

  it("writes names in another case", function()
    assert.equal('{"user_name":[{"order_id":"aB"}]}', sent_body({ case = "snake" }, '{"userName":[{"orderId":"aB"}]}'))
    assert.equal('{"userName":1,"X_Y":{"aB":2},"new_one":3}',
      sent_body({ case = "camel", rename = { x = "X_Y" }, set = { new_one = 3 } }, '{"user_name":1,"x":{"a_b":2}}'))
    assert.equal('{"user-name":1}', sent_body({ case = "kebab" }, '{"userName":1}'))
  end)

  it("copies and moves", function()
    assert.equal('{"a":{"b":1,"c":2},"id":1}', sent_body({ copy = { ["a.b"] = "id" } }, '{"a":{"b":1,"c":2}}'))
    assert.equal('{"a":{"c":2},"x":{"id":[1, 2]}}', sent_body({ move = { ["a.b"] = "x.id" } },
      '{"a":{"b":[1, 2],"c":2}}'))
    assert.equal('{"l":[{"productId":5},{}]}', sent_body({ move = { ["l[].product.id"] = "l[].productId" },
      remove = "l[].product" }, '{"l":[{"product":{"id":5}},{"product":{}}]}'))
    assert.equal('{"shop":7,"l":[{"shop":7},{"shop":7}]}',
      sent_body({ copy = { shop = "l[].shop" } }, '{"shop":7,"l":[{},{"shop":1}]}'))
    assert.equal('{"b":1}', sent_body({ copy = { a = "b" } }, '{"b":1}'))
    assert.equal('{"m":[{"to":1}]}', sent_body({ move = { ["l[].from"] = "l[].to" }, rename = { l = "m" } },
      '{"l":[{"from":1}]}'))
  end)

  it("fills in expressions, and the body's own values", function()
    local rule = { set = {
      who = "${body.user.name} from ${client_ip}", name = "${body.user.name}", none = "${body.nothing}",
      agent = "${header.x-agent}", lost = "${header.x-lost}", text = "<${header.x-lost}${body.user}>",
      ["l[].of"] = "${body.l[].id}/${body.user.name}",
    } }
    local request = { body = '{"user":{"name":"An\\n"},"l":[{"id":1},{}]}', client_ip = "192.0.2.7",
      headers = { ["Content-Type"] = "application/json", ["X-Agent"] = 'a"b' } }
    assert.equal('{"user":{"name":"An\\n"},"l":[{"id":1,"of":"1/An\\n"},{"of":"/An\\n"}],"agent":"a\\"b","name":'
      .. '"An\\n","text":"<>","who":"An\\n from 192.0.2.7"}', sent(rule, request):text())
  end)

  it("does what the table in its README says", function()
    local folder = debug.getinfo(1, "S").source:match "^@(.*/)"
    local readme = assert(io.open(folder .. "README.md"))
    local rows = 0
    for line in readme:lines() do
      local operation, example, before, after = line:match "^| `(%l+)` | [^|]* | `(.-)` | `(.-)` → `(.-)` |$"
      if operation then
        rows = rows + 1
        local path = os.tmpname()
        local file = assert(io.open(path, "w"))
        file:write("services: { api: { backends: [\"127.0.0.1:1\"] } }\nroutes: [{ match: /*, service: api, policies: ",
          ("[{ transform: { request: { %s: %s } } }] }]\n"):format(operation, example))
        file:close()
        local t = T.load(path, { upstreams = { api = { body = "ok" } } })
        t:request { method = "POST", body = before, headers = JSON, client_ip = "192.0.2.7" }
        os.remove(path)
        assert.equal(after, select(2, t:seen "api"):text(), line)
      end
    end
    readme:close()
    assert.equal(10, rows)
  end)

  it("goes through its rules one after the other", function()
    local rules = { { move = { ["a.b"] = "b" } }, { remove = "a", rename = { b = "c" } },
      { set = { d = "${body.c}" } } }
    assert.equal('{"c":1,"d":1}', sent_body(rules, '{"a":{"b":1}}'))
  end)

  it("takes the operations apart as `body`", function()
    assert.equal('{"b":1}', sent_body({ body = { rename = { a = "b" } }, headers = { remove = "X-A" } }, '{"a":1}'))
  end)

  -- ---------------------------------------------------------------------------------------------- what is left alone

  it("lets pass what is no JSON", function()
    local rule = { rename = { a = "b" }, set = { c = 1 } }
    for _, body in ipairs { '{"a":1', "hello", '{"a":01}', "{'a':1}", '{"a":1}{"a":1}', '{"a":"\xff"}', '{"a":1,}' } do
      local last = sent(rule, body)
      assert.equal(body, last:text())
      assert.equal(tostring(#body), last:header "Content-Length")
    end
    for _, of in ipairs { "text/plain", "application/jsonx", "application/json-seq", "application/x-ndjson" } do
      assert.equal('{"a":1}', sent(rule, { body = '{"a":1}', headers = { ["Content-Type"] = of } }):text())
    end
    assert.equal('{"a":1}', sent(rule, { body = '{"a":1}', headers = {} }):text())
  end)

  describe("edits what comes compressed, and compresses it again:", function()
    local function with_coding(coding, more)
      local headers = { ["Content-Encoding"] = coding, ["Content-Type"] = "application/json", ETag = '"1"',
        ["Content-Digest"] = "sha-256=:x:", ["Repr-Digest"] = "sha-256=:x:", Digest = "x", ["Content-MD5"] = "x" }
      for name, value in pairs(more or {}) do headers[name] = value end
      return headers
    end

    -- What a message has in its body, through the policy that takes codings off.
    local function content(coding, body)
      local t = T.new { policies = { { decompress = { always = true } } },
        upstreams = { api = { headers = { ["Content-Encoding"] = coding }, body = body } } }
      return t:request("/"):text()
    end

    local function coded(coding, text)
      local t = T.new { policies = { { compress = { min_size = 0, codings = coding } } },
        upstreams = { api = { headers = JSON, body = text } } }
      return t:request({ headers = { ["Accept-Encoding"] = coding } }):text()
    end

    local function without_digests(message)
      for _, name in ipairs { "Content-Digest", "Repr-Digest", "Digest", "Content-MD5" } do
        assert.is_nil(message:header(name))
      end
    end

    local RENAME = { rename = { a = "bcd" } }
    for _, coding in ipairs { "gzip", "br", "deflate" } do
      local body = coded(coding, '{"a":1}')
      for how, chunks in pairs { ["at once"] = false, ["while it streams"] = { body:sub(1, 4), body:sub(5) } } do
        it(("a response in %s, %s"):format(coding, how), function()
          local res = got(RENAME, { headers = with_coding(coding), body = not chunks and body or nil,
            chunks = chunks or nil }, { headers = { ["Accept-Encoding"] = coding } })
          assert.header(res, "Content-Encoding", coding)
          assert.header(res, "Vary", "Accept-Encoding")
          assert.is_nil(res:header "ETag")
          without_digests(res)
          assert.equal('{"bcd":1}', content(coding, res:text()))
        end)

        it(("a request in %s, %s"):format(coding, how), function()
          local last = sent(RENAME, { body = not chunks and body or nil, chunks = chunks or nil,
            headers = with_coding(coding) })
          assert.header(last, "Content-Encoding", coding)
          without_digests(last)
          assert.equal('{"bcd":1}', content(coding, last.body))
          if not chunks then assert.header(last, "Content-Length", tostring(#last.body)) end
        end)
      end
    end

    it("each cut", function()
      local body = coded("gzip", '{"a":[{"b":"\\u00e9"},1.50],"c":"x"}')
      local rule = { rename = { a = "list" }, remove = "c" }
      T.each_split(body, function(first, second)
        local last = sent(rule, { chunks = { first, second }, headers = with_coding "gzip" })
        assert.equal('{"list":[{"b":"\\u00e9"},1.50]}', content("gzip", last.body))
        local res = got(rule, { chunks = { first, second }, headers = with_coding "gzip" },
          { headers = { ["Accept-Encoding"] = "gzip" } })
        assert.equal('{"list":[{"b":"\\u00e9"},1.50]}', content("gzip", res:text()))
      end)
    end)

    it("with what needs all of it", function()
      local rule = { move = { a = "b.c" } }
      local body = coded("gzip", '{"a":1}')
      assert.equal('{"b":{"c":1}}', content("gzip", sent(rule, { body = body, headers = with_coding "gzip" }).body))
      assert.equal('{"b":{"c":1}}', content("gzip", got(rule, { chunks = { body }, headers = with_coding "gzip" },
        { headers = { ["Accept-Encoding"] = "gzip" } }):text()))
    end)

    it("a form", function()
      local last = sent({ form = { rename = { a = "b" } } }, { body = coded("gzip", "a=1&c=2"), headers = {
        ["Content-Encoding"] = "gzip", ["Content-Type"] = "application/x-www-form-urlencoded" } })
      assert.header(last, "Content-Encoding", "gzip")
      assert.equal("b=1&c=2", content("gzip", last.body))
    end)

    it("not what no rule touches", function()
      local body = coded("gzip", '{"z":1}')
      local last = sent(RENAME, { body = body, headers = with_coding "gzip" })
      assert.equal(body, last.body)
      assert.header(last, "Content-Digest", "sha-256=:x:")
      body = coded("gzip", "no json")
      assert.equal(body, sent(RENAME, { body = body, headers = with_coding "gzip" }).body)
    end)

    it("not for a client that would not take it", function()
      local res = got(RENAME, { headers = with_coding "gzip", body = coded("gzip", '{"a":1}') })
      assert.is_nil(res:header "Content-Encoding")
      assert.header(res, "Vary", "Accept-Encoding")
      assert.equal('{"bcd":1}', res:text())
    end)

    it("never a bomb", function()
      local body = coded("gzip", '{"a":"' .. ("x"):rep(2 << 20) .. '"}')
      for _, rule in ipairs { { move = { a = "b" } }, RENAME } do
        local t = T.new { policies = { { transform = { request = rule } } }, upstreams = { api = {} } }
        assert.problem(t:request { method = "POST", body = body, headers = with_coding "gzip" }, 413)
      end
    end)

    it("between others that compress", function()
      local gzip, rename = { compress = { min_size = 0 } }, { transform = { response = RENAME } }
      local function reader(req, following)
        local answer = following(req)
        local _ = answer:text()
        return answer
      end
      for _, policies in ipairs { { rename, gzip }, { gzip, rename, gzip }, { reader, gzip, rename, gzip } } do
        local t = T.new { policies = policies, upstreams = { api = { body = '{"a":1}', headers = JSON } } }
        local res = t:request { headers = { ["Accept-Encoding"] = "gzip" } }
        if policies[1] ~= reader then assert.header(res, "Content-Encoding", "gzip") end
        assert.equal('{"bcd":1}', content(res:header "Content-Encoding", res:text()))
      end
    end)
  end)

  it("lets pass what is coded as nobody knows", function()
    local headers = { ["Content-Type"] = "application/json", ["Content-Encoding"] = "gzip, shop" }
    local last = sent({ set = { c = 1 } }, { body = '{"a":1}', headers = headers })
    assert.equal('{"a":1}', last:text())
    assert.equal("gzip, shop", last:header "Content-Encoding")
    headers["Content-Encoding"] = "identity"
    last = sent({ set = { c = 1 } }, { body = '{"a":1}', headers = headers })
    assert.equal('{"a":1,"c":1}', last:text())
  end)

  it("makes no body where there is none", function()
    assert.equal("", sent({ set = { a = 1 } }, { method = "GET" }):text())
    assert.is_nil(sent({ set = { a = 1 } }, { method = "GET" }):header "Content-Length")
    local res = got({ set = { a = 1 } }, { status = 204 })
    assert.status(res, 204)
    assert.equal("", res:text())
  end)

  it("knows all types of JSON", function()
    for _, of in ipairs { "application/vnd.shop+json", "text/json", "Application/JSON; charset=utf-8" } do
      local last = sent({ rename = { a = "b" } }, { body = '{"a":1}', headers = { ["Content-Type"] = of } })
      assert.equal('{"b":1}', last:text())
      assert.equal(of, last:header "Content-Type")
    end
  end)

  -- ---------------------------------------------------------------------------------------------- fields

  it("changes the query", function()
    local function query(ops, path) return sent({ query = ops }, { method = "GET", path = path }).query end
    assert.equal("userId=7", query({ rename = { user_id = "userId" } }, "/?user_id=7"))
    assert.equal("b=1&a=2&x%2f=+", query({ rename = { a = "b", b = "a" } }, "/?a=1&b=2&x%2f=+"))
    assert.equal("m=GET&q=x%20y", query({ remove = { "a", "b" }, set = { q = "x y", m = "${method}",
      n = "${arg.z}" } }, "/?a=1&q=2&b"))
    assert.equal("a=&b=2", query({ default = { a = "1", b = 2 } }, "/?a="))
    assert.equal("a=1&c=1&c=2&b=1&b=2", query({ copy = { c = "b", x = "a", a = "a" } }, "/?a=1&c=1&c=2&b=3"))
    assert.is_nil(query({ remove = "a" }, "/?a=1"))
  end)

  it("changes forms", function()
    local form = { ["Content-Type"] = "application/x-www-form-urlencoded" }
    local rule = { form = { rename = { user_id = "userId" }, set = { from = "${client_ip}" } } }
    local last = sent(rule, { body = "user_id=7&x=%41+", headers = form, client_ip = "192.0.2.7" })
    assert.equal("userId=7&x=%41+&from=192.0.2.7", last:text())
    assert.equal(tostring(#last:text()), last:header "Content-Length")
    assert.equal("user_id=7", sent(rule, { body = "user_id=7", headers = { ["Content-Type"] = "text/plain" } }):text())
    assert.equal("", sent(rule, { body = "", headers = form }):text())
  end)

  it("changes headers", function()
    local last = sent({ headers = {
      copy = { ["X-A"] = "X-B", ["X-None"] = "X-C" }, rename = { ["X-A"] = "X-D", ["X-None"] = "X-E" }, remove = "X-F",
      set = { ["X-G"] = "${header.x-d}", ["X-H"] = 5, ["X-F2"] = "${header.none}" }, default = { ["X-H2"] = "new",
        ["X-I"] = "new" },
    } }, { headers = { ["X-A"] = { "1", "2" }, ["X-F"] = "f", ["X-F2"] = "f", ["X-I"] = "old" } })
    local seen = {}
    for name, value in last:headers() do
      if name:find "^X%-%u" and #name < 6 and not name:find "^X%-F[op]" then seen[#seen + 1] = name .. "=" .. value end
    end
    table.sort(seen)
    assert.same({ "X-B=1", "X-B=2", "X-D=1", "X-D=2", "X-G=1, 2", "X-H2=new", "X-H=5", "X-I=old" }, seen)
    local res = got({ headers = { set = { ["X-Status"] = "${status}" }, remove = "Server" } },
      { headers = { Server = "x" } })
    assert.header(res, "X-Status", "200")
    assert.is_nil(res:header "Server")
  end)

  it("asks a rule's condition", function()
    local rules = {
      { when = 'req:header "x-api-version" == "v1"', rename = { a = "b" } },
      { when = "req.method == 'PUT'", set = { put = true } },
    }
    assert.equal('{"a":1}', sent_body(rules, '{"a":1}'))
    local headers = { ["Content-Type"] = "application/json", ["X-Api-Version"] = "v1" }
    assert.equal('{"b":1}', sent(rules, { body = '{"a":1}', headers = headers }):text())
    assert.equal('{"b":1,"put":true}', sent(rules, { method = "PUT", body = '{"a":1}', headers = headers }):text())
    assert.json(got({ when = "res.status == 404", set = { lost = true } }, { status = 404, body = "{}" }),
      { lost = true })
    assert.json(got({ when = "res.status == 404", set = { lost = true } }, "{}"), {})
  end)

  -- ---------------------------------------------------------------------------------------------- responses

  it("puts what describes the body right", function()
    local headers = { ["Content-Type"] = "application/json; charset=utf-8", ETag = '"1"', ["Content-MD5"] = "x",
      ["Accept-Ranges"] = "bytes" }
    local res = got({ rename = { a = "bcd" } }, { body = '{"a":1}', headers = headers })
    assert.equal('{"bcd":1}', res:text())
    assert.header(res, "Content-Length", "9")
    assert.header(res, "Content-Type", "application/json; charset=utf-8")
    for _, name in ipairs { "ETag", "Content-MD5", "Accept-Ranges" } do assert.is_nil(res:header(name), name) end
    headers.ETag = 'W/"1"'
    assert.header(got({ rename = { a = "bcd" } }, { body = '{"a":1}', headers = headers }), "ETag", 'W/"1"')
    headers.ETag = '"1"'
    assert.header(got({ rename = { x = "y" } }, { body = '{"a":1}', headers = headers }), "ETag", '"1"')
  end)

  it("asks for whole documents", function()
    local t = T.new { policies = { { transform = { response = { remove = "a" } } } },
      upstreams = { api = { headers = JSON, body = '{"a":1}' } } }
    t:request { headers = { Range = "bytes=0-1", ["If-Range"] = '"1"' } }
    local _, last = t:seen "api"
    assert.is_nil(last:header "Range")
    assert.is_nil(last:header "If-Range")
    assert.equal('{"a":1}', got({ remove = "a" }, { status = 206, body = '{"a":1}' }):text())
  end)

  it("leaves parts alone where no body is edited", function()
    local t = T.new { policies = { { transform = { request = { remove = "a" },
      response = { headers = { remove = "X-A" } } } } },
      upstreams = { api = { headers = { ["Accept-Ranges"] = "bytes", ["X-A"] = "1" } } } }
    local res = t:request { headers = { Range = "bytes=0-1" } }
    assert.header(res, "Accept-Ranges", "bytes")
    assert.is_nil(res:header "X-A")
    assert.header(select(2, t:seen "api"), "Range", "bytes=0-1")
  end)

  it("tells no length to HEAD", function()
    local t = T.new { policies = { { transform = { response = { remove = "a" } } } },
      upstreams = { api = { headers = JSON, body = '{"a":1}' } } }
    local res = t:request { method = "HEAD" }
    assert.status(res, 200)
    assert.is_nil(res:header "Content-Length")
  end)

  it("leaves the gateway's own errors alone", function()
    local res = got({ set = { title = "x" } }, { error = "refused" })
    assert.problem(res, 503)
    assert.equal("Service Unavailable", res:json().title)
  end)

  it("changes answers of other steps", function()
    local t = T.new { policies = { { transform = { response = { rename = { a = "b" } } } },
      { respond = { json = { a = 1 } } } } }
    local res = t:request "/"
    assert.json(res, { b = 1 })
    assert.header(res, "Content-Length", "7")
  end)

  -- ---------------------------------------------------------------------------------------------- size

  local function chunked(rule, chunks) return got(rule, { chunks = chunks, headers = JSON }) end

  it("streams what needs no whole document, cut anywhere", function()
    local rule = { map = { ["items[]"] = { to = "orderItems[]", rename = { product_id = "productId" },
      remove = "x" } }, default = { n = 1 } }
    local body = '{"items": [{"product_id":"\u{e4}\\u00e4","x":[{"}":"]"}]},{"product_id":-1.5e3}] }'
    local want = '{"orderItems": [{"productId":"\u{e4}\\u00e4"},{"productId":-1.5e3}],"n":1 }'
    T.each_split(body, function(first, second)
      local res = chunked(rule, { first, second })
      assert.equal(want, res:text())
      assert.is_nil(res:header "Content-Length")
    end)
  end)

  it("streams while the backend writes", function()
    local t = T.new { policies = { { transform = { response = { rename = { ["[].a"] = "b" } } } } },
      upstreams = { api = { headers = JSON, chunks = { '[{"a":1},', '{"a":2}]' }, trickle = { bytes = 9,
        seconds = 5 } } } }
    local res = t:request "/"
    assert.equal('[{"b":1},{"b":2}]', res:text())
  end)

  it("streams bodies of any size, and holds no more than the limit of others", function()
    local item = '{"a":"' .. ("x"):rep(1000) .. '"}'
    local big = "[" .. (item .. ","):rep(3000) .. item .. "]"
    local config = { limits = { buffered_body_bytes = "64KiB" } }
    local function get(rule, answer)
      return T.new { config = config, policies = { { transform = { response = rule } } },
        upstreams = { api = answer } }:request "/"
    end
    local want = big:gsub('"a"', '"b"')
    assert.equal(want, get({ rename = { ["[].a"] = "b" } }, { body = big, headers = JSON }):text())
    assert.equal(want, get({ rename = { ["[].a"] = "b" } }, { chunks = { big:sub(1, 1000001), big:sub(1000002) },
      headers = JSON }):text())
    assert.problem(get({ move = { ["[].a"] = "[].b" } }, { body = big, headers = JSON }), 502, "response-too-large")
    local t = T.new { config = config, policies = { { transform = { request = { move = { ["[].a"] = "[].b" } } } } },
      upstreams = { api = { body = "ok" } } }
    assert.problem(t:request { method = "POST", body = big, headers = JSON }, 413, "content-too-large")
    assert.called(t, "api", 0)
  end)

  it("passes on what breaks off", function()
    local res = got({ rename = { a = "b" } }, { body = '{"a":1}', headers = JSON, close = "mid-body" })
    assert.problem(res, 502, "bad-response")
    local t = T.new { policies = { { transform = { request = { rename = { a = "b" } } } } },
      upstreams = { api = { error = "refused" } } }
    assert.status(t:request { method = "POST", body = '{"a":1}', headers = JSON }, 503)
  end)

  -- ---------------------------------------------------------------------------------------------- old clients

  describe("for clients of an old version", function()
    local V2 = '{"id":1,"userName":"ann","orderItems":[{"productId":7,"quantity":2,"unitPrice":9.90}]}'
    local V1 = '{"id":1,"user_name":"ann","items":[{"product_id":7,"qty":2,"price":9.90}]}'
    local STEP = { transform = {
      request = {
        query = { rename = { user_id = "userId" } },
        rename = { user_name = "userName" },
        map = { ["items[]"] = { to = "orderItems[]", rename = { product_id = "productId", qty = "quantity",
          price = "unitPrice" } } },
      },
      response = {
        when = 'req:header "x-api-version" == "v1"',
        rename = { userName = "user_name" },
        map = { ["orderItems[]"] = { to = "items[]", rename = { productId = "product_id", quantity = "qty",
          unitPrice = "price" } } },
      },
    } }

    local function shop()
      return T.new { match = "/api/orders", policies = { STEP }, upstreams = { api = { body = V2, headers = JSON } } }
    end

    it("takes their requests", function()
      local t = shop()
      t:request { method = "POST", path = "/api/orders?user_id=7", body = V1, headers = JSON }
      local _, last = t:seen "api"
      assert.equal("userId=7", last.query)
      assert.equal(V2, last:text())
      assert.equal(tostring(#V2), last:header "Content-Length")
    end)

    it("answers as they know it", function()
      local t = shop()
      local res = t:request { path = "/api/orders", headers = { ["X-Api-Version"] = "v1" } }
      assert.equal(V1, res:text())
      assert.header(res, "Content-Length", tostring(#V1))
    end)

    it("leaves others alone", function()
      local res = shop():request { path = "/api/orders", headers = { ["X-Api-Version"] = "v2" } }
      assert.equal(V2, res:text())
      local t = shop()
      t:request { path = "/api/orders" }
      local _, last = t:seen "api"
      assert.equal("", last:text())
    end)
  end)
end)
