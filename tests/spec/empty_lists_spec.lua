-- An empty list of a config is `[]` wherever it goes out as JSON again, and an empty map is `{}`.

local T = require "moongate.test"
local mg = require "moongate"

local YAML = [==[
services: { api: { backends: ["api:80"] } }
routes:
  - match: /set
    service: api
    policies:
      - transform: { request: { set: { tags: [], deep: { a: [[], {}], m: {} } }, default: { more: [] } } }
  - match: /parts
    policies:
      - aggregate:
          parts:
            reviews: { service: api, path: /gone, default: [] }
            rest: { service: api, path: /gone, default: { a: [], m: {} } }
          body: { reviews: "${reviews}", rest: "${rest}", none: [], deep: [[], {}] }
  - match: /template
    policies:
      - template: { body: { none: [], m: {}, deep: { a: [[]] } } }
]==]

local JSON = [==[{
  "services": {"api": {"backends": ["api:80"]}},
  "routes": [
    {"match": "/set", "service": "api", "policies": [
      {"transform": {"request": {"set": {"tags": [], "deep": {"a": [[], {}], "m": {}}}, "default": {"more": []}}}}]},
    {"match": "/parts", "policies": [{"aggregate": {
      "parts": {"reviews": {"service": "api", "path": "/gone", "default": []},
                "rest": {"service": "api", "path": "/gone", "default": {"a": [], "m": {}}}},
      "body": {"reviews": "${reviews}", "rest": "${rest}", "none": [], "deep": [[], {}]}}}]},
    {"match": "/template", "policies": [{"template": {"body": {"none": [], "m": {}, "deep": {"a": [[]]}}}}]}
  ]
}]==]

local LUA = [==[
local list = require "moongate".json.array
return {
  services = { api = { backends = { "api:80" } } },
  routes = {
    { match = "/set", service = "api", policies = {
      { transform = { request = {
        set = { tags = list(), deep = { a = { list(), {} }, m = {} } }, default = { more = list() } } } } } },
    { match = "/parts", policies = { { aggregate = {
      parts = { reviews = { service = "api", path = "/gone", default = list() },
        rest = { service = "api", path = "/gone", default = { a = list(), m = {} } } },
      body = { reviews = "${reviews}", rest = "${rest}", none = list(), deep = { list(), {} } } } } } },
    { match = "/template", policies = {
      { template = { body = { none = list(), m = {}, deep = { a = { list() } } } } } } },
  },
}
]==]

local function api(req)
  if req.path == "/gone" then return { status = 404 } end
  return { body = req:text() }
end

-- With its fields sorted.
local function canonical(text) return mg.json.encode(mg.json.decode(text), { sort = true }) end

describe("an empty list", function()
  for name, text in pairs { ["moongate.yaml"] = YAML, ["moongate.json"] = JSON, ["moongate.lua"] = LUA } do
    describe("of " .. name, function()
      local t
      before_each(function() t = T.load(name, { text = text, upstreams = { api = api } }) end)

      it("is one when a transform writes it", function()
        local res = t:request { method = "POST", path = "/set", json = mg.json.decode "{}" }
        assert.equal('{"deep":{"a":[[],{}],"m":{}},"more":[],"tags":[]}', canonical(res:text()))
      end)

      it("is one in what aggregate answers, and as the default of a part", function()
        assert.equal('{"deep":[[],{}],"none":[],"rest":{"a":[],"m":{}},"reviews":[]}',
          canonical(t:request("/parts"):text()))
      end)

      it("is one in templates", function()
        assert.equal('{"deep":{"a":[[]]},"m":{},"none":[]}', canonical(t:request("/template"):text()))
      end)
    end)
  end

  it("is one in the options of a policy of one's own, whatever their schema", function()
    local t = T.load("moongate.yaml", { text = [==[
lua: { path: [tests/spec/policies] }
routes:
  - match: /*
    policies:
      - shows-options: { list: [], any: { a: [], m: {} }, full: [[1], []] }
]==] })
    assert.equal('{"any":{"a":[],"m":{}},"full":[[1],[]],"list":[]}', t:request("/"):text())
  end)

  it("is one in the table that a spec gives, when it is marked", function()
    local answer = { set = { marked = mg.json.array(), plain = {} } }
    local t = T.new { policies = { { transform = { request = answer } } }, upstreams = { api = api } }
    local res = t:request { method = "POST", json = { n = 1 } }
    assert.equal('{"marked":[],"n":1,"plain":{}}', canonical(res:text()))
  end)

  it("is no map where a map is wanted", function()
    local conf, err = T.validate(require "transform", { request = { set = mg.json.array() } })
    assert.is_nil(conf)
    assert.matches("expected map, got list", tostring(err), 1, true)
  end)
end)
