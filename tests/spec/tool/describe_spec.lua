-- What `moongate policy NAME` says of options.

require "moongate.core" -- brings `moongate.yaml` along

local s = require "moongate.schema"
local describe_schema = require "moongate.tool.describe"

-- Each row as "path: type; facts - help".
local function rows(schema)
  local out = {}
  for i, row in ipairs(describe_schema.options(schema)) do
    local facts = #row.facts > 0 and "; " .. table.concat(row.facts, "; ") or ""
    out[i] = row.path .. ": " .. row.type .. facts .. (row.help and " - " .. row.help or "")
  end
  return out
end

-- The only row of a record with one field.
local function row(schema)
  return (rows(s.record { x = schema })[1]:gsub("^x: ", ""))
end

describe("description of an option", function()
  local cases = {
    { s.string(), "string" },
    { s.string { help = "what for" }, "string - what for" },
    { s.string { required = true, len = { 1, 5 } }, "string; required; 1 to 5 characters" },
    { s.string { len = { 1 } }, "string; at least 1 character" },
    { s.string { len = { nil, 9 } }, "string; at most 9 characters" },
    { s.string { match = "^%d+$", default = "1" }, 'string; default "1"; matches ^%d+$' },
    { s.string { one_of = { "a", "b", "c d" } }, 'string; a, b or "c d"' },
    { s.integer { ge = 1, le = 10 }, "integer; 1 to 10" },
    { s.number { gt = 0, lt = 1 }, "number; more than 0, less than 1" },
    { s.duration { ge = 1, default = "10s" }, "duration; default 10s; at least 1s" },
    { s.duration { gt = 0 }, "duration; more than 0" },
    { s.size { le = 1 << 20 }, "size; at most 1MiB" },
    { s.size { ge = 1000, le = 3 << 30 }, "size; 1000 to 3GiB" },
    { s.boolean { default = false }, "boolean; default false" },
    { s.cidr(), "address or network" },
    { s.expr(), "expression" },
    { s.service(), "service name" },
    { s.enum { "a", "b", default = "a" }, "a or b; default a" },
    { s.any(), "any value" },
    { s.list(s.string()), "list of strings" },
    { s.list(s.cidr()), "list of addresses or networks" },
    { s.list(s.method(), { single = true, len = { 1 } }), "method, or a list of them; at least 1 item" },
    { s.list(s.string(), { default = {} }), "list of strings; default []" },
    { s.list(s.list(s.integer())), "list of lists of integers" },
    { s.map(s.integer()), "map of names to integers" },
    { s.map(s.expr(), { keys = s.header_name(), len = { nil, 3 } }),
      "map of header names to expressions; at most 3 entries" },
    { s.steps { len = { 1 } }, "list of steps; at least 1 step" },
    { s.steps { single = true }, "step or list of steps" },
    { s.map(s.steps()), "map of names to lists of steps" },
    { s.list(s.steps()), "list of lists of steps" },
    { s.list(s.steps { single = true }), "list of steps or lists of steps" },
    { s.any_of { s.status { ge = 200 }, s.enum { "keep" } }, "status (at least 200) or keep" },
    { s.any_of { s.string(), s.string { match = "x" }, s.list(s.number()) }, "string or list of numbers" },
    { s.record({}, { default = {} }), "map" },
  }
  for _, case in ipairs(cases) do
    it(case[2], function() assert.equal(case[2], row(case[1])) end)
  end

  it("names a kind that it does not know", function()
    local moon_phase = s.define("moon_phase", {})
    assert.equal("moon phase; required", row(moon_phase { required = true }))
  end)
end)

describe("options", function()
  it("have what is required first, then the order of the alphabet", function()
    assert.same({ "m: string; required", "z: string; required", "a: string", "b: string" }, rows(s.record {
      b = s.string(), z = s.string { required = true }, a = s.string(), m = s.string { required = true },
    }))
  end)

  it("of records, lists and maps have paths", function()
    assert.same({
      "by: map",
      "by.name: string; required",
      "list: list of maps - of both",
      "list[].at: duration",
      "map: map of names to maps",
      "map{name}.n: integer",
      "names: list of strings",
      "names[]: string; 1 to 9 characters",
      "plain: list of strings",
    }, rows(s.record {
      by = s.record { name = s.string { required = true } },
      list = s.list(s.record { at = s.duration() }, { help = "of both" }),
      map = s.map(s.record { n = s.integer() }),
      names = s.list(s.string { len = { 1, 9 } }),
      plain = s.list(s.string()),
    }))
  end)

  it("of alternatives are all there", function()
    assert.same({ "x: string or map", "x.a: string" }, rows(s.record { x = s.any_of { s.string(), s.record {
      a = s.string(),
    } } }))
  end)

  it("are one, when it is no map", function()
    assert.same({ "(itself): list of strings; at least 1 item" }, rows(s.list(s.string(), { len = { 1 } })))
  end)

  it("are none without a schema or fields", function()
    assert.same({}, rows(nil))
    assert.same({}, rows(s.record {}))
  end)
end)

describe("a value in one line", function()
  local yaml = require "moongate.yaml"
  local values = {
    "", "a", "a b", "ä", "true", "True", "null", "NULL", "~", "12", "1.5", "0xB", "0xff", "1e3", "10s",
    "64KiB", "200ms", "-", "- a", "a: b", "#", "*", "&a", "!x", "|", ">", "%", "@", "`", "'", '"', "\\", "a\nb",
    "\t", "\r\n", "a #b", "/path/{id}", "10.0.0.0/8", "${client_ip}", "[", "{", "?", "yes", ".inf",
    "2026-01-01", 1, 0.5, true, false,
  }
  for i, value in ipairs(values) do
    it(("is YAML: %d"):format(i), function()
      assert.same({ x = value }, (yaml.parse("x: " .. describe_schema.inline(value), "x.yaml")))
      assert.same({ x = { value, { k = value } } },
        (yaml.parse("x: " .. describe_schema.inline { value, { k = value } }, "x.yaml")))
    end)
  end
end)
