-- What `moongate policy --json NAME` gives to editors.

local json_schema = require "moongate.tool.json_schema"
local s = require "moongate.schema"
local json = require "moongate".json

local ENV = [[\$\{[A-Z_][A-Z0-9_]*(:-[^}]*)?\}]]

local function property(schema)
  return json_schema.of({ name = "x", schema = s.record { x = schema } }).properties.x
end

local function or_env(values, default)
  return { default = default, anyOf = { { enum = values }, { type = "string", pattern = ENV } } }
end

local STEP = { anyOf = { { type = "string" }, { type = "object", minProperties = 1 } } }

describe("JSON Schema", function()
  local cases = {
    { s.string(), { type = "string" } },
    { s.string { help = "what for", len = { 1, 9 } },
      { type = "string", description = "what for", minLength = 1, maxLength = 9 } },
    { s.string { len = { 5 } }, { type = "string", minLength = 2 } }, -- bytes, of which a character has up to four
    { s.string { match = "^%d+$", help = "digits" },
      { type = "string", description = "digits; must match the Lua pattern ^%d+$" } },
    { s.string { match = "^[^%c\127-\255]+$" },
      { type = "string", description = [[must match the Lua pattern ^[^%c\127-\255]+$]] } },
    { s.string { match = "^[äö]$" }, { type = "string", description = "must match the Lua pattern ^[äö]$" } },
    { s.string { one_of = { "a", "b" }, default = "a" }, or_env({ "a", "b" }, "a") },
    { s.integer { gt = 0, le = 10, default = 5 },
      { type = { "integer", "string" }, pattern = ENV, exclusiveMinimum = 0, maximum = 10, default = 5 } },
    { s.number { ge = 0, lt = 1 },
      { type = { "number", "string" }, pattern = ENV, minimum = 0, exclusiveMaximum = 1 } },
    { s.boolean { default = false }, { type = { "boolean", "string" }, pattern = ENV, default = false } },
    { s.status { ge = 400 }, { type = { "integer", "string" }, pattern = ENV, minimum = 400, maximum = 599 } },
    { s.size(), { type = { "integer", "string" }, minimum = 0,
      pattern = [[^[0-9]+\.?[0-9]* ?(([KMGT]i?)?B)?$|]] .. ENV } },
    { s.duration { gt = 0 }, { type = { "number", "string" }, exclusiveMinimum = 0,
      pattern = [[^[0-9]+\.?[0-9]*(ms|s|m|h|d)$|]] .. ENV } },
    { s.url(), { type = "string", pattern = "^https?://|" .. ENV } },
    { s.enum { "a", 2 }, or_env { "a", 2 } },
    { s.any(), {} },
    { s.list(s.any(), { len = { 1, 2 } }), { type = "array", items = {}, minItems = 1, maxItems = 2 } },
    { s.list(s.string(), { single = true }),
      { anyOf = { { type = "string" }, { type = "array", items = { type = "string" } } } } },
    { s.map(s.any(), { len = { 1 }, keys = s.string() }),
      { type = "object", additionalProperties = {}, propertyNames = { type = "string" }, minProperties = 1 } },
    { s.steps { len = { 1, 9 } }, { type = "array", items = STEP, minItems = 1, maxItems = 9 } },
    { s.steps { single = true }, { anyOf = { STEP, { type = "array", items = STEP } } } },
    { s.any_of { s.string(), s.any() }, { anyOf = { { type = "string" }, {} } } },
  }
  for i, case in ipairs(cases) do
    it(("of %s (%d)"):format(case[1].kind, i), function() assert.same(case[2], property(case[1])) end)
  end

  it("of a record has its fields and no others", function()
    assert.same({
      ["$schema"] = "https://json-schema.org/draft/2020-12/schema",
      title = "gate", description = "Opens",
      type = "object", additionalProperties = false, required = { "b" },
      properties = { a = { type = "string" }, b = { type = "string" } },
    }, json_schema.of {
      name = "gate", summary = "Opens", schema = s.record { a = s.string(), b = s.string { required = true } },
    })
  end)

  it("of a policy without a schema takes anything", function()
    assert.same({ ["$schema"] = "https://json-schema.org/draft/2020-12/schema", title = "gate" },
      json_schema.of { name = "gate" })
  end)

  it("is JSON, with lists that stay lists when they are empty", function()
    local text = json.encode(json_schema.of { name = "x", schema = s.record {
      list = s.list(s.string(), { default = {} }),
      map = s.record({ a = s.list(s.string(), { default = { "b" } }) }, { default = {} }),
    } }, { sort = true })
    assert.matches('"list":{"default":[]', text, 1, true)
    assert.matches('"map":{"additionalProperties":false,"default":{}', text, 1, true)
    assert.matches('"default":["b"]', text, 1, true)
  end)
end)
