-- A schema as JSON Schema 2020-12, for editors.
--
--     json_schema.of(module) -> a table for mg.json.encode
--
-- It refuses nothing that ours takes, but null in place of leaving an option out. Where it cannot say as much (Lua
-- patterns, rules between fields, names that must stand elsewhere in the config) it takes more.

require "moongate.core"

local json = require "moongate".json
local walk = require "moongate.config.walk"

local M = {}

local DRAFT = "https://json-schema.org/draft/2020-12/schema"

-- What the environment fills in is a string until then, whatever its field wants.
local ENV = [[\$\{[A-Z_][A-Z0-9_]*(:-[^}]*)?\}]]

local function or_env(pattern)
  return pattern and pattern .. "|" .. ENV or ENV
end

-- A kind that is no string. `pattern` binds strings only, as bounds bind numbers only.
local function other(kind, pattern)
  return function() return { type = json.array { kind, "string" }, pattern = or_env(pattern) } end
end

local function text(pattern)
  return function() return { type = "string", pattern = pattern and or_env(pattern) } end
end

local TOKEN = [[!#$%&'*+\-.^_`|~0-9]]

local SCALARS = {
  string = text(), header_value = text(), secret = text(), key = text(), service = text(), expr = text(), cidr = text(),
  header_name = text("^[" .. TOKEN .. "A-Za-z]+$"),
  method = text("^[" .. TOKEN .. "A-Z]+$"),
  name = text [[^[A-Za-z0-9_][A-Za-z0-9_.\-]*$]],
  url = text "^https?://",
  number = other "number",
  integer = other "integer",
  status = other "integer",
  boolean = other "boolean",
  duration = other("number", [[^[0-9]+\.?[0-9]*(ms|s|m|h|d)$]]),
  size = other("integer", [[^[0-9]+\.?[0-9]* ?(([KMGT]i?)?B)?$]]),
}

local BOUNDS = { gt = "exclusiveMinimum", ge = "minimum", lt = "exclusiveMaximum", le = "maximum" }
local LEAST = { status = 100, duration = 0, size = 0 }

local function add_bounds(out, schema)
  for name, keyword in pairs(BOUNDS) do out[keyword] = schema[name] end
  local least = LEAST[schema.kind]
  if least and not schema.gt then out.minimum = math.max(least, schema.ge or least) end
  if schema.kind == "status" and not schema.lt then out.maximum = math.min(599, schema.le or 599) end
end

-- Lengths count bytes, and a character has up to four of them.
local function add_length(out, schema)
  local min, max = (schema.len or {})[1], (schema.len or {})[2]
  out.minLength = min and (min + 3) // 4
  out.maxLength = max
end

local function description(schema)
  local parts = { schema.help }
  if schema.match then parts[#parts + 1] = "must match the Lua pattern " .. walk.pattern(schema.match) end
  return #parts > 0 and table.concat(parts, "; ") or nil
end

local function marked(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for key, item in pairs(value) do out[key] = marked(item) end
  return #out > 0 and json.array(out) or out
end

local function one_of(values)
  return { anyOf = json.array { { enum = json.array(marked(values)) }, { type = "string", pattern = ENV } } }
end

local convert

local function convert_all(list)
  local out = {}
  for i, schema in ipairs(list) do out[i] = convert(schema) end
  return json.array(out)
end

local COMPOUND = {
  any = function() return {} end,
  enum = function(schema) return one_of(schema.values) end,
  any_of = function(schema) return { anyOf = convert_all(schema.choices) } end,
  list = function(schema)
    local item = convert(schema.item)
    local min, max = (schema.len or {})[1], (schema.len or {})[2]
    local list = { type = "array", items = item, minItems = min, maxItems = max }
    return schema.single and { anyOf = json.array { item, list } } or list
  end,
  -- Which policies there are, and their options, is for `moongate check`.
  steps = function(schema)
    local min, max = (schema.len or {})[1], (schema.len or {})[2]
    local step = { anyOf = json.array { { type = "string" }, { type = "object", minProperties = 1 } } }
    local list = { type = "array", items = step, minItems = min, maxItems = max }
    return schema.single and { anyOf = json.array { step, list } } or list
  end,
  map = function(schema)
    local min, max = (schema.len or {})[1], (schema.len or {})[2]
    return {
      type = "object", additionalProperties = convert(schema.item), minProperties = min, maxProperties = max,
      propertyNames = schema.keys and convert(schema.keys) or nil,
    }
  end,
  record = function(schema)
    local properties, required = {}, {}
    for _, name in ipairs(walk.sorted_keys(schema.fields)) do
      properties[name] = convert(schema.fields[name])
      if schema.fields[name].required then required[#required + 1] = name end
    end
    return {
      type = "object", properties = properties, additionalProperties = false,
      required = #required > 0 and json.array(required) or nil,
    }
  end,
}

function convert(schema)
  local compound, scalar = COMPOUND[schema.kind], SCALARS[schema.kind]
  local out = compound and compound(schema) or scalar and scalar() or {}
  if scalar then
    add_bounds(out, schema)
    add_length(out, schema)
    if schema.one_of then out = one_of(schema.one_of) end
  end
  out.description = description(schema)
  if schema.default ~= nil then
    out.default = marked(schema.default)
    if schema.kind == "list" and type(schema.default) == "table" then out.default = json.array(out.default) end
  end
  return out
end

function M.of(module)
  local out = module.schema and convert(module.schema) or {}
  out["$schema"] = DRAFT
  out.title = module.name
  out.description = out.description or module.summary
  return out
end

return M
