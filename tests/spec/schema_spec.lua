local s = require "moongate.schema"
require "moongate.core" -- brings moongate.yaml along
local yaml = require "moongate.yaml"

-- Each error as "path: message".
local function faults(schema, value, ctx)
  local checked, errors = schema:validate(value, ctx)
  if errors then assert.is_nil(checked) end
  local out = {}
  for i, e in ipairs(errors or {}) do out[i] = (e.path ~= "" and e.path .. ": " or "") .. e.message end
  return out
end

local function value_of(schema, value, ctx)
  local checked, errors = schema:validate(value, ctx)
  assert.is_nil(errors and errors[1].message)
  return checked
end

describe("scalar kinds", function()
  local good = {
    { s.string(), "x", "x" },
    { s.string {}, "", "" },
    { s.number(), 1.5, 1.5 },
    { s.number(), 3, 3 },
    { s.integer(), 4.0, 4 },
    { s.boolean(), false, false },
    { s.duration(), "200ms", 0.2 },
    { s.duration(), "10s", 10 },
    { s.duration(), "1m", 60 },
    { s.duration(), "1.5h", 5400 },
    { s.duration(), "1d", 86400 },
    { s.duration(), 2.5, 2.5 },
    { s.size(), "64KiB", 65536 },
    { s.size(), "1.5 MiB", 1572864 },
    { s.size(), "1GiB", 1 << 30 },
    { s.size(), "2KB", 2000 },
    { s.size(), "3MB", 3000000 },
    { s.size(), "512", 512 },
    { s.size(), 7, 7 },
    { s.header_name(), "X-User-Id", "X-User-Id" },
    { s.header_value(), "a b\tc", "a b\tc" },
    { s.method(), "PATCH", "PATCH" },
    { s.status(), 404, 404 },
    { s.url(), "https://a.example:8443/x?y=1", "https://a.example:8443/x?y=1" },
    { s.url(), "http://[::1]/", "http://[::1]/" },
    { s.cidr(), "10.0.0.0/8", "10.0.0.0/8" },
    { s.cidr(), "2001:db8::/32", "2001:db8::/32" },
    { s.cidr(), "::ffff:1.2.3.4", "::ffff:1.2.3.4" },
    { s.name(), "users-v1", "users-v1" },
    { s.expr(), "${auth.subject} ${header.x-id} ${res.header.a}", "${auth.subject} ${header.x-id} ${res.header.a}" },
    { s.expr(), "${client_ip}$", "${client_ip}$" },
    { s.enum { "a", 2 }, 2, 2 },
  }
  for i, case in ipairs(good) do
    it(("reads %s %s (%d)"):format(case[1].kind, tostring(case[2]), i), function()
      local got = value_of(case[1], case[2])
      assert.equal(case[3], got)
      assert.equal(math.type(case[3]), math.type(got))
    end)
  end

  local bad = {
    { s.string(), 5, "expected string, got number 5" },
    { s.string(), true, "expected string, got boolean true" },
    { s.string(), {}, "expected string, got list" },
    { s.string(), { a = 1 }, "expected string, got map" },
    { s.string(), print, "expected string, got function" },
    { s.integer(), "9", 'expected integer, got string "9"' },
    { s.integer(), 1.5, "expected integer, got number 1.5" },
    { s.number(), "a\nb", 'expected number, got string "a\\nb"' },
    { s.number(), ("x"):rep(50), 'expected number, got string "' .. ("x"):rep(40) .. '..."' },
    { s.number(), 0 / 0, "expected number, got number " .. tostring(0 / 0) },
    { s.boolean(), "yes", 'expected boolean, got string "yes"' },
    { s.duration(), "10", 'expected duration (200ms, 10s, 5m, 1h, 1d), got string "10"' },
    { s.duration(), -1, "expected duration (200ms, 10s, 5m, 1h, 1d), got number -1" },
    { s.size(), "1kb", 'expected size (64KiB, 10MiB, 1GiB), got string "1kb"' },
    { s.size(), "0.3B", 'expected size (64KiB, 10MiB, 1GiB), got string "0.3B"' },
    { s.header_name(), "X User", 'expected header name, got string "X User"' },
    { s.header_value(), "a\r\nb: c", 'expected header value, got string "a?\\nb: c"' },
    { s.method(), "get", [[expected method in upper case, got string "get", did you mean 'GET'?]] },
    { s.status(), 42, "expected status (100 to 599), got number 42" },
    { s.url(), "ftp://x", 'expected URL (http://... or https://...), got string "ftp://x"' },
    { s.url(), "http://a b/", 'expected URL (http://... or https://...), got string "http://a b/"' },
    { s.url(), "http://user@x/", 'expected URL (http://... or https://...), got string "http://user@x/"' },
    { s.cidr(), "10.0.0.0/33", 'expected address or network (10.0.0.0/8, ::1), got string "10.0.0.0/33"' },
    { s.cidr(), "010.0.0.1", 'expected address or network (10.0.0.0/8, ::1), got string "010.0.0.1"' },
    { s.cidr(), "1::2::3", 'expected address or network (10.0.0.0/8, ::1), got string "1::2::3"' },
    { s.enum { "a", "b" }, "c", 'must be one of "a", "b"' },
    { s.expr(), "${auth.subject", "'${' without its '}'" },
    { s.expr(), "${}", "nothing between '${' and '}'" },
    { s.expr(), "${header.}", "'${header.}' needs a name after the dot" },
    { s.expr(), "${clientip}", "unknown name 'clientip' in '${clientip}', did you mean 'client_ip'?" },
    { s.expr(), "${headers.x}", "unknown name 'headers.x' in '${headers.x}', did you mean 'header.x'?" },
    { s.number { gt = 0 }, 0, "must be > 0" },
    { s.number { ge = 1 }, 0, "must be >= 1" },
    { s.duration { lt = 10 }, "10s", "must be < 10" },
    { s.integer { le = 3 }, 4, "must be <= 3" },
    { s.string { one_of = { "a", "b" } }, "c", 'must be one of "a", "b"' },
    { s.string { match = "^x" }, "y", 'must match "^x"' },
    { s.string { len = { 1 } }, "", "must have at least 1 character" },
    { s.string { len = { nil, 2 } }, "abc", "must have at most 2 characters" },
    { s.list(s.string(), { len = { 1 } }), {}, "must have at least 1 item" },
    { s.map(s.string(), { len = { 2 } }), { a = "b" }, "must have at least 2 entries" },
    { s.string { required = true }, nil, "is required (string)" },
    { s.duration { required = true }, nil, "is required (duration)" },
    { s.enum { "a", "b", required = true }, nil, 'is required (one of "a", "b")' },
  }
  for i, case in ipairs(bad) do
    it(("refuses %s %s (%d)"):format(case[1].kind, tostring(case[2]):gsub("%c", "?"), i), function()
      assert.same({ case[3] }, faults(case[1], case[2]))
    end)
  end
end)

