-- JSON that is there already: mg.json.template, and responses in values that are encoded.

local T = require "moongate.test"
local mg = require "moongate"

local function gateway(fn, upstreams)
  return T.new { policies = { function(req) return fn(req) end }, upstreams = upstreams or {} }
end

local function raises(what, ...)
  local ok, fault = pcall(mg.json.template, ...)
  assert.is_false(ok)
  assert.matches(what, tostring(fault), 1, true)
end

describe("mg.json.template", function()
  it("wants texts that are JSON with any value between them", function()
    raises("table expected", nil)
    raises("expected a list of texts", {})
    raises("item 2: expected string, got number", { "[", 7 })
    raises("with null in its gaps: line 1 column", { "[", "" })
    raises("with null in its gaps", { "{", ":1}" })     -- a name is a text
    raises('with "" in its gaps', { '["a', 'b"]' })     -- inside of a text
    raises('with "" in its gaps', { '["', '"]' })
    raises("line 1 column", { "[1, ", ", ]" })
    raises("more than 200 gaps", (function()
      local texts = { "[" }
      for i = 2, 201 do texts[i] = "," end
      texts[202] = "]"
      return texts
    end)())
    raises("the texts are too long", { '"' .. ("x"):rep(1 << 20) .. '"' })
  end)

  it("fills its gaps with values of any kind", function()
    local t = gateway(function()
      local template = mg.json.template { "[", ",", ",", ",", "]" }
      assert.equal('[null,"\\"",{"a":[]},1.5]', template:text(nil, '"', { a = mg.json.array() }, 1.5))
      assert.equal("[null,null,null,true]", template:text(nil, mg.json.null, nil, true, "too many"))
      assert.equal("{}", mg.json.template({ "{}" }):text(1))
      return template:reply(201, { ["X-A"] = "b", ["Content-Type"] = "application/x+json" }, 1, 2, 3, 4)
    end)
    local res = t:request "/"
    assert.status(res, 201)
    assert.header(res, "X-A", "b")
    assert.header(res, "Content-Type", "application/x+json")
    assert.equal("[1,2,3,4]", res:text())
  end)

  it("says which value has no JSON", function()
    local t = gateway(function()
      local template = mg.json.template { "[", ",", "]" }
      for _, bad in ipairs { print, 0 / 0, "\xff", { { print } } } do
        local text, err = template:text(1, bad)
        assert.is_nil(text)
        assert.same({ "bad_value", 2 }, { err.code, err.index })
        assert.is_nil((template:reply(200, nil, 1, bad)))
      end
      assert.is_false(pcall(template.reply, template, 100, nil, 1, 2))
      assert.is_false(pcall(template.reply, template, 200, { A = "\n" }, 1, 2))
      return mg.reply(204)
    end)
    assert.status(t:request "/", 204)
  end)
end)

describe("a response in a value", function()
  local function with(answer, fn)
    local res = gateway(function() return fn(assert(mg.fetch "api")) end, { api = answer }):request "/"
    return res
  end

  it("stands for its text, as it came", function()
    local text = '{ "b" : 1.50, "a" : [ "\\u0041", 12345678901234567890123, 1e999 ] }'
    local res = with({ body = text }, function(part)
      return mg.reply_json(200, { part = part, list = { part } })
    end)
    assert.is_true(res:text() == ('{"part":%s,"list":[%s]}'):format(text, text)
      or res:text() == ('{"list":[%s],"part":%s}'):format(text, text))
  end)

  it("also when it was read before, or changed", function()
    local res = with({ json = { n = 1 } }, function(part)
      local before = part:json()
      local texts = { mg.json.template({ "", "" }):text(part) }
      part:set_body '{"n":2}'
      texts[2] = mg.json.template({ "", "" }):text(part)
      part:set_body "oops"
      texts[3] = mg.json.template({ "", "" }):text(part) or "refused"
      return mg.reply_json(200, { before.n, texts })
    end)
    assert.json(res, { 1, { '{"n":1}', '{"n":2}', "refused" } })
  end)

  for what, body in pairs {
    ["no JSON"] = "<html>", half = '{"a":', twice = "1 2", nothing = "", ["not UTF-8"] = '"\xff"',
    deep = ("["):rep(200) .. ("]"):rep(200),
  } do
    it("is refused when it is " .. what, function()
      local res = with({ body = body }, function(part)
        local text, err = mg.json.template({ "", "" }):text(part)
        assert.is_nil(text)
        assert.matches("not JSON: line 1 column", tostring(err), 1, true)
        local ok, fault = pcall(mg.reply_json, 200, { part = part })
        assert.is_false(ok)
        assert.matches("part: not JSON", tostring(fault), 1, true)
        return mg.reply(204)
      end)
      assert.status(res, 204)
    end)
  end

  it("goes into requests too", function()
    local t = gateway(function()
      local part = mg.fetch "api"
      return mg.fetch("other", { method = "POST", json = { part = part } })
    end, { api = { body = "[1]" }, other = function(req) return { body = req.body } end })
    assert.equal('{"part":[1]}', (t:request "/"):text())
  end)

  it("has no text while it streams, nor does a request", function()
    local t = gateway(function(req)
      local part = mg.fetch("api", { stream = true })
      assert.is_false(pcall(mg.reply_json, 200, { part = part }))
      assert.is_false(pcall(mg.reply_json, 200, { req = req }))
      return mg.reply(204)
    end, { api = { body = "[1]" } })
    assert.status(t:request "/", 204)
  end)
end)

describe("accept", function()
  local function on(fn)
    local t = gateway(function()
      fn()
      return mg.reply(204)
    end, { api = function(req) return { status = tonumber(req.path:sub(2)), json = {} } end })
    assert.status(t:request "/", 204)
  end

  it("names the statuses that are no failure", function()
    on(function()
      local function ask(status, accept) return mg.fetch("api", { path = "/" .. status, accept = accept }) end
      for _, case in ipairs { { 200, "200" }, { 299, "200-299" }, { 404, "200-299, 404" }, { 503, "any" }, { 503 } } do
        assert.equal(case[1], ask(case[1], case[2]).status)
      end
      for _, case in ipairs { { 300, "200-299" }, { 200, "201" }, { 404, "200-299,403,405-499" } } do
        local res, err = ask(case[1], case[2])
        assert.is_nil(res)
        assert.same({ "status", case[1], "status " .. case[1] }, { err.code, err.status, err.message })
      end
      local got, failed = mg.fetch_all { a = { "api", path = "/404", accept = "200-299" } }
      assert.is_nil(got)
      assert.same({ "a", 404 }, { failed.name, failed.status })
    end)
  end)

  it("refuses what is no status", function()
    on(function()
      for _, bad in ipairs { "", "x", "99", "600", "200-", "-200", "300-200", "200-250-299", "200;201", "200,,201" } do
        local ok, fault = pcall(mg.fetch, "api", { accept = bad })
        assert.is_false(ok, bad)
        assert.matches("accept: expected", tostring(fault), 1, true)
      end
      assert.is_false(pcall(mg.fetch, "api", { accept = 200 }))
    end)
  end)

  it("tells which optional ones failed", function()
    on(function()
      local got, failures = mg.fetch_all {
        a = { "api", path = "/200" }, b = { "api", path = "/503", optional = true },
      }
      assert.equal(200, got.a.status)
      assert.same({ "b", "status", 503 }, { failures.b.name, failures.b.code, failures.b.status })
      assert.is_nil(failures.a)
      got, failures = mg.fetch_all { a = { "api", path = "/200" } }
      assert.equal(200, got.a.status)
      assert.is_nil(failures)
    end)
  end)
end)
