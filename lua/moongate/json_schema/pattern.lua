-- Regular expressions of ECMA-262 (with its flag u), as JSON Schema has them, in the syntax of mg.regex.
--
-- Where the two write one thing in two ways it is translated; what only Perl's syntax has is refused, so that a pattern
-- means what the same pattern means to other validators.

local mg = require "moongate"

local M = {}

local SPACE = "\\p{Xsp}\\x{feff}" -- \s; Xsp is white space and separators
-- Written out: where text may be no UTF-8, the JIT of PCRE2 10.42 finds no characters above 127 for \D and \W.
local SETS = {
  d = "0-9", D = "\\x{0}-\\x{2f}\\x{3a}-\\x{10ffff}", w = "0-9A-Z_a-z",
  W = "\\x{0}-\\x{2f}\\x{3a}-\\x{40}\\x{5b}-\\x{5e}\\x{60}\\x{7b}-\\x{10ffff}",
}
local LINE_ENDS = "\\n\\r\\x{2028}\\x{2029}"

-- Long names of general categories, of which PCRE2 knows the short ones alone.
local CATEGORIES = {
  Letter = "L", Cased_Letter = "L&", Uppercase_Letter = "Lu", Lowercase_Letter = "Ll", Titlecase_Letter = "Lt",
  Modifier_Letter = "Lm", Other_Letter = "Lo", Mark = "M", Combining_Mark = "M", Nonspacing_Mark = "Mn",
  Spacing_Mark = "Mc", Enclosing_Mark = "Me", Number = "N", Decimal_Number = "Nd", digit = "Nd", Letter_Number = "Nl",
  Other_Number = "No", Punctuation = "P", punct = "P", Connector_Punctuation = "Pc", Dash_Punctuation = "Pd",
  Open_Punctuation = "Ps", Close_Punctuation = "Pe", Initial_Punctuation = "Pi", Final_Punctuation = "Pf",
  Other_Punctuation = "Po", Symbol = "S", Math_Symbol = "Sm", Currency_Symbol = "Sc", Modifier_Symbol = "Sk",
  Other_Symbol = "So", Separator = "Z", Space_Separator = "Zs", Line_Separator = "Zl", Paragraph_Separator = "Zp",
  Other = "C", Control = "Cc", cntrl = "Cc", Format = "Cf", Surrogate = "Cs", Private_Use = "Co", Unassigned = "Cn",
}

local function refuse(at, format, ...)
  error({ pattern = ("at character %d: %s"):format(at, format:format(...)) }, 0)
end

local function code_point(n, at)
  if n > 0x10FFFF or (n >= 0xD800 and n <= 0xDFFF) then refuse(at, "U+%X is no character", n) end
  return ("\\x{%x}"):format(n)
end

-- \uD83D\uDC32, \u00e4, \u{1F432}; `at` is behind the u. Gives the text, and where to go on.
local function unicode_escape(text, at)
  local long, behind = text:match("^{(%x+)}()", at)
  if long and #long <= 8 then return code_point(tonumber(long, 16), at), behind end
  local high, low, after = text:match("^([dD][89abAB]%x%x)\\u([dD][c-fC-F]%x%x)()", at)
  if high then
    return code_point(0x10000 + (tonumber(high, 16) - 0xD800) * 0x400 + tonumber(low, 16) - 0xDC00, at), after
  end
  local short = text:match("^%x%x%x%x", at)
  if not short then refuse(at, "\\u wants four hexadecimal digits") end
  return code_point(tonumber(short, 16), at), at + 4
end

local function property(text, letter, at)
  local name, behind = text:match("^{([%w_=]+)}()", at)
  if not name then refuse(at, "\\%s wants a name in braces", letter) end
  local kind, value = name:match "^(.-)=(.*)$"
  if kind == "General_Category" or kind == "gc" then name = value end
  if kind == "Script" or kind == "sc" or kind == "Script_Extensions" or kind == "scx" then name = value end
  return ("\\%s{%s}"):format(letter, CATEGORIES[name] or name), behind
end

-- What stands for itself when escaped: syntax, and the hyphen in classes.
local LITERAL = "[%^%$\\%.%*%+%?%(%)%[%]{}|/%-]"

