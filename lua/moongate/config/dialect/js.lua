-- JavaScript as far as configs are written in it: its tokens, and the file that only exports an object.
--
--     js.tokens(text) -> list of { kind = "name" | "string" | "number" | "mark", value=, at = byte }, the last of kind
--                        "end"; or nil, message, byte
--     js.parse(text, null) -> value, positions | nil, { { message=, line=, col= } }     as moongate.yaml has them
--
-- `process.env.NAME` (with `|| "default"`) becomes ${NAME}, which is filled in as in any config.

local M = {}

local DEPTH_MAX = 100

-- ------------------------------------------------------------------------------------------------ tokens

local ESCAPES = { n = "\n", t = "\t", r = "\r", b = "\b", f = "\f", v = "\v", ["0"] = "\0" }

-- The escape whose backslash is at `at`: what it means, and the byte behind it. Nil when it is none.
local function escape(text, at)
  local digits, after = text:match("^x(%x%x)()", at + 1)
  if not digits then digits, after = text:match("^u(%x%x%x%x)()", at + 1) end
  if not digits then digits, after = text:match("^u{(%x%x?%x?%x?%x?%x?)}()", at + 1) end
  if digits then
    local code = tonumber(digits, 16)
    return code <= 0x10FFFF and utf8.char(code) or nil, after
  end
  if text:find("^[xu]", at + 1) then return nil end
  if text:find("^\r?\n", at + 1) then return "", text:match("^\r?\n()", at + 1) end
  local char = text:match("^[^\r\n]", at + 1)
  return char and (ESCAPES[char] or char), at + 2
end

