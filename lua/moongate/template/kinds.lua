-- Kinds of a schema: what a config may write as a template. Their syntax is checked where they stand; which names there
-- are is for the policy to say, which compiles them (moongate.template.compile).
--
--     kinds.json()         a tree: maps, lists, texts with `${...}`, numbers, booleans, null. The checked tree is
--                          { kind = "map", keys =, items = } in the order of the file, { kind = "list", items = },
--                          { kind = "text", text = } or { kind = "value", value = }
--     kinds.text()         a text with `${...}`
--     kinds.expression()   an expression

local compile = require "moongate.template.compile"
local expression = require "moongate.template.expression"
local s = require "moongate.schema"
local walk = require "moongate.config.walk"

local M = {}

local DEPTH_MAX = 50

local function check_text(text, place, w)
  local _, fault = compile.try(compile.parse, text)
  if fault then return w:fail(place, fault, text) end
  return text
end

-- The keys of a map as they stand in the file; by the alphabet where nobody knows.
local function keys_in_order(map, w)
  local keys, info = walk.sorted_keys(map), w.positions[map]
  if not info then return keys end
  local place = {}
  for i, key in ipairs(keys) do place[key] = { info.key[key] or 0, i } end
  table.sort(keys, function(a, b)
    if place[a][1] ~= place[b][1] then return place[a][1] < place[b][1] end
    return place[a][2] < place[b][2]
  end)
  return keys
end

local check_tree

local function check_map(value, place, w, depth)
  local out = { kind = "map", keys = {}, items = {} }
  for i, key in ipairs(keys_in_order(value, w)) do
    out.keys[i] = tostring(key)
    out.items[i] = check_tree(value[key], walk.child(place, value, tostring(key)), w, depth) or { kind = "value" }
  end
  return out
end

local function check_list(value, place, w, depth)
  local out = { kind = "list", items = {} }
  for i, item in ipairs(value) do
    out.items[i] = check_tree(item, walk.child(place, value, i), w, depth) or { kind = "value" }
  end
  return out
end

function check_tree(value, place, w, depth)
  local kind = type(value)
  if depth > DEPTH_MAX then return w:fail(place, ("nested deeper than %d levels"):format(DEPTH_MAX)) end
  if kind == "string" then
    return check_text(value, place, w) and { kind = "text", text = value }
  elseif kind == "table" then
    local check = w:is_list(value) and (#value > 0 or not w:is_map(value)) and check_list or check_map
    return check(value, place, w, depth + 1)
  elseif kind == "number" or kind == "boolean" then
    return { kind = "value", value = value }
  elseif walk.is_absent(value) then
    return { kind = "value" }
  end
  return w:fail(place, "expected a value that JSON has, got " .. kind, value)
end

M.json = s.define("template", {
  describe = function() return "template" end,
  check = function(_, value, place, w) return check_tree(value, place, w, 1) end,
})

M.text = s.define("template_text", {
  wants = { string = true, integer = true, number = true, boolean = true },
  describe = function() return "text with ${...}" end,
  check = function(schema, value, place, w)
    if type(value) == "table" then return w:fail_expected(schema, value, place) end
    return check_text(tostring(value), place, w)
  end,
})

M.expression = s.define("template_expression", {
  wants = { string = true, boolean = true },
  describe = function() return "expression" end,
  check = function(schema, value, place, w)
    if type(value) == "boolean" then value = tostring(value) end
    if type(value) ~= "string" then return w:fail_expected(schema, value, place) end
    local node, fault = expression.parse(value)
    if not node then return w:fail(place, fault, value) end
    if fault <= #value then return w:fail(place, "has more behind its end", value) end
    return value
  end,
})

return M
