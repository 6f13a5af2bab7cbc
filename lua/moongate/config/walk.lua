-- The walk of a schema over a value: checks, copies, and collects every error with its path and position.
--
-- A walk belongs to one file: ctx (see moongate.schema), the positions of its containers, the errors so far. A place is
-- where a value stands: { path=, container=, key=, parent= }, made by root and child. Values of any kind are checked by
-- walk:check; a kind is scalar (moongate.config.kinds) or compound: more than one value, or known to this file only.
--
-- Lists of the copy carry the mark of mg.json.array, so that an empty one stays a list to whoever encodes it.
--
-- After an error the copy lacks what was wrong; the walk goes on, so that one run tells everything.
--
-- A compound kind is { describe = fn(schema, short), check = fn(schema, value, place, walk), wants = }. check gives the
-- checked copy, or as much of it as was right. wants is a table as in kinds, a function(schema, sort), or nil for any.

local json = require "moongate".json
local kinds = require "moongate.config.kinds"
local suggest = require "moongate.config.suggest"

local M = {}

local Walk = {}
Walk.__index = Walk
Walk.__name = "moongate.Walk"

local MAX_DEPTH = 100 -- of s.any; everything else is as deep as its schema
local QUOTED_BYTES = 40
local FIELDS_SHOWN = 12 -- so many names are listed when none is near

local compound = {}

function M.define(kind, definition)
  compound[kind] = definition
end

-- ------------------------------------------------------------------------------------------------ words

-- Null, which YAML and JSON have, is the only userdata in a config.
function M.is_absent(value)
  return value == nil or type(value) == "userdata"
end

function M.quote(value)
  if type(value) ~= "string" then return tostring(value) end
  if #value > QUOTED_BYTES then value = value:sub(1, QUOTED_BYTES) .. "..." end
  return '"' .. value:gsub("\n", "\\n"):gsub("%c", "?") .. '"'
end

-- A Lua pattern for people, terminals and JSON: bytes that these do not take are told by their numbers.
function M.pattern(pattern)
  local plain = utf8.len(pattern) and not pattern:find "%c"
  return plain and pattern
    or (pattern:gsub("[%c\127-\255]", function(byte) return ("\\%03d"):format(byte:byte()) end))
end

function M.quote_all(values)
  local out = {}
  for i, value in ipairs(values) do out[i] = M.quote(value) end
  return table.concat(out, ", ")
end

local function by_text(a, b)
  return tostring(a) < tostring(b)
end