describe("records", function()
  local bucket = s.record {
    rate = s.number { required = true, gt = 0 },
    burst = s.integer { required = true, gt = 0 },
    by = s.string { default = "consumer", one_of = { "consumer", "ip" } },
  }

  it("fill in defaults, in a copy", function()
    local conf = { rate = 1, burst = 2 }
    assert.same({ rate = 1, burst = 2, by = "consumer" }, value_of(bucket, conf))
    assert.is_nil(conf.by)
  end)

  it("tell every error, with path, line and column", function()
    local value, positions = yaml.parse('limits:\n  rat: 1\n  burst: "9"\n  by: me\n')
    local ok, errors = bucket:validate(value.limits, {
      path = "routes[0].policies[1].token-bucket", positions = positions, file = "moongate.yaml" })
    assert.is_nil(ok)
    local path, file = "routes[0].policies[1].token-bucket", "moongate.yaml"
    assert.same({
      { path = path .. ".rat", message = "unknown field, did you mean 'rate'?", line = 2, col = 3, file = file },
      { path = path .. ".rate", message = "is required (number)", line = 2, col = 3, file = file },
      { path = path .. ".burst", message = 'expected integer, got string "9"', line = 3, col = 10, file = file },
      { path = path .. ".by", message = 'must be one of "consumer", "ip"', line = 4, col = 7, file = file },
    }, errors)
  end)

  it("list the known fields when none is near", function()
    assert.same({ "zzz: unknown field; known are 'burst', 'by', 'rate'" },
      faults(bucket, { rate = 1, burst = 1, zzz = 1 }))
  end)

  it("count null as absent", function()
    assert.same({ "burst: is required (integer)" }, faults(bucket, { rate = 1, burst = yaml.null, by = yaml.null }))
  end)

  it("refuse lists and scalars", function()
    assert.same({ "expected map, got list" }, faults(bucket, { 1, 2 }))
    assert.same({ 'expected map, got string "x"' }, faults(bucket, "x"))
  end)

  it("run rules between fields, blaming the field that is named", function()
    local range = s.record { min = s.integer(), max = s.integer() }:check(function(v)
      if v.min and v.max and v.min > v.max then return "must not be below 'min'", "max" end
    end):check(function(v)
      if not v.min and not v.max then return "needs one of 'min', 'max'" end
    end)
    assert.same({ "max: must not be below 'min'" }, faults(range, { min = 3, max = 2 }))
    assert.same({ "needs one of 'min', 'max'" }, faults(range, {}))
    assert.same({ 'max: expected integer, got string "a"' }, faults(range, { min = 3, max = "a" }))
    assert.same({ min = 1, max = 1 }, value_of(range, { min = 1, max = 1 }))
  end)

  it("give each use its own copy of a default", function()
    local schema = s.record { list = s.list(s.string(), { default = { "a" } }), sub = s.record({
      n = s.integer { default = 5 } }, { default = {} }) }
    local first, second = value_of(schema, {}), value_of(schema, {})
    assert.same({ list = { "a" }, sub = { n = 5 } }, first)
    assert.are_not.equal(first.list, second.list)
  end)
end)

