-- JSON values as JSON Schema sees them: six kinds, and equality by value. Pure.

local mg = require "moongate"

local M = {}

local ARRAY_MARK = getmetatable(mg.json.array())

-- "null", "boolean", "number", "string", "array", "object". An empty table without the mark of an array is an object.
function M.kind(value)
  local t = type(value)
  if t == "table" then return (#value > 0 or getmetatable(value) == ARRAY_MARK) and "array" or "object" end
  if t == "userdata" then return "null" end
  return t
end

-- 1.0 is an integer (6.1.1 of the validation specification).
function M.is_integer(value)
  return math.type(value) == "integer" or value % 1 == 0
end

function M.sorted_keys(object)
  local keys = {}
  for key in pairs(object) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local put

local function put_table(value, out)
  if M.kind(value) == "array" then
    out[#out + 1] = "["
    for i = 1, #value do put(value[i], out) end
    out[#out + 1] = "]"
    return
  end
  out[#out + 1] = "{"
  for _, key in ipairs(M.sorted_keys(value)) do
    put(key, out)
    put(value[key], out)
  end
  out[#out + 1] = "}"
end

function put(value, out)
  local t = type(value)
  if t == "table" then return put_table(value, out) end
  if t == "string" then
    out[#out + 1] = #value .. '"' .. value
  elseif t == "number" then
    out[#out + 1] = ("%.17g "):format(math.tointeger(value) or value)
    -- Neighbours that a float cannot tell apart.
    if math.tointeger(value) then out[#out] = ("%d "):format(math.tointeger(value)) end
  else
    out[#out + 1] = tostring(value) .. " "
  end
end

-- A text that two values share when they are equal, and only then; and how many pieces it took.
function M.fingerprint(value)
  local out = {}
  put(value, out)
  return table.concat(out), #out
end

return M
