-- What can be broken in a Lua text, one thing at a time. Pure.
--
--     mutants(text) -> list | nil, what is wrong with the text
--
-- Each is { line =, col =, from = what stood there, to = what stands there now, text = the whole text with it }. Those
-- that do not compile are left out, and those whose bytecode is that of the text itself or of an earlier one: no spec
-- could tell them apart.
--
-- Texts that only people read stay as they are: `help`, `summary` and `version`.

local syntax = require "moongate.test.lua_syntax"
local tokens_of = require "moongate.test.lua_tokens"

-- ------------------------------------------------------------------------------------------------ tokens

local SWAPS = {
  ["=="] = "~=", ["~="] = "==", ["<"] = "<=", ["<="] = "<", [">"] = ">=", [">="] = ">", ["and"] = "or", ["or"] = "and",
  ["+"] = "-", ["-"] = "+", ["not"] = "", ["true"] = "false", ["false"] = "true",
}
local FOR_PEOPLE = { help = true, summary = true, version = true }

local function number_text(value)
  local text = math.type(value) == "integer" and ("%d"):format(value) or ("%.17g"):format(value)
  return value < 0 and "(" .. text .. ")" or text
end

local function is_for_people(tokens, i)
  return i > 2 and tokens[i - 1].text == "=" and FOR_PEOPLE[tokens[i - 2].text]
end

-- What may stand in the place of a token.
local function swaps_of(tokens, i)
  local token = tokens[i]
  if token.kind == "number" then
    local value = tonumber(token.text)
    return { number_text(value + 1), number_text(value - 1) }
  end
  if token.kind == "string" then return not is_for_people(tokens, i) and { '""' } or {} end
  if token.text == "-" and not token.binary then return { "" } end
  return { SWAPS[token.text] }
end

-- ------------------------------------------------------------------------------------------------ statements

-- What may stand in the place of a statement: the token that it begins with, and the text.
local SWAPS_OF = {
  call = function(s) return { { s.first, ";" } } end,
  assign = function(s) return { { s.first, ";" } } end,
  ["local"] = function(s)
    return s.values and { { s.values - 1, "" } } or {} -- the `=` goes too
  end,
  condition = function(s) return { { s.first, "true" }, { s.first, "false" } } end,
  ["return"] = function(s)
    local out = {}
    -- Where a function ends anyway, to return nothing is almost to return nil.
    if not s.ends then out[1] = { s.first, ";" } end
    if s.values then out[#out + 1] = { s.values, "nil" } end
    return out
  end,
}

-- ------------------------------------------------------------------------------------------------ all

local SHOWN = 60 -- characters

local function short(text)
  text = text:gsub("%s+", " ")
  if utf8.len(text) and utf8.len(text) > SHOWN then return text:sub(1, utf8.offset(text, SHOWN - 2) - 1) .. "..." end
  return text
end

-- The text with another piece in the place of tokens first..last; lines stay where they are.
local function replace(text, tokens, first, last, piece)
  local from, to = tokens[first].at, tokens[last].at + #tokens[last].text
  local breaks = text:sub(from, to - 1):gsub("[^\r\n]", "")
  return text:sub(1, from - 1) .. piece .. breaks .. text:sub(to), text:sub(from, to - 1)
end

local function bytecode(text)
  local chunk, fault = load(text, "=text", "t")
  if not chunk then return nil, fault end
  return string.dump(chunk, true)
end

return function(text)
  local original, fault = bytecode(text)
  if not original then return nil, (fault:gsub("^text:", "line ")) end
  local tokens = assert(tokens_of(text))
  local statements = assert(syntax(tokens))
  local list, seen = {}, { [original] = true }

  local function add(first, last, piece)
    local changed, from = replace(text, tokens, first, last, piece)
    local code = bytecode(changed)
    if not code or seen[code] then return end
    seen[code] = true
    list[#list + 1] = {
      line = tokens[first].line, col = tokens[first].col, at = tokens[first].at, text = changed,
      from = short(from), to = piece == "" and "(nothing)" or piece == ";" and "(removed)" or piece,
    }
  end

  for i = 1, #tokens do
    for _, piece in ipairs(swaps_of(tokens, i)) do add(i, i, piece) end
  end
  for _, statement in ipairs(statements) do
    for _, swap in ipairs(SWAPS_OF[statement.kind](statement)) do add(swap[1], statement.last, swap[2]) end
  end
  for order, mutant in ipairs(list) do mutant.order = order end
  table.sort(list, function(a, b)
    if a.at ~= b.at then return a.at < b.at end
    return a.order < b.order
  end)
  return list
end