function M.sorted_keys(t)
  local keys, all_strings = {}, true
  for key in pairs(t) do
    keys[#keys + 1] = key
    all_strings = all_strings and type(key) == "string"
  end
  if keys[2] ~= nil then
    if all_strings then table.sort(keys) else table.sort(keys, by_text) end
  end
  return keys
end

-- What stands after "expected"; in short, in the brackets after "is required".
function M.describe(schema, short)
  local kind = compound[schema.kind]
  if kind then return kind.describe(schema, short) end
  kind = kinds[schema.kind]
  return short and kind.short or kind.name
end

local function by_position(a, b)
  if a.line ~= b.line then return (a.line or 0) < (b.line or 0) end
  if a.col ~= b.col then return (a.col or 0) < (b.col or 0) end
  if a.path ~= b.path then return a.path < b.path end
  return a.message < b.message
end

function M.sort(errors)
  table.sort(errors, by_position)
  return errors
end

-- ------------------------------------------------------------------------------------------------ places

function M.root(path)
  return { path = path or "" }
end

-- The path of a member: `a.b`, `a[0]`, `a["b c"]`; members of lists count from 0, as in the runtime's names of steps.
function M.join(path, key)
  if type(key) == "number" then return ("%s[%d]"):format(path, key - 1) end
  if not key:match("^[%w_-]+$") then return ('%s["%s"]'):format(path, key) end
  return path == "" and key or path .. "." .. key
end

-- Paths of members whose containers were made by a dialect: as the file that they come from has them.
local written = setmetatable({}, { __mode = "k" })

-- From now on errors call this member by that path.
function M.call(container, key, path)
  written[container] = written[container] or {}
  written[container][key] = path
end

-- Most paths are never asked for: they are made when they are.
local Place = {}

function Place.__index(place, field)
  if field ~= "path" then return nil end
  local paths = written[place.container]
  local path = paths and paths[place.key] or M.join(place.parent.path, place.key)
  place.path = path
  return path
end

function M.child(place, container, key)
  return setmetatable({ container = container, key = key, parent = place }, Place)
end

-- ------------------------------------------------------------------------------------------------ the walk itself

function M.new(ctx)
  ctx = ctx or {}
  return setmetatable({ ctx = ctx, positions = ctx.positions or {}, errors = {} }, Walk)
end

function Walk:is_list(value)
  if type(value) ~= "table" then return false end
  local info = self.positions[value]
  if info then return info.list == true end
  return #value > 0 or next(value) == nil
end

-- An empty table of a Lua config is a map as well as a list, unless mg.json.array has made it one.
function Walk:is_map(value)
  if type(value) ~= "table" then return false end
  local info = self.positions[value]
  if info then return not info.list end
  return #value == 0 and not json.is_array(value)
end

-- The sort of a value, in the words that kinds want.
function Walk:sort_of(value)
  local t = type(value)
  if t == "number" then return math.type(value) == "integer" and "integer" or "number" end
  if t == "userdata" then return "null" end
  if t ~= "table" then return t end
  return self:is_list(value) and "list" or "map"
end

-- Packed position of a place, or of the nearest thing around it that has one; nil in a Lua config. Without any, an
-- error is placed at walk.origin, if that is set.
function Walk:locate(place, value)
  local info = self.positions[value]
  if info then return info.self end
  while place do
    info = self.positions[place.container]
    local at = info and (info.value[place.key] or info.self)
    if at then return at end
    place = place.parent
  end
  return nil
end

-- The same of the key at a place.
function Walk:locate_key(place)
  local info = self.positions[place.container]
  return info and info.key[place.key] or self:locate(place)
end

function Walk:_add(path, message, at)
  at = at or self.origin
  self.errors[#self.errors + 1] = {
    path = path,
    message = message,
    file = self.ctx.file,
    line = at and at >> 20,
    col = at and at & 0xFFFFF,
  }
end

-- Adds an error about the value at a place; `value` helps to point at a container's first byte. Gives nothing, so that
-- a check can end in `return walk:fail(...)`.
function Walk:fail(place, message, value)
  self:_add(place.path, message, self:locate(place, value))
end

-- The same about the key.
function Walk:fail_key(place, message)
  self:_add(place.path, message, self:locate_key(place))
end

-- The same at a packed position of the caller's.
function Walk:fail_at(place, message, at)
  self:_add(place.path, message, at)
end

function Walk:is_from_env(place)
  local keys = self.ctx.from_env and self.ctx.from_env[place.container]
  return keys ~= nil and keys[place.key] == true
end

-- What was there instead. A value from the environment may be a secret: it is not shown.
function Walk:got(value, place)
  local sort = self:sort_of(value)
  if sort == "string" and self:is_from_env(place) then return "string from the environment" end
  if sort == "integer" then sort = "number" end
  if sort == "string" or sort == "number" or sort == "boolean" then return sort .. " " .. M.quote(value) end
  return sort
end

function Walk:fail_expected(schema, value, place)
  self:fail(place, ("expected %s, got %s"):format(M.describe(schema), self:got(value, place)), value)
end

-- ------------------------------------------------------------------------------------------------ scalars

local BOUNDS = {
  { "gt", ">", function(a, b) return a > b end },
  { "ge", ">=", function(a, b) return a >= b end },
  { "lt", "<", function(a, b) return a < b end },
  { "le", "<=", function(a, b) return a <= b end },
}

-- What is wrong with a count, by the option `len`; nil when nothing is, or there is no such option.
function M.length_fault(schema, n, one, many)
  if not schema.len then return nil end
  local min, max = schema.len[1], schema.len[2]
  if min and n < min then return ("must have at least %d %s"):format(min, min == 1 and one or many) end
  if max and n > max then return ("must have at most %d %s"):format(max, max == 1 and one or many) end
  return nil
end

local function contains(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

-- What is wrong with a value of the right kind, or nil.
local function option_fault(schema, value)
  if schema.gt or schema.ge or schema.lt or schema.le then
    for _, bound in ipairs(BOUNDS) do
      local limit = schema[bound[1]]
      if limit and not bound[3](value, limit) then return ("must be %s %s"):format(bound[2], limit) end
    end
  end
  if schema.one_of and not contains(schema.one_of, value) then
    return "must be one of " .. M.quote_all(schema.one_of)
  end
  if schema.match and not value:match(schema.match) then return "must match " .. M.quote(M.pattern(schema.match)) end
  if schema.len then return M.length_fault(schema, #value, "character", "characters") end
  return nil
end

-- A string from the environment, as the number or boolean that the field wants.
local function coerce(wants, value)
  if wants.string then return value end
  if wants.number or wants.integer then return tonumber(value) or value end
  if wants.boolean and (value == "true" or value == "false") then return value == "true" end
  return value
end

local function check_scalar(schema, value, place, walk)
  local kind = kinds[schema.kind]
  if type(value) == "string" and walk:is_from_env(place) then value = coerce(kind.wants, value) end
  if not kind.wants[walk:sort_of(value)] then return walk:fail_expected(schema, value, place) end
  local checked, fault = kind.parse(value, schema, walk.ctx)
  if checked == nil and not fault then return walk:fail_expected(schema, value, place) end
  fault = fault or option_fault(schema, checked)
  if fault then return walk:fail(place, fault, value) end
  return checked
end

-- A map's key, which has a place but is no value.
local function check_key(schema, key, place, walk)
  local kind = kinds[schema.kind]
  local checked, fault = kind.parse(key, schema, walk.ctx)
  if checked == nil then
    fault = fault or ("expected %s as key, got %s"):format(kind.name, M.quote(key))
  else
    fault = option_fault(schema, checked)
  end
  if fault then walk:fail_key(place, fault) end
  return checked
end

-- ------------------------------------------------------------------------------------------------ any kind

-- Checks a value that is there, and gives the checked copy.
function Walk:check(schema, value, place)
  local kind = compound[schema.kind]
  if kind then return kind.check(schema, value, place, self) end
  return check_scalar(schema, value, place, self)
end

-- Kinds whose values mean the same in every config.
local CONTEXT_FREE = { boolean = true, duration = true, enum = true, integer = true, number = true, size = true,
  status = true, string = true }

-- Defaults that were found right before, and are no tables, which would be shared: { [schema] = checked value }.
local defaults = setmetatable({}, { __mode = "k" })

local function default_of(schema, place, walk)
  local checked = defaults[schema]
  if checked ~= nil then return checked end
  checked = walk:check(schema, schema.default, place)
  local free = CONTEXT_FREE[schema.kind] or type(schema.default) == "boolean"
  if free and type(checked) ~= "table" then defaults[schema] = checked end
  return checked
end

-- The same for one that may be absent. `around` is the container it is missing from.
function Walk:field(schema, value, place, around)
  if not M.is_absent(value) then return self:check(schema, value, place) end
  if schema.required then
    local message = ("is required (%s)"):format(M.describe(schema, true))
    self:_add(place.path, message, self:locate(place.parent or place, around))
    return nil
  end
  if schema.default ~= nil then return default_of(schema, place, self) end
  return nil
end

-- Whether that leaves nothing to be checked: it is absent, and may be.
function M.is_left_out(schema, value)
  return schema.default == nil and not schema.required and M.is_absent(value)
end

-- Whether a value of this sort can fit at all; "string", "map", ...
function M.wants(schema, sort)
  local kind = compound[schema.kind] or kinds[schema.kind]
  if schema.kind == "list" and schema.single and M.wants(schema.item, sort) then return true end
  if type(kind.wants) == "function" then return kind.wants(schema, sort) end
  if schema.kind ~= "any_of" then return kind.wants == nil or kind.wants[sort] == true end
  for _, choice in ipairs(schema.choices) do
    if M.wants(choice, sort) then return true end
  end
  return false
end

-- ------------------------------------------------------------------------------------------------ record

function M.unknown_field(key, fields)
  local near = suggest.nearest(key, fields)
  if near then return ("unknown field, did you mean '%s'?"):format(near) end
  local known = M.sorted_keys(fields)
  if #known == 0 or #known > FIELDS_SHOWN then return "unknown field" end
  return ("unknown field; known are '%s'"):format(table.concat(known, "', '"))
end

-- A rule that raises is a fault of whoever wrote the schema, and told in its place like any other.
local function run_check(fn, out)
  local ok, message, field = pcall(fn, out)
  if not ok then return "the schema's check failed: " .. tostring(message) end
  if message ~= nil and type(message) ~= "string" then
    return ("the schema's check gave a %s; expected nil, or a text that says what is wrong"):format(type(message))
  end
  return message, field
end

local function run_checks(schema, value, out, place, walk)
  for _, fn in ipairs(schema.checks or {}) do
    local message, field = run_check(fn, out)
    if message and field and value[field] ~= nil then
      walk:fail(M.child(place, value, field), message, value[field])
    elseif message then
      walk:fail(place, message, value)
    end
  end
end

-- The fields that are there. Errors are sorted by where they stand, so the order is nobody's concern.
local function check_present(schema, value, out, place, walk)
  local fields = schema.fields
  for key, item in pairs(value) do
    local field = fields[key]
    if not field then
      local name = tostring(key)
      if not fields[name] then walk:fail_key(M.child(place, value, name), M.unknown_field(name, fields)) end
    elseif not M.is_absent(item) then
      out[key] = walk:check(field, item, M.child(place, value, key))
    end
  end
end

local must_be_set = setmetatable({}, { __mode = "k" })

-- The fields that also count when they are not there. Schemas do not change.
local function expected_fields(schema)
  local list = must_be_set[schema]
  if not list then
    list = {}
    for key, field in pairs(schema.fields) do
      if field.required or field.default ~= nil then list[#list + 1] = key end
    end
    must_be_set[schema] = list
  end
  return list
end

compound.record = {
  wants = { map = true, list = true },
  describe = function() return "map" end,
  check = function(schema, value, place, walk)
    if not walk:is_map(value) then return walk:fail_expected(schema, value, place) end
    local before, out = #walk.errors, {}
    check_present(schema, value, out, place, walk)
    for _, key in ipairs(expected_fields(schema)) do
      if M.is_absent(value[key]) then
        local field = schema.fields[key]
        local known = defaults[field] -- most are: routes by the thousand lack the same
        if known == nil then known = walk:field(field, nil, M.child(place, value, key), value) end
        out[key] = known
      end
    end
    if #walk.errors == before then run_checks(schema, value, out, place, walk) end
    return out
  end,
}

-- ------------------------------------------------------------------------------------------------ list and map

-- Tables of a Lua config may have more than the `n` items in a row: names, and what comes behind a hole.
local function check_strays(value, n, place, walk)
  for key in pairs(value) do -- in any order: errors are sorted
    local index = math.type(key) == "integer"
    if not index or key < 1 or key > n then
      walk:fail(M.child(place, value, index and key or tostring(key)), "is no item of the list")
    end
  end
end

local function check_items(schema, value, place, walk)
  local out, n = json.array(), 0
  for i, item in ipairs(value) do
    local at = M.child(place, value, i)
    if M.is_absent(item) then
      walk:fail_expected(schema.item, item, at)
    else
      out[i] = walk:check(schema.item, item, at)
    end
    n = i
  end
  if not walk.positions[value] then check_strays(value, n, place, walk) end
  return out
end

compound.list = {
  wants = { list = true },
  describe = function(schema)
    return schema.single and M.describe(schema.item) .. " or list" or "list"
  end,
  check = function(schema, value, place, walk)
    local listed = walk:is_list(value)
    if not listed and not (schema.single and M.wants(schema.item, walk:sort_of(value))) then
      return walk:fail_expected(schema, value, place)
    end
    local out = listed and check_items(schema, value, place, walk)
      or json.array { walk:check(schema.item, value, place) }
    local fault = M.length_fault(schema, listed and #value or 1, "item", "items")
    if fault then walk:fail(place, fault, value) end
    return out
  end,
}

compound.map = {
  wants = { map = true, list = true },
  describe = function() return "map" end,
  check = function(schema, value, place, walk)
    local info = walk.positions[value]
    if type(value) ~= "table" or (info and info.list) or json.is_array(value) then
      return walk:fail_expected(schema, value, place)
    end
    local out, n = {}, 0
    for _, key in ipairs(M.sorted_keys(value)) do
      -- In a Lua config `[404] = x` is what `404: x` is in YAML.
      local name, item = tostring(key), value[key]
      local at = M.child(place, value, name)
      n = n + 1
      if schema.keys then name = check_key(schema.keys, name, at, walk) end
      if M.is_absent(item) and schema.item.kind ~= "any" then
        walk:fail_expected(schema.item, item, at)
      else
        out[name or key] = walk:check(schema.item, item, at)
      end
    end
    local fault = M.length_fault(schema, n, "entry", "entries")
    if fault then walk:fail(place, fault, value) end
    return out
  end,
}

-- ------------------------------------------------------------------------------------------------ enum, any_of, any

compound.enum = {
  wants = function(schema, sort)
    for _, value in ipairs(schema.values) do
      if type(value) == sort or math.type(value) == sort then return true end
    end
    return false
  end,
  describe = function(schema)
    return #schema.values == 1 and M.quote(schema.values[1]) or "one of " .. M.quote_all(schema.values)
  end,
  check = function(schema, value, place, walk)
    if contains(schema.values, value) then return value end
    return walk:fail(place, "must be one of " .. M.quote_all(schema.values), value)
  end,
}

-- Of several lists of errors the one that got furthest into the value; nil when none got below its first byte.
local function deepest(attempts, place)
  local best, best_depth = nil, #place.path
  for _, errors in ipairs(attempts) do
    for _, e in ipairs(errors) do
      if #e.path > best_depth then best, best_depth = errors, #e.path end
    end
  end
  return best
end

compound.any_of = {
  describe = function(schema)
    local out = {}
    for i, choice in ipairs(schema.choices) do out[i] = M.describe(choice) end
    return table.concat(out, " or ")
  end,
  check = function(schema, value, place, walk)
    local sort, attempts, only = walk:sort_of(value), {}, nil
    local any_sort = walk:is_from_env(place)
    for _, choice in ipairs(schema.choices) do
      if any_sort or M.wants(choice, sort) then
        local errors, found = walk.errors, {}
        walk.errors = found
        local checked = walk:check(choice, value, place)
        walk.errors = errors
        if #found == 0 then return checked end
        attempts[#attempts + 1], only = found, choice
      end
    end
    local best = #attempts == 1 and only.kind ~= "enum" and attempts[1] or deepest(attempts, place)
    if not best then return walk:fail_expected(schema, value, place) end
    table.move(best, 1, #best, #walk.errors + 1, walk.errors)
    return nil
  end,
}

local function copy(value, place, walk, depth)
  if type(value) ~= "table" then return value end
  if depth > MAX_DEPTH then return walk:fail(place, ("nested deeper than %d levels"):format(MAX_DEPTH)) end
  local out = {}
  if walk:is_list(value) and not walk:is_map(value) then json.array(out) end
  for key, item in pairs(value) do out[key] = copy(item, place, walk, depth + 1) end
  return out
end

compound.any = {
  describe = function() return "any value" end,
  check = function(_, value, place, walk) return copy(value, place, walk, 1) end,
}

return M
