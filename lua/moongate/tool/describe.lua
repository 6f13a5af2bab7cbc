-- What a schema says, in words: one row for each option.
--
--     describe.options(schema) -> { { path =, type =, facts = { text, ... }, help = }, ... }
--
-- Paths are as people write them: `a.b` is in a record, `a[]` in a list, `a{name}` in a map. What is required comes
-- first, then the order is the alphabet's. Reads the schema's data only.

local kinds = require "moongate.config.kinds"
local walk = require "moongate.config.walk"

local M = {}

-- ------------------------------------------------------------------------------------------------ values

local WORDS = { ["true"] = true, ["false"] = true, null = true } -- not strings, whatever their case

local function is_plain(text)
  if text:find "^%d+%.?%d*[KMGT]?i?[Bsmhd]s?$" then return true end -- a size or a duration
  return text:find "^[%a/][%w_./-]*$" ~= nil and not WORDS[text:lower()]
end

local ESCAPES = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r" }

-- A value in one line of YAML.
function M.inline(value)
  if type(value) == "string" then
    return is_plain(value) and value or '"' .. value:gsub('[\\"\n\t\r]', ESCAPES) .. '"'
  end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for i, item in ipairs(value) do parts[i] = M.inline(item) end
  if #parts > 0 or next(value) == nil then return "[" .. table.concat(parts, ", ") .. "]" end
  for _, key in ipairs(walk.sorted_keys(value)) do
    parts[#parts + 1] = M.inline(tostring(key)) .. ": " .. M.inline(value[key])
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local function words(values)
  local out = {}
  for i, value in ipairs(values) do out[i] = M.inline(value) end
  if #out < 2 then return out[1] or "" end
  return table.concat(out, ", ", 1, #out - 1) .. " or " .. out[#out]
end

local UNITS = { { "GiB", 1 << 30 }, { "MiB", 1 << 20 }, { "KiB", 1 << 10 } }

-- A bound as its kind writes it.
local function bound(kind, n)
  if kind == "duration" and n ~= 0 then return n .. "s" end
  for _, unit in ipairs(kind == "size" and n ~= 0 and UNITS or {}) do
    if n % unit[2] == 0 then return n // unit[2] .. unit[1] end
  end
  return tostring(n)
end

-- ------------------------------------------------------------------------------------------------ types

local PLURAL = { cidr = "addresses or networks", status = "statuses", any = "values", steps = "lists of steps" }
local OWN = { record = "map", any = "any value", steps = "list of steps" }

local function word(schema)
  local kind = kinds[schema.kind]
  -- A kind that only its own module can read tells no more than its name.
  return OWN[schema.kind] or (kind and (kind.short or kind.name)) or schema.kind:gsub("_", " ")
end

local type_of

-- "a, b or c", each once.
local function alternatives(list, of)
  local out, seen = {}, {}
  for _, schema in ipairs(list) do
    local text = of(schema)
    if not seen[text] then out[#out + 1] = text end
    seen[text] = true
  end
  if #out == 1 then return out[1] end
  return table.concat(out, ", ", 1, #out - 1) .. " or " .. out[#out]
end

local function plural(schema)
  if schema.kind == "any_of" then return alternatives(schema.choices, plural) end
  if schema.kind == "list" then return "lists of " .. plural(schema.item) end
  if schema.kind == "map" then return "maps" end
  if schema.kind == "enum" then return words(schema.values) end
  if schema.kind == "steps" and schema.single then return "steps or lists of steps" end
  return PLURAL[schema.kind] or word(schema) .. "s"
end

local function range(schema)
  local low = schema.ge and "at least " .. bound(schema.kind, schema.ge)
    or schema.gt and "more than " .. bound(schema.kind, schema.gt)
  local high = schema.le and "at most " .. bound(schema.kind, schema.le)
    or schema.lt and "less than " .. bound(schema.kind, schema.lt)
  if schema.ge and schema.le then
    return bound(schema.kind, schema.ge) .. " to " .. bound(schema.kind, schema.le)
  end
  return low and high and low .. ", " .. high or low or high
end

local COUNTED = { list = { "item", "items" }, map = { "entry", "entries" }, steps = { "step", "steps" } }

local function length(schema)
  local one, many = table.unpack(COUNTED[schema.kind] or { "character", "characters" })
  local min, max = (schema.len or {})[1], (schema.len or {})[2]
  if min and max then return ("%d to %d %s"):format(min, max, many) end
  if min then return ("at least %d %s"):format(min, min == 1 and one or many) end
  return max and ("at most %d %s"):format(max, max == 1 and one or many)
end

local function choice_type(schema)
  local limits = range(schema)
  return type_of(schema) .. (limits and " (" .. limits .. ")" or "")
end

function type_of(schema)
  if schema.kind == "enum" then return words(schema.values) end
  if schema.kind == "any_of" then return alternatives(schema.choices, choice_type) end
  if schema.kind == "steps" and schema.single then return "step or list of steps" end
  if schema.kind == "list" then
    return schema.single and type_of(schema.item) .. ", or a list of them" or "list of " .. plural(schema.item)
  end
  if schema.kind == "map" then
    return ("map of %s to %s"):format(plural(schema.keys or { kind = "name" }), plural(schema.item))
  end
  return word(schema)
end

local function facts_of(schema)
  local facts = {}
  local function add(text) facts[#facts + 1] = text or nil end
  add(schema.required and "required")
  -- That of a record is told by those of its fields.
  add(schema.default ~= nil and schema.kind ~= "record" and "default " .. M.inline(schema.default))
  add(range(schema))
  add(length(schema))
  add(schema.one_of and words(schema.one_of))
  add(schema.match and "matches " .. walk.pattern(schema.match))
  return facts
end

-- ------------------------------------------------------------------------------------------------ rows

-- Names of a record's fields: the required ones, then the others.
function M.field_names(schema)
  local names = {}
  for _, name in ipairs(walk.sorted_keys(schema.fields)) do
    if schema.fields[name].required then names[#names + 1] = name end
  end
  for _, name in ipairs(walk.sorted_keys(schema.fields)) do
    if not schema.fields[name].required then names[#names + 1] = name end
  end
  return names
end

local add_option

local function add_inner(rows, path, schema)
  if schema.kind == "record" then
    local prefix = path == "" and "" or path .. "."
    for _, name in ipairs(M.field_names(schema)) do add_option(rows, prefix .. name, schema.fields[name]) end
  elseif schema.kind == "list" then
    add_option(rows, path .. "[]", schema.item, true)
  elseif schema.kind == "map" then
    add_option(rows, path .. "{name}", schema.item, true)
  elseif schema.kind == "any_of" then
    for _, choice in ipairs(schema.choices) do add_inner(rows, path, choice) end
  end
end

-- What stands in a list or a map has a row where there is more to say than the type, which that of the list tells.
function add_option(rows, path, schema, is_item)
  local facts = facts_of(schema)
  if not is_item or #facts > 0 or schema.help then
    rows[#rows + 1] = { path = path, type = type_of(schema), facts = facts, help = schema.help }
  end
  add_inner(rows, path, schema)
end

function M.options(schema)
  local rows = {}
  if schema == nil then return rows end
  if schema.kind == "record" then add_inner(rows, "", schema) else add_option(rows, "(itself)", schema) end
  return rows
end

return M
