-- Edits of what is written as a=1&b=2: a query, or the body of a form. What is not touched stays as it was written.

local mg = require "moongate"

local M = {}

local function decoded(name)
  if not name:find "[%%+]" then return name end -- mutate: equal, it only saves work
  return mg.url.decode((name:gsub("%+", " "))) or name
end

-- A list of { name, written = "name=value", value = "=value" }.
local function parse(text)
  local out = {}
  for part in text:gmatch "[^&]+" do
    local written = part:match "^[^=]*"
    out[#out + 1] = { name = decoded(written), written = part, value = part:sub(#written + 1) }
  end
  return out
end

local function without(list, name)
  local out = {}
  for _, item in ipairs(list) do
    if item.name ~= name then out[#out + 1] = item end
  end
  return out
end

local function has(list, name)
  for _, item in ipairs(list) do
    if item.name == name then return true end
  end
  return false
end

local function add(list, name, value)
  list[#list + 1] = { name = name, written = mg.url.encode(name) .. value, value = value }
end

local operations = {}

function operations.copy(list, from, to)
  if not has(list, from) then return list end
  local out = from == to and list or without(list, to)
  if from == to then return out end
  for _, item in ipairs(list) do
    if item.name == from then add(out, to, item.value) end
  end
  return out
end

function operations.remove(list, name) return without(list, name) end

function operations.set(list, name, value)
  local out = without(list, name)
  if value then add(out, name, "=" .. mg.url.encode(value)) end
  return out
end

function operations.default(list, name, value)
  if value and not has(list, name) then add(list, name, "=" .. mg.url.encode(value)) end
  return list
end

-- All at the same time, so that two may change places.
local function rename(list, map)
  for _, item in ipairs(list) do
    local new = map[item.name]
    if new then item.name, item.written = new, mg.url.encode(new) .. item.value end
  end
  return list
end

-- The text after the steps (fields.lua); `fill(value)` gives the text of a value, or nil.
function M.edit(text, steps, fill)
  local list = parse(text)
  for _, step in ipairs(steps) do
    if step.operation == "rename" then
      list = rename(list, step.map)
    else
      list = operations[step.operation](list, step.name, step.value and fill(step.value) or step.to)
    end
  end
  local out = {}
  for i, item in ipairs(list) do out[i] = item.written end
  return table.concat(out, "&")
end

return M
