-- Files of other programs, recognised by their keys and lifted to the native shape before they are checked.
--
-- A dialect is { name =, recognise = function(value), fields = schemas of its own top-level keys,
-- lift = function(lift) -> native value }. What it cannot say natively is an error at its place, never left out.
-- Native keys may stand beside its own: `listen`, `limits`, `log`, ...

local express_gateway = require "moongate.config.dialect.express_gateway"
local lift = require "moongate.config.dialect.lift"
local rgate = require "moongate.config.dialect.rgate"
local routes_json = require "moongate.config.dialect.routes_json"

local M = {}

local DIALECTS = { express_gateway, routes_json, rgate }

local function find(value)
  if type(value) ~= "table" then return nil end
  for _, dialect in ipairs(DIALECTS) do
    if dialect.recognise(value) then return dialect end
  end
  return nil
end

-- Lifts doc.value, if it is in a dialect, and sets doc.dialect to its name. doc.value is nil afterwards when that did
-- not work; doc.walk.errors tells why. With opts.verbatim the value was found right before, and is not checked again.
function M.lift(doc, opts)
  local dialect = find(doc.value)
  if not dialect then return end
  doc.dialect = dialect.name
  local one, before = lift.new(doc, opts.verbatim), #doc.walk.errors
  local right = opts.verbatim or one:check(dialect.fields)
  local native = right and dialect.lift(one) or nil
  if native then one:pass(dialect.fields, native) end
  doc.value = #doc.walk.errors == before and native or nil
end

return M