describe("lists and maps", function()
  it("name the item that is wrong", function()
    assert.same({ "[1]: expected string, got number 5", "[2]: expected string, got null" },
      faults(s.list(s.string()), { "a", 5, yaml.null }))
    assert.same({ "expected list, got map" }, faults(s.list(s.string()), { a = "b" }))
  end)

  it("take one item without its list when single", function()
    local names = s.list(s.string(), { single = true })
    assert.same({ "a" }, value_of(names, "a"))
    assert.same({ "a", "b" }, value_of(names, { "a", "b" }))
    assert.same({ "expected string or list, got number 5" }, faults(names, 5))
  end)

  it("check the keys of a map", function()
    local headers = s.map(s.string(), { keys = s.header_name() })
    assert.same({ ["X-A"] = "1" }, value_of(headers, { ["X-A"] = "1" }))
    assert.same({ '["x a"]: expected header name as key, got "x a"' }, faults(headers, { ["x a"] = "1" }))
    assert.same({ "a: expected string, got null" }, faults(headers, { a = yaml.null }))
  end)

  it("take numbers as keys of a map in Lua", function()
    assert.same({ ["404"] = 5 }, value_of(s.map(s.duration()), { [404] = "5s" }))
  end)

  it("tell [] from {} where there are positions", function()
    local value, positions = yaml.parse("a: []\nb: {}")
    local ctx = { positions = positions }
    assert.same({ "expected map, got list" }, faults(s.map(s.string()), value.a, ctx))
    assert.same({ "expected list, got map" }, faults(s.list(s.string()), value.b, ctx))
    assert.same({}, faults(s.map(s.string()), {}))
    assert.same({}, faults(s.list(s.string()), {}))
  end)
end)

