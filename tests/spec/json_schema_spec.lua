-- moongate.json_schema: each keyword with a value that fits and one that does not. How errors look, and what is refused
-- as a schema.

local T = require "moongate.test"
local mg = require "moongate"
local json_schema = require "moongate.json_schema"

local _ = T -- brings the modules along

local function decode(text)
  local value, err = mg.json.decode(text, { big = "float" })
  assert(value ~= nil, tostring(err))
  return value
end

local function compile(text, options) return assert(json_schema.compile(decode(text), options)) end

-- "pointer keyword" of each error.
local function errors_of(validator, value)
  local out = {}
  for i, err in ipairs(validator:check(value) or {}) do out[i] = err.pointer .. " " .. err.keyword end
  return out
end

-- { schema, values that fit, values that do not }, all as JSON.
local CASES = {
  { "true", { "1", "null", "{}" }, {} },
  { "false", {}, { "1", "null" } },
  { "{}", { "1", "[]" }, {} },
  { '{"type":"integer"}', { "1", "-0", "1.0", "1e3", "123456789012345678901234567890" }, { "1.5", '"1"', "null" } },
  { '{"type":"number"}', { "1", "1.5" }, { "true" } },
  { '{"type":["null","array"]}', { "null", "[]", "[1]" }, { "{}", "false" } },
  { '{"type":"object"}', { "{}", '{"a":1}' }, { "[]", '"a"' } },
  { '{"enum":[1,"a",null,[1],{"a":[]}]}', { "1.0", '"a"', "null", "[1.0]", '{"a":[]}' },
    { "2", "[]", '{"a":{}}', '{"a":[],"b":1}', "[1,1]", "true" } },
  { '{"const":{"a":[1,{"b":2}]}}', { '{"a":[1,{"b":2.0}]}' }, { '{"a":[1,{"b":3}]}', "{}" } },
  { '{"const":9007199254740993}', { "9007199254740993" }, { "9007199254740992", "9007199254740993.0" } },
  { '{"const":[9007199254740993]}', { "[9007199254740993]" }, { "[9007199254740992]" } },
  { '{"minimum":2,"maximum":4}', { "2", "4", '"x"' }, { "1.9", "5" } },
  { '{"exclusiveMinimum":2,"exclusiveMaximum":4}', { "2.1", "3" }, { "2", "4" } },
  { '{"multipleOf":3}', { "0", "9", "9.0", "-6" }, { "10", "9.5" } },
  { '{"multipleOf":0.01}', { "0.07", "19.99", "4.35", "1e300", "100" }, { "0.075", "19.991" } },
  { '{"multipleOf":1e-8}', { "12391239123" }, { "1e-9" } },
  { '{"minLength":2,"maxLength":3}', { '"\\u00e4\\u00e4"', '"abc"', '"\\ud83d\\udca9\\ud83d\\udca9"', "1" },
    { '"a"', '"abcd"', '"\\ud83d\\udca9"' } },
  { '{"pattern":"b+"}', { '"abbc"', "1" }, { '"ac"', '""' } },
  { '{"items":{"type":"integer"}}', { "[]", "[1,2]", "{}" }, { '[1,"a"]' } },
  { '{"items":false}', { "[]" }, { "[1]" } },
  { '{"prefixItems":[{"type":"integer"},true],"items":{"type":"null"}}', { "[1]", '[1,"x",null]', "[]" },
    { '["x"]', "[1,2,3]" } },
  { '{"minItems":1,"maxItems":2}', { "[1]", "[1,2]", "{}" }, { "[]", "[1,2,3]" } },
  { '{"uniqueItems":true}', { "[1,2]", '[1,"1",true,null,[],{},[1]]', '[["a","b"],["ab"]]', '[{"a":1},{"a":2}]' },
    { "[1,1.0]", '["a","a"]', "[[1],[1.0]]", '[{"a":1,"b":2},{"b":2,"a":1}]', "[null,null]" } },
  { '{"uniqueItems":false}', { "[1,1]" }, {} },
  { '{"contains":{"const":1}}', { "[0,1]", "{}" }, { "[]", "[0]" } },
  { '{"contains":{"const":1},"minContains":2,"maxContains":3}', { "[1,1]", "[1,1,1,0]" }, { "[1]", "[1,1,1,1]" } },
  { '{"contains":{"const":1},"minContains":0}', { "[]", "[0]" }, {} },
  { '{"minContains":2}', { "[]" }, {} },
  { '{"minProperties":1,"maxProperties":2}', { '{"a":1}', '{"a":1,"b":1}' }, { "{}", '{"a":1,"b":1,"c":1}' } },
  { '{"required":["a"]}', { '{"a":null}', "1" }, { "{}", '{"b":1}' } },
  { '{"dependentRequired":{"a":["b"]}}', { "{}", '{"b":1}', '{"a":1,"b":1}' }, { '{"a":1}' } },
  { '{"dependentSchemas":{"a":{"minProperties":2}}}', { "{}", '{"a":1,"b":1}' }, { '{"a":1}' } },
  { '{"propertyNames":{"maxLength":1}}', { '{"a":1}' }, { '{"ab":1}' } },
  { [[{"properties":{"a":{"type":"null"}},"patternProperties":{"^b":true,"c$":{"type":"null"}},
      "additionalProperties":false}]],
    { '{"a":null,"b":1}', '{"bc":null}' }, { '{"a":1}', '{"x":1}', '{"bc":1}' } },
  { '{"additionalProperties":{"type":"null"}}', { "{}", '{"a":null}' }, { '{"a":1}' } },
  { '{"allOf":[{"minimum":1},{"maximum":2}]}', { "1" }, { "0", "3" } },
  { '{"anyOf":[{"type":"null"},{"minimum":2}]}', { "null", "2" }, { "1" } },
  { '{"oneOf":[{"minimum":2},{"maximum":3}]}', { "1", "4" }, { "2" } },
  { '{"oneOf":[{"type":"null"},{"type":"string"}]}', { "null" }, { "2" } },
  { '{"not":{"type":"null"}}', { "1" }, { "null" } },
  { '{"if":{"minimum":5},"then":{"multipleOf":5},"else":{"const":1}}', { "10", "1" }, { "11", "2" } },
  { '{"then":false,"else":false}', { "1" }, {} },
  { '{"$defs":{"a":{"type":"null"}},"items":{"$ref":"#/$defs/a"}}', { "[null]" }, { "[1]" } },
  { '{"$ref":"#/$defs/a%25~1~0b","$defs":{"a%/~b":{"type":"null"}}}', { "null" }, { "1" } },
  { '{"$ref":"#x","$defs":{"a":{"$anchor":"x","type":"null"}}}', { "null" }, { "1" } },
  { '{"$id":"http://a/b/c","$ref":"../d","$defs":{"a":{"$id":"http://a/d","type":"null"}}}', { "null" }, { "1" } },
  { '{"properties":{"next":{"$ref":"#"},"v":{"type":"null"}}}', { '{"next":{"next":{"v":null}}}' },
    { '{"next":{"next":{"v":1}}}' } },
  { [[{"unevaluatedProperties":false,"allOf":[{"properties":{"a":true}}],
      "anyOf":[{"properties":{"b":{"const":1}}},true]}]],
    { '{"a":1}', '{"a":1,"b":1}' }, { '{"b":2}', '{"c":1}' } },
  { '{"unevaluatedProperties":false,"if":{"required":["a"],"properties":{"a":true}},"then":{"properties":{"b":true}}}',
    { '{"a":1,"b":1}' }, { '{"b":1}' } },
  { '{"allOf":[{"unevaluatedProperties":true}],"unevaluatedProperties":false}', { '{"a":1}' }, {} },
  { '{"unevaluatedItems":false,"prefixItems":[true],"contains":{"const":2}}', { "[1,2]", "[2]" }, { "[2,3]" } },
  { '{"unevaluatedItems":false,"allOf":[{"items":true}]}', { "[1,2]" }, {} },
  { '{"unevaluatedItems":{"type":"null"}}', { "[null]" }, { "[1]" } },
  { [[{"$id":"http://t/s","$ref":"tree","$dynamicAnchor":"n","unevaluatedProperties":false,
      "$defs":{"tree":{"$id":"tree","$dynamicAnchor":"n",
      "properties":{"v":true,"c":{"items":{"$dynamicRef":"#n"}}}}}}]],
    { '{"c":[{"v":1}]}' }, { '{"c":[{"x":1}]}' } },
  { '{"nobody":5,"format":"nothing","default":1,"title":"t","definitions":{"a":true}}', { "1", '"a"' }, {} },
}

