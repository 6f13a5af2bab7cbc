-- Texts as the values that a schema wants: of query arguments, headers and path parameters, which have no types.
--
-- A text becomes a number or a boolean only when the schema of its name allows that type, by itself or in what it
-- refers to, and when it is written just as JSON writes it: "007", "1e5" for an integer, "TRUE" stay texts, and fail.
-- A name that comes several times is a list, and so is one value where an array is wanted.

local mg = require "moongate"
local pattern = require "moongate.json_schema.pattern"
local values = require "moongate.json_schema.values"

local M = {}

local KEPT = 100

local function is_integer_text(text)
  return text:find "^%-?[1-9]%d*$" ~= nil or text == "0"
end

local function is_number_text(text)
  local fraction = text:match "^%-?%d+(.*)$"
  if not fraction or text:find "^%-?0%d" then return false end
  fraction = fraction:gsub("^%.%d+", "", 1)
  return fraction == "" or fraction:find "^[eE][+-]?%d+$" ~= nil
end

local function convert(text, types)
  if (types.integer and is_integer_text(text)) or (types.number and is_number_text(text)) then return tonumber(text) end
  if types.boolean and (text == "true" or text == "false") then return text == "true" end
  return text
end

-- ------------------------------------------------------------------------------------------------ which types

-- Calls fn with the schema and all that look at the same value.
local function each_part(doc, schema, fn, met)
  if type(schema) ~= "table" or met[schema] then return end
  met[schema] = true
  fn(schema)
  for _, keyword in ipairs { "$ref", "$dynamicRef" } do
    if schema[keyword] then each_part(doc, doc:find(schema, schema[keyword], ""), fn, met) end
  end
  for _, keyword in ipairs { "allOf", "anyOf", "oneOf", "dependentSchemas" } do
    for _, inner in pairs(schema[keyword] or {}) do each_part(doc, inner, fn, met) end
  end
  for _, keyword in ipairs { "if", "then", "else" } do each_part(doc, schema[keyword], fn, met) end
end

local function add_types(types, schema)
  local wanted = schema.type
  for _, name in ipairs(type(wanted) == "table" and wanted or { wanted }) do types[name] = true end
  if wanted ~= nil then return end
  for _, value in ipairs(schema.enum or { schema.const }) do types[values.kind(value)] = true end
end

-- The types that any of these schemas allows, and the schemas of items.
local function types_of(doc, schemas)
  local types, items, met = {}, {}, {}
  for _, schema in ipairs(schemas) do
    each_part(doc, schema, function(part)
      add_types(types, part)
      items[#items + 1] = part.items
    end, met)
  end
  return types, items
end

local function make(doc, schemas)
  local types, item_schemas = types_of(doc, schemas)
  local item_types = types_of(doc, item_schemas)
  return function(value)
    if type(value) == "table" then
      local out = mg.json.array()
      for i = 1, #value do out[i] = convert(value[i], item_types) end
      return out
    end
    if types.array and not types.string then return mg.json.array { convert(value, item_types) } end
    return convert(value, types)
  end
end

-- ------------------------------------------------------------------------------------------------ by name

-- Schemas for members that are not in `properties`: { { matches, schema } }, and those for any.
local function open_members(part, out)
  for text, schema in pairs(part.patternProperties or {}) do
    table.insert(out, { matches = pattern.compile(text), schema = schema })
  end
  table.insert(out, { matches = function() return true end, schema = part.additionalProperties })
end

-- A function that makes values of texts by the schema of a whole set of fields.
function M.new(doc)
  local named, open = {}, {}
  each_part(doc, doc.root, function(part)
    for name, schema in pairs(part.properties or {}) do
      named[name] = named[name] or {}
      table.insert(named[name], schema)
    end
    open_members(part, open)
  end, {})
  for name, schemas in pairs(named) do named[name] = make(doc, schemas) end

  -- Names come from the client, and may be many; which of the schemas are theirs is one of few answers.
  local made, kept = {}, 0
  local function of_open(name)
    local schemas, key = {}, ""
    for i, member in ipairs(open) do
      if member.schema ~= nil and member.matches(name) then
        schemas[#schemas + 1], key = member.schema, key .. i .. " "
      end
    end
    local convert_all = made[key] or make(doc, schemas)
    if not made[key] and kept < KEPT then made[key], kept = convert_all, kept + 1 end
    return convert_all
  end

  return function(fields)
    local out = {}
    for name, value in pairs(fields) do out[name] = (named[name] or of_open(name))(value) end
    return out
  end
end

return M
