-- What `moongate test --mutate` takes for the statements of a Lua text.

local files = require "moongate.test.files"
local syntax = require "moongate.test.lua_syntax"
local tokens_of = require "moongate.test.lua_tokens"

local function joined(tokens, first, last)
  local words = {}
  for i = first, last do words[#words + 1] = tokens[i].text end
  return table.concat(words, " ")
end

-- "kind: its tokens" of each statement.
local function shown(text)
  assert(load(text))
  local tokens = assert(tokens_of(text))
  local out = {}
  for i, s in ipairs(assert(syntax(tokens))) do
    out[i] = ("%s%s: %s"):format(s.kind, s.ends and " (ends)" or "", joined(tokens, s.first, s.last))
  end
  return out, tokens
end

describe("statements", function()
  it("are calls", function()
    assert.same({ "call: f ( )", "call: a . b : c { 1 } [ 2 ] 'x'", "call: ( f or g ) ( h ( ) )", "call: f [[x]]" },
      (shown "f() a.b:c{1}[2]'x'; (f or g)(h()) ; f[[x]]"))
  end)

  it("are assignments", function()
    assert.same({
      "assign: a = 1", "assign: a . b , c [ d ] , f ( ) . x = 1 , ...", "assign: t = { x = 1 , [ y ] = 2 ; 3 }",
    }, (shown "a = 1 a.b, c[d], f().x = 1, ... t = { x = 1, [y] = 2; 3 }"))
  end)

  it("are local variables", function()
    local out, tokens = shown "local a local b <const>, c <close> = 1, nil local function f() end"
    assert.same({ "local: local a", "local: local b < const > , c < close > = 1 , nil" }, out)
    local statements = syntax(tokens)
    assert.is_nil(statements[1].values)
    assert.equal("1", tokens[statements[2].values].text)
  end)

  it("are returns, and some end a function", function()
    assert.same({
      "return: return", "return (ends): return x , y", "return (ends): return", "assign: g = function ( ) return end",
      "condition: c", "return: return 1", "return (ends): return { }",
    }, (shown [[
        local function f() do return end return x, y; end
        g = function() return end
        if c then return 1 end
        return {}
      ]]))
  end)

  it("have conditions", function()
    assert.same({
      "condition: a == 1", "call: f ( )", "condition: not b", "call: g ( )", "call: h ( )", "condition: a < b",
      "call: i ( )", "call: j ( )", "condition: x",
    }, (shown "if a == 1 then f() elseif not b then g() else h() end while a < b do i() break end repeat j() until x"))
  end)

  it("lie in all that has a body", function()
    assert.same({
      "call: a ( )", "call: b ( )", "call: c ( )", "call: d ( )", "call: e ( )",
      "assign: t = { function ( ) e ( ) end }",
    }, (shown [[
        for i = 1, 2, 3 do a() end
        for k, v in pairs(t) do b() end
        function x.y:z(p, ...) c() end
        do ::top:: goto top end
        local function f() d() end
        t = { function() e() end }
      ]]))
  end)

  it("mark operators between two values", function()
    local tokens = assert(tokens_of "x = -a - -1 + #b ~ ~c .. not d")
    assert(syntax(tokens))
    local binary = {}
    for i, token in ipairs(tokens) do
      if token.binary then binary[#binary + 1] = i .. token.text end
    end
    assert.same({ "5-", "8+", "11~", "14.." }, binary)
  end)

  it("tell where they end", function()
    local statements, why = syntax(assert(tokens_of "if a then"))
    assert.is_nil(statements)
    assert.equal("line 1: 'end' expected near ''", why)
    assert.equal("line 2: the end expected near 'end'", select(2, syntax(assert(tokens_of "\nend"))))
    assert.equal("line 1: '=' expected near 'b'", select(2, syntax(assert(tokens_of "a b"))))
    assert.equal("line 1: a name expected near '1'", select(2, syntax(assert(tokens_of "1"))))
  end)

  it("are found in this program's own files", function()
    for _, folder in ipairs { "lua", "policies", "tests" } do
      files.each(folder, function(path)
        if path:find "%.lua$" then assert(syntax(assert(tokens_of(assert(files.read(path)))))) end
      end)
    end
  end)
end)
