-- Which lines of a Lua file have code, and where its functions are. Pure.
--
--     lines(chunk, text?) -> { [line] = true }, { { line =, name = }, ... }
--
-- `chunk` is the compiled file. debug.getinfo knows the lines of one function only, and the functions inside of it are
-- not to be had without running it; so they are read from the bytecode that string.dump gives, which is the running
-- Lua's own, checked by its header. Lines are those where Lua calls a line hook, but without the return that Lua puts
-- at every function's end: most never get there. Names come from `text`, where they can be told.

local tokens_of = require "moongate.test.lua_tokens"

-- ------------------------------------------------------------------------------------------------ bytecode

-- Signature, 5.4, format 0, conversion errors, sizes of instruction, integer and number, one of each of the last two.
local HEADER = "\27Lua\x54\0\x19\x93\r\n\x1a\n" .. string.pack("BBBjn", 4, 8, 8, 0x5678, 370.5)
local ABSOLUTE = -128 -- in place of a difference: the line is in a list of its own

local Reader = {}
Reader.__index = Reader

function Reader:unpack(format)
  local value
  value, self.at = string.unpack(format, self.code, self.at)
  return value
end

function Reader:number()
  local value = 0
  while true do
    local byte = self:unpack "B"
    value = value << 7 | byte & 127
    if byte >= 128 then return value end -- the last one is marked
  end
end

function Reader:skip(bytes)
  self.at = self.at + bytes
end

function Reader:text()
  self:skip(math.max(self:number() - 1, 0))
end

function Reader:each(read)
  for _ = 1, self:number() do read(self) end
end

local CONSTANTS = { -- by type and variant
  [0x00] = function() end, [0x01] = function() end, [0x11] = function() end,
  [0x03] = function(self) self:unpack "j" end, [0x13] = function(self) self:unpack "n" end,
  [0x04] = Reader.text, [0x14] = Reader.text,
}

-- Adds lines and functions to those there are.
function Reader:func(lines, functions)
  self:text() -- its source
  local first = self:number()
  functions[#functions + 1] = { line = first }
  self:number() -- its last line
  self:unpack "B" -- parameters
  local is_vararg = self:unpack "B" ~= 0
  self:unpack "B" -- registers
  self:skip(4 * self:number()) -- instructions
  self:each(function() CONSTANTS[self:unpack "B"](self) end)
  self:skip(3 * self:number()) -- upvalues
  self:each(function() self:func(lines, functions) end)

  local differences, absolute = {}, {}
  self:each(function() differences[#differences + 1] = self:unpack "b" end)
  self:each(function()
    local pc = self:number()
    absolute[pc] = self:number()
  end)
  self:each(function() -- local variables
    self:text()
    self:number()
    self:number()
  end)
  self:each(self.text) -- names of upvalues

  local line = first
  for pc, difference in ipairs(differences) do
    line = difference == ABSOLUTE and absolute[pc - 1] or line + difference
    local prepares = pc == 1 and is_vararg
    if not prepares and pc < #differences then lines[line] = true end
  end
end

-- ------------------------------------------------------------------------------------------------ names

-- Of the function whose `function` is token i.
local function name_of(tokens, i)
  local name, at = "", i + 1
  while tokens[at].kind == "name" or tokens[at].text == "." or tokens[at].text == ":" do
    name, at = name .. tokens[at].text, at + 1
  end
  if name ~= "" then return name end
  at = i - 1
  if at < 2 or tokens[at].text ~= "=" then return nil end
  at = at - 1
  while at > 0 and tokens[at].kind == "name" do
    name = tokens[at].text .. name
    if at < 3 or tokens[at - 1].text ~= "." then return name end
    name, at = "." .. name, at - 2
  end
  return nil
end

-- Functions stand in the bytecode in the order in which they begin in the text.
local function add_names(functions, text)
  local tokens, n = tokens_of(text or "") or {}, 0
  for i, token in ipairs(tokens) do
    if token.text == "function" then
      n = n + 1
      if functions[n] then functions[n].name = name_of(tokens, i) end
    end
  end
end

return function(chunk, text)
  local code = string.dump(chunk)
  if code:sub(1, #HEADER) ~= HEADER then error("this Lua's bytecode is not that of Lua 5.4", 0) end
  local lines, functions = {}, {}
  setmetatable({ code = code, at = #HEADER + 2 }, Reader):func(lines, functions) -- a byte: how many upvalues
  table.remove(functions, 1) -- the file itself
  add_names(functions, text)
  return lines, functions
end
