-- ${NAME} and ${NAME:-default} in the strings of a config.
--
-- Names are upper case, so ${client_ip} and ${header.x-id}, which mean something at run time, pass untouched; so does
-- $${NAME}, which loses one dollar. As in the shell, the default also stands in for an empty variable.

local walk = require "moongate.config.walk"

local M = {}

-- Replaces in one string. Gives the new string and whether anything was replaced, or nil and the name that is not set.
local function expand(text, getenv)
  local out, at, replaced = {}, 1, false
  while true do
    local open = text:find("${", at, true)
    if not open then break end
    local name, rest = text:match("^([A-Z_][A-Z0-9_]*)()", open + 2)
    local close, default = name and text:match("^}()", rest), nil
    if name and not close then default, close = text:match("^:%-([^}]*)}()", rest) end
    if not close then
      out[#out + 1] = text:sub(at, open + 1)
      at = open + 2
    elseif open > at and text:sub(open - 1, open - 1) == "$" then
      out[#out + 1] = text:sub(at, open - 2) .. text:sub(open, close - 1)
      at, replaced = close, true
    else
      local value = getenv(name)
      if value == nil or (value == "" and default) then value = default end
      if value == nil then return nil, name end
      out[#out + 1] = text:sub(at, open - 1) .. value
      at, replaced = close, true
    end
  end
  return table.concat(out) .. text:sub(at), replaced
end

local function child(place, container, key)
  return walk.child(place, container, type(key) == "number" and key or tostring(key))
end

-- Replaces in all strings of `value`, in place; keys stay. Adds to w.errors what is not set (such an error is `alone`:
-- what else is said of its place is a consequence), and to w.ctx.from_env[container][key] what was replaced.
function M.apply(w, value, getenv)
  local seen = {} -- an alias is one table in many places
  local function visit(container, place)
    if seen[container] then return end
    seen[container] = true
    for key, item in pairs(container) do -- in any order: errors are sorted
      if type(item) == "table" then
        visit(item, child(place, container, key))
      elseif type(item) == "string" and item:find("${", 1, true) then
        local at = child(place, container, key)
        local text, replaced = expand(item, getenv)
        if not text then
          w:fail(at, ("environment variable '%s' is not set"):format(replaced))
          w.errors[#w.errors].alone = true
        elseif replaced then
          container[key] = text
          w.ctx.from_env[container] = w.ctx.from_env[container] or {}
          w.ctx.from_env[container][key] = true
        end
      end
    end
  end
  if type(value) == "table" then visit(value, walk.root()) end
end

return M