local FORMATS = {
  ["date-time"] = { { "2026-02-28T23:59:59Z", "2026-02-28t00:00:00.123+01:30", "1998-12-31T23:59:60Z" },
    { "2026-02-28", "2026-02-28 00:00:00Z", "2026-02-28T00:00:00", "2026-02-28T00:00:60Z", "2026-02-28T24:00:00Z" } },
  date = { { "2024-02-29", "2000-02-29" }, { "2026-02-29", "1900-02-29", "2026-13-01", "2026-00-01", "2026-1-1" } },
  time = { { "00:00:00Z", "23:59:60Z", "00:59:60+01:00" },
    { "00:00:00", "00:00Z", "00:00:00.Z", "00:00:00+24:00", "22:59:60Z", "00:60:00Z" } },
  email = { { "a@b.c", "a.b+c@d-e.f", '"a b"@c', "a@[127.0.0.1]", "a@[IPv6:::1]" },
    { "a", "a@", "@b", ".a@b", "a..b@c", "a@b_c", "a b@c", "a@[1]", '"a"b"@c', "a@b@c" } },
  hostname = { { "a", "a.b-c", "xn--4gbwdl.xn--wgbh1c" }, { "", "-a", "a-", "a..b", "a.", "a_b", ("a"):rep(64),
    "ab--c" } },
  ipv4 = { { "0.0.0.0", "255.255.255.255" }, { "256.0.0.1", "1.2.3", "01.2.3.4", "::1", "::ffff:1.2.3.4" } },
  ipv6 = { { "::1", "2001:db8::", "::ffff:1.2.3.4" }, { "1.2.3.4", "12345::", ":::", "::1%eth0" } },
  uuid = { { "2EB8AA08-aa98-11ea-b4aa-73b441d16380" }, { "2eb8aa08aa9811eab4aa73b441d16380", "x",
    "2eb8aa08-aa98-11ea-b4aa-73b441d1638g" } },
  uri = { { "http://a/b?c#d", "urn:a:b", "http://[::1]:80/", "a:%20" },
    { "//a/b", "/a", "http://a b", "a:%2", "http://[::1", "http://a:x/", "a:\\", "http://a/[b]", "a:b#c#d" } },
  ["uri-reference"] = { { "//a/b", "/a", "", "#a", "a/b:c" }, { "\\a", "a b", "1a:b" } },
  duration = {
    { "P4DT12H30M5S", "P4Y", "P1Y2M3D", "P2M3D", "PT0S", "P1M", "PT1M", "PT1H2M", "P2W", "P1DT2M", "P0D" },
    { "", "P", "PT", "P1YT", "4D", "P1", "P1D2H", "PT1D", "P2D1Y", "P1Y3D", "PT1H3S", "P1Y2W", "P2WT1S", "P0.5D",
      "-P1D", "P-1D", "P1D\n", "P1H", "p1d", "PD", "P1Y1Y", "PT1S2T" },
  },
  ["idn-email"] = { { "a@b.c", "δοκιμή@παράδειγμα.gr", '"é"@b' },
    { "2962", "a＠b", "é é@b", "a@é..c", "a\xC3@b" } },
  iri = { { "http://ƒøø.ßår/?∂éœ=πîx#πîüx", "urn:a", "http://[::1]/é" },
    { "/abc", "âππ", "é:a", "http://[é]/", "http://a:é/", "a:\u{85}", "a:\xC3", "a:\\é", "http://a b" } },
  ["iri-reference"] = { { "âππ", "//é/ü", "", "a/b:c" }, { "\\é", "é:b", "a b" } },
  ["uri-template"] = {
    { "", "/a/{b}", "{+b,c:9999,d*}", "{?a.b,c_1}", "{%41}", "é%41'", "{a}{b}", "{#x}" },
    { "{}", "{a", "a}", "{a,,b}", "{a,}", "{a:0}", "{a:01}", "{a:10000}", "{a..b}", "{.}", "{a-b}", "{a*:1}", "{,+a}",
      "a b", "%4", "%4{a}1", "a|b", "<", "\127", "{a{b}}", "\xFF" },
  },
  regex = { { "^a+$", "\\p{L}", "", "(?<n>a)\\k<n>" }, { "(", "a**", "(?i)a", "\\a", ("a"):rep(1001) } },
  ["relative-json-pointer"] = { { "0", "1/a", "10#", "0/~0" },
    { "", "/a", "01/a", "-1", "0##", "0#/a", "0/~2", "1\n" } },
  ["json-pointer"] = { { "", "/a~0~1" }, { "a", "/~", "/~2" } },
}

