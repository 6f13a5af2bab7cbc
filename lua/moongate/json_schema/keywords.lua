-- The keywords of JSON Schema, as a list in the order in which they are asked:
--
--     { name, kinds = { "string" }, last = true, compile = function(value, here, path) -> check or nil }
--
-- `value` is the keyword's in the schema; `here` is { schema, path, node, compiler }. A check is called for values of
-- these kinds (left out: of all): check(value, state, seen) -> whether it is right. `last`: after all others.
--
-- state = { errors, limit, path, depth, work, scope }: the list of errors, or nil while nobody wants to know; the way
-- to the value, as keys. `seen` is nil, or what an unevaluatedProperties or unevaluatedItems around waits for: {
-- all_names, names = { [name] = true }, all_items, first, items = { [index] = true } }; `first` items and these.

local document = require "moongate.json_schema.document"
local formats = require "moongate.json_schema.formats"
local pattern = require "moongate.json_schema.pattern"
local values = require "moongate.json_schema.values"

local M = { list = {} }

local SHOWN_BYTES = 40
local SHOWN_VALUES = 8
local DYNAMIC_DEPTH = 500

local fault, join, kind = document.fault, document.join, values.kind

-- ------------------------------------------------------------------------------------------------ errors

-- Notes an error where somebody wants to know. Always gives false.
local function fail(state, keyword, message)
  local errors = state.errors
  if errors then
    errors[#errors + 1] = { pointer = state.pointer_of(state.path), keyword = keyword, message = message }
    if #errors >= state.limit then state.errors = nil end -- from here on the first fault ends it
  end
  return false
end
M.fail = fail

-- Ends the whole check: neither yes nor no can be said, and "no" would be turned into "yes" by `not`.
function M.give_up(state, message)
  error({ gave_up = { pointer = state.pointer_of(state.path), keyword = "", message = message } }, 0)
end

function M.spend(state, work)
  local left = state.work - work
  state.work = left
  if left < 0 then M.give_up(state, "takes too much work to check") end
end
local spend = M.spend

-- Asks about a member. (The path is cut back by whoever goes on.)
local function descend(check, key, value, state)
  local depth = state.depth + 1
  state.depth, state.path[depth] = depth, key
  local ok = check(value, state)
  state.depth, state.path[depth] = depth - 1, nil
  return ok
end

-- Asks without noting errors.
local function quietly(check, value, state, seen)
  local errors = state.errors
  state.errors = nil
  local ok = check(value, state, seen)
  state.errors = errors
  return ok
end

local function quote(value)
  if type(value) == "string" then
    local text = value:gsub("%c", "?")
    if #text > SHOWN_BYTES then text = text:sub(1, utf8.offset(text, 0, SHOWN_BYTES + 1) - 1) .. "..." end
    return '"' .. text .. '"'
  end
  if type(value) == "table" then return kind(value) == "array" and "a list" or "an object" end
  return tostring(value)
end

local function quote_all(list)
  local out = {}
  for i = 1, math.min(#list, SHOWN_VALUES) do out[i] = quote(list[i]) end
  if #list > SHOWN_VALUES then out[#out + 1] = "..." end
  return table.concat(out, ", ")
end

-- ------------------------------------------------------------------------------------------------ what was seen

function M.new_seen()
  return { names = {}, items = {}, first = 0 }
end

function M.merge_seen(from, to, state)
  to.all_names = to.all_names or from.all_names
  to.all_items = to.all_items or from.all_items
  to.first = math.max(to.first, from.first)
  local n = 0
  for name in pairs(from.names) do n, to.names[name] = n + 1, true end
  for i in pairs(from.items) do n, to.items[i] = n + 1, true end
  spend(state, n)
end

-- Asks a branch that may fail: what it has seen counts only when it does not.
local function try(check, value, state, seen)
  if not seen then return quietly(check, value, state) end
  local branch = M.new_seen()
  local ok = quietly(check, value, state, branch)
  if ok then M.merge_seen(branch, seen, state) end
  return ok
end

-- ------------------------------------------------------------------------------------------------ helpers

local function define(name, kinds, compile, last)
  table.insert(M.list, { name = name, kinds = kinds, compile = compile, last = last })
end

local function want_number(value, path)
  if type(value) ~= "number" then fault(path, "expected a number") end
end

local function want_count(value, path)
  if type(value) ~= "number" or value < 0 or not values.is_integer(value) then fault(path, "expected 0 or more") end
end

-- In a config an empty list cannot be told from an empty map.
local function want_list(value, path, what)
  if type(value) ~= "table" or (kind(value) ~= "array" and next(value) ~= nil) then
    fault(path, "expected a list of %s", what)
  end
end

local function want_names(value, path)
  want_list(value, path, "names")
  for i, name in ipairs(value) do
    if type(name) ~= "string" then fault(join(path, i), "expected a string") end
  end
end

local function want_map(value, path)
  if type(value) ~= "table" or kind(value) ~= "object" then fault(path, "expected a map") end
end

-- The functions of a list of schemas that look at the same value.
local function compile_list(list, here, path, keyword)
  want_list(list, path, "schemas")
  if #list == 0 then fault(path, "needs at least one schema") end
  local out = {}
  for i, schema in ipairs(list) do out[i] = here.compiler:sub(schema, join(path, i), keyword, here.node) end
  return out
end

local function compile_map(map, here, path, keyword, around)
  want_map(map, path)
  local out = {}
  for name, schema in pairs(map) do out[name] = here.compiler:sub(schema, join(path, name), keyword, around) end
  return out
end

local function compile_pattern(text, path)
  if type(text) ~= "string" then fault(path, "expected a regular expression") end
  local regex, why = pattern.compile(text)
  if not regex then fault(path, "bad regular expression %s", why) end
  return function(value, state)
    spend(state, 1)
    local found = regex(value)
    if found == nil then M.give_up(state, "takes too much work to match, or is too long for a pattern") end
    return found
  end
end

local function plural(n, one, many)
  return ("%d %s"):format(n, n == 1 and one or many)
end

-- ------------------------------------------------------------------------------------------------ any kind

local TYPES = { null = true, boolean = true, number = true, string = true, array = true, object = true, integer = true }
local ARTICLES = { array = "an array", object = "an object", integer = "an integer", null = "null" }

local function describe_types(list)
  local out = {}
  for i, name in ipairs(list) do out[i] = ARTICLES[name] or "a " .. name end
  return table.concat(out, " or ")
end

define("type", nil, function(value, _, path)
  local list, wanted = type(value) == "table" and value or { value }, {}
  if type(value) == "table" then want_names(value, path) end
  if #list == 0 then fault(path, "needs at least one type") end
  for _, name in ipairs(list) do
    if not TYPES[name] then fault(path, "unknown type %s", quote(name)) end
    wanted[name] = true
  end
  local message, integer = "must be " .. describe_types(list), wanted.integer
  return function(item, state)
    local sort = kind(item)
    if wanted[sort] or (integer and sort == "number" and values.is_integer(item)) then return true end
    return fail(state, "type", message)
  end
end)

-- A function that tells whether a value is one of these.
local function membership(list)
  local scalars, texts = {}, nil
  for _, value in ipairs(list) do
    if type(value) == "table" then
      texts = texts or {}
      texts[values.fingerprint(value)] = true
    else
      scalars[value] = true
    end
  end
  return function(value, state)
    if type(value) ~= "table" then return scalars[value] == true end
    if not texts then return false end
    local text, work = values.fingerprint(value)
    spend(state, work)
    return texts[text] == true
  end
end

define("enum", nil, function(list, _, path)
  want_list(list, path, "values")
  local is_member, message = membership(list), "must be one of " .. quote_all(list)
  return function(value, state)
    return is_member(value, state) or fail(state, "enum", message)
  end
end)

define("const", nil, function(wanted)
  local is_member, message = membership { wanted }, "must be " .. quote(wanted)
  return function(value, state)
    return is_member(value, state) or fail(state, "const", message)
  end
end)

-- ------------------------------------------------------------------------------------------------ numbers

local function bound(name, holds, words)
  define(name, { "number" }, function(limit, _, path)
    want_number(limit, path)
    local message = ("must be %s %s"):format(words, limit)
    return function(value, state) return holds(value, limit) or fail(state, name, message) end
  end)
end

bound("minimum", function(a, b) return a >= b end, "at least")
bound("maximum", function(a, b) return a <= b end, "at most")
bound("exclusiveMinimum", function(a, b) return a > b end, "more than")
bound("exclusiveMaximum", function(a, b) return a < b end, "less than")

-- Decimal fractions have no exact floats: 0.0075 / 0.0001 is 75 but for a rounding of its last bits.
local ROUNDING = 2.0 ^ -50

local function is_multiple(value, unit)
  if math.type(value) == "integer" and math.type(unit) == "integer" then return value % unit == 0 end
  local quotient = value / unit
  if math.abs(quotient) < 2.0 ^ 50 then
    local off = math.abs(quotient - math.floor(quotient + 0.5))
    return off <= ROUNDING * math.max(math.abs(quotient), 1)
  end
  if value % 1 == 0 and 1 / unit % 1 == 0 then return true end -- a unit of 1e-8 is in all integers
  return math.fmod(value, unit) == 0
end

define("multipleOf", { "number" }, function(unit, _, path)
  want_number(unit, path)
  if unit <= 0 then fault(path, "must be more than 0") end
  local message = ("must be a multiple of %s"):format(unit)
  return function(value, state) return is_multiple(value, unit) or fail(state, "multipleOf", message) end
end)

-- minX and maxX: how many there are of something, as `size` tells of a value.
local function define_counts(what, of, one, several, size)
  local least, most = "min" .. what, "max" .. what
  define(least, { of }, function(n, _, path)
    want_count(n, path)
    local message = ("must have at least %s"):format(plural(n, one, several))
    return function(value, state) return size(value) >= n or fail(state, least, message) end
  end)
  define(most, { of }, function(n, _, path)
    want_count(n, path)
    local message = ("must have at most %s"):format(plural(n, one, several))
    return function(value, state) return size(value) <= n or fail(state, most, message) end
  end)
end

-- ------------------------------------------------------------------------------------------------ strings

-- Characters, not bytes. What is no UTF-8 (in a query) counts by its bytes.
local function length(text) return utf8.len(text, 1, -1, true) or #text end

define_counts("Length", "string", "character", "characters", length)

-- Compiling a regular expression takes some 0.4 ms for 1,000 bytes.
local FORMAT_WORK = { regex = 2000 }

define("pattern", { "string" }, function(text, _, path)
  local matches, message = compile_pattern(text, path), "must match " .. quote(text)
  return function(value, state) return matches(value, state) or fail(state, "pattern", message) end
end)

define("format", { "string" }, function(name, here, path)
  if type(name) ~= "string" then fault(path, "expected a string") end
  local check = here.compiler.formats and formats[name]
  if not check then return nil end
  local message, work = "must be of the format " .. name, FORMAT_WORK[name] or 0
  return function(value, state)
    spend(state, work)
    return check(value) or fail(state, "format", message)
  end
end)

-- ------------------------------------------------------------------------------------------------ arrays

define_counts("Items", "array", "item", "items", function(list) return #list end)

define("prefixItems", { "array" }, function(list, here, path)
  want_list(list, path, "schemas")
  local checks = {}
  for i, schema in ipairs(list) do checks[i] = here.compiler:sub(schema, join(path, i), "prefixItems") end
  return function(value, state, seen)
    local ok, n = true, math.min(#checks, #value)
    for i = 1, n do
      if not descend(checks[i], i, value[i], state) then
        if not state.errors then return false end
        ok = false
      end
    end
    if seen then seen.first = math.max(seen.first, n) end
    return ok
  end
end)

define("items", { "array" }, function(schema, here, path)
  local check = here.compiler:sub(schema, path, "items")
  local prefix = here.schema.prefixItems
  local first = type(prefix) == "table" and #prefix + 1 or 1
  return function(value, state, seen)
    local ok = true
    for i = first, #value do
      if not descend(check, i, value[i], state) then
        if not state.errors then return false end
        ok = false
      end
    end
    if seen then seen.all_items = true end
    return ok
  end
end)

-- How many it has to contain, and may. (Without `contains` minContains and maxContains mean nothing.)
local function contains_limits(here)
  local min, max = here.schema.minContains, here.schema.maxContains
  if min ~= nil then want_count(min, join(here.path, "minContains")) end
  if max ~= nil then want_count(max, join(here.path, "maxContains")) end
  return min or 1, max
end

define("contains", { "array" }, function(schema, here, path)
  local check = here.compiler:sub(schema, path, "contains")
  local min, max = contains_limits(here)
  local few = min == 1 and "must contain an item of a certain form"
    or ("must contain at least %s of a certain form"):format(plural(min, "item", "items"))
  local many = max and ("must contain at most %s of a certain form"):format(plural(max, "item", "items"))
  return function(value, state, seen)
    local found = 0
    for i = 1, #value do
      if quietly(check, value[i], state) then
        found = found + 1
        if seen then seen.items[i] = true elseif not max and found >= min then break end
      end
    end
    if found < min then return fail(state, min == 1 and "contains" or "minContains", few) end
    if max and found > max then return fail(state, "maxContains", many) end
    return true
  end
end)

-- Each item is looked up among those before, so the time grows with their number and not with its square. Numbers are
-- one key of a table when they are equal, whether integer or float.
local function has_twice(list, state)
  local scalars, texts = {}, {}
  for i = 1, #list do
    local item, known = list[i], scalars
    if type(item) == "table" then
      local work
      known = texts
      item, work = values.fingerprint(item)
      spend(state, work)
    end
    if known[item] then return true end
    known[item] = true
  end
  return false
end

define("uniqueItems", { "array" }, function(wanted, _, path)
  if type(wanted) ~= "boolean" then fault(path, "expected true or false") end
  if not wanted then return nil end
  return function(value, state)
    return not has_twice(value, state) or fail(state, "uniqueItems", "must not have an item twice")
  end
end)

-- ------------------------------------------------------------------------------------------------ objects

local function count(object)
  local n = 0
  for _ in pairs(object) do n = n + 1 end
  return n
end

define_counts("Properties", "object", "property", "properties", count)

-- Whether all these are there; an error for each that is not.
local function has_all(value, names, state, keyword, messages)
  local ok = true
  for i = 1, #names do
    if value[names[i]] == nil then
      fail(state, keyword, messages[i])
      if not state.errors then return false end
      ok = false
    end
  end
  return ok
end

define("required", { "object" }, function(names, _, path)
  want_names(names, path)
  local messages = {}
  for i, name in ipairs(names) do messages[i] = ("must have the property %s"):format(quote(name)) end
  return function(value, state) return has_all(value, names, state, "required", messages) end
end)

define("dependentRequired", { "object" }, function(map, _, path)
  want_map(map, path)
  local messages = {}
  for name, names in pairs(map) do
    want_names(names, join(path, name))
    messages[name] = {}
    for i, other in ipairs(names) do
      messages[name][i] = ("must have the property %s, as it has %s"):format(quote(other), quote(name))
    end
  end
  return function(value, state)
    local ok = true
    for name, names in pairs(map) do
      if value[name] ~= nil and not has_all(value, names, state, "dependentRequired", messages[name]) then
        if not state.errors then return false end
        ok = false
      end
    end
    return ok
  end
end)

define("propertyNames", { "object" }, function(schema, here, path)
  local check = here.compiler:sub(schema, path, "propertyNames")
  return function(value, state)
    local ok = true
    for name in pairs(value) do
      if not descend(check, name, name, state) then
        if not state.errors then return false end
        ok = false
      end
    end
    return ok
  end
end)

-- properties, patternProperties and additionalProperties are one check: which of them is asked about a member is told
-- by its name. It stands under the first of them that the schema has.
local function compile_members(here)
  local schema, path = here.schema, here.path
  local names, patterns = {}, {}
  if schema.properties ~= nil then
    names = compile_map(schema.properties, here, join(path, "properties"), "properties")
  end
  if schema.patternProperties ~= nil then
    local at = join(path, "patternProperties")
    want_map(schema.patternProperties, at)
    for _, text in ipairs(values.sorted_keys(schema.patternProperties)) do
      local check = here.compiler:sub(schema.patternProperties[text], join(at, text), "patternProperties")
      table.insert(patterns, { matches = compile_pattern(text, join(at, text)), check = check })
    end
  end
  local others = schema.additionalProperties
  if others ~= nil then
    others = here.compiler:sub(others, join(path, "additionalProperties"), "additionalProperties")
  end
  return names, patterns, others
end

local function check_member(names, patterns, others, name, value, state)
  local check, ok, known = names[name], true, false
  if check then
    known = true
    if not descend(check, name, value, state) then
      if not state.errors then return false, true end
      ok = false
    end
  end
  for i = 1, #patterns do
    if patterns[i].matches(name, state) then
      known = true
      if not descend(patterns[i].check, name, value, state) then
        if not state.errors then return false, true end
        ok = false
      end
    end
  end
  if known or not others then return ok, known end
  return descend(others, name, value, state), true
end

local function members(_, here)
  local names, patterns, others = compile_members(here)
  return function(value, state, seen)
    local ok = true
    for name, item in pairs(value) do
      local right, known = check_member(names, patterns, others, name, item, state)
      if not right then
        if not state.errors then return false end
        ok = false
      end
      if seen and known then seen.names[name] = true end
    end
    return ok
  end
end

define("properties", { "object" }, members)
define("patternProperties", { "object" }, function(_, here)
  if here.schema.properties ~= nil then return nil end
  return members(nil, here)
end)
define("additionalProperties", { "object" }, function(_, here)
  if here.schema.properties ~= nil or here.schema.patternProperties ~= nil then return nil end
  return members(nil, here)
end)

-- ------------------------------------------------------------------------------------------------ references

local function loose(node)
  return function(value, state, seen) return node.fn(value, state, seen) end
end

define("$ref", nil, function(text, here, path)
  local node = here.compiler:reference(here, text, path)
  table.insert(here.node.inner, node)
  return node.fn or loose(node)
end)

-- The outermost resource on the way here that has the dynamic anchor gives the schema (8.2.3.2 of the core).
local function dynamic(here, anchor, fallback)
  local nodes = {}
  for _, resource in pairs(here.compiler.doc.resources) do
    local schema = resource.dynamic[anchor]
    if schema then nodes[resource] = here.compiler:node(schema, here.compiler.doc.paths[schema]) end
  end
  return function(value, state, seen)
    local node, depth = fallback, (state.dynamic_depth or 0) + 1
    if depth > DYNAMIC_DEPTH then M.give_up(state, "is nested too deeply") end
    for i = 1, #state.scope do
      if nodes[state.scope[i]] then
        node = nodes[state.scope[i]]
        break
      end
    end
    state.dynamic_depth = depth
    local ok = node.fn(value, state, seen)
    state.dynamic_depth = depth - 1
    return ok
  end
end

define("$dynamicRef", nil, function(text, here, path)
  local node, anchor, schema = here.compiler:reference(here, text, path)
  if anchor and type(schema) == "table" and schema["$dynamicAnchor"] == anchor then
    return dynamic(here, anchor, node)
  end
  table.insert(here.node.inner, node)
  return node.fn or loose(node)
end)

-- Nobody asks these until a reference does, but they are to be right.
local function definitions(keyword)
  define(keyword, nil, function(map, here, path)
    compile_map(map, here, path, keyword)
    return nil
  end)
end
definitions "$defs"
definitions "definitions"

-- ------------------------------------------------------------------------------------------------ combinations

define("allOf", nil, function(list, here, path)
  local checks = compile_list(list, here, path, "allOf")
  return function(value, state, seen)
    local ok = true
    for i = 1, #checks do
      if not checks[i](value, state, seen) then
        if not state.errors then return false end
        ok = false
      end
    end
    return ok
  end
end)

define("anyOf", nil, function(list, here, path)
  local checks = compile_list(list, here, path, "anyOf")
  local message = ("must fit at least one of %s"):format(plural(#checks, "schema", "schemas"))
  return function(value, state, seen)
    local ok = false
    for i = 1, #checks do
      if try(checks[i], value, state, seen) then
        ok = true
        if not seen then break end
      end
    end
    return ok or fail(state, "anyOf", message)
  end
end)

define("oneOf", nil, function(list, here, path)
  local checks = compile_list(list, here, path, "oneOf")
  local none = ("must fit one of %s, and fits none"):format(plural(#checks, "schema", "schemas"))
  local several = ("must fit exactly one of %s"):format(plural(#checks, "schema", "schemas"))
  return function(value, state, seen)
    local fits = 0
    for i = 1, #checks do
      if try(checks[i], value, state, seen) then
        fits = fits + 1
        if fits > 1 then return fail(state, "oneOf", several) end
      end
    end
    return fits == 1 or fail(state, "oneOf", none)
  end
end)

define("not", nil, function(schema, here, path)
  local check = here.compiler:sub(schema, path, "not", here.node)
  return function(value, state)
    return not quietly(check, value, state) or fail(state, "not", "must not be of a certain form")
  end
end)

define("if", nil, function(schema, here, path)
  local function branch(keyword)
    local inner = here.schema[keyword]
    return inner ~= nil and here.compiler:sub(inner, join(here.path, keyword), keyword, here.node)
  end
  local condition = here.compiler:sub(schema, path, "if", here.node)
  local on_true, on_false = branch "then", branch "else"
  return function(value, state, seen)
    local check
    if try(condition, value, state, seen) then check = on_true else check = on_false end
    return not check or check(value, state, seen)
  end
end)

define("dependentSchemas", { "object" }, function(map, here, path)
  local checks = compile_map(map, here, path, "dependentSchemas", here.node)
  return function(value, state, seen)
    local ok = true
    for name, check in pairs(checks) do
      if value[name] ~= nil and not check(value, state, seen) then
        if not state.errors then return false end
        ok = false
      end
    end
    return ok
  end
end)

-- ------------------------------------------------------------------------------------------------ the rest

define("unevaluatedProperties", { "object" }, function(schema, here, path)
  local check = here.compiler:sub(schema, path, "unevaluatedProperties")
  return function(value, state, seen)
    if seen.all_names then return true end
    local ok = true
    for name, item in pairs(value) do
      if not seen.names[name] and not descend(check, name, item, state) then
        if not state.errors then return false end
        ok = false
      end
    end
    seen.all_names = true
    return ok
  end
end, true)

define("unevaluatedItems", { "array" }, function(schema, here, path)
  local check = here.compiler:sub(schema, path, "unevaluatedItems")
  return function(value, state, seen)
    if seen.all_items then return true end
    local ok = true
    for i = seen.first + 1, #value do
      if not seen.items[i] and not descend(check, i, value[i], state) then
        if not state.errors then return false end
        ok = false
      end
    end
    seen.all_items = true
    return ok
  end
end, true)

return M
