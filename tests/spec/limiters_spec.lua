-- Limiters that policies make: what they take, what they refuse, and how they fail. What they compute is tested in C.

local T = require "moongate.test"

-- What this code returns in `new`, with `d`, a dictionary; as text.
local function eval(code)
  local t = T.new { policies = { { lua = ([[
    local d = mg.shared "limits"
    local function run() %s end
    local got = table.pack(pcall(run))
    for i = 1, got.n do
      local value = got[i]
      got[i] = type(value) == "table" and value.code or tostring(value)
    end
    local text = table.concat(got, " ", 1, got.n)
    return { request = function() return mg.reply(200, text) end }]]):format(code) } } }
  return (t:request "/"):text()
end

local ONE = 'd:limiter { { algorithm = "fixed-window", limit = 2, window = 60 } }'

local function fails(code, what)
  local said = eval(code)
  assert.matches("^false ", said)
  assert.matches(what, said, 1, true)
end

describe("a limiter", function()
  it("wants rules that are right", function()
    fails("d:limiter {}", "expected 1 to 16 rules")
    fails("d:limiter(7)", "table expected")
    fails('d:limiter { "a" }', "expected a list of tables")
    fails('d:limiter { { limit = 1 } }', "option 'algorithm'")
    fails('d:limiter { { algorithm = "x", limit = 1 } }', "option 'algorithm'")
    fails('d:limiter { { algorithm = "fixed-window" } }', "option 'limit': expected a number, got nil")
    fails('d:limiter { { algorithm = "fixed-window", limit = -1 } }', "number out of range")
    fails('d:limiter { { algorithm = "fixed-window", limit = 0/0 } }', "number out of range")
    fails('d:limiter { { algorithm = "token-bucket", limit = 0 } }', "number out of range")
    fails('d:limiter { { algorithm = "fixed-window", limit = 1, windw = 1 } }', "unknown option 'windw'")
    fails('d:limiter { { algorithm = "fixed-window", limit = 1, name = "a\\n" } }', "expected printable ASCII")
    fails('d:limiter { { algorithm = "fixed-window", limit = 1, name = ("a"):rep(65) } }', "longer than 64 bytes")
    fails('d:limiter { { algorithm = "fixed-window", limit = 1, prefix = 7 } }', "expected a string, got number")
    fails('local t = {} for i = 1, 17 do t[i] = { algorithm = "fixed-window", limit = 1 } end d:limiter(t)', "1 to 16")
  end)

  it("wants a key for each rule, and a cost that is one", function()
    fails(("local l = %s l:take()"):format(ONE), "string expected")
    fails(("local l = %s l:take('1', 'a')"):format(ONE), "number expected")
    fails(("local l = %s l:take(-1, 'a')"):format(ONE), "argument out of range")
    fails(("local l = %s l:take(0/0, 'a')"):format(ONE), "argument out of range")
    fails(("local l = %s l.take({}, 1, 'a')"):format(ONE), "moongate.Limiter")
    fails(("local l = %s l.take(d, 1, 'a')"):format(ONE), "moongate.Limiter")
    fails(("local l = %s l.take(d:adaptive {}, 1, 'a')"):format(ONE), "moongate.Limiter")
    fails(("local l = %s l.take(nil, 1, 'a')"):format(ONE), "moongate.Limiter")
  end)

  it("fails where the dictionary does", function()
    assert.equal("true nil key", eval(("return (%s):take(1, ('k'):rep(5000))"):format(ONE)))
    assert.equal("true nil type", eval(("d:set('a', 1) return (%s):take(1, 'a')"):format(ONE)))
  end)

  it("writes names as structured fields want them", function()
    assert.equal([[true true "a\"b\\c";r=4;t=1 0.0 0.0 1 4 1.0]],
      eval [[return d:limiter { { algorithm = "fixed-window", limit = 5, name = 'a"b\\c' } }:take(1, "k")]])
  end)

  it("keeps rules with different prefixes apart, and may be asked without taking", function()
    assert.equal("true true nil 0.0 0.0 1 2 60.0", eval(("local l = %s return l:look 'a'"):format(ONE)))
    assert.equal("true true false true", eval [[
      local function one(prefix) return d:limiter { { algorithm = "fixed-window", limit = 1, prefix = prefix } } end
      local a, b = one "a", one "b"
      return (a:take(1, "x")), (a:take(1, "x")), (b:take(1, "x"))]])
  end)

  it("tells of the one that refuses for longest", function()
    assert.equal("true false nil 60.0 0.0 2 0 60.0", eval [[
      local l = d:limiter {
        { algorithm = "fixed-window", limit = 1, window = 10, prefix = "a" },
        { algorithm = "fixed-window", limit = 1, window = 60, prefix = "b" },
        { algorithm = "fixed-window", limit = 9, window = 900, prefix = "c" },
      }
      l:take(1, "x", "x", "x")
      return l:take(1, "x", "x", "x")]])
  end)
end)

describe("an adaptive limiter", function()
  it("wants numbers in range", function()
    fails("d:adaptive { min = 0 }", "number out of range")
    fails("d:adaptive { min = 5, max = 4 }", "number out of range")
    fails("d:adaptive { initial = 'x' }", "option 'initial': expected a number, got string")
    fails("d:adaptive { most = 1 }", "unknown option 'most'")
    fails("d:adaptive()", "table expected")
  end)

  it("gives as many places as its limit, and takes none back twice", function()
    assert.equal("true true false true nil absent", eval [[
      local a = d:adaptive { initial = 1 }
      local first, second = a:acquire "k", a:acquire "k"
      local back = a:release("k", 0.1)
      return first, second, back, a:release "k"]])
    fails("local a = d:adaptive {} a.acquire({}, 'k')", "moongate.AdaptiveLimiter")
    fails("local a = d:adaptive {} a:acquire(7)", "string expected")
  end)
end)
