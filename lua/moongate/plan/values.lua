-- What differs between two values of a config, in words.
--
--     changes(old, new) -> { { path =, text = }, ... }       sorted by path; none: they are alike
--
-- Lists of texts and numbers are compared as what is in them, lists of records item by item.

local M = {}

local TEXT_MAX = 60

-- One value, short enough for a line.
local function show(value)
  if type(value) == "table" then
    local out = {}
    for i, item in ipairs(value) do out[i] = tostring(item) end
    return "[" .. table.concat(out, ", ") .. "]"
  end
  local text = type(value) == "string" and ("%q"):format(value):gsub("\\\n", "\\n") or tostring(value)
  return #text > TEXT_MAX and text:sub(1, TEXT_MAX) .. '..."' or text
end

local function is_plain_list(value)
  if type(value) ~= "table" or #value == 0 and next(value) ~= nil then return false end
  for _, item in ipairs(value) do
    if type(item) == "table" then return false end
  end
  return true
end

local function is_record(value)
  return type(value) == "table" and not is_plain_list(value)
end

local function set_of(list)
  local out = {}
  for _, item in ipairs(list) do out[item] = true end
  return out
end

-- What is in the one list, and not in the set.
local function missing(list, set)
  local out = {}
  for _, item in ipairs(list) do
    if not set[item] then out[#out + 1] = tostring(item) end
  end
  return out
end

local function compare_lists(old, new)
  local gone, come = missing(old, set_of(new)), missing(new, set_of(old))
  local parts = {}
  if #come > 0 then parts[#parts + 1] = "+ " .. table.concat(come, ", ") end
  if #gone > 0 then parts[#parts + 1] = "- " .. table.concat(gone, ", ") end
  if #parts == 0 and #old == #new then
    for i, item in ipairs(old) do
      if item ~= new[i] then return "in another order" end
    end
    return nil
  end
  return #parts > 0 and table.concat(parts, "; ") or "counts differ"
end

local function join(path, key)
  if math.type(key) == "integer" then return ("%s[%d]"):format(path, key - 1) end
  return path == "" and tostring(key) or path .. "." .. tostring(key)
end

local function keys_of(a, b)
  local seen, keys = {}, {}
  for _, t in ipairs { a, b } do
    for key in pairs(t) do
      if not seen[key] then keys[#keys + 1] = key end
      seen[key] = true
    end
  end
  table.sort(keys, function(x, y)
    if math.type(x) == "integer" and math.type(y) == "integer" then return x < y end
    return tostring(x) < tostring(y)
  end)
  return keys
end

local function compare(old, new, path, out)
  if old == nil and new == nil then return end
  local text
  if type(old) == "table" and type(new) == "table" and not (is_plain_list(old) and is_plain_list(new)) then
    for _, key in ipairs(keys_of(old, new)) do compare(old[key], new[key], join(path, key), out) end
    return
  elseif type(old) == "table" and type(new) == "table" then
    text = compare_lists(old, new)
  elseif old == nil then
    text = is_record(new) and "added" or ("set to %s"):format(show(new))
  elseif new == nil then
    text = is_record(old) and "removed" or ("no longer %s"):format(show(old))
  elseif old ~= new then
    text = ("%s -> %s"):format(show(old), show(new))
  end
  if text then out[#out + 1] = { path = path, text = text } end
end

function M.changes(old, new)
  local out = {}
  compare(old, new, "", out)
  return out
end

function M.same(old, new)
  return #M.changes(old, new) == 0
end

-- A text that is equal for equal values.
function M.key(value)
  if type(value) ~= "table" then return ("%s:%s"):format(type(value), value) end
  local keys, out = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, key in ipairs(keys) do out[i] = ("%q=%s"):format(tostring(key), M.key(value[key])) end
  return "{" .. table.concat(out, ",") .. "}"
end

return M
