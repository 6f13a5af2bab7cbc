-- JSON Schema, draft 2020-12: is a value what a schema says?
--
--     local json_schema = require "moongate.json_schema"
--     local user = assert(json_schema.compile { type = "object", required = { "name" } })
--     local errors = user:check(mg.json.decode(text))      -- nil when all is well
--
-- compile(schema, options) gives a validator, or nil and what is wrong with the schema, with a JSON pointer to the
-- place. Options: formats = false checks none. Compile once, when a step is made. The schema must not change
-- afterwards.
--
-- validator:check(value, limit) gives nil, or a list of at most `limit` (20) errors { pointer, message, keyword } in
-- the order of their pointers. Messages tell what the schema wants and never what the value is: it may be a secret.
-- Values are those of mg.json.decode; take { big = "float" } there, for JSON Schema has integers of any size.
--
-- validator:coerce(fields) makes values of texts: `fields` are the names of query arguments, headers and the like with
-- a text each, or a list of them. The types come from the schema; a text that is none of its type stays one.
--
-- Values come from anyone: the work is bounded (a check that would take more fails), as is that of patterns. The first
-- pass stops at the first fault and makes no garbage; only when there is one, a second pass collects.
--
-- References stay within the document. Formats that are not in json_schema/formats.lua, and keywords that nobody
-- knows, mean nothing. $vocabulary too: all keywords count always.

local coerce = require "moongate.json_schema.coerce"
local document = require "moongate.json_schema.document"
local keywords = require "moongate.json_schema.keywords"
local uri = require "moongate.json_schema.uri"
local values = require "moongate.json_schema.values"

local M = {}

local ERRORS = 20
local WORK = 75000 -- for each pass: schemas asked, patterns tried, pieces of items compared; some 25 ms
local SEGMENT_BYTES = 64
local DRAFT = "https://json-schema.org/draft/2020-12/schema"

local Validator = {}
Validator.__index = Validator
Validator.__name = "moongate.JsonSchema"

local KINDS = { "null", "boolean", "number", "string", "array", "object" }

-- ------------------------------------------------------------------------------------------------ compiling

-- What one compile knows: its document, and a node for each schema met: { fn, inner }. `fn(value, state, seen)` tells
-- whether the value is right, and notes in `seen` (see keywords.lua) which members it has looked at. `inner` are the
-- nodes that look at the same value.
local Compiler = {}
Compiler.__index = Compiler

local function pass() return true end

local function never(keyword)
  return function(_, state) return keywords.fail(state, keyword, "is not allowed") end
end

local function run(list, value, state, seen)
  local ok = true
  for i = 1, #list do
    if not list[i](value, state, seen) then
      if not state.errors then return false end
      ok = false
    end
  end
  return ok
end

-- One function of a schema's checks by kind of value. `last` are those that ask what the others have seen.
local function join_checks(by_kind, last)
  local kind, spend = values.kind, keywords.spend
  if not next(last) then
    return function(value, state, seen)
      spend(state, 1)
      return run(by_kind[kind(value)], value, state, seen)
    end
  end
  return function(value, state, outer)
    spend(state, 1)
    local sort = kind(value)
    local seen = keywords.new_seen()
    if not run(by_kind[sort], value, state, seen) then return false end
    if last[sort] and not last[sort](value, state, seen) then return false end
    if outer then keywords.merge_seen(seen, outer, state) end
    return true
  end
end

