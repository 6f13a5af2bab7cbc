-- Schemas: what a table may hold, written once, as data.
--
--     local s = require "moongate.schema"
--     M.schema = s.record {
--       rate = s.number { required = true, gt = 0, help = "tokens per second" },
--       by   = s.enum { "consumer", "ip", default = "consumer" },
--     }
--
-- Kinds: string number integer boolean duration (gives seconds) size (gives bytes) header_name header_value method
-- status url cidr name secret key service expr, and
--
--     s.enum { "a", "b" }           one of these values
--     s.list(x), s.map(x)           keys of a map are strings; s.map(x, { keys = s.header_name() })
--     s.record { name = x }         nothing but these fields
--     s.any_of { x, y }             the first that fits
--     s.any()                       anything, copied
--     s.steps()                     steps, written as everywhere; `new` gets what runs them
--
-- Options, all optional: default, required, help; gt ge lt le of numbers, durations and sizes; match (a Lua pattern)
-- and one_of; len = { min, max } of strings, lists and maps; single = true lets a list's only item stand without its
-- list. list, map and record take them as a second argument. A wrong option is an error where it is written.
--
-- schema:validate(value, ctx) gives a checked copy with defaults, or nil and every error there is, in the order of the
-- file: { path=, message=, file=, line=, col= }. ctx is optional and may have
--
--     path       what the value is called in messages
--     file       for the errors
--     positions  where containers and their members stand (src/script/yaml.h)
--     from_env   [container][key] = true for strings made with environment variables: "8080" may be a number there
--     secrets, keys, services, caches   tables whose keys are the names that exist; left out, any name goes
--     used       { secrets = {}, keys = {}, services = {}, caches = {} }, gets the names in use
--
-- A schema is a plain table: `kind`, the options, `fields` (record), `item` (list, map), `values` (enum), `choices`
-- (any_of), `checks` (record). Null, which YAML and JSON have, counts as absent.

local kinds = require "moongate.config.kinds"
local suggest = require "moongate.config.suggest"
local walk = require "moongate.config.walk"

local M = {}

local Schema = {}
Schema.__index = Schema
Schema.__name = "moongate.Schema"

function Schema:validate(value, ctx)
  local w = walk.new(ctx)
  local checked = w:field(self, value, walk.root(w.ctx.path))
  if #w.errors == 0 then return checked end
  return nil, walk.sort(w.errors)
end

-- A rule between a record's fields: fn(checked) gives nil when all is well, else what is wrong and, when one field is
-- to blame, its name. Runs only on records whose fields are right. Gives the record, so that calls can follow.
function Schema:check(fn)
  if self.kind ~= "record" then error("check: only a record has rules between fields", 2) end
  self.checks = self.checks or {}
  table.insert(self.checks, fn)
  return self
end

local COMMON = { default = true, required = true, help = true }
local ORDERED = { gt = true, ge = true, lt = true, le = true, one_of = true }
local TEXTUAL = { match = true, one_of = true, len = true }
local OWN = {
  number = ORDERED, integer = ORDERED, duration = ORDERED, size = ORDERED, status = ORDERED,
  string = TEXTUAL, header_name = TEXTUAL, header_value = TEXTUAL, url = TEXTUAL, name = TEXTUAL, expr = TEXTUAL,
  method = TEXTUAL, list = { len = true, single = true }, map = { len = true, keys = true },
  steps = { len = true, single = true },
}

local function known_options(kind)
  local known = {}
  for name in pairs(COMMON) do known[name] = true end
  for name in pairs(OWN[kind] or {}) do known[name] = true end
  return known
end

-- An author's mistake is told where the constructor is called: one level up from it, so none ends in a tail call.
local function misuse(text, ...)
  error(text:format(...), 4)
end

local function unknown_option(name, known)
  local hint = suggest.hint(name, known)
  if hint == "" then hint = "; known are '" .. table.concat(walk.sorted_keys(known), "', '") .. "'" end
  return ("unknown option '%s'%s"):format(tostring(name), hint)
end

local function build(kind, schema, options)
  local known = known_options(kind)
  if options ~= nil and type(options) ~= "table" then
    misuse("s.%s: expected a table of options, got %s", kind, type(options))
  end
  schema.kind = kind
  for name, value in pairs(options or {}) do
    if not known[name] then misuse("s.%s: %s", kind, unknown_option(name, known)) end
    schema[name] = value
  end
  setmetatable(schema, Schema)
  if schema.default ~= nil then
    local _, errors = schema:validate(schema.default)
    if errors then misuse("s.%s: bad default: %s", kind, errors[1].message) end
  end
  return schema
end

-- Whether `x` is a schema of this module.
function M.is_schema(x)
  return type(x) == "table" and getmetatable(x) == Schema
end

for kind, definition in pairs(kinds) do
  if definition.parse then -- the names that expressions know lie beside the kinds
    M[kind] = function(options)
      local schema = build(kind, {}, options)
      return schema
    end
  end
end

function M.any(options)
  local schema = build("any", {}, options)
  return schema
end

function M.list(item, options)
  if not M.is_schema(item) then error("s.list: expected a schema of its items", 2) end
  local schema = build("list", { item = item }, options)
  return schema
end

function M.map(item, options)
  if not M.is_schema(item) then error("s.map: expected a schema of its values", 2) end
  local schema = build("map", { item = item }, options)
  return schema
end

function M.record(fields, options)
  if type(fields) ~= "table" then error("s.record: expected a table of fields", 2) end
  for name, field in pairs(fields) do
    if type(name) ~= "string" or not M.is_schema(field) then
      error(("s.record: field '%s' is no schema"):format(tostring(name)), 2)
    end
  end
  local schema = build("record", { fields = fields }, options)
  return schema
end

-- Splits { x, y, default = z } into its sequence and its options.
local function split_options(t)
  local sequence, options = {}, {}
  for key, value in pairs(t) do
    if math.type(key) == "integer" then sequence[key] = value else options[key] = value end
  end
  return sequence, options
end

function M.enum(t)
  local values, options = split_options(t)
  if #values == 0 then error("s.enum: expected at least one value", 2) end
  local schema = build("enum", { values = values }, options)
  return schema
end

function M.any_of(t)
  local choices, options = split_options(t)
  if #choices == 0 then error("s.any_of: expected at least one schema", 2) end
  for i, choice in ipairs(choices) do
    if not M.is_schema(choice) then error(("s.any_of: choice %d is no schema"):format(i), 2) end
  end
  local schema = build("any_of", { choices = choices }, options)
  return schema
end

function M.steps(options)
  require "moongate.config.steps" -- which knows how they are read, and itself needs this module
  local schema = build("steps", {}, options)
  return schema
end

-- A kind that only its own module can read (see moongate.config.walk). Gives its constructor.
function M.define(kind, definition)
  walk.define(kind, definition)
  return function(options)
    local schema = build(kind, {}, options)
    return schema
  end
end

-- A kind that is misspelt is told as such, and not as a nil that was called.
setmetatable(M, { __index = function(_, name)
  error(("moongate.schema has no '%s'%s"):format(tostring(name), suggest.hint(tostring(name), M)), 2)
end })

return M