-- { pattern, texts that match, texts that do not }
local PATTERNS = {
  { "^\\d+$", { "123" }, { "1a", "1\n", "߀" } }, { "^\\D$", { "a", "߀", "é" }, { "1" } },
  { "^\\w$", { "a", "_" }, { "é", "-" } }, { "^\\W$", { "é", "-", "߀" }, { "a", "9" } },
  { "^[\\D]$", { "a", "߀" }, { "1" } }, { "^[\\W]$", { "é", "@", "`", "{", "[" }, { "a", "Z", "_", "0" } },
  { "^[\\w\\d-]$", { "a", "-" }, { "é" } },
  { "^\\s$", { " ", "\u{a0}", "\u{feff}", "\u{2028}", "\v" }, { "a", "\u{200b}" } },
  { "^\\S$", { "a", "\u{200b}" }, { " ", "\u{feff}", "\u{2029}" } }, { "^[\\s]$", { "\u{feff}" }, { "a" } },
  { "^[\\S]$", { "a" }, { " " } }, { "^.$", { "é", "💩" }, { "\n", "\r", "\u{2028}" } },
  { "^\\u00e9\\u{1F4A9}\\uD83D\\uDCA9\\x41\\cA\\0\\v\\/$", { "é💩💩A\1\0\v/" }, { "" } },
  { "^[\\b\\-\\]]$", { "\b", "-", "]" }, { "b" } }, { "^[[:alpha:]]$", { "a]", ":]" }, { "x", "x]" } },
  { "^\\p{Letter}\\p{Lu}\\P{Script=Greek}\\p{gc=Nd}$", { "éÄa1" }, { "éäa1", "éÄα1" } },
  { "^(?<a>x)(?:y)(?=z)(?!q)(?<=y)(?<!x)z\\k<a>\\1$", { "xyzxx" }, { "xyz" } },
  { "^a{2,3}?b{1}c{1,}$", { "aabc" }, { "abc" } }, { "^[]$", {}, { "" } }, { "^[^]$", { "\n", "é" }, { "" } },
  { "^{$", { "{" }, {} }, { "^a|b$", { "ax", "xb" }, { "xa" } }, { "^\\^\\$\\.\\*\\+\\?\\(\\)\\[\\]\\{\\}\\|\\\\$",
    { "^$.*+?()[]{}|\\" }, {} },
}