local function read_string(text, at)
  local quote, out, i = text:sub(at, at), {}, at + 1
  local plain = quote == "`" and "^[^`\\$]+()" or "^[^\r\n\\" .. quote .. "]+()"
  while true do
    local stop = text:match(plain, i)
    if stop then
      out[#out + 1] = text:sub(i, stop - 1)
      i = stop
    end
    local char = text:sub(i, i)
    if char == quote then return table.concat(out), i + 1 end
    if char == "$" and text:sub(i + 1, i + 1) ~= "{" then
      out[#out + 1], i = char, i + 1
    elseif char == "\\" then
      local meaning, after = escape(text, i)
      if not meaning then return nil, "unknown escape", i end
      out[#out + 1], i = meaning, after
    elseif char == "$" then
      return nil, "expected a plain string, without ${...}", i
    else
      return nil, "the string does not end", at
    end
  end
end

-- The byte of the next token.
local function skip_space(text, at)
  while true do
    local start = at
    at = text:match("^[%s\u{FEFF}]+()", at) or at
    at = text:match("^//[^\r\n]*()", at) or text:match("^/%*.-%*/()", at) or at
    if at == start then return at end
  end
end

local MARKS = { "^===", "^!==", "^%.%.%.", "^==", "^!=", "^&&", "^||", "^<=", "^>=", "^=>", "^%p" }

local function read_mark(text, at)
  for _, pattern in ipairs(MARKS) do
    local mark = text:match(pattern, at)
    if mark then return mark end
  end
  return nil
end

local function read_number(text, at)
  local digits = text:match("^0[xX]%x+", at) or text:match("^%d+%.?%d*[eE][+-]?%d+", at)
    or text:match("^%d+%.?%d*", at)
  if digits and text:find("^[%w_$]", at + #digits) then return nil end
  return digits
end

-- One token from `at` on, which is none of space.
local function read_token(text, at)
  local name = text:match("^[%a_$][%w_$]*", at)
  if name then return { kind = "name", value = name, at = at }, at + #name end
  if text:find("^[\"'`]", at) then
    local value, after, fault_at = read_string(text, at)
    if not value then return nil, after, fault_at end
    return { kind = "string", value = value, at = at }, after
  end
  if text:find("^%d", at) then
    local digits = read_number(text, at)
    if not digits then return nil, "this is no number", at end
    return { kind = "number", value = math.tointeger(tonumber(digits)) or tonumber(digits), at = at }, at + #digits
  end
  local mark = read_mark(text, at)
  if not mark then return nil, "a character that no config needs", at end
  return { kind = "mark", value = mark, at = at }, at + #mark
end

function M.tokens(text)
  local out, at = {}, skip_space(text, 1)
  while at <= #text do
    local token, after, fault_at = read_token(text, at)
    if not token then return nil, after, fault_at end
    out[#out + 1] = token
    at = skip_space(text, after)
  end
  out[#out + 1] = { kind = "end", value = "the end", at = #text + 1 }
  return out
end

-- ------------------------------------------------------------------------------------------------ places

-- fn(byte) -> packed line and column, as moongate.yaml has them.
local function locator(text)
  local starts = { 1 }
  for at in text:gmatch("\n()") do starts[#starts + 1] = at end
  return function(byte)
    local low, high = 1, #starts
    while low < high do
      local middle = (low + high + 1) // 2
      if starts[middle] <= byte then low = middle else high = middle - 1 end
    end
    local before = text:sub(starts[low], byte - 1)
    return low << 20 | (utf8.len(before) or #before) + 1
  end
end

-- ------------------------------------------------------------------------------------------------ the object

local Parser = {}
Parser.__index = Parser

function Parser:peek() return self.tokens[self.i] end

function Parser:take()
  self.i = self.i + 1
  return self.tokens[self.i - 1]
end

function Parser:is(value)
  local token = self:peek()
  return token.kind ~= "string" and token.value == value
end

function Parser:accept(value)
  if not self:is(value) then return false end
  self.i = self.i + 1
  return true
end

-- Faults are raised as { message=, at= } and caught in M.parse.
function Parser:fail(message, token)
  error({ message = message, at = (token or self:peek()).at }, 0)
end

function Parser:expect(value)
  if not self:accept(value) then self:fail(("expected '%s'"):format(value)) end
end

function Parser:key()
  local token = self:take()
  if token.kind ~= "mark" and token.kind ~= "end" then return tostring(token.value), token end
  self:fail("expected a key; only plain objects can be read", token)
end

local function new_container(self, at, list)
  local container = {}
  self.positions[container] = { self = self.place(at), list = list or nil, value = {}, key = {} }
  return container, self.positions[container]
end

function Parser:object(at)
  local object, info = new_container(self, at)
  while not self:accept "}" do
    local key, token = self:key()
    if info.key[key] then self:fail(("the key '%s' stands there twice"):format(key), token) end
    if not self:is ":" then self:fail("only plain objects can be read: expected ':'") end
    self:take()
    info.key[key], info.value[key] = self.place(token.at), self.place(self:peek().at)
    object[key] = self:value()
    if not self:accept "," and not self:is "}" then self:fail("expected ',' or '}'") end
  end
  return object
end

function Parser:array(at)
  local array, info = new_container(self, at, true)
  while not self:accept "]" do
    info.value[#array + 1] = self.place(self:peek().at)
    array[#array + 1] = self:value()
    if not self:accept "," and not self:is "]" then self:fail("expected ',' or ']'") end
  end
  return array
end

-- process.env.NAME, and what may follow.
function Parser:environment()
  self:expect "."
  self:expect "env"
  self:expect "."
  local name = self:take()
  if name.kind ~= "name" or not name.value:match "^[A-Z_][A-Z0-9_]*$" then
    self:fail("expected the name of a variable, in upper case", name)
  end
  if not self:accept "||" then return ("${%s}"):format(name.value) end
  local default = self:take()
  if default.kind ~= "string" and default.kind ~= "number" or tostring(default.value):find "}" then
    self:fail("expected a string or a number", default)
  end
  return ("${%s:-%s}"):format(name.value, default.value)
end

function Parser:word(token)
  if token.value == "true" or token.value == "false" then return token.value == "true" end
  if token.value == "null" or token.value == "undefined" then return self.null end
  if token.value == "process" then return self:environment() end
  self:fail(("only plain values can be read, not '%s'"):format(token.value), token)
end

function Parser:value()
  local token = self:take()
  if token.kind == "string" or token.kind == "number" then return token.value end
  if token.kind == "name" then return self:word(token) end
  if token.value == "-" and self:peek().kind == "number" then return -self:take().value end
  if token.value ~= "{" and token.value ~= "[" then self:fail("expected a value", token) end
  self.depth = self.depth + 1
  if self.depth > DEPTH_MAX then self:fail("too deep", token) end
  local container = token.value == "{" and self:object(token.at) or token.value == "[" and self:array(token.at)
  self.depth = self.depth - 1
  return container
end

function Parser:file()
  if self:peek().value == "use strict" then
    self:take()
    self:accept ";"
  end
  if self:accept "export" then
    self:expect "default"
  else
    if not self:is "module" then self:fail "expected 'module.exports = {...}' and nothing before it" end
    for _, word in ipairs { "module", ".", "exports", "=" } do self:expect(word) end
  end
  local value = self:value()
  self:accept ";"
  if self:peek().kind ~= "end" then self:fail "nothing may follow the object" end
  return value
end

function M.parse(text, null)
  local place = locator(text)
  local function fault(message, at)
    local packed = place(at)
    return nil, { { message = message, line = packed >> 20, col = packed & 0xFFFFF } }
  end
  local tokens, message, at = M.tokens(text)
  if not tokens then return fault(message, at) end
  local parser = setmetatable({ tokens = tokens, i = 1, depth = 0, place = place, null = null, positions = {} }, Parser)
  local ok, value = pcall(parser.file, parser)
  if ok then return value, parser.positions end
  if type(value) ~= "table" then error(value, 0) end
  return fault(value.message, value.at)
end

return M