describe("any_of", function()
  local workers = s.any_of { s.enum { "auto" }, s.integer { gt = 0 } }

  it("takes the first that fits", function()
    assert.equal("auto", value_of(workers, "auto"))
    assert.equal(4, value_of(workers, 4))
  end)

  it("names all choices, or the fault of the only one it can be", function()
    assert.same({ 'expected "auto" or integer, got string "four"' }, faults(workers, "four"))
    assert.same({ "must be > 0" }, faults(workers, 0))
    local either = s.any_of { s.string(), s.record { a = s.integer() } }
    assert.same({ 'a: expected integer, got string "x"' }, faults(either, { a = "x" }))
    assert.same({ "expected string or map, got number 5" }, faults(either, 5))
  end)

  it("keeps the errors of the choice that got furthest", function()
    local either = s.any_of { s.record { a = s.integer { required = true } }, s.record { b = s.list(s.integer()) } }
    assert.same({ 'b[0]: expected integer, got string "x"' }, faults(either, { b = { "x" } }))
  end)
end)

describe("any", function()
  it("copies", function()
    local value = { a = { 1, yaml.null } }
    local copy = value_of(s.any(), value)
    assert.same(value, copy)
    assert.are_not.equal(value.a, copy.a)
  end)

  it("refuses a table that holds itself", function()
    local value = {}
    value.value = value
    assert.same({ "nested deeper than 100 levels" }, faults(s.any(), value))
  end)
end)

describe("names of other parts", function()
  it("must exist when they are known", function()
    local schema = s.record { secret = s.secret(), service = s.service(), key = s.key() }
    local conf = { secret = "jwtt", service = "user", key = "main" }
    assert.same({}, faults(schema, conf))
    local used = { secrets = {}, services = {}, keys = {} }
    assert.same({
      "key: unknown key 'main'",
      "secret: unknown secret 'jwtt', did you mean 'jwt'?",
      "service: unknown service 'user', did you mean 'users'?",
    }, faults(schema, conf, { secrets = { jwt = true }, services = { users = true }, keys = {}, used = used }))
    assert.equal("users", value_of(s.service(), "users", { services = { users = true }, used = used }))
    assert.is_true(used.services.users)
  end)
end)

describe("strings from the environment", function()
  it("may stand for numbers, and are never shown", function()
    local schema = s.record { port = s.integer(), on = s.boolean(), any = s.any_of { s.enum { "auto" }, s.integer() } }
    local conf = { port = "8080", on = "true", any = "7" }
    local from_env = { [conf] = { port = true, on = true, any = true } }
    assert.same({ port = 8080, on = true, any = 7 }, value_of(schema, conf, { from_env = from_env }))
    conf.port = "hunter2"
    assert.same({ "port: expected integer, got string from the environment" },
      faults(schema, conf, { from_env = from_env }))
  end)
end)

describe("a schema", function()
  it("is plain data", function()
    local schema = s.record { by = s.enum { "a", "b", default = "a", help = "who" } }
    assert.equal("record", schema.kind)
    assert.equal("enum", schema.fields.by.kind)
    assert.same({ "a", "b" }, schema.fields.by.values)
    assert.equal("who", schema.fields.by.help)
  end)

  local misuse = {
    { "s.string: unknown option 'requird', did you mean 'required'?",
      function() return (s.string { requird = true }) end },
    { "s.boolean: unknown option 'gt'; known are 'default', 'help', 'required'",
      function() return (s.boolean { gt = 1 }) end },
    { 's.integer: bad default: expected integer, got string "x"', function() return (s.integer { default = "x" }) end },
    { "s.string: expected a table of options, got string", function() return (s.string "x") end },
    { "s.list: expected a schema of its items", function() return (s.list {}) end },
    { "s.record: field 'a' is no schema", function() return (s.record { a = 1 }) end },
    { "s.enum: expected at least one value", function() return (s.enum { default = 1 }) end },
    { "s.any_of: choice 2 is no schema", function() return (s.any_of { s.any(), 2 }) end },
  }
  for _, case in ipairs(misuse) do
    it("blames its author's line: " .. case[1], function()
      local ok, fault = pcall(case[2])
      assert.is_false(ok)
      assert.matches("schema_spec.lua:%d+: ", fault)
      assert.equal(case[1], (fault:gsub("^.-:%d+: ", "")))
    end)
  end
end)
