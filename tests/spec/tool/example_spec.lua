-- The example that `moongate policy NAME` shows.

require "moongate.core" -- brings `moongate.yaml` along

local example = require "moongate.tool.example"
local s = require "moongate.schema"
local yaml = require "moongate.yaml"

describe("example", function()
  it("has values that fit", function()
    local schema = s.record {
      a = s.integer { required = true, ge = 5000, le = 6000 },
      b = s.string { match = "^%d+:%d+$", help = "a range, 10:20 or more" },
      c = s.enum { "one", "two" },
      d = s.map(s.duration { le = 2 }, { keys = s.header_name() }),
      e = s.list(s.record { host = s.string { required = true } }, { len = { 2 } }),
      f = s.any_of { s.number { lt = 0 }, s.string() },
    }
    local value = example.value(schema)
    assert.is_truthy(schema:validate(value))
    assert.equal("10:20", value.b)
    assert.equal("one", value.c)
    assert.equal(2, #value.e)
    assert.is_true(value.f < 0)
  end)

  it("keeps the rules between fields", function()
    local schema = s.record { a = s.string(), b = s.string(), c = s.string() }:check(function(conf)
      if conf.a and conf.b then return "only one of them" end
      if not conf.a and not conf.b then return "one of them" end
    end)
    assert.same({ a = "text", c = "text" }, example.value(schema))
  end)

  it("is nil where no value is found", function()
    assert.is_nil(example.value(s.record { a = s.string { required = true, match = "^q+%d%d%d$" } }))
    assert.is_nil(example.yaml("x", s.record { a = s.string { required = true, match = "^q+%d%d%d$" } }))
    assert.same({}, example.value(s.record { a = s.string { match = "^q+%d%d%d$" } }))
  end)

  it("shows what is required, then what has no default, in six lines", function()
    local fields = { z = s.string { required = true }, a = s.integer { default = 3 } }
    for i = 1, 9 do fields["f" .. i] = s.boolean() end
    local value = example.value(s.record(fields))
    assert.is_string(value.z)
    assert.is_nil(value.a)
    local count = 0
    for _ in pairs(value) do count = count + 1 end
    assert.equal(6, count)
  end)

  it("is a name alone without options", function()
    assert.equal("- plain", example.yaml("plain"))
    assert.equal("- plain", example.yaml("plain", s.record {}))
  end)

  it("is a step in YAML", function()
    local schema = s.record {
      names = s.list(s.header_name(), { single = true, required = true }),
      wait = s.duration { default = "10s" },
      on = s.boolean { default = true },
    }
    assert.equal("- x:\n    names: [X-Name]\n    on: false\n    wait: 10s # the default", example.yaml("x", schema))
    local steps = yaml.parse(example.yaml("x", schema), "x.yaml")
    assert.same({ { x = { names = { "X-Name" }, on = false, wait = "10s" } } }, steps)
  end)

  it("breaks long values into lines", function()
    local long = s.list(s.string(), { default = { ("a"):rep(50), ("b"):rep(50) } })
    local text = example.yaml("x", s.record { long = long, map = s.map(long) })
    assert.same({ { x = {
      long = { ("a"):rep(50), ("b"):rep(50) }, map = { name = { ("a"):rep(50), ("b"):rep(50) } },
    } } }, (yaml.parse(text, "x.yaml")))
    for line in text:gmatch "[^\n]+" do assert.is_true(#line <= 80) end
  end)
end)