-- An escape; `at` is behind the backslash.
local function escape(text, at, in_class)
  local c = text:sub(at, at)
  if c == "u" then return unicode_escape(text, at + 1) end
  if c == "p" or c == "P" then return property(text, c, at + 1) end
  if c == "x" then
    local hex = text:match("^%x%x", at + 1)
    if not hex then refuse(at, "\\x wants two hexadecimal digits") end
    return "\\x" .. hex, at + 3
  end
  if c == "c" and text:find("^%a", at + 1) then
    return ("\\x%02x"):format(text:byte(at + 1) % 32), at + 2
  end
  if c == "s" then return in_class and SPACE or "[" .. SPACE .. "]", at + 1 end
  -- In a class U+FEFF is taken for no space: its complement cannot be written there.
  if c == "S" then return in_class and "\\P{Xsp}" or "[^" .. SPACE .. "]", at + 1 end
  if c == "v" then return "\\x0b", at + 1 end
  if c == "0" and not text:find("^%d", at + 1) then return "\\x00", at + 1 end
  local set = SETS[c]
  if set then return in_class and set or "[" .. set .. "]", at + 1 end
  if c:find "[fnrt]" then return "\\" .. c, at + 1 end
  if c == "b" or (c == "B" and not in_class) then return in_class and "\\x08" or "\\" .. c, at + 1 end
  if c:find(LITERAL) then return "\\" .. c, at + 1 end
  if not in_class then
    local number = text:match("^[1-9]%d*", at)
    if number then return "(?:\\" .. number .. ")", at + #number end
    local name, behind = text:match("^k<([%a_$][%w_$]*)>()", at)
    if name then return "\\k<" .. name .. ">", behind end
  end
  return refuse(at, "'\\%s' is no escape", c)
end

-- A class; `at` is behind the bracket.
local function class(text, at)
  local began, negated = at, text:sub(at, at) == "^"
  if negated then at = at + 1 end
  if text:sub(at, at) == "]" then return negated and "[\\x{0}-\\x{10ffff}]" or "(?!)", at + 1 end
  local out = { negated and "[^" or "[" }
  while true do
    local c = text:sub(at, at)
    if c == "" then refuse(began, "the class has no end") end
    if c == "]" then break end
    if c == "\\" then
      c, at = escape(text, at + 1, true)
    else
      at = at + 1
      if c == "[" then c = "\\[" end -- else [:alpha:] would be a class of its own
    end
    out[#out + 1] = c
  end
  return table.concat(out) .. "]", at + 1
end

local GROUPS = { "^%(%?:", "^%(%?=", "^%(%?!", "^%(%?<=", "^%(%?<!", "^%(%?<[%a_$][%w_$]*>" }

local function group(text, at)
  if text:find("^%(%*", at) then refuse(at, "nothing to repeat") end
  if not text:find("^%(%?", at) then return "(", at + 1 end
  for _, start in ipairs(GROUPS) do
    local from, to = text:find(start, at)
    if from then return text:sub(from, to), to + 1 end
  end
  return refuse(at, "no such group")
end

local function quantifier(text, at)
  local from, to = text:find("^[*+?]%??", at)
  if not from then from, to = text:find("^{%d+,?%d*}%??", at) end
  if not from then return nil end
  if text:find("^[*+?]", to + 1) then refuse(to + 1, "nothing to repeat") end
  return text:sub(from, to), to + 1
end

local function translate(text)
  local out, at = {}, 1
  while at <= #text do
    local c = text:sub(at, at)
    local piece, behind = quantifier(text, at)
    if piece then
      c, at = piece, behind
    elseif c == "\\" then
      c, at = escape(text, at + 1, false)
    elseif c == "[" then
      c, at = class(text, at + 1)
    elseif c == "(" then
      c, at = group(text, at)
    else
      at = at + 1
      if c == "." then c = "[^" .. LINE_ENDS .. "]" end
      if c == "{" then c = "\\{" end
    end
    out[#out + 1] = c
  end
  return table.concat(out)
end

-- The pattern as a function of a text (see mg.regex); or nil and what is wrong with it.
function M.compile(text)
  local ok, result = pcall(translate, text)
  if not ok then
    if type(result) == "table" and result.pattern then return nil, result.pattern end
    error(result, 0)
  end
  local made, regex = pcall(mg.regex, result, "u")
  if not made then return nil, (tostring(regex):gsub("^.-mg%.regex: ", ""):gsub("^bad regular expression ", "")) end
  return regex
end

return M
