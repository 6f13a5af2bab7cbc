-- What `moongate test --mutate` takes for the tokens of a Lua text.

local files = require "moongate.test.files"
local tokens_of = require "moongate.test.lua_tokens"

-- "kind text" of each token, and of the comments.
local function shown(text)
  local tokens, comments = assert(tokens_of(text))
  local out = {}
  for i = 1, #tokens - 1 do out[i] = tokens[i].kind .. " " .. tokens[i].text end
  assert.equal("eof", tokens[#tokens].kind)
  local said = {}
  for i, comment in ipairs(comments) do said[i] = comment.text end
  return out, said
end

local function one(kind, text)
  assert.same({ kind .. " " .. text }, (shown(text)))
  assert.same({ kind .. " " .. text, "op ;" }, (shown(text .. ";")))
end

local function refuses(text, fault)
  local tokens, why = tokens_of(text)
  assert.is_nil(tokens)
  assert.equal(fault, why)
end

describe("tokens", function()
  it("are names and keywords", function()
    assert.same({ "keyword local", "name x_1", "op =", "keyword nil", "keyword goto", "name endx" },
      (shown "local x_1 = nil goto endx"))
  end)

  it("are operators, the longest that fit", function()
    local ops = "... .. . // / == = ~= ~ << <= < >> >= > :: : + - * % ^ # & | ( ) { } [ ] ; ,"
    local wanted = {}
    for op in ops:gmatch "%S+" do wanted[#wanted + 1] = "op " .. op end
    assert.same(wanted, (shown(ops)))
    assert.same({ "op ...", "op ." }, (shown "...."))
    assert.same({ "name a", "op ~=", "op =" }, (shown "a~=="))
  end)

  it("are numbers", function()
    local numbers = "0 12 3. .5 3.25 1e3 1E-3 1.e+3 0x1F 0X.8p1 0xA.bP-2 0xep1"
    for number in numbers:gmatch "%S+" do one("number", number) end
    assert.same({ "number 1", "op ..", "number 2" }, (shown "1 .. 2"))
    assert.same({ "number 0xe", "op +", "number 1" }, (shown "0xe+1"))
    assert.same({ "name t", "op .", "name e1" }, (shown "t.e1"))
    refuses("x = 1..2", "line 1: malformed number")
    refuses("x = 3x", "line 1: malformed number")
    refuses("x = 0x", "line 1: malformed number")
  end)

  it("are strings in quotes", function()
    for _, text in ipairs {
      [['']], [["a'b"]], [['a"b']], [["\""]], [["\\"]], [['\'']],
      '"\\\n"', '"\\\r\n"', '"\\z \n\n  x"', [["\x41\u{48}"]],
    } do
      one("string", text)
    end
    assert.same({ [[string "a\\"]], [[string "b"]] }, (shown [["a\\""b"]]))
    refuses('x = "a\n"', "line 1: unfinished string")
    refuses("\n 'a", "line 2: unfinished string")
    refuses('"\\', "line 1: unfinished string")
  end)

  it("are long strings", function()
    for _, text in ipairs { "[[]]", "[[a\nb]]", "[==[]]]=]]==]", "[=[[[x]]]=]" } do one("string", text) end
    assert.same({ "name t", "op [", "name a", "op [", "number 1", "op ]", "op ]" }, (shown "t[a[1]]"))
    refuses("\n[==[ ]=]", "line 2: unfinished long text")
  end)

  it("are not comments", function()
    local tokens, comments = shown "a --[[ x\n y ]] b -- c\nd --[==[ ]] ]==] e\n--[ f\n--"
    assert.same({ "name a", "name b", "name d", "name e" }, tokens)
    assert.same({ "--[[ x\n y ]]", "-- c", "--[==[ ]] ]==]", "--[ f", "--" }, comments)
    refuses("--[[", "line 1: unfinished long text")
    assert.same({ "name a", "op -", "op -" }, (shown "a - -"))
  end)

  it("know their places, in characters", function()
    local tokens = assert(tokens_of "a\r\n  'é' b\n\rc\r\rd")
    local places = {}
    for i, token in ipairs(tokens) do places[i] = ("%d:%d:%d"):format(token.at, token.line, token.col) end
    assert.same({ "1:1:1", "6:2:3", "11:2:7", "14:3:1", "17:5:1", "18:5:2" }, places)
  end)

  it("refuse what is no Lua", function()
    refuses("a $ b", 'line 1: unexpected "$"')
    refuses("a ! b", 'line 1: unexpected "!"')
  end)

  it("leave nothing out of this program's own files", function()
    local count = 0
    for _, folder in ipairs { "lua", "policies", "tests" } do
      files.each(folder, function(path)
        if not path:find "%.lua$" then return end
        count = count + 1
        local text = assert(files.read(path))
        local tokens, comments = assert(tokens_of(text))
        local all = table.move(comments, 1, #comments, #tokens + 1, tokens)
        table.sort(all, function(a, b)
          if a.at ~= b.at then return a.at < b.at end
          return #a.text > #b.text
        end)
        local at = 1
        for _, token in ipairs(all) do
          assert.equal("", (text:sub(at, token.at - 1):gsub("%s+", "")), path)
          assert.equal(token.text, text:sub(token.at, token.at + #token.text - 1), path)
          at = token.at + #token.text
        end
      end)
    end
    assert.is_true(count > 50)
  end)
end)
