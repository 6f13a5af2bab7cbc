-- What the statements of a Lua 5.4 text are. Pure; for texts that compile.
--
--     syntax(tokens) -> statements | nil, "line 3: what is wrong"
--
-- Tokens are those of moongate.test.lua_tokens. Statements come in the order in which they end, each with the numbers
-- of its `first` and `last` token:
--
--     { kind = "call" }, { kind = "assign" }
--     { kind = "local", values = }          values: first token behind the `=`; nil where there is none
--     { kind = "return", values =, ends = } values: the first; ends: whether a function's body ends with it
--     { kind = "condition" }                the expression of an if, elseif, while or until
--
-- Operators that stand between two values get `binary = true`.

local Reader = {}
Reader.__index = Reader

local BINARY = {}
for op in ("+ - * / // ^ % & ~ | >> << .. < <= > >= == ~= and or"):gmatch "%S+" do BINARY[op] = true end
local UNARY = { ["not"] = true, ["-"] = true, ["#"] = true, ["~"] = true }
local ENDS_BLOCK = { ["end"] = true, ["else"] = true, ["elseif"] = true, ["until"] = true }
local VALUE_KINDS = { number = true, string = true }
local VALUE_WORDS = { ["nil"] = true, ["true"] = true, ["false"] = true, ["..."] = true }

-- ------------------------------------------------------------------------------------------------ tokens

function Reader:is(text)
  return self.tokens[self.at].text == text -- that of a string has its quotes
end

function Reader:take(text)
  if not self:is(text) then return false end
  self.at = self.at + 1
  return true
end

function Reader:fail(wanted)
  local token = self.tokens[self.at]
  error(setmetatable({ ("line %d: %s expected near '%s'"):format(token.line, wanted, token.text) }, Reader), 0)
end

function Reader:want(text)
  if not self:take(text) then self:fail("'" .. text .. "'") end
end

function Reader:name()
  if self.tokens[self.at].kind ~= "name" then self:fail "a name" end
  self.at = self.at + 1
end

function Reader:add(kind, first, more)
  local statement = more or {}
  statement.kind, statement.first, statement.last = kind, first, self.at - 1
  table.insert(self.statements, statement)
end

-- ------------------------------------------------------------------------------------------------ expressions

function Reader:list(read)
  repeat read(self) until not self:take ","
end

function Reader:field()
  if self:take "[" then
    self:expression()
    self:want "]"
    self:want "="
  elseif self.tokens[self.at].kind == "name" and self.tokens[self.at + 1].text == "=" then
    self.at = self.at + 2
  end
  self:expression()
end

function Reader:table()
  self:want "{"
  while not self:take "}" do
    self:field()
    if not self:take "," and not self:take ";" and not self:is "}" then self:fail "'}'" end
  end
end

-- Reads the arguments of a call, if there are any.
function Reader:arguments()
  if self.tokens[self.at].kind == "string" then
    self.at = self.at + 1
  elseif self:is "{" then
    self:table()
  elseif self:take "(" then
    if not self:is ")" then self:list(self.expression) end
    self:want ")"
  else
    return false
  end
  return true
end

-- What may stand left of a `=`, or call something. Gives whether it is a call.
function Reader:suffixed()
  if self:take "(" then
    self:expression()
    self:want ")"
  else
    self:name()
  end
  local call = false
  while true do
    if self:take "." then
      self:name()
      call = false
    elseif self:take "[" then
      self:expression()
      self:want "]"
      call = false
    elseif self:take ":" then
      self:name()
      if not self:arguments() then self:fail "arguments" end
      call = true
    elseif self:arguments() then
      call = true
    else
      return call
    end
  end
end

function Reader:body()
  self:want "("
  if not self:is ")" then
    self:list(function() if not self:take "..." then self:name() end end)
  end
  self:want ")"
  self:block(true)
  self:want "end"
end

function Reader:value()
  local token = self.tokens[self.at]
  if VALUE_KINDS[token.kind] or VALUE_WORDS[token.text] then
    self.at = self.at + 1
  elseif self:take "function" then
    self:body()
  elseif self:is "{" then
    self:table()
  else
    self:suffixed()
  end
end

function Reader:expression()
  while true do
    while UNARY[self.tokens[self.at].text] do self.at = self.at + 1 end
    self:value()
    local token = self.tokens[self.at]
    if not BINARY[token.text] then return end
    token.binary = true
    self.at = self.at + 1
  end
end

function Reader:condition()
  local first = self.at
  self:expression()
  self:add("condition", first)
end

-- ------------------------------------------------------------------------------------------------ statements

local STATEMENTS = {
  [";"] = function() end,
  ["break"] = function() end,
  ["goto"] = Reader.name,
  ["::"] = function(self)
    self:name()
    self:want "::"
  end,
  ["do"] = function(self)
    self:block()
    self:want "end"
  end,
  ["while"] = function(self)
    self:condition()
    self:want "do"
    self:block()
    self:want "end"
  end,
  ["repeat"] = function(self)
    self:block()
    self:want "until"
    self:condition()
  end,
  ["if"] = function(self)
    repeat
      self:condition()
      self:want "then"
      self:block()
    until not self:take "elseif"
    if self:take "else" then self:block() end
    self:want "end"
  end,
  ["for"] = function(self)
    self:list(self.name)
    if not self:take "=" then self:want "in" end
    self:list(self.expression)
    self:want "do"
    self:block()
    self:want "end"
  end,
  ["function"] = function(self)
    repeat self:name() until not self:take "."
    if self:take ":" then self:name() end
    self:body()
  end,
  ["local"] = function(self)
    if self:take "function" then
      self:name()
      return self:body()
    end
    local first, values = self.at - 1, nil
    self:list(function()
      self:name()
      if self:take "<" then
        self:name()
        self:want ">"
      end
    end)
    if self:take "=" then
      values = self.at
      self:list(self.expression)
    end
    self:add("local", first, { values = values })
  end,
}

function Reader:call_or_assignment()
  local first, call = self.at, nil
  self:list(function() call = self:suffixed() end)
  if self:take "=" then
    self:list(self.expression)
    self:add("assign", first)
  elseif call then
    self:add("call", first)
  else
    self:fail "'='"
  end
end

function Reader:back(ends)
  local first, values = self.at - 1, nil
  if not self:is ";" and not self:at_end() then
    values = self.at
    self:list(self.expression)
  end
  self:add("return", first, { values = values, ends = ends or false })
  self:take ";"
end

function Reader:at_end()
  local token = self.tokens[self.at]
  return token.kind == "eof" or ENDS_BLOCK[token.text]
end

-- `of_function`: it is the whole body of one.
function Reader:block(of_function)
  while not self:at_end() do
    if self:take "return" then return self:back(of_function) end
    local read = STATEMENTS[self.tokens[self.at].text]
    if read then
      self.at = self.at + 1
      read(self)
    else
      self:call_or_assignment()
    end
  end
end

return function(tokens)
  local self = setmetatable({ tokens = tokens, at = 1, statements = {} }, Reader)
  local ok, fault = pcall(function()
    self:block(true)
    if self.tokens[self.at].kind ~= "eof" then self:fail "the end" end
  end)
  if ok then return self.statements end
  if getmetatable(fault) ~= Reader then error(fault, 0) end
  return nil, fault[1]
end
