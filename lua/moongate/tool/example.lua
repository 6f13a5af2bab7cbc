-- An example of a step, made from the schema of its policy.
--
--     example.value(schema) -> conf that the schema takes, or nil where none is found
--     example.yaml(name, schema) -> text of a step, or nil
--
-- Nothing is shown that the schema refuses: values are guesses (words from the help text among them) until one fits,
-- and rules between fields decide which options stand together.

local describe = require "moongate.tool.describe"
local walk = require "moongate.config.walk"

local M = {}

local OPTIONS_SHOWN = 6 -- of one record

-- In turn, so that two options do not have the same value.
local GUESSES = {
  boolean = { true, false },
  cidr = { "10.0.0.0/8", "192.0.2.0/24" },
  duration = { "10s", "1m", "1h" },
  expr = { "${client_ip}", "${auth.subject}" },
  header_name = { "X-Name", "X-Other" },
  header_value = { "value", "other" },
  integer = { 10, 100, 1 },
  key = { "main", "other" },
  method = { "GET", "POST" },
  name = { "main", "other" },
  number = { 10, 0.5, 100 },
  secret = { "token", "password" },
  service = { "api", "users" },
  size = { "64KiB", "1MiB" },
  status = { 404, 200 },
  steps = { "request-id", { "request-id" } },
  string = { "text", "other" },
  url = { "https://www.example.com/", "https://api.example.com/" },
  any = { "value" },
  template = { { id = "${params.id}" } },
  template_expression = { "auth.subject" },
  template_text = { "/${params.id}" },
}

-- Strings must often match a pattern that only people can read; the help text tends to have one that does.
local SHAPES = { "/path", "www.example.com", "a", "1", "A" }

local sample

local function add_all(out, list)
  table.move(list or {}, 1, #(list or {}), #out + 1, out)
end

local function bounds_of(schema)
  local out = {}
  for _, name in ipairs { "ge", "le", "gt", "lt" } do
    local n = schema[name]
    if n then add_all(out, { n, n + (name == "lt" and -1 or 1) }) end
  end
  return out
end

local function candidates(schema, hint, turn)
  local out = {}
  if schema.kind == "boolean" and schema.default ~= nil then return { not schema.default } end
  out[1] = schema.default
  add_all(out, schema.one_of or schema.values)
  local guesses = GUESSES[schema.kind] or {}
  turn[schema.kind] = (turn[schema.kind] or 0) + 1
  for i = 0, #guesses - 1 do out[#out + 1] = guesses[(turn[schema.kind] + i - 1) % #guesses + 1] end
  add_all(out, bounds_of(schema))
  if schema.match then
    for text in hint:gmatch "[^%s,;]+" do out[#out + 1] = text end
    add_all(out, SHAPES)
  end
  return out
end

-- A kind may want to know more of the config than there is; then nothing fits.
local function fits(schema, value)
  local ok, checked = pcall(schema.validate, schema, value)
  return ok and checked ~= nil
end

local function copy(t)
  local out = {}
  for key, value in pairs(t) do out[key] = value end
  return out
end

local function sample_record(schema, turn)
  local conf, count = {}, 0
  local names = describe.field_names(schema)
  -- What has a default can be left out, and comes last.
  local order = {}
  for pass = 1, 2 do
    for _, name in ipairs(names) do
      if (schema.fields[name].default ~= nil) == (pass == 2) then order[#order + 1] = name end
    end
  end
  for _, name in ipairs(order) do
    local field = schema.fields[name]
    local value
    if field.required or count < OPTIONS_SHOWN then value = sample(field, "", turn) end
    if field.required then
      conf[name], count = value, count + 1
    elseif value ~= nil then
      local more = copy(conf)
      more[name] = value
      if fits(schema, more) then conf, count = more, count + 1 end
    end
  end
  return fits(schema, conf) and conf or nil
end

local function sample_list(schema, hint, turn)
  if type(schema.default) == "table" and #schema.default > 0 then return schema.default end
  local item = sample(schema.item, hint, turn)
  if item == nil then return nil end
  local list = {}
  for i = 1, math.max(1, (schema.len or {})[1] or 1) do list[i] = item end
  return list
end

local function sample_map(schema, hint, turn)
  local key, item = "name", sample(schema.item, hint, turn)
  if schema.keys then key = sample(schema.keys, hint, turn) end
  if key == nil or item == nil then return nil end
  return { [tostring(key)] = item }
end

local function sample_any_of(schema, hint, turn)
  if schema.default ~= nil then return schema.default end
  for _, choice in ipairs(schema.choices) do
    local value = sample(choice, hint, turn)
    if value ~= nil then return value end
  end
  return nil
end

local COMPOUND = { record = sample_record, list = sample_list, map = sample_map, any_of = sample_any_of }

-- `hint` is the help text around; `turn` counts the guesses of each kind.
function sample(schema, hint, turn)
  hint = schema.help or hint
  if schema.kind == "record" then return sample_record(schema, turn) end
  local compound = COMPOUND[schema.kind]
  if compound then
    local value = compound(schema, hint, turn)
    if value ~= nil and fits(schema, value) then return value end
    return nil
  end
  for _, value in ipairs(candidates(schema, hint, turn)) do
    if fits(schema, value) then return value end
  end
  return nil
end

function M.value(schema)
  return sample(schema, "", {})
end

-- ------------------------------------------------------------------------------------------------ YAML

local LINE = 80

local function is_map(value)
  return type(value) == "table" and #value == 0 and next(value) ~= nil
end

-- Adds the lines of `key: value`. What stands there anyway is marked.
local function write(out, indent, key, value, default)
  local line = indent .. key .. ": " .. describe.inline(value)
  if #line <= LINE or type(value) ~= "table" then
    local same = default ~= nil and describe.inline(default) == describe.inline(value)
    out[#out + 1] = line .. (same and " # the default" or "")
    return
  end
  out[#out + 1] = indent .. key .. ":"
  for _, name in ipairs(is_map(value) and walk.sorted_keys(value) or {}) do
    write(out, indent .. "  ", describe.inline(tostring(name)), value[name])
  end
  for _, item in ipairs(value) do out[#out + 1] = indent .. "  - " .. describe.inline(item) end
end

-- A policy that needs no options, and has none to show, is a name alone.
function M.yaml(name, schema)
  if not schema then return "- " .. name end
  local value = M.value(schema)
  if value == nil then return nil end
  if type(value) == "table" and next(value) == nil then return "- " .. name end
  if not is_map(value) then return ("- %s: %s"):format(name, describe.inline(value)) end
  local out = { ("- %s:"):format(name) }
  for _, option in ipairs(describe.field_names(schema)) do
    if value[option] ~= nil then write(out, "    ", option, value[option], schema.fields[option].default) end
  end
  return table.concat(out, "\n")
end

return M