-- The resources that the way led through, outermost first, for $dynamicRef.
local function in_scope(fn, resource)
  return function(value, state, seen)
    local scope = state.scope
    if scope[#scope] == resource then return fn(value, state, seen) end
    scope[#scope + 1] = resource
    local ok = fn(value, state, seen)
    scope[#scope] = nil
    return ok
  end
end

local function build(compiler, schema, path, node)
  local by_kind, last = {}, {}
  for _, kind in ipairs(KINDS) do by_kind[kind] = {} end
  local here = { schema = schema, path = path, node = node, compiler = compiler }
  for _, keyword in ipairs(keywords.list) do
    if schema[keyword.name] ~= nil then
      local check = keyword.compile(schema[keyword.name], here, document.join(path, keyword.name))
      if check and keyword.last then
        last[keyword.kinds[1]] = check
      elseif check then
        for _, kind in ipairs(keyword.kinds or KINDS) do table.insert(by_kind[kind], check) end
      end
    end
  end
  local fn = join_checks(by_kind, last)
  return compiler.doc.is_dynamic and in_scope(fn, compiler.doc.homes[schema]) or fn
end

-- The node of a schema. Its `fn` is not there yet while it is being made.
function Compiler:node(schema, path)
  if type(schema) == "boolean" then return { fn = schema and pass or never "false", inner = {} } end
  local node = self.nodes[schema]
  if not node then
    node = { inner = {}, path = path }
    self.nodes[schema] = node
    table.insert(self.order, node)
    node.fn = build(self, schema, path, node)
  end
  return node
end

-- The function of a subschema; what `false` forbids is told under this keyword's name. `around` is the node of the
-- schema around it when both look at the same value.
function Compiler:sub(schema, path, keyword, around)
  if schema == true then return pass end
  if schema == false then return never(keyword) end
  if values.kind(schema) ~= "object" then document.fault(path, "expected a schema: a map, true or false") end
  local node = self:node(schema, path)
  if around then table.insert(around.inner, node) end
  if node.fn then return node.fn end
  return function(value, state, seen) return node.fn(value, state, seen) end
end

-- The node of what a reference names.
function Compiler:reference(here, text, path)
  local schema, anchor = self.doc:find(here.schema, text, path)
  local node = self:node(schema, self.doc.paths[schema] or path)
  return node, anchor, schema
end

-- A schema that asks itself about the same value would never end.
local function check_loops(node, state)
  if state[node] == "done" then return end
  if state[node] then document.fault(node.path, "refers to itself about the same value, without end") end
  state[node] = "open"
  for _, inner in ipairs(node.inner) do check_loops(inner, state) end
  state[node] = "done"
end

local function compile(schema, options)
  if type(schema) ~= "boolean" and values.kind(schema) ~= "object" then
    document.fault("", "expected a schema: a map, true or false")
  end
  local draft = type(schema) == "table" and schema["$schema"]
  if draft and draft ~= DRAFT and draft ~= DRAFT .. "#" then
    document.fault("/$schema", "only draft 2020-12 is understood: %s", DRAFT)
  end
  local doc = document.new(schema)
  local compiler = setmetatable({ doc = doc, nodes = {}, order = {}, formats = options.formats ~= false }, Compiler)
  local root = compiler:node(schema, "")
  local state = {}
  for _, node in ipairs(compiler.order) do check_loops(node, state) end
  return { fn = root.fn, coerce_fields = coerce.new(doc) }
end

function M.compile(schema, options)
  local ok, result = pcall(compile, schema, options or {})
  if ok then return setmetatable(result, Validator) end
  if type(result) == "table" and result.schema_fault then return nil, result.schema_fault end
  error(result, 0)
end

-- ------------------------------------------------------------------------------------------------ checking

-- Names come from the client: cut, and what is no UTF-8 replaced, so that it can stand in JSON.
local function show(key)
  local text = uri.escape_segment(key)
  if not utf8.len(text) then text = text:gsub("[\128-\255]", "?") end
  if #text <= SEGMENT_BYTES then return text end
  local at = SEGMENT_BYTES
  while text:byte(at + 1) & 0xC0 == 0x80 do at = at - 1 end
  return text:sub(1, at) .. "..."
end

local function pointer_of(path)
  local out = {}
  for i, key in ipairs(path) do
    if math.type(key) == "integer" then key = key - 1 end
    out[i] = "/" .. show(key)
  end
  return table.concat(out)
end

local function by_place(a, b)
  if a.pointer ~= b.pointer then return a.pointer < b.pointer end
  if a.keyword ~= b.keyword then return a.keyword < b.keyword end
  return a.message < b.message
end

local function new_state(errors, limit)
  return { errors = errors, limit = limit, path = {}, depth = 0, work = WORK, scope = {}, pointer_of = pointer_of }
end

-- Whether the value is right; a third value when the check gave up: why, as an error.
local function ask(fn, value, state)
  local ok, result = pcall(fn, value, state)
  if ok then return result end
  if type(result) == "table" and result.gave_up then return false, result.gave_up end
  error(result, 0)
end

function Validator:check(value, limit)
  local right, gave_up = ask(self.fn, value, new_state())
  if right then return nil end
  if gave_up then return { gave_up } end
  local errors, _ = {}, nil
  _, gave_up = ask(self.fn, value, new_state(errors, limit or ERRORS))
  if gave_up and #errors == 0 then errors[1] = gave_up end
  table.sort(errors, by_place)
  return errors
end

function Validator:coerce(fields)
  return self.coerce_fields(fields)
end

return M
