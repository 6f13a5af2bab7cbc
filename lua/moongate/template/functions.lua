-- What expressions can call, and what their operators do: functions of decoded JSON that never raise. A value of the
-- wrong kind counts as one that is not there.
--
-- `specs` says how each is written: the least and the most arguments, and from which on an argument is asked for each
-- item, as `it`.

local mg = require "moongate"

local M = {}

local null, array = mg.json.null, mg.json.array

local specs = {}
M.specs = specs

-- ------------------------------------------------------------------------------------------------ operators

-- A member; null is nothing.
function M.get(value, key)
  if type(value) ~= "table" or key == nil then return nil end
  value = value[key]
  if value == null then return nil end
  return value
end

local function number(value)
  local kind = type(value)
  if kind == "number" then return value end
  return kind == "string" and tonumber(value) or nil -- arguments of a query are texts
end

local function ordered(a, b)
  local kind = type(a)
  if kind == type(b) then return kind == "number" or kind == "string", a, b end
  a, b = number(a), number(b)
  return a ~= nil and b ~= nil, a, b
end

function M.less(a, b)
  local ok
  ok, a, b = ordered(a, b)
  return ok and a < b
end

function M.less_or_same(a, b)
  local ok
  ok, a, b = ordered(a, b)
  return ok and a <= b
end

-- A function of two numbers; what JSON has no number for is nothing.
local function arithmetic(fn)
  return function(a, b)
    a, b = number(a), number(b)
    if not a or not b then return nil end
    local result = fn(a, b)
    if result ~= result or result == math.huge or result == -math.huge then return nil end
    return result
  end
end

