local T = require "moongate.test"
local mg = require "moongate"

local USER = {
  type = "object", required = { "name" }, additionalProperties = false,
  properties = { name = { type = "string", maxLength = 10 }, age = { type = "integer", minimum = 0 } },
}

local function gateway(conf, answer, more)
  more = more or {}
  more.policies = { { validate = conf } }
  more.upstreams = { api = answer or { body = "ok" } }
  return T.new(more)
end

local function ask(conf, request, more)
  local t = gateway(conf, nil, more)
  local res = t:request(request)
  local count, last = t:seen "api"
  return res, count, last
end

-- "in pointer keyword" of each error.
local function errors_of(res)
  local out = {}
  for i, err in ipairs(res:json().errors) do out[i] = ("%s %s %s"):format(err["in"], err.pointer, err.keyword) end
  return out
end

local function refused(conf, request, errors, more)
  local res, count = ask(conf, request, more)
  assert.problem(res, 400, "invalid-request")
  assert.same(errors, errors_of(res))
  assert.equal(0, count)
  return res
end

local function allowed(conf, request, more)
  local res, _, last = ask(conf, request, more)
  assert.status(res, 200)
  return last
end

local function post(body, content_type, headers)
  headers = headers or {}
  headers["Content-Type"] = content_type or "application/json"
  return { method = "POST", body = body, headers = headers }
end

