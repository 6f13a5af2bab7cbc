-- Conditions of Express Gateway as Lua expressions for `when`.

local expression = require "moongate.config.dialect.js_expression"
local walk = require "moongate.config.walk"

local M = {}

local function quote(text)
  return (("%q"):format(text):gsub("\\\n", "\\n"))
end

-- A text of the condition, or nil with an error.
local function text_of(lift, condition, place, key)
  if type(condition[key]) == "string" then return condition[key] end
  return lift:fail(walk.child(place, condition, key), "is required (string)", condition)
end

local function regex(subject, key)
  return function(lift, condition, place)
    local pattern = text_of(lift, condition, place, key)
    return pattern and ("mg.regex(%s)(%s)"):format(quote(pattern), subject)
  end
end

-- Several conditions as one.
local function join(word)
  return function(lift, condition, place)
    local parts = {}
    for item, at in lift:each(condition.conditions, walk.child(place, condition, "conditions")) do
      parts[#parts + 1] = ("(%s)"):format(M.translate(lift, item, at) or "true")
    end
    if #parts == 0 then return lift:fail(place, "needs 'conditions'", condition) end
    return table.concat(parts, word)
  end
end

local KINDS = {
  always = function() return "true" end,
  never = function() return "false" end,
  authenticated = function() return "req.auth ~= nil" end,
  anonymous = function() return "req.auth == nil" end,
  pathExact = function(lift, condition, place)
    local path = text_of(lift, condition, place, "path")
    return path and ("req.path == %s"):format(quote(path))
  end,
  pathMatch = regex("req.path", "pattern"),
  hostMatch = regex("req.host", "pattern"),
  method = function(lift, condition, place)
    local parts = {}
    for method in lift:each(condition.methods, place) do
      parts[#parts + 1] = ("req.method == %s"):format(quote(tostring(method):upper()))
    end
    if #parts == 0 then return lift:fail(place, "needs 'methods'", condition) end
    return table.concat(parts, " or ")
  end,
  expression = function(lift, condition, place)
    local text = text_of(lift, condition, place, "expression")
    if not text then return nil end
    local code, fault = expression.translate(text)
    return code or lift:fail(walk.child(place, condition, "expression"), fault)
  end,
  allOf = join " and ",
  oneOf = join " or ",
  ["not"] = function(lift, condition, place)
    local inner = M.translate(lift, condition.condition, walk.child(place, condition, "condition"))
    return inner and ("not (%s)"):format(inner)
  end,
}

-- A Lua expression; nil after an error.
function M.translate(lift, condition, place)
  if type(condition) ~= "table" then return lift:fail(place, "expected a condition, a map with its 'name'") end
  local kind = KINDS[condition.name]
  if kind then return kind(lift, condition, place) end
  return lift:fail(walk.child(place, condition, "name"),
    ("the condition '%s' has no counterpart"):format(tostring(condition.name)), condition)
end

return M
