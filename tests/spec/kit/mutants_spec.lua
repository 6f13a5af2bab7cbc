-- What `moongate test --mutate` breaks.

local mutants_of = require "moongate.test.mutants"

-- "line:col: from -> to" of each.
local function shown(text)
  local out = {}
  for i, m in ipairs(assert(mutants_of(text))) do out[i] = ("%d:%d: %s -> %s"):format(m.line, m.col, m.from, m.to) end
  return out
end

-- The texts in place of this one.
local function texts(text)
  local out = {}
  for i, m in ipairs(assert(mutants_of(text))) do out[i] = m.text end
  return out
end

-- The things that are put in the place of `piece` in a text.
local function instead_of(piece, text)
  local out = {}
  for _, m in ipairs(assert(mutants_of(text))) do
    if m.from == piece then out[#out + 1] = m.to end
  end
  return out
end

describe("mutants", function()
  it("have another operator", function()
    local swaps = {
      ["=="] = "~=", ["~="] = "==", ["<"] = "<=", ["<="] = "<", [">"] = ">=", [">="] = ">", ["and"] = "or",
      ["or"] = "and", ["+"] = "-", ["-"] = "+",
    }
    for from, to in pairs(swaps) do assert.same({ to }, instead_of(from, "f(a " .. from .. " b)")) end
    assert.same({ "(nothing)" }, instead_of("not", "f(not a)"))
    assert.same({ "(nothing)" }, instead_of("-", "f(-a)"))
    assert.same({}, instead_of("..", "f(a .. b)"))
  end)

  it("have another constant", function()
    assert.same({ "8", "6" }, instead_of("7", "f(7)"))
    assert.same({ "1", "(-1)" }, instead_of("0", "f(0)"))
    assert.same({ "1.5", "(-0.5)" }, instead_of("0.5", "f(0.5)"))
    assert.same({ "17", "15" }, instead_of("0x10", "f(0x10)"))
    assert.same({ "false" }, instead_of("true", "f(true)"))
    assert.same({ "true" }, instead_of("false", "f(false)"))
    assert.same({ '""' }, instead_of("'x'", "f('x')"))
    assert.same({ '""' }, instead_of("[[x]]", "f[[x]]"))
    assert.same({}, instead_of("''", "f('')"))
  end)

  it("leave alone what only people read", function()
    assert.same({}, instead_of("'x'", "f { help = 'x', summary = 'x', version = 'x' }"))
    assert.same({ '""' }, instead_of("'x'", "f { name = 'x' }"))
  end)

  it("lack a statement", function()
    assert.same({ "(removed)" }, instead_of("f()", "f()"))
    assert.same({ "(removed)" }, instead_of("a = f()", "a = f()"))
    assert.same({ "(nothing)" }, instead_of("= f()", "local a = f()"))
    assert.same({}, shown "local a")
    assert.equal("local a ; return a", texts "local a a = b return a"[1])
  end)

  it("leave the lines where they are", function()
    assert.equal(";\n\n g()", texts "f(\n\n) g()"[1])
  end)

  it("lack a return, or its values", function()
    assert.same({ "(removed)" }, instead_of("return", "if a() then return end b()"))
    assert.same({ "(removed)" }, instead_of("return a", "if b() then return a end c()"))
    assert.same({ "nil" }, instead_of("a", "if b() then return a end c()"))
    assert.same({ "nil" }, instead_of("a, b", "return a, b"))
    assert.same({}, instead_of("return a, b", "return a, b")) -- as good as nil there
  end)

  it("have a condition that always or never holds", function()
    for _, text in ipairs {
      "if a() then b() end", "if c then b() elseif a() then d() end", "while a() do b() end", "repeat b() until a()",
    } do
      assert.same({ "true", "false" }, instead_of("a()", text))
    end
  end)

  it("say where, in the order of the text", function()
    assert.same({
      "1:1: f(1, 'ü', not a) -> (removed)", "1:3: 1 -> 2", "1:3: 1 -> 0", "1:6: 'ü' -> \"\"", "1:11: not -> (nothing)",
      "2:3: g() -> (removed)",
    }, shown "f(1, 'ü', not a)\n  g()")
    local long = "f(" .. ("a, "):rep(40) .. "a)"
    local from = assert(mutants_of(long))[1].from
    assert.equal(60, #from)
    assert.matches("%.%.%.$", from)
  end)

  it("are whole texts, with one thing changed", function()
    assert.same({ ";", "f(2)", "f(0)" }, texts "f(1)")
    assert.same({ ";", "f(a+0)", "f(a-1)", "f(a-(-1))" }, texts "f(a-0)")
  end)

  it("are none that say the same, or that do not compile", function()
    assert.same({ "1:7: true -> false" }, { shown "while true do a() end"[1] }) -- once, as constant and as condition
    assert.equal(2, #shown "while true do a() end")
    assert.same({}, shown "local a = nil")
    assert.same({ "1:17: = f -> (nothing)" }, shown "local x <const> = f")
  end)

  it("are of nothing but Lua", function()
    local list, why = mutants_of "a ="
    assert.is_nil(list)
    assert.matches("^line 1: unexpected symbol near <eof>$", why)
  end)
end)
