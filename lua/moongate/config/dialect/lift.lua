-- One file of another program on its way to the native shape. What is made of it remembers where in the file it stood,
-- so errors and warnings name the user's own lines and keys.
--
--     lift.root                      the place of the file's whole value, lift.value
--     lift:set(made, key, value, place)    puts a value into what lift.map or lift.list made
--     lift:note(made, key, text)     a comment for `moongate convert`
--     lift:warn(place, text)         a note for whoever loads it
--     lift:fail(place, text)         it cannot be lifted
--
-- Values are passed on, not computed with, wherever that is possible: for `moongate convert` they may still hold
-- ${NAME}.

local walk = require "moongate.config.walk"

local M = {}

local Lift = {}
Lift.__index = Lift
Lift.__name = "moongate.Lift"

-- `verbatim`: the file was found right before, and its values are as they are written.
function M.new(doc, verbatim)
  return setmetatable(
    { doc = doc, walk = doc.walk, value = doc.value, root = walk.root(), verbatim = verbatim }, Lift)
end

-- ------------------------------------------------------------------------------------------------ made

local function register(lift, container, place, list)
  lift.walk.positions[container] = { self = lift.walk:locate(place), list = list, value = {}, key = {} }
  return container
end

-- An empty map (or list) that stands for what is at the place.
function Lift:map(place) return register(self, {}, place, nil) end
function Lift:list(place) return register(self, {}, place, true) end

function Lift:set(made, key, value, place)
  if value == nil then return end
  local info = self.walk.positions[made]
  made[key] = value
  info.value[key], info.key[key] = self.walk:locate(place, value), self.walk:locate_key(place)
  walk.call(made, key, place.path)
end

function Lift:append(made, value, place)
  self:set(made, #made + 1, value, place)
end

-- Moves a member under another key, if it is there.
function Lift:move(from, at, key, made, new_key)
  if not walk.is_absent(from[key]) then self:set(made, new_key, from[key], walk.child(at, from, key)) end
end

function Lift:note(made, key, text)
  local notes = self.doc.notes
  notes[made] = notes[made] or {}
  notes[made][key] = text
end

function Lift:warn(place, message)
  table.insert(self.doc.warnings, { place = place, message = message })
end

function Lift:fail(place, message, value)
  self.walk:fail(place, message, value)
end

-- ------------------------------------------------------------------------------------------------ read

-- Checks members of the file's value by their schemas. False when something is wrong.
function Lift:check(fields)
  local before = #self.walk.errors
  for _, key in ipairs(walk.sorted_keys(fields)) do
    self.walk:field(fields[key], self.value[key], walk.child(self.root, self.value, key), self.value)
  end
  return #self.walk.errors == before
end

-- Members of a list as (item, place); what is no list is one member.
function Lift:each(value, place)
  if walk.is_absent(value) then return function() end end
  if not self.walk:is_list(value) then
    local done = false
    return function()
      if done then return nil end
      done = true
      return value, place
    end
  end
  local i = 0
  return function()
    i = i + 1
    if value[i] ~= nil then return value[i], walk.child(place, value, i) end
  end
end

-- Members of a map as (key, item, place), sorted by key.
function Lift:pairs(value, place)
  local keys, i = walk.is_absent(value) and {} or walk.sorted_keys(value), 0
  return function()
    i = i + 1
    if keys[i] ~= nil then return keys[i], value[keys[i]], walk.child(place, value, keys[i]) end
  end
end

-- Native keys beside those of the dialect are what they are in a native file.
function Lift:pass(own, made)
  for key, item, place in self:pairs(self.value, self.root) do
    if made[key] ~= nil and not own[key] then
      self.walk:fail_key(place, "comes from the other keys of this file and cannot stand beside them")
    elseif not own[key] then
      self:set(made, key, item, place)
    end
  end
end

-- ------------------------------------------------------------------------------------------------ names

-- A name that services, pipelines and keys may have, as near to the text as it goes.
function M.name(text)
  local name = text:gsub("[^%w_.-]+", "-"):gsub("^[.-]+", ""):sub(1, 100)
  return name ~= "" and name or "unnamed"
end

-- The same, and not among the keys of `taken`.
function M.free_name(text, taken)
  local base, n = M.name(text), 1
  local name = base
  while taken[name] ~= nil do
    n = n + 1
    name = ("%s-%d"):format(base, n)
  end
  return name
end

return M