describe("validate", function()
  describe("schema", function()
    local function refuses(conf, what)
      local ok, err = T.validate(require "validate", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    it("wants something to look at", function()
      refuses({}, "needs one of 'body', 'query', 'headers', 'params'")
      for _, conf in ipairs {
        { body = true }, { query = true }, { headers = true }, { params = true }, { response = true },
        { content_type = "a/b" }, { max_size = 1 },
      } do
        assert.truthy(T.validate(require "validate", conf))
      end
    end)

    it("has defaults", function()
      assert.same({ body = true, status = 400, formats = true, body_required = true, on_response_error = "log" },
        T.validate(require "validate", { body = true }))
    end)

    it("names the path of a bad field", function()
      refuses({ body = true, status = 399 }, "validate.status: must be >= 400")
      refuses({ body = true, status = 500 }, "validate.status: must be <= 499")
      refuses({ max_size = "big" }, "validate.max_size: expected size")
      refuses({ content_type = {} }, "validate.content_type: must have at least 1")
      refuses({ content_type = "json" }, "validate.content_type")
      refuses({ response = true, on_response_error = "drop" }, "validate.on_response_error")
    end)

    it("takes no types with a body that it cannot judge", function()
      refuses({ body = true, content_type = { "application/json", "text/xml" } },
        "validate.content_type: may have types")
      assert.truthy(T.validate(require "validate", {
        body = true, content_type = { "application/JSON", "a/b+json", "text/json",
          "application/x-www-form-urlencoded" },
      }))
    end)

    it("takes 1 to 100 types", function()
      local types = {}
      for i = 1, 100 do types[i] = "a/b" .. i end
      assert.truthy(T.validate(require "validate", { content_type = types }))
      types[101] = "a/b"
      refuses({ content_type = types }, "must have at most 100")
    end)
  end)

  describe("at load", function()
    local function fails(conf, what)
      local ok, err = pcall(gateway, conf)
      assert.is_false(ok)
      assert.matches(what, tostring(err), 1, true)
      assert.not_matches("validate%.lua:%d", tostring(err)) -- the fault is in the config
    end

    it("tells where a schema is wrong", function()
      fails({ headers = { properties = 5 } }, "headers: /properties: expected a map")
      fails({ headers = { required = 5 } }, "headers: /required: expected a list of names")
      fails({ body = { properties = { a = { type = "strng" } } } }, 'body: /properties/a/type: unknown type "strng"')
      fails({ query = { properties = { a = { pattern = "(" } } } },
        "query: /properties/a/pattern: bad regular expression")
      fails({ headers = { ["$ref"] = "https://example.com/x" } }, "headers: /$ref: 'https://example.com/x' is not in")
      fails({ params = 5 }, "params: /: expected a schema")
      fails({ response = { minimum = "1" } }, "response: /minimum: expected a number")
    end)

    it("tells of a file that is not there", function()
      fails({ body = { file = "schemas/none.json" } }, "body: cannot read 'schemas/none.json': no such file")
      fails({ body = "schemas/none.json" }, "body: cannot read 'schemas/none.json': no such file")
      fails({ body = { file = 5 } }, "body.file: expected a name")
      fails({ body = { file = "policies/README.md" } }, "body: policies/README.md: line 1 column 1")
    end)

    it("reads a file", function()
      local conf = { body = { file = "tests/spec/policies/user.schema.json" } }
      allowed(conf, post '{"name":"Ann"}')
      refused(conf, post "{}", { "body  required" })
      fails({ query = { file = "tests/spec/policies/bad.schema.json" } },
        "query: tests/spec/policies/bad.schema.json: /type: unknown type")
    end)

    it("reads null, numbers and texts of a config as they are", function()
      local t = T.load("x.yaml", { upstreams = { api = { body = "ok" } }, text = [[
services: { api: { backends: ["api:80"] } }
routes:
  - match: /*
    service: api
    policies:
      - validate: { body: { enum: [null, 1, "a", { b: [2] }] }, query: { properties: { n: { const: null } } } }
]] })
      for _, text in ipairs { "null", "1", '"a"', '{"b":[2]}' } do assert.status(t:request(post(text)), 200) end
      for _, text in ipairs { "2", '"1"', '{"b":2}' } do assert.status(t:request(post(text)), 400) end
    end)

    it("takes a schema with a keyword beside `file` for one", function()
      allowed({ body = { file = "x", type = "object" } }, post "{}")
    end)
  end)

  describe("body", function()
    it("lets pass what fits, as it was written", function()
      local text = '{ "name": "Ann",\n "age": 7.0 }'
      assert.equal(text, allowed({ body = USER }, post(text)):text())
      assert.equal(text, allowed({ body = USER }, {
        method = "POST", chunks = { text:sub(1, 5), text:sub(6) }, headers = { ["Content-Type"] = "application/json" },
      }):text())
    end)

    it("tells all that does not", function()
      local res = refused({ body = USER }, post '{"age":-1,"x":1,"~/":2}',
        { "body  required", "body /age minimum", "body /x additionalProperties", "body /~0~1 additionalProperties" })
      assert.equal("must be at least 0", res:json().errors[2].message)
      assert.equal('must have the property "name"', res:json().errors[1].message)
      assert.equal("The request is not what it has to be; see errors", res:json().detail)
    end)

    it("answers with another status", function()
      assert.problem(ask({ body = USER, status = 422 }, post "{}"), 422, "invalid-request")
    end)

    it("tells 20 errors", function()
      local items = {}
      for i = 1, 30 do items[i] = "x" .. i end
      local conf = { body = { items = { type = "integer" } }, query = { additionalProperties = false } }
      assert.equal(20, #ask(conf, post(mg.json.encode(items))):json().errors)
      local query = {}
      for i = 1, 30 do query["a" .. i] = "1" end
      local request = post(mg.json.encode(items))
      request.query = query
      assert.equal(20, #ask(conf, request):json().errors)
    end)

    it("tells 20 errors of all parts together", function()
      local function count(of_query, of_headers)
        local query, headers = {}, {}
        for i = 1, of_query do query["a" .. i] = "1" end
        for i = 1, of_headers do headers["X-B" .. i] = "1" end
        local none = { patternProperties = { ["^x-b"] = false } }
        return #ask({ query = { additionalProperties = false }, headers = none }, { query = query,
          headers = headers }):json().errors
      end
      assert.equal(20, count(12, 12))
      assert.equal(20, count(20, 1))
      assert.equal(20, count(19, 1))
      assert.equal(20, count(18, 2))
      assert.equal(19, count(18, 1))
    end)

    it("knows names by their case", function()
      local conf = { body = { properties = { Name = { type = "null" } }, required = { "Name" } } }
      allowed(conf, post '{"Name":null,"name":1}')
      refused(conf, post '{"name":null}', { "body  required" })
    end)

    it("tells nothing of what came", function()
      local secret = "hunter2hunter2"
      local body = mg.json.encode { name = secret, age = secret, card = { secret } }
      local res = ask({ body = {
        properties = {
          name = { enum = { "a" }, pattern = "^x", format = "email", const = "b" }, age = { type = "integer" },
          card = { uniqueItems = true, items = { maxLength = 3, ["not"] = true } },
        },
      } }, post(body))
      assert.problem(res, 400)
      assert.not_matches(secret, res:text(), 1, true)
      res = ask({ body = USER }, post('{"name":"' .. secret .. '"'))
      assert.not_matches(secret, res:text(), 1, true)
    end)

    it("cuts names", function()
      local res = ask({ body = USER }, post('{"name":"a","' .. ("ä"):rep(500) .. '":1}'))
      assert.equal("/" .. ("ä"):rep(32) .. "...", res:json().errors[1].pointer)
    end)

    it("wants JSON", function()
      for _, text in ipairs { "{", "name=Ann", "{}{}", "\xEF\xBB\xBF{}", '{"name":"a","name":"b"}', "NaN", " " } do
        local res = refused({ body = true }, post(text), { "body  json" })
        assert.matches("^must be JSON; it is not at line 1 column %d+$", res:json().errors[1].message)
      end
    end)

    it("wants one", function()
      refused({ body = USER }, post "", { "body  required" })
      refused({ body = USER }, { method = "POST" }, { "body  required" })
      refused({ body = USER }, { method = "PATCH" }, { "body  required" })
      refused({ body = USER }, { method = "BREW" }, { "body  required" })
      allowed({ body = USER, body_required = false }, { method = "POST" })
      for _, method in ipairs { "GET", "HEAD", "DELETE", "OPTIONS" } do allowed({ body = USER },
        { method = method }) end
      allowed({ max_size = 5 }, { method = "POST" })
    end)

    it("judges one wherever it comes", function()
      local request = post "{}"
      for _, method in ipairs { "GET", "DELETE" } do
        request.method = method
        refused({ body = USER }, request, { "body  required" })
      end
    end)

    it("takes integers of any size", function()
      allowed({ body = { type = "integer" } }, post "123456789012345678901234567890")
      refused({ body = { maximum = 10 } }, post "123456789012345678901234567890", { "body  maximum" })
    end)

    it("has nothing against `false` as a schema", function()
      refused({ body = false }, post "1", { "body  false" })
    end)
  end)

  describe("content type", function()
    local function unsupported(conf, request, accept)
      local res, count = ask(conf, request)
      assert.problem(res, 415, "unsupported-content-type")
      assert.header(res, "Accept", accept)
      assert.equal(0, count)
    end

    it("is one of JSON with a body's schema", function()
      for _, name in ipairs {
        "application/json", "APPLICATION/json ; charset=utf-8", "text/json", "application/problem+json",
      } do
        allowed({ body = USER }, post('{"name":"a"}', name))
      end
      for _, name in ipairs {
        "text/plain", "application/jsonp", "text/plain; application/json", "application/json, text/plain", "+json",
        "application/x-www-form-urlencoded", "a/b/c+json", "",
      } do
        unsupported({ body = USER }, post('{"name":"a"}', name), "application/json")
      end
      unsupported({ body = USER }, { method = "POST", body = "{}" }, "application/json")
    end)

    it("is one of those that are allowed", function()
      local conf = { content_type = { "image/*", "Text/Plain" } }
      for _, name in ipairs { "image/png", "text/plain;x=y" } do allowed(conf, post("x", name)) end
      for _, name in ipairs { "text/html", "imagex/png", "image", "image/png/x", "application/json" } do
        unsupported(conf, post("x", name), "image/*, Text/Plain")
      end
      allowed(conf, { method = "POST" })
      unsupported({ body = USER, content_type = "a/b+json" }, post "{}", "a/b+json")
    end)

    it("does not wait for a body that it refuses", function()
      local conn = gateway({ body = USER }):connect()
      assert.matches("^HTTP/1.1 415 ", conn:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
    end)

    it("looks into compressed bodies, and sends them on as they came", function()
      local function coded(text, coding)
        local t = T.new { policies = { { compress = { min_size = 0, codings = coding } } },
          upstreams = { api = { headers = { ["Content-Type"] = "application/json" }, body = text } } }
        return t:request({ headers = { ["Accept-Encoding"] = coding } }):text()
      end
      for _, coding in ipairs { "gzip", "br", "deflate" } do
        local good, bad = coded('{"name":"ann"}', coding), coded('{"name":7}', coding)
        local last = allowed({ body = USER }, post(good, nil, { ["Content-Encoding"] = coding,
          ["Content-Digest"] = "sha-256=:x:" }))
        assert.equal(good, last.body)
        assert.header(last, "Content-Encoding", coding)
        assert.header(last, "Content-Digest", "sha-256=:x:")
        refused({ body = USER }, post(bad, nil, { ["Content-Encoding"] = coding }), { "body /name type" })
      end
      local bomb = coded('{"name":"' .. ("x"):rep(2 << 20) .. '"}', "gzip")
      assert.problem(ask({ body = USER }, post(bomb, nil, { ["Content-Encoding"] = "gzip" })), 413)
      local some = coded('{"name":"' .. ("x"):rep(5000) .. '"}', "gzip")
      local conf = { body = USER, max_size = 4000 }
      assert.problem(ask(conf, post(some, nil, { ["Content-Encoding"] = "gzip" })), 413)
    end)

    it("lets no body hide in a coding", function()
      local res, count = ask({ body = USER }, post("\x1f\x8b", nil, { ["Content-Encoding"] = "gzip" }))
      assert.problem(res, 400, "bad-request")
      assert.equal(0, count)
      res, count = ask({ body = USER }, post("\x1f\x8b", nil, { ["Content-Encoding"] = "gzip, zstd" }))
      assert.problem(res, 415, "unsupported-content-encoding")
      assert.header(res, "Accept-Encoding", "gzip, br, deflate")
      assert.equal(0, count)
      allowed({ body = USER }, post('{"name":"a"}', nil, { ["Content-Encoding"] = "Identity" }))
      allowed({ max_size = 9 }, post("\x1f\x8b", nil, { ["Content-Encoding"] = "gzip" }))
    end)
  end)

  describe("size", function()
    it("is at most", function()
      for _, conf in ipairs { { max_size = 5 }, { max_size = 5, body = true } } do
        assert.equal("12345", allowed(conf, post "12345"):text())
        local res, count = ask(conf, post "123456")
        assert.problem(res, 413, "content-too-large")
        assert.equal("the body may have at most 5 bytes", res:json().detail)
        assert.equal(0, count)
        local chunked = { method = "POST", chunks = { "123", "456" }, headers = { ["Content-Type"] = "a/b+json" } }
        assert.problem(ask(conf, chunked), 413, "content-too-large")
        chunked.chunks[2] = "45"
        assert.equal("12345", allowed(conf, chunked):text())
      end
    end)

    it("is refused before it is read", function()
      local conn = gateway({ max_size = 5 }):connect()
      assert.matches("^HTTP/1.1 413 ", conn:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
    end)

    it("streams where the length is told and nothing else is asked", function()
      local reached = false
      local t = T.new { upstreams = { api = {} }, policies = { { validate = { max_size = 5 } }, function(req, next)
        reached = true
        return next(req)
      end } }
      local conn = t:connect()
      conn:send "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12"
      assert.is_true(reached)
      conn:close()
    end)

    it("is the gateway's without one of its own", function()
      local res = ask({ body = true }, post('"' .. ("x"):rep(3000) .. '"'),
        { config = { limits = { buffered_body_bytes = 2048 } } })
      assert.problem(res, 413, "content-too-large")
    end)

    it("answers 400 to a body that breaks off", function()
      local said = gateway({ body = true }):raw(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: a/b+json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n1 \r\nx")
      assert.matches("^HTTP/1.1 400 ", said)
    end)
  end)

  describe("query", function()
    local conf = { query = {
      required = { "page" }, additionalProperties = false,
      properties = {
        page = { type = "integer", minimum = 1 }, ratio = { type = "number" }, all = { type = "boolean" },
        tag = { type = "array", items = { enum = { "a", "b" } }, maxItems = 2 }, name = { type = "string",
          maxLength = 3 },
        ids = { type = "array", items = { type = "integer" } }, level = { enum = { 1, 2 } }, none = {},
      },
    } }

    it("has types", function()
      for _, query in ipairs {
        "page=1", "page=7&ratio=1.5e3&all=true&name=7", "page=1&tag=a", "page=1&tag=a&tag=b", "page=1&ids=1&ids=2",
        "page=1&level=2", "page=1&none", "p%61ge=1", "page=1&ratio=-0", "page=1&all=false",
          "page=1&name=%C3%A4%C3%A4%C3%A4",
      } do
        assert.equal(query, allowed(conf, { path = "/?" .. query }).query)
      end
    end)

    it("refuses what is of another", function()
      for query, fault in pairs {
        [""] = " required", ["page=0"] = "/page minimum", ["page=x"] = "/page type", ["page=1.0"] = "/page type",
        ["page=01"] = "/page type", ["page=+1"] = "/page type", ["page=%201"] = "/page type", ["page="] = "/page type",
        ["page=0x1"] = "/page type", ["page=1e0"] = "/page type", ["page=1&page=2"] = "/page type",
        ["page=1&ratio=.5"] = "/ratio type", ["page=1&ratio=1."] = "/ratio type", ["page=1&ratio=inf"] = "/ratio type",
        ["page=1&ratio=01"] = "/ratio type", ["page=1&ratio=1e"] = "/ratio type",
        ["page=1&all=TRUE"] = "/all type", ["page=1&all=1"] = "/all type", ["page=1&tag=c"] = "/tag/0 enum",
        ["page=1&tag=a&tag=b&tag=a"] = "/tag maxItems", ["page=1&name=abcd"] = "/name maxLength",
        ["page=1&name=a&name=b"] = "/name type", ["page=1&ids=x"] = "/ids/0 type",
          ["page=1&ids=1&ids=x"] = "/ids/1 type",
        ["page=1&level=3"] = "/level enum", ["page=1&more=1"] = "/more additionalProperties",
        ["page=1&Page=1"] = "/Page additionalProperties",
      } do
        refused(conf, { path = "/?" .. query }, { "query " .. fault })
      end
    end)

    it("is refused when it is not encoded", function()
      for _, query in ipairs { "page=%", "page=%zz", "page=1&%=1" } do
        refused(conf, { path = "/?" .. query }, { "query  encoding" })
      end
    end)

    it("takes types from wherever the schema has them", function()
      local deep = { query = {
        ["$defs"] = { n = { type = "integer" } }, patternProperties = { ["^n"] = { ["$ref"] = "#/$defs/n" } },
        properties = { a = { anyOf = { { type = "integer" }, { const = true } } } },
        additionalProperties = { type = "boolean" },
      } }
      allowed(deep, { path = "/?n1=5&a=5&c=true" })
      refused(deep, { path = "/?n1=5.5&a=x&c=1" }, { "query /a anyOf", "query /c type", "query /n1 type" })
      allowed({ query = { allOf = { { properties = { b = { type = { "number", "null" } } } } } } },
        { path = "/?b=1.5" })
    end)
  end)

  describe("headers", function()
    local conf = { headers = {
      required = { "X-Tenant" },
      properties = { ["X-Tenant"] = { pattern = "^[a-z]+$" }, ["x-n"] = { type = "integer" } },
    } }

    it("fit in any case", function()
      allowed(conf, { headers = { ["X-Tenant"] = "acme", ["X-N"] = "5" } })
      allowed(conf, { headers = { ["x-tENANT"] = "acme" } })
      refused(conf, "/", { "headers  required" })
      refused(conf, { headers = { ["x-tenant"] = "ACME" } }, { "headers /x-tenant pattern" })
      refused(conf, { headers = { ["x-tenant"] = "a", ["X-N"] = "x" } }, { "headers /x-n type" })
      allowed({ headers = true }, "/")
      refused({ headers = false }, "/", { "headers  false" })
    end)

    it("may not come twice where one is wanted", function()
      refused({ headers = { properties = { ["X-Id"] = { type = "string" } } } },
        { headers = { ["X-Id"] = { "a", "b" } } }, { "headers /x-id type" })
    end)
  end)

  describe("params", function()
    it("have types", function()
      local conf = { params = { properties = { id = { type = "integer", maximum = 99 } } } }
      allowed(conf, "/u/7", { match = "/u/{id}" })
      refused(conf, "/u/100", { "params /id maximum" }, { match = "/u/{id}" })
      refused(conf, "/u/x", { "params /id type" }, { match = "/u/{id}" })
    end)
  end)

  it("tells the faults of all parts, and reads no body then", function()
    local conf = { query = { required = { "a" } }, headers = { required = { "x-b" } }, body = USER }
    refused(conf, post "{}", { "query  required", "headers  required" })
    local said = gateway(conf):connect():send(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n")
    assert.matches("^HTTP/1.1 400 ", said)
  end)

  describe("forms", function()
    local conf = { body = USER, content_type = { "application/x-www-form-urlencoded", "application/json" } }
    local FORM = "application/x-www-form-urlencoded"

    it("have types like a query", function()
      assert.equal("name=Ann+B&age=7", allowed(conf, post("name=Ann+B&age=7", FORM)):text())
      refused(conf, post("name=a&age=-1", FORM), { "body /age minimum" })
      refused(conf, post("name=a&name=b", FORM), { "body /name type" })
      refused(conf, post("name=%zz", FORM), { "body  encoding" })
      allowed(conf, post '{"name":"a"}')
    end)
  end)

  it("checks formats, or does not", function()
    local schema = { properties = { d = { format = "date" } } }
    refused({ query = schema }, { path = "/?d=2026-02-30" }, { "query /d format" })
    allowed({ query = schema, formats = false }, { path = "/?d=2026-02-30" })
  end)

  describe("hostile bodies", function()
    local tree = { ["$ref"] = "#/$defs/n", ["$defs"] = { n = {
      anyOf = { { properties = { a = { ["$ref"] = "#/$defs/n" } } },
        { properties = { a = { ["$ref"] = "#/$defs/n" } } } },
      type = "object",
    } } }

    it("nested deeply are refused", function()
      refused({ body = { items = { ["$ref"] = "#" } } }, post(("["):rep(5000)), { "body  json" })
      allowed({ body = { items = { ["$ref"] = "#" } } }, post(("["):rep(100) .. ("]"):rep(100)))
    end)

    it("that make the work explode are refused", function()
      local patient = { config = { limits = { lua_run = "1s" } } } -- where a sanitizer makes it slow
      local res = ask({ body = tree }, post(('{"a":'):rep(60) .. "5" .. ("}"):rep(60)), patient)
      assert.problem(res, 400, "invalid-request")
      assert.equal("takes too much work to check", res:json().errors[1].message)
    end)

    it("with patterns that backtrack are refused, also below `not`", function()
      local evil = mg.json.encode(("a"):rep(5000) .. "!")
      refused({ body = { pattern = "^(a+)+$" } }, post(evil), { "body  " })
      refused({ body = { ["not"] = { pattern = "^(a+)+$" } } }, post(evil), { "body  " })
      refused({ body = { pattern = "a" } }, post(mg.json.encode(("a"):rep(20000))), { "body  " })
    end)

    it("with many names are read at once", function()
      local names = {}
      for i = 1, 999 do names[i] = "n" .. i .. "=1" end
      local conf = {
        body = { patternProperties = { ["^n"] = { type = "integer" } }, additionalProperties = false },
        content_type = "application/x-www-form-urlencoded",
      }
      allowed(conf, post(table.concat(names, "&"), conf.content_type))
      names[1000] = "x=1"
      refused(conf, post(table.concat(names, "&"), conf.content_type), { "body /x additionalProperties" })
      names[1001] = "n=1"
      local res = refused(conf, post(table.concat(names, "&"), conf.content_type), { "body  encoding" })
      assert.equal("must be well percent-encoded, and of at most 1000 fields", res:json().errors[1].message)
    end)

    it("with many items are looked through once", function()
      local items = {}
      for i = 1, 20000 do items[i] = i end
      local body = mg.json.encode(items)
      allowed({ body = { uniqueItems = true } }, post(body))
      items[20000] = 1
      refused({ body = { uniqueItems = true } }, post(mg.json.encode(items)), { "body  uniqueItems" })
    end)
  end)

  describe("response", function()
    local function answer(conf, upstream, request)
      conf.response = { type = "object", required = { "id" } }
      local t = gateway(conf, upstream)
      local res = t:request(request or "/")
      return res, t:log "does not fit its schema"
    end

    it("that fits passes", function()
      local res, log = answer({ on_response_error = "fail" }, { json = { id = 1 } })
      assert.json(res, { id = 1 })
      assert.same({}, log)
    end)

    it("that does not is logged", function()
      local res, log = answer({}, { json = { x = "secret" } })
      assert.json(res, { x = "secret" })
      assert.equal(1, #log)
      assert.same({ "warn", 1, "", "required", 'must have the property "id"' },
        { log[1].level, log[1].errors, log[1].pointer, log[1].keyword, log[1].fault })
    end)

    it("that does not is replaced", function()
      for _, upstream in ipairs {
        { json = { x = "secret" } }, { body = '{"id":1}' }, { body = "{",
          headers = { ["Content-Type"] = "application/json" } },
      } do
        local res, log = answer({ on_response_error = "fail" }, upstream)
        assert.problem(res, 502, "invalid-response")
        assert.not_matches("secret", res:text(), 1, true)
        assert.equal(1, #log)
      end
    end)

    it("is left alone where it is no answer with a body", function()
      for _, case in ipairs {
        { { status = 404, json = {} } }, { { status = 204 } }, { { status = 205 } }, { { status = 300, json = {} } },
        { { json = {} }, { method = "HEAD" } },
      } do
        local res, log = answer({ on_response_error = "fail" }, case[1], case[2])
        assert.status(res, case[1].status or 200)
        assert.same({}, log)
      end
      local res, log = answer({ on_response_error = "fail" }, { error = "refused" })
      assert.status(res, 503)
      assert.same({}, log)
    end)

    it("is not read without a schema", function()
      assert.untouched(gateway({ query = true }):request "/")
    end)
  end)

  it("lets upstream failures pass", function()
    assert.status(gateway({ query = true }, { error = "refused" }):request "/", 503)
  end)
end)
