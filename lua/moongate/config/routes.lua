-- Routes after the schema: names, steps in one flat list, rules that look at several routes at once.
--
-- A route in the making is { raw =, checked =, doc =, place =, path = }: what stands in the file, the checked copy, the
-- document it came from, where in it, and its path counted over all files.

local pattern = require "moongate.config.pattern"
local pipelines = require "moongate.config.pipelines"
local walk = require "moongate.config.walk"

local M = {}

-- All routes, in the order of the files.
function M.collect(docs)
  local out = {}
  for _, doc in ipairs(docs) do
    local raw_list = doc.checked and doc.checked.routes and doc.value.routes or {}
    local at = walk.child(walk.root(), doc.value, "routes")
    for i, raw in ipairs(raw_list) do
      local checked = doc.checked.routes[i]
      if checked then
        out[#out + 1] = {
          raw = raw, checked = checked, doc = doc,
          place = walk.child(at, raw_list, i),
          path = ("routes[%d]"):format(#out),
        }
      end
    end
  end
  return out
end

local function fail(route, message, field)
  local place = route.place
  if field and route.raw[field] ~= nil then place = walk.child(place, route.raw, field) end
  route.doc.walk:fail(place, message, not field and route.raw or nil)
end

-- ------------------------------------------------------------------------------------------------ conditions

-- A map of conditions as a sequence, by name; "*" asks for no value.
local function sorted_pairs(map, lower)
  if not map or next(map) == nil then return nil end
  local out = {}
  for name, value in pairs(map) do
    out[#out + 1] = { name = lower and name:lower() or name, value = value ~= "*" and value or nil }
  end
  table.sort(out, function(a, b)
    if a.name ~= b.name then return a.name < b.name end
    return (a.value or "") < (b.value or "")
  end)
  return out
end

-- The conditions in one form, whatever way they were written.
local function conditions(checked)
  local match = checked.match
  if checked.path_prefix then
    local prefix = checked.path_prefix:gsub("/+$", "")
    return { paths = prefix == "" and { "/*" } or { prefix, prefix .. "/*" } }
  end
  if type(match) == "string" then return { paths = { match } } end
  if not match then return { paths = {} } end
  return {
    paths = match.path or { "/*" },
    methods = match.methods,
    hosts = match.host,
    headers = sorted_pairs(match.headers, true),
    query = sorted_pairs(match.query, false),
    listener = match.listener,
  }
end

-- ------------------------------------------------------------------------------------------------ names

local function first_at(route)
  local at = route.doc.walk:locate(walk.child(route.place, route.raw, "name"))
  return at and ("%s:%d"):format(route.doc.name, at >> 20) or ("%s: %s"):format(route.doc.name, route.place.path)
end

-- Given names must differ; the others are called after their pattern, numbered when that is taken.
local function give_names(routes)
  local taken = {}
  for _, route in ipairs(routes) do
    local name = route.checked.name
    if name and taken[name] then
      fail(route, ("duplicate route name '%s', first at %s"):format(name, first_at(taken[name])), "name")
    elseif name then
      taken[name] = route
    end
  end
  local numbers = {} -- by pattern: the last one given, for thousands of hosts may have the same
  for _, route in ipairs(routes) do
    if not route.checked.name then
      local base = route.match.paths[1] or "?"
      local name, n = base, numbers[base] or 1
      while taken[name] do
        n = n + 1
        name = ("%s #%d"):format(base, n)
      end
      taken[name], numbers[base] = route, n
      route.checked.name = name
    end
  end
end

-- ------------------------------------------------------------------------------------------------ rules

local function check_rewrite(route)
  local text = route.checked.rewrite
  local fault = text and pattern.rewrite_names_fault(text, route.match.paths)
  if fault then fail(route, fault, "rewrite") end
end

-- Whatever was written for one counts, even if it was wrong: that has its own error.
local function check_answers(route)
  local raw = route.raw
  local steps_wrong = raw.policies ~= nil and not route.checked.policies
  if raw.service == nil and raw.split == nil and #route.steps == #(route.checked.mirror or {}) and not steps_wrong then
    fail(route, "nothing answers: needs a 'service', a 'split' or a step in 'policies'")
  end
end

-- ------------------------------------------------------------------------------------------------ never matched

local function pairs_text(list)
  if not list then return "" end
  local out = {}
  for _, item in ipairs(list) do out[#out + 1] = ("%q=%q"):format(item.name, item.value or true) end
  return table.concat(out, "&")
end

-- Conditions but the methods, for one path and host, as one string.
local function signature(match, path, host)
  return table.concat({
    pattern.shape(path), host, pairs_text(match.headers), pairs_text(match.query), match.listener or "",
    match.methods and "methods" or "",
  }, "\0")
end

local function set_of(list)
  local set = {}
  for _, item in ipairs(list or {}) do set[item] = true end
  return set
end

local function all_in(list, set)
  for _, item in ipairs(list or {}) do
    if not set[item] then return false end
  end
  return true
end

local function earlier_match(seen, match, key)
  for _, other in ipairs(seen[key] or {}) do
    if all_in(match.methods, other.methods) then return other.route end
  end
  return nil
end

-- The route that takes all that this one could get, or nil. Enters this one into `seen`.
local function hidden_by(route, seen)
  local by, hidden, entry = nil, true, { route = route, methods = set_of(route.match.methods) }
  for _, path in ipairs(route.match.paths) do
    for _, host in ipairs(route.match.hosts or { "" }) do
      local key = signature(route.match, path, host)
      local other = earlier_match(seen, route.match, key)
      if other and other ~= route then by = by or other else hidden = false end
      seen[key] = seen[key] or {}
      table.insert(seen[key], entry)
    end
  end
  return hidden and by or nil
end

-- Adds a warning for each route that can never match. warn(doc, place, message, raw)
function M.warn_hidden(routes, warn)
  local seen = {}
  for _, route in ipairs(routes) do
    local by = hidden_by(route, seen)
    if by then
      warn(route.doc, route.place,
        ("can never match: '%s' (%s) comes first with the same conditions"):format(by.checked.name, by.path), route.raw)
    end
  end
end

-- Adds a warning for each step that stands where it should not; see pipelines.check_order.
function M.warn_order(routes, warn)
  local blamed = {}
  for _, route in ipairs(routes) do pipelines.check_order(route.steps, route.place.path, blamed, warn) end
end

-- ------------------------------------------------------------------------------------------------ all of it

-- Links routes to `globals` (entries) and `shared` pipelines (name to entries) and checks what needs that. Gives the
-- steps for requests that no route takes: those of the file.
function M.link(routes, globals, shared)
  for _, route in ipairs(routes) do route.match = conditions(route.checked) end
  give_names(routes)
  local whole, blamed = pipelines.check_cycles(shared), {}
  for _, route in ipairs(routes) do
    check_rewrite(route)
    if whole then
      local checked = route.checked
      local all = checked.inherit ~= false and globals or {}
      route.steps = pipelines.flatten({ all, checked.policies or {}, checked.mirror }, shared)
      route.on_error = pipelines.flatten({ checked.on_error }, shared)
      pipelines.check_needs(route.steps, route.place.path, checked.name, blamed)
      check_answers(route)
    end
  end
  local fallback = whole and pipelines.flatten({ globals or {} }, shared) or {}
  pipelines.check_needs(fallback, "", nil, blamed)
  return fallback
end

-- Routes as they leave the loader: plain data.
function M.export(routes)
  local out = {}
  for i, route in ipairs(routes) do
    local checked = route.checked
    local at = route.doc.walk:locate(route.place, route.raw)
    out[i] = {
      name = checked.name, path = route.path, file = route.doc.name,
      line = at and at >> 20, col = at and at & 0xFFFFF,
      match = route.match,
      service = checked.service, split = checked.split, version = checked.version,
      strip_prefix = checked.path_prefix and checked.strip_prefix == true and checked.path_prefix
        or checked.strip_prefix,
      rewrite = checked.rewrite, timeout = checked.timeout,
      steps = pipelines.export(route.steps, route.place.path, route.path, checked.name),
      on_error = pipelines.export(route.on_error, route.place.path, route.path, checked.name),
    }
  end
  return out
end

return M