M.add = arithmetic(function(a, b) return a + b end)
M.subtract = arithmetic(function(a, b) return a - b end)
M.multiply = arithmetic(function(a, b) return a * b end)
M.divide = arithmetic(function(a, b) return a / b end)
M.divide_whole = arithmetic(function(a, b) return a // (b == 0 and 0.0 or b) end)
M.remainder = arithmetic(function(a, b) return a % (b == 0 and 0.0 or b) end)

-- What a value is in a text: nothing, where it has no text of its own.
local function text_of(value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" or kind == "boolean" then return tostring(value) end
  return ""
end

specs.text = { 1, 20, usage = "text(value, ...)" }
function M.text(a, b, ...)
  a = text_of(a)
  if b ~= nil then a = a .. text_of(b) end
  for i = 1, select("#", ...) do a = a .. text_of((select(i, ...))) end
  return a
end

-- Values between texts, which is what a text with ${...} is.
function M.join_text(...)
  local pieces = { ... }
  for i = 1, select("#", ...) do pieces[i] = text_of(pieces[i]) end
  return table.concat(pieces)
end

-- A value as one segment of a path, or one value of a query; nil for what names nothing, or would lead elsewhere.
function M.segment(value)
  local text = text_of(value)
  if text == "" or text == "." or text == ".." then return nil end
  return mg.url.encode(text)
end

local FOREIGN = "[^%w%-._~!$&'()*+,;=:@/%%]" -- to a path (RFC 3986 3.3)

local function escape_char(char) return ("%%%02X"):format(char:byte()) end

-- What a route's pattern has captured: it may be several segments, and keeps its %2F and %25.
function M.captured(value)
  local text = text_of(value)
  if text == "" or text == "." or text == ".." then return nil end
  if not text:find(FOREIGN) then return text end
  return (text:gsub(FOREIGN, escape_char))
end

-- A path of texts and such values, or nil where one of them is missing.
function M.join_path(a, b, c, ...)
  if select("#", ...) == 0 then return b and a .. b .. c end -- most have one value
  return M.join_long_path(a, b, c, ...)
end

function M.join_long_path(...)
  for i = 1, select("#", ...) do
    if select(i, ...) == nil then return nil end
  end
  return table.concat { ... }
end

local MARKUP = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

-- In the text and the quoted attributes of HTML and XML.
function M.escape_markup(value) return (text_of(value):gsub("[&<>\"']", MARKUP)) end

-- As one part of an address, and in forms.
function M.escape_address(value) return mg.url.encode(text_of(value)) end

-- A value for a query, or nil: then it is left out.
function M.argument(value)
  if type(value) == "boolean" then return tostring(value) end
  return (type(value) == "string" or type(value) == "number") and value or nil
end

-- A value for a header. What clients sent may be unfit for one.
function M.field_value(value)
  local text = text_of(value)
  return text ~= "" and not text:find "[\0-\8\10-\31\127]" and text or nil
end

local KEPT = { ["%2F"] = "/", ["%2f"] = "/", ["%25"] = "%" }

-- What a route's pattern has captured: the request keeps two characters encoded.
function M.param(text)
  if type(text) ~= "string" or not text:find("%", 1, true) then return text end
  return (text:gsub("%%2[Ff5]", KEPT))
end

-- ------------------------------------------------------------------------------------------------ values

specs.number = { 1, 1, usage = "number(value)" }
M.number = number

specs.count = { 1, 1, usage = "count(list)" }
function M.count(value)
  if type(value) == "string" then return utf8.len(value) or #value end
  if type(value) ~= "table" then return nil end
  if #value > 0 then return #value end
  local n = 0
  for _ in pairs(value) do n = n + 1 end
  return n
end

specs.upper = { 1, 1, usage = "upper(text)" }
function M.upper(value) return value ~= nil and text_of(value):upper() or nil end

specs.lower = { 1, 1, usage = "lower(text)" }
function M.lower(value) return value ~= nil and text_of(value):lower() or nil end

specs.round = { 1, 2, usage = "round(number, digits?)" }
function M.round(value, digits)
  value, digits = number(value), math.tointeger(number(digits) or 0)
  if not value or not digits or math.abs(digits) > 15 then return nil end
  local scale = 10.0 ^ digits
  local rounded = math.floor(value * scale + 0.5) / scale
  if digits <= 0 then return math.tointeger(rounded) or rounded end
  return rounded
end

-- ------------------------------------------------------------------------------------------------ maps

specs.pick = { 2, 100, usage = "pick(map, 'name', ...)" }
local function pick(value, ...)
  if type(value) ~= "table" then return nil end
  local out = {}
  for i = 1, select("#", ...) do
    local name = select(i, ...)
    if name ~= nil then out[name] = value[name] end
  end
  return out
end

-- A list's items are picked from, one by one.
function M.pick(value, ...)
  if type(value) ~= "table" then return nil end
  if not mg.json.is_array(value) then return pick(value, ...) end
  local out = {}
  for i, item in ipairs(value) do out[i] = pick(item, ...) or item end
  return array(out)
end

specs.omit = { 2, 100, usage = "omit(map, 'name', ...)" }
function M.omit(value, ...)
  if type(value) ~= "table" then return nil end
  local out = {}
  for key, item in pairs(value) do out[key] = item end
  for i = 1, select("#", ...) do
    local name = select(i, ...)
    if name ~= nil then out[name] = nil end
  end
  return out
end

specs.rename = { 2, 2, usage = "rename(map, { old = 'new' })" }
function M.rename(value, names)
  if type(value) ~= "table" or type(names) ~= "table" then return nil end
  local out = {}
  for key, item in pairs(value) do
    if names[key] == nil then out[key] = item end
  end
  for old, new in pairs(names) do
    if type(new) == "string" then out[new] = value[old] end
  end
  return out
end

specs.merge = { 2, 20, usage = "merge(map, map, ...)" }
function M.merge(...)
  local out = {}
  for i = 1, select("#", ...) do
    local map = select(i, ...)
    for key, item in pairs(type(map) == "table" and map or {}) do
      if type(key) == "string" then out[key] = item end
    end
  end
  return out
end

-- ------------------------------------------------------------------------------------------------ lists

specs.list = { 0, 100, usage = "list(value, ...)" }
function M.list(...)
  local out = { ... }
  for i = 1, select("#", ...) do
    if out[i] == nil then out[i] = null end
  end
  return array(out)
end

local function items(list) return ipairs(type(list) == "table" and list or {}) end

local function plain(item)
  if item == null then return nil end
  return item
end

specs.map = { 2, 2, each = 2, usage = "map(list, what of it)" }
function M.map(list, fn)
  if type(list) ~= "table" then return nil end
  local out = {}
  for i, item in ipairs(list) do
    local value = fn(plain(item))
    out[i] = value == nil and null or value
  end
  return array(out)
end

specs.filter = { 2, 2, each = 2, usage = "filter(list, condition on it)" }
function M.filter(list, fn)
  if type(list) ~= "table" then return nil end
  local out = {}
  for _, item in ipairs(list) do
    if fn(plain(item)) then out[#out + 1] = item end
  end
  return array(out)
end

specs.find = { 2, 2, each = 2, usage = "find(list, condition on it)" }
function M.find(list, fn)
  for _, item in items(list) do
    if fn(plain(item)) then return plain(item) end
  end
  return nil
end

specs.first = { 1, 2, usage = "first(list, n?)" }
function M.first(list, n)
  if type(list) ~= "table" then return nil end
  if n == nil then return plain(list[1]) end
  return array(table.move(list, 1, math.max(0, math.min(#list, (number(n) or 0) // 1 | 0)), 1, {}))
end

specs.sum = { 1, 2, each = 2, usage = "sum(list, number of it)" }
function M.sum(list, fn)
  if type(list) ~= "table" then return nil end
  local total = 0
  for _, item in ipairs(list) do
    local value = number(plain(item))
    if fn then value = number(fn(plain(item))) end
    total = total + (value or 0)
  end
  return total
end

specs.average = { 1, 2, each = 2, usage = "average(list, number of it)" }
function M.average(list, fn)
  local n = M.count(list)
  if not n or n == 0 then return nil end
  return M.sum(list, fn) / n
end

-- What a value is as a key of a map; nil for what cannot be one.
local function key_of(value)
  local kind = type(value)
  if kind == "number" then return tostring(math.tointeger(value) or value) end
  if kind == "string" or kind == "boolean" then return tostring(value) end
  return nil
end

specs.group = { 2, 2, each = 2, usage = "group(list, key of it)" }
function M.group(list, fn)
  if type(list) ~= "table" then return nil end
  local out = {}
  for _, item in ipairs(list) do
    local key = key_of(fn(plain(item)))
    if key then
      out[key] = out[key] or array {}
      table.insert(out[key], item)
    end
  end
  return out
end

specs.unique = { 1, 2, each = 2, usage = "unique(list, key of it)" }
function M.unique(list, fn)
  if type(list) ~= "table" then return nil end
  local out, seen = {}, {}
  for _, item in ipairs(list) do
    local value = plain(item)
    local key = key_of(value)
    if fn then key = key_of(fn(value)) end
    if key and not seen[key] then out[#out + 1], seen[key] = item, true end
  end
  return array(out)
end

local function sort_keys(list, fn)
  local keyed = {}
  for i, item in ipairs(list) do
    local key = plain(item)
    if fn then key = fn(key) end
    keyed[i] = { key = key, item = item, at = i }
  end
  return keyed
end

local RANK = { number = 1, string = 2 } -- what has no order stands last

local function before(a, b)
  local x, y = RANK[type(a.key)] or 3, RANK[type(b.key)] or 3
  if x ~= y then return x < y end
  if x == 3 or a.key == b.key then return a.at < b.at end
  return a.key < b.key
end

specs.sort = { 1, 2, each = 2, usage = "sort(list, key of it)" }
function M.sort(list, fn)
  if type(list) ~= "table" then return nil end
  local keyed = sort_keys(list, fn)
  table.sort(keyed, before)
  for i, entry in ipairs(keyed) do keyed[i] = entry.item end
  return array(keyed)
end

specs.reverse = { 1, 1, usage = "reverse(list)" }
function M.reverse(list)
  if type(list) ~= "table" then return nil end
  local out = {}
  for i = #list, 1, -1 do out[#out + 1] = list[i] end
  return array(out)
end

specs.concat = { 1, 2, usage = "concat(list, between?)" }
function M.concat(list, between)
  if type(list) ~= "table" then return nil end
  local out = {}
  for i, item in ipairs(list) do out[i] = text_of(item) end
  return table.concat(out, between and text_of(between) or ",")
end

-- Gives each item of a list, as `name`, the one of others whose field has the same value. In one pass over each.
specs.join = { 5, 5, usage = "join(list, 'field', others, 'their field', 'name')" }
function M.join(list, field, others, theirs, name)
  if type(list) ~= "table" or type(name) ~= "string" then return nil end
  local by_key, out = {}, {}
  for _, other in items(others) do
    local key = key_of(M.get(other, theirs))
    if key and by_key[key] == nil then by_key[key] = other end
  end
  for i, item in ipairs(list) do
    out[i] = item
    if type(item) == "table" then
      local key = key_of(M.get(item, field))
      out[i] = M.merge(item)
      out[i][name] = key and by_key[key] or null
    end
  end
  return array(out)
end

return M
