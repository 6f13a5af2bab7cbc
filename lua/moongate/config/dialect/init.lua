-- Files of other programs, recognised by their keys and lifted to the native shape before they are checked.
--
-- The module of a dialect is { name =, fields = schemas of its own top-level keys, lift = function(lift) -> native
-- value }. What it cannot say natively is an error at its place, never left out. Native keys may stand beside its own:
-- `listen`, `limits`, `log`, ... How it is recognised stands here: most files are in none, and need none of them.

local M = {}

local function in_a_route(value, key)
  for _, route in ipairs(type(value.routes) == "table" and value.routes or {}) do
    if type(route) == "table" and route[key] ~= nil then return true end
  end
  return false
end

local DIALECTS = {
  { module = "moongate.config.dialect.express_gateway", recognise = function(value)
    return value.apiEndpoints ~= nil or value.serviceEndpoints ~= nil
  end },
  { module = "moongate.config.dialect.routes_json", recognise = function(value)
    return value.services == nil and in_a_route(value, "path_pattern")
  end },
  { module = "moongate.config.dialect.rgate", recognise = function(value)
    return value.backends ~= nil or in_a_route(value, "backend")
  end },
}

local function find(value)
  if type(value) ~= "table" then return nil end
  for _, dialect in ipairs(DIALECTS) do
    if dialect.recognise(value) then return require(dialect.module) end
  end
  return nil
end

-- Lifts doc.value, if it is in a dialect, and sets doc.dialect to its name. doc.value is nil afterwards when that did
-- not work; doc.walk.errors tells why. With opts.verbatim the value was found right before, and is not checked again.
function M.lift(doc, opts)
  local dialect = find(doc.value)
  if not dialect then return end
  doc.dialect = dialect.name
  local lift = require "moongate.config.dialect.lift"
  local one, before = lift.new(doc, opts.verbatim), #doc.walk.errors
  local right = opts.verbatim or one:check(dialect.fields)
  local native = right and dialect.lift(one) or nil
  if native then one:pass(dialect.fields, native) end
  doc.value = #doc.walk.errors == before and native or nil
end

return M
