-- From the operations of a rule to the tree that mg.json.editor takes, so that one pass over the text does all of them.
--
-- Operations are done in the order of ORDER, each on what those before it have made; within one of them all is done at
-- the same time. What cannot be done so in one pass is a fault: it needs a rule of its own.
--
-- A place is a node of the tree under construction:
--     tree       what the editor gets
--     sources    places by the names that come
--     results    places by the names that go out
--     each       the place of a list's items
--     claimed    what decides about the whole value: nothing below it can be changed as well
--     closed     keep has been there: what it did not name is gone
--     look       the place of the tree that is looked at before

local path = require "moongate.transform.path"

local M = {}

M.ORDER = { "copy", "move", "rename", "map", "remove", "keep", "set", "default", "cast" }

local Fault = { __name = "moongate.transform.Fault" }

local function fault(format, ...)
  error(setmetatable({ message = format:format(...) }, Fault), 0)
end

local function parse(text)
  local parts, why = path.parse(text)
  if not parts then fault("%s", why) end
  return parts
end

local function new_place() return { tree = {}, sources = {}, results = {} } end

local function sorted(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- ------------------------------------------------------------------------------------------------ places

local function add_field(place, name)
  local field = new_place()
  place.tree.fields = place.tree.fields or {}
  place.tree.fields[name] = field.tree
  place.sources[name], place.results[name] = field, field
  -- Operations behind `keep` find nothing there, though they may make it anew.
  if place.closed then field.tree.drop = true end
  return field
end

local function check_open(place, text)
  if place.claimed then
    fault("'%s' is in '%s' already; put one of them into a rule of its own", text, place.claimed)
  end
end

-- The places from `chain` on along the parts; `text` is the path, for messages.
local function walk(chain, parts, text)
  local out = table.move(chain, 1, #chain, 1, {})
  for _, part in ipairs(parts) do
    local place = out[#out]
    check_open(place, text)
    local below
    if part == path.EACH then
      place.each = place.each or new_place()
      place.tree.items = place.each.tree
      below = place.each
    else
      below = place.results[part]
      if not below and place.sources[part] then
        fault("'%s' has got another name; put one of them into a rule of its own", text)
      end
      below = below or add_field(place, part)
    end
    out[#out + 1] = below
  end
  return out
end

local function find(chain, text)
  local parts = parse(text)
  local found = walk(chain, parts, text)
  return found[#found], found, parts
end

-- The place for an operation that decides about the whole value.
local function claim(chain, text, operation)
  local place, found, parts = find(chain, text)
  check_open(place, text)
  place.claimed = operation
  return place, found, parts
end

local function check_untouched_below(place, text)
  if next(place.sources) or place.each then
    fault("something below '%s' is changed as well; put one of them into a rule of its own", text)
  end
end

-- What earlier operations do below the place makes no difference any more.
local function forget_below(place)
  place.tree.fields, place.tree.items, place.tree.only, place.tree.look = nil, nil, nil, nil
end

-- ------------------------------------------------------------------------------------------------ values

local Builder = {}
Builder.__index = Builder

function Builder:slot(expression)
  self.count = self.count + 1
  self.expressions[self.count] = expression
  return self.count
end

-- The slot with the value at the path, as it comes; `chain` leads to where it will be written.
function Builder:capture(text, base, chain)
  local parts = parse(text)
  local each = 0
  for i, part in ipairs(parts) do
    if part == path.EACH then each = i end
  end
  if each == #parts then fault("'%s' is no field", text) end
  local scope = base
  if each > 0 then scope = walk(base, table.move(parts, 1, each, 1, {}), text) end
  scope = scope[#scope]
  local inside = false
  for _, place in ipairs(chain) do inside = inside or place == scope end
  if not inside then fault("'%s' is of each item, and its value goes elsewhere", text) end
  scope.look = scope.look or new_place()
  scope.tree.look = scope.look.tree
  local found = walk({ scope.look }, table.move(parts, each + 1, #parts, 1, {}), text)
  local tree = found[#found].tree
  tree.capture = tree.capture or self:slot(false)
  return tree.capture
end

local BODY = "^%${body%.([^{}]+)}$"

-- "by ${body.name} from ${client_ip}" -> { "by ", slot, " from ", slot }
function Builder:parts_of(text, base, chain)
  local out, at = {}, 1
  while at <= #text do
    local first, last = text:find("%${[^{}]*}", at)
    if not first then break end
    if first > at then out[#out + 1] = text:sub(at, first - 1) end
    local expression = text:sub(first, last)
    local name = expression:match(BODY)
    out[#out + 1] = name and self:capture(name, base, chain) or self:slot(expression)
    at = last + 1
  end
  if at <= #text then out[#out + 1] = text:sub(at) end
  return out
end

local function has_body(text) return text:find("${body.", 1, true) ~= nil end

-- Makes the place write the value: anything, or a text with ${...}.
function Builder:fill(place, value, chain)
  if type(value) ~= "string" or not value:find("${", 1, true) then
    place.tree.set = value
  elseif has_body(value) then
    place.tree.fill = self:parts_of(value, { self.root }, chain)
  else
    place.tree.fill = { self:slot(value) }
  end
end

-- ------------------------------------------------------------------------------------------------ operations

function Builder:copy(base, map)
  for _, from in ipairs(sorted(map)) do
    local place, chain = claim(base, map[from], "copy")
    check_untouched_below(place, map[from])
    place.tree.fill = { self:capture(from, base, chain) }
  end
end

function Builder:move(base, map)
  for _, from in ipairs(sorted(map)) do
    local place, chain = claim(base, map[from], "move")
    check_untouched_below(place, map[from])
    place.tree.fill = { self:capture(from, base, chain) }
    place = claim(base, from, "move")
    check_untouched_below(place, from)
    place.tree.drop = true
  end
end

local function same_kind(a, b) return (a == path.EACH) == (b == path.EACH) end

-- The parts that a path becomes: `to` is the last one's name, or a path of the same form in which only lists and the
-- last one have other names.
local function target(parts, to, text)
  local out = table.move(parts, 1, #parts, 1, {})
  if #to == 1 then out[#out] = to[1] else out = to end
  local fits = #out == #parts
  for i, part in ipairs(parts) do
    local may_differ = i == #parts or parts[i + 1] == path.EACH
    fits = fits and same_kind(part, out[i]) and (part == out[i] or may_differ)
  end
  if not fits then fault("'%s' stays in its object; what goes elsewhere is in 'move'", text) end
  return out
end

-- Notes new names for the places along a path.
local function note_names(names, chain, parts, to, text)
  to = target(parts, to, text)
  for i, part in ipairs(parts) do
    local at = #chain - #parts + i
    local place = chain[at]
    local known = names[place]
    if part ~= to[i] and known and known.new ~= to[i] then fault("'%s' would get two names", text) end
    if part ~= to[i] and not known then
      names[place] = { place = place, parent = chain[at - 1], old = part, new = to[i] }
      names[#names + 1] = names[place]
    end
  end
end

-- Gives all at once their names, so that they may change places.
local function give_names(names)
  for _, item in ipairs(names) do
    if item.parent.results[item.old] == item.place then item.parent.results[item.old] = nil end
  end
  for _, item in ipairs(names) do
    local there = item.parent.results[item.new]
    if there and there ~= item.place then fault("two fields would be called '%s'", item.new) end
    item.parent.results[item.new] = item.place
    item.place.tree.name = item.new
  end
  -- One that has the new name already is the same field to all that follows.
  for _, item in ipairs(names) do
    local parent = item.parent
    if not parent.sources[item.new] then
      parent.sources[item.new] = item.place
      parent.tree.fields[item.new] = item.place.tree
    end
  end
end

function Builder:rename(base, map)
  local names = {}
  for _, from in ipairs(sorted(map)) do
    local _, chain, parts = find(base, from)
    note_names(names, chain, parts, parse(map[from]), from)
  end
  give_names(names)
end

function Builder:map(base, map)
  for _, from in ipairs(sorted(map)) do
    local ops = map[from]
    local _, chain, parts = find(base, from)
    if ops.to then
      local names, to = {}, parse(ops.to)
      if parts[#parts] == path.EACH and to[#to] ~= path.EACH then to[#to + 1] = path.EACH end
      note_names(names, chain, parts, to, from)
      give_names(names)
    end
    self:apply(chain, ops)
  end
end

function Builder:remove(base, list)
  for _, text in ipairs(list) do
    local place, _, parts = claim(base, text, "remove")
    if parts[#parts] == path.EACH then fault("'%s' are items, and only fields can be removed", text) end
    forget_below(place)
    place.tree.drop = true
  end
end

-- What earlier operations have made goes as well when it is not kept.
local function drop_others(place)
  for _, field in pairs(place.results) do
    if not place.kept[field] then
      field.tree.drop, field.tree.fill, field.claimed = true, nil, "keep"
    end
  end
end

function Builder:keep(base, list)
  local objects, whole = {}, {}
  for _, text in ipairs(list) do whole[find(base, text)] = true end
  for _, text in ipairs(list) do
    local _, chain, parts = find(base, text)
    for i, part in ipairs(parts) do
      local place = chain[#base + i - 1]
      if whole[place] then break end -- another path keeps all of it
      if part ~= path.EACH then
        place.tree.only, place.kept = true, place.kept or {}
        place.kept[chain[#base + i]] = true
        objects[place] = true
      end
    end
  end
  for place in pairs(objects) do
    drop_others(place)
    place.closed = true
  end
end

function Builder:set(base, map)
  for _, text in ipairs(sorted(map)) do
    local place, chain = claim(base, text, "set")
    forget_below(place)
    self:fill(place, map[text], chain)
  end
end

function Builder:default(base, map)
  for _, text in ipairs(sorted(map)) do
    local place, chain = claim(base, text, "default")
    check_untouched_below(place, text)
    place.tree.absent = true
    self:fill(place, map[text], chain)
  end
end

function Builder:cast(base, map)
  for _, text in ipairs(sorted(map)) do
    local place = find(base, text)
    if place.claimed ~= "default" then check_open(place, text) end
    place.tree.cast = map[text]
  end
end

function Builder:apply(base, ops)
  for _, name in ipairs(M.ORDER) do
    if ops[name] then
      self.field = self.field or name
      self[name](self, base, ops[name])
      if #base == 1 then self.field = nil end
    end
  end
end

-- Whether there is anything to do.
function M.has_operations(ops)
  for _, name in ipairs(M.ORDER) do
    if ops[name] then return true end
  end
  return ops.case ~= nil
end

-- The tree, and a list with the ${...} text of each slot, false for those that the body fills. Or nil, what is wrong,
-- and the name of the operation to blame.
function M.build(ops)
  local builder = setmetatable({ root = new_place(), count = 0, expressions = {} }, Builder)
  local ok, err = pcall(builder.apply, builder, { builder.root }, ops)
  if not ok then
    if getmetatable(err) ~= Fault then error(err, 0) end
    return nil, err.message, builder.field
  end
  builder.root.tree.case = ops.case
  return builder.root.tree, builder.expressions
end

return M
