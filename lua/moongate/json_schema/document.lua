-- A schema's text as a document: which subschemas it has, what their base URIs are, and what a reference names.
--
-- A resource is a schema with an $id of its own, or the whole: { uri, root, anchors = {}, dynamic = {} }. Nothing is
-- ever fetched: what is not in the document does not exist.

local uri = require "moongate.json_schema.uri"
local values = require "moongate.json_schema.values"

local M = {}

local Document = {}
Document.__index = Document

-- Keywords whose values are schemas, lists of them, maps of them.
M.ONE = {
  "additionalProperties", "propertyNames", "items", "contains", "unevaluatedProperties", "unevaluatedItems", "not",
  "if", "then", "else",
}
M.LIST = { "allOf", "anyOf", "oneOf", "prefixItems" }
M.MAP = { "properties", "patternProperties", "dependentSchemas", "$defs", "definitions" }

-- What is wrong with a schema is raised as this, and caught by compile.
function M.fault(path, format, ...)
  error({ schema_fault = ("%s: %s"):format(path == "" and "/" or path, format:format(...)) }, 0)
end

local fault = M.fault

function M.join(path, key)
  if math.type(key) == "integer" then key = key - 1 end
  return path .. "/" .. uri.escape_segment(key)
end

local join = M.join

-- ------------------------------------------------------------------------------------------------ the index

local function new_resource(doc, location, schema, path)
  if doc.resources[location] then fault(path, "another schema has the $id '%s' already", location) end
  local resource = { uri = location, root = schema, anchors = {}, dynamic = {} }
  doc.resources[location] = resource
  return resource
end

local function add_anchor(resource, name, schema, path)
  if type(name) ~= "string" or not name:find "^[%a_][%w_.-]*$" then fault(path, "is no name for an anchor") end
  if resource.anchors[name] then fault(path, "the anchor '%s' is there twice", name) end
  resource.anchors[name] = schema
end

local function begin_resource(doc, schema, resource, path)
  local id = schema["$id"]
  if id == nil then return resource or new_resource(doc, "", schema, path) end
  if type(id) ~= "string" then fault(join(path, "$id"), "expected a string") end
  local location, fragment = uri.resolve(resource and resource.uri or "", id)
  if fragment and fragment ~= "" then fault(join(path, "$id"), "must not have a fragment; use $anchor") end
  return new_resource(doc, location, schema, path)
end

local function index(doc, schema, resource, path)
  if type(schema) ~= "table" then return end
  resource = begin_resource(doc, schema, resource, path)
  doc.homes[schema], doc.paths[schema] = resource, path
  if schema["$anchor"] ~= nil then add_anchor(resource, schema["$anchor"], schema, join(path, "$anchor")) end
  local dynamic = schema["$dynamicAnchor"]
  if dynamic ~= nil then
    add_anchor(resource, dynamic, schema, join(path, "$dynamicAnchor"))
    resource.dynamic[dynamic] = schema
  end
  if schema["$dynamicRef"] ~= nil then doc.is_dynamic = true end
  for _, keyword in ipairs(M.ONE) do index(doc, schema[keyword], resource, join(path, keyword)) end
  for _, group in ipairs { M.LIST, M.MAP } do
    for _, keyword in ipairs(group) do
      if type(schema[keyword]) == "table" then
        for key, item in pairs(schema[keyword]) do
          index(doc, item, resource, join(join(path, keyword), key))
        end
      end
    end
  end
end

function M.new(schema)
  -- homes: the resource of a schema. paths: where it stands, for messages.
  local doc = setmetatable({ root = schema, resources = {}, homes = {}, paths = {} }, Document)
  index(doc, schema, nil, "")
  return doc
end

-- ------------------------------------------------------------------------------------------------ references

local function at_pointer(doc, resource, pointer, path)
  local here = resource.root
  local where = doc.paths[here]
  for _, segment in ipairs(uri.segments(pointer)) do
    if type(here) ~= "table" then return nil end
    local key = segment
    if values.kind(here) == "array" then key = (math.tointeger(tonumber(segment)) or -1) + 1 end
    here, where = here[key], join(where, key)
  end
  -- A place that is no known one of a schema, which is allowed: it is one from now on.
  if type(here) == "table" and not doc.homes[here] then index(doc, here, resource, where) end
  if here ~= nil and type(here) ~= "table" and type(here) ~= "boolean" then fault(path, "names no schema") end
  return here
end

-- The schema that a reference within `schema` names, and the name of the anchor when it is by one.
function Document:find(schema, reference, path)
  if type(reference) ~= "string" then fault(path, "expected a string") end
  local location, fragment = uri.resolve(self.homes[schema].uri, reference)
  local resource = self.resources[location]
  fragment = uri.unescape(fragment or "")
  local found, anchor
  if not resource then
    found = nil
  elseif fragment == "" or fragment:sub(1, 1) == "/" then
    found = at_pointer(self, resource, fragment, path)
  else
    found, anchor = resource.anchors[fragment], fragment
  end
  if found == nil then fault(path, "'%s' is not in this document, and nothing is fetched", reference) end
  return found, anchor
end

return M