local BAD_PATTERNS = {
  ["("] = "/pattern: bad regular expression at byte 1: missing", ["a**"] = "at character 3: nothing to repeat",
  ["a++"] = "nothing to repeat",
  ["(?i)a"] = "at character 1: no such group", ["(?>a)"] = "no such group", ["(*UTF)a"] = "nothing to repeat",
  ["\\Z"] = "'\\Z' is no escape", ["\\a"] = "no escape", ["\\h"] = "no escape", ["\\Qa\\E"] = "no escape",
    ["\\"] = "no escape",
  ["[a"] = "the class has no end", ["\\u12"] = "\\u wants four", ["\\uD800"] = "U+D800 is no character",
  ["\\x1"] = "\\x wants two", ["\\pL"] = "\\p wants a name", ["\\u{110000}"] = "is no character",
    ["[\\B]"] = "no escape",
  ["\\p{Bogus}"] = "bad regular expression", ["\\01"] = "no escape",
}

-- { schema, what is wrong }
local BAD = {
  { "5", "/: expected a schema" }, { "[]", "/: expected a schema" }, { '{"items":5}', "/items: expected a schema" },
  { '{"items":[]}', "/items: expected a schema" },
  { '{"type":"strng"}', '/type: unknown type "strng"' }, { '{"type":[]}', "/type: needs at least one type" },
  { '{"type":5}', "/type: unknown type 5" }, { '{"type":[5]}', "/type/0: expected a string" },
  { '{"enum":1}', "/enum: expected a list" }, { '{"minimum":"1"}', "/minimum: expected a number" },
  { '{"multipleOf":0}', "/multipleOf: must be more than 0" }, { '{"minLength":-1}', "/minLength: expected 0 or more" },
  { '{"maxItems":1.5}', "/maxItems: expected 0 or more" }, { '{"pattern":5}',
    "/pattern: expected a regular expression" },
  { '{"patternProperties":{"(":true}}', "/patternProperties/(: bad regular expression" },
  { '{"format":5}', "/format: expected a string" }, { '{"uniqueItems":1}', "/uniqueItems: expected true or false" },
  { '{"required":"a"}', "/required: expected a list of names" }, { '{"required":[1]}',
    "/required/0: expected a string" },
  { '{"properties":[1]}', "/properties: expected a map" }, { '{"properties":{"a/b":1}}',
    "/properties/a~1b: expected a schema" },
  { '{"dependentRequired":{"a":1}}', "/dependentRequired/a: expected a list" },
  { '{"allOf":[]}', "/allOf: needs at least one schema" }, { '{"anyOf":[1]}', "/anyOf/0: expected a schema" },
  { '{"contains":true,"minContains":-1}', "/minContains: expected 0 or more" },
  { '{"$defs":{"a":{"type":"x"}}}', "/$defs/a/type: unknown type" },
  { '{"$ref":"#/$defs/b"}', "/$ref: '#/$defs/b' is not in this document" }, { '{"$ref":5}',
    "/$ref: expected a string" },
  { '{"$ref":"http://a/b"}', "and nothing is fetched" }, { '{"$ref":"#nobody"}', "'#nobody' is not in this document" },
  { '{"$ref":"#/title","title":"t"}', "/$ref: names no schema" },
  { '{"$ref":"#"}', "/: refers to itself about the same value, without end" },
  { '{"$defs":{"a":{"anyOf":[{"not":{"$ref":"#/$defs/a"}}]}}}', "refers to itself" },
  { '{"$id":"a#b"}', "/$id: must not have a fragment" }, { '{"$id":5}', "/$id: expected a string" },
  { '{"$defs":{"a":{"$id":"x"},"b":{"$id":"x"}}}', "another schema has the $id 'x'" },
  { '{"$defs":{"a":{"$anchor":"x"},"b":{"$anchor":"x"}}}', "the anchor 'x' is there twice" },
  { '{"$anchor":"#x"}', "/$anchor: is no name" },
  { '{"$schema":"http://json-schema.org/draft-07/schema#"}', "/$schema: only draft 2020-12" },
}

