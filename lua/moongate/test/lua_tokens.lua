-- The tokens of a Lua 5.4 text. Pure.
--
--     tokens(text) -> tokens, comments | nil, "line 3: what is wrong"
--
-- Each is { kind =, text =, at =, line =, col = }: `at` is the byte where it begins, `col` counts characters. Kinds are
-- name, keyword, number, string, op, and at the end of the tokens one eof, whose text is empty; of comments, comment.

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true
  until while]]):gmatch "%a+" do KEYWORDS[word] = true end

local IS_OP = {}
for text in ("... .. == ~= <= >= // :: << >>"):gmatch "%S+" do IS_OP[text] = true end
for text in ("+-*/%^#&~|<>=(){}[];:,."):gmatch "." do IS_OP[text] = true end

-- ------------------------------------------------------------------------------------------------ places

-- Where the lines begin. Lua takes "\r\n" and "\n\r" for one break.
local function line_starts(text)
  local starts, at = { 1 }, 1
  while true do
    local found = text:find("[\r\n]", at)
    if not found then return starts end
    local pair = text:sub(found, found + 1)
    at = found + ((pair == "\r\n" or pair == "\n\r") and 2 or 1)
    starts[#starts + 1] = at
  end
end

-- Tokens are asked for in their order.
local function placer(text)
  local starts, line = line_starts(text), 1
  return function(at)
    while starts[line + 1] and starts[line + 1] <= at do line = line + 1 end
    local before = text:sub(starts[line], at - 1)
    return line, #before - select(2, before:gsub("[\128-\191]", "")) + 1
  end
end

-- ------------------------------------------------------------------------------------------------ ends

-- Each gives the last byte of what begins at `at`; or nil, what is wrong; or nothing, when it does not begin there.

local function long_bracket(text, at)
  local level, from = text:match("^%[(=*)%[()", at)
  if not level then return end
  local _, last = text:find("]" .. level .. "]", from, true)
  if not last then return nil, "unfinished long text" end
  return last
end

local function comment(text, at)
  if text:sub(at, at + 1) ~= "--" then return end
  local last, fault = long_bracket(text, at + 2)
  if last or fault then return last, fault end
  return (text:find("[\r\n]", at) or #text + 1) - 1
end

local function quoted(text, at)
  local quote = text:match("^[\"']", at)
  if not quote then return end
  local i = at + 1
  while true do
    i = text:find("[\"'\\\r\n]", i)
    local c = i and text:sub(i, i)
    if c == quote then return i end
    if not c or c == "\r" or c == "\n" then return nil, "unfinished string" end
    if c ~= "\\" then
      i = i + 1
    elseif text:find("^z", i + 1) then
      i = text:match("^%s*()", i + 2)
    else
      i = i + (text:find("^\r\n", i + 1) and 3 or text:find("^\n\r", i + 1) and 3 or 2)
    end
  end
end

-- What Lua reads as a number, however wrong: 0x1p4, 3e-2, 1..2
local function number(text, at)
  if not text:find("^%.?%d", at) then return end
  local exponent, i = "^[eE][+-]?()", at
  if text:find("^0[xX]", at) then exponent, i = "^[pP][+-]?()", at + 2 end
  while true do
    local after = text:match(exponent, i) or text:match("^[%x.]()", i)
    if not after then break end
    i = after
  end
  if text:find("^[%w_]", i) or not tonumber(text:sub(at, i - 1)) then return nil, "malformed number" end
  return i - 1
end

local function name(text, at)
  return select(2, text:find("^[%a_][%w_]*", at))
end

local function op(text, at)
  for n = 3, 1, -1 do -- the longest
    if IS_OP[text:sub(at, at + n - 1)] then return math.min(at + n - 1, #text) end
  end
  return nil, "unexpected " .. ("%q"):format(text:sub(at, at))
end

local READERS = {
  { "comment", comment }, { "string", long_bracket }, { "string", quoted }, { "number", number }, { "name", name },
  { "op", op },
}

local function read(text, at)
  for _, reader in ipairs(READERS) do
    local last, fault = reader[2](text, at)
    if last or fault then return last, last and reader[1] or fault end
  end
end

return function(text)
  local tokens, comments, place = {}, {}, placer(text)
  local at = text:match "^%s*()"
  while at <= #text do
    local line, col = place(at)
    local last, kind = read(text, at)
    if not last then return nil, ("line %d: %s"):format(line, kind) end
    local token = { kind = kind, text = text:sub(at, last), at = at, line = line, col = col }
    if KEYWORDS[token.text] then token.kind = "keyword" end
    table.insert(kind == "comment" and comments or tokens, token)
    at = text:match("^%s*()", last + 1)
  end
  local line, col = place(#text + 1)
  tokens[#tokens + 1] = { kind = "eof", text = "", at = #text + 1, line = line, col = col }
  return tokens, comments
end