describe("moongate.json_schema", function()
  for _, case in ipairs(CASES) do
    it("checks " .. case[1], function()
      local validator = compile(case[1])
      for _, text in ipairs(case[2]) do assert.same({ text }, { text, table.unpack(errors_of(validator,
        decode(text))) }) end
      for _, text in ipairs(case[3]) do
        local found = errors_of(validator, decode(text))
        assert.is_true(#found > 0, text)
      end
    end)
  end

  for name, texts in pairs(FORMATS) do
    it("checks the format " .. name, function()
      local validator = compile('{"format":"' .. name .. '"}')
      for _, text in ipairs(texts[1]) do assert.is_nil(validator:check(text), text) end
      for _, text in ipairs(texts[2]) do assert.same({ " format", text }, { errors_of(validator, text)[1], text }) end
      local lax = compile('{"format":"' .. name .. '"}', { formats = false })
      for _, text in ipairs(texts[2]) do assert.is_nil(lax:check(text), text) end
    end)
  end

  for _, case in ipairs(PATTERNS) do
    it("matches " .. case[1], function()
      local validator = assert(json_schema.compile { pattern = case[1] })
      for _, text in ipairs(case[2]) do assert.is_nil(validator:check(text), text) end
      for _, text in ipairs(case[3]) do assert.same({ " pattern", text }, { errors_of(validator, text)[1], text }) end
    end)
  end

  it("takes no pattern that is none of ECMA-262", function()
    for text, what in pairs(BAD_PATTERNS) do
      local validator, err = json_schema.compile { pattern = text }
      assert.is_nil(validator, text)
      assert.matches(what, err, 1, true)
    end
  end)

  for _, case in ipairs(BAD) do
    it("does not take " .. case[1], function()
      local validator, err = json_schema.compile(decode(case[1]))
      assert.is_nil(validator)
      assert.matches(case[2], err, 1, true)
    end)
  end

  it("takes empty lists of a config for lists", function()
    for _, keyword in ipairs { "required", "enum", "prefixItems" } do
      assert(json_schema.compile { [keyword] = {} })
    end
  end)

  it("tells all errors, in order, up to a limit", function()
    local validator = compile '{"properties":{"b":{"type":"null"},"a":{"items":{"minimum":2}}},"required":["c"]}'
    local value = decode '{"b":1,"a":[1,2,0]}'
    assert.same({ " required", "/a/0 minimum", "/a/2 minimum", "/b type" }, errors_of(validator, value))
    assert.equal(2, #validator:check(value, 2))
    assert.equal(1, #validator:check(value, 1))
    local many = {}
    for i = 1, 50 do many[i] = 0 end
    assert.equal(20, #compile '{"items":{"minimum":2}}':check(many))
  end)

  it("says what is wanted", function()
    local function said(schema, value) return assert(json_schema.compile(schema)):check(value)[1].message end
    assert.equal("must be an integer or null", said({ type = { "integer", "null" } }, "x"))
    assert.equal("must be a string", said({ type = "string" }, 1))
    assert.equal('must be one of "a", 1, a list', said({ enum = { "a", 1, { 1 } } }, "x"))
    assert.equal("must be one of 1, 2, 3, 4, 5, 6, 7, 8, ...", said({ enum = { 1, 2, 3, 4, 5, 6, 7, 8, 9 } }, "x"))
    assert.equal("must have at most 1 item", said({ maxItems = 1 }, { 1, 2 }))
    assert.equal("must have at least 2 characters", said({ minLength = 2 }, "x"))
    assert.equal('must be "' .. ("ä"):rep(20) .. '..."', said({ const = ("ä"):rep(30) }, "x"))
    assert.equal('must have the property "b", as it has "a"', said({ dependentRequired = { a = { "b" } } }, { a = 1 }))
    assert.equal("must fit one of 1 schema, and fits none", said({ oneOf = { false } }, 1))
    assert.equal("must contain at least 2 items of a certain form", said({ contains = true, minContains = 2 }, { 1 }))
  end)

  it("gives up where the work would explode", function()
    local validator = compile [[{"$ref":"#/$defs/n","$defs":{"n":{"type":"object",
      "anyOf":[{"properties":{"a":{"$ref":"#/$defs/n"}}},{"properties":{"a":{"$ref":"#/$defs/n"}}}]}}}]]
    local errors = validator:check(decode(('{"a":'):rep(60) .. "5" .. ("}"):rep(60)))
    assert.equal("takes too much work to check", errors[1].message)
    local loop = compile '{"$dynamicAnchor":"a","$dynamicRef":"#a"}'
    assert.equal("is nested too deeply", loop:check(1)[1].message)
  end)

  it("gives up on long texts against a pattern, and does not call them wrong", function()
    for _, text in ipairs { '{"pattern":"a"}', '{"not":{"pattern":"a"}}', '{"patternProperties":{"a":true}}' } do
      local validator = compile(text)
      local long = ("b"):rep(20000)
      local errors = validator:check(text:find "Prop" and { [long] = 1 } or long)
      assert.matches("^takes too much work to match", errors[1].message)
    end
  end)

  it("reads unique items once", function()
    local list, nested = {}, {}
    for i = 1, 50000 do list[i] = i end
    for i = 1, 5000 do nested[i] = { i, { a = i } } end
    local validator = compile '{"uniqueItems":true}'
    assert.is_nil(validator:check(list))
    assert.is_nil(validator:check(nested))
  end)

  it("makes values of texts", function()
    local validator = compile [[{"properties":{"i":{"type":"integer"},"n":{"type":"number"},"b":{"type":"boolean"},
      "l":{"type":"array","items":{"type":"integer"}},"s":{"type":"string"},"r":{"$ref":"#/$defs/i"}},
      "$defs":{"i":{"enum":[1,2]}},"patternProperties":{"^p":{"type":"integer"}},
      "additionalProperties":{"type":"boolean"}}]]
    assert.same({ i = 5, n = 1.5, b = true, l = { 1 }, s = "1", r = 2, p1 = 3, x = false }, validator:coerce {
      i = "5", n = "1.5", b = "true", l = "1", s = "1", r = "2", p1 = "3", x = "false" })
    assert.same({ i = "1.0", n = "1.", b = "True", l = { 1, "x" }, s = { "1" } }, validator:coerce {
      i = "1.0", n = "1.", b = "True", l = { "1", "x" }, s = { "1" } })
    assert.same({ i = "007", n = "0x1" }, validator:coerce { i = "007", n = "0x1" })
  end)
end)
