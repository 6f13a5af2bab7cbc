-- What differs between the routes of two configs, and whether requests come in that were kept out.

local steps = require "moongate.plan.steps"
local values = require "moongate.plan.values"

local M = {}

-- ------------------------------------------------------------------------------------------------ which is which

local function by_name(routes)
  local out = {}
  for _, route in ipairs(routes) do out[route.name] = route end
  return out
end

-- Pairs of old and new routes. Those that are called alike, and then, since a route without a name is called after its
-- pattern and its place, those with the same conditions.
local function pair(old_routes, new_routes)
  local new_by_name, old_of, taken = by_name(new_routes), {}, {}
  local function match(old, new)
    if new and not old_of[new] and not taken[old] then old_of[new], taken[old] = old, true end
  end
  for _, old in ipairs(old_routes) do
    local new = new_by_name[old.name]
    if new and values.key(old.match) == values.key(new.match) then match(old, new) end
  end
  local left = {}
  for _, new in ipairs(new_routes) do
    local key = values.key(new.match)
    if not old_of[new] then left[key] = left[key] or new end
  end
  for _, old in ipairs(old_routes) do match(old, left[values.key(old.match)]) end
  for _, old in ipairs(old_routes) do match(old, new_by_name[old.name]) end
  return old_of, taken
end

-- ------------------------------------------------------------------------------------------------ one route

local FIELDS = { "name", "match", "service", "split", "version", "strip_prefix", "rewrite", "timeout", "on_error" }

local function changes_of(old, new)
  local out = {}
  for _, field in ipairs(FIELDS) do
    for _, change in ipairs(values.changes(old[field], new[field])) do
      out[#out + 1] = { path = change.path == "" and field or field .. "." .. change.path, text = change.text }
    end
  end
  return out
end

local function change_of(old, new, places)
  local change = { name = new.name, place = places[new.name], changes = changes_of(old, new),
    steps = steps.compare(old.steps, new.steps) }
  if #change.changes == 0 and not change.steps then return nil end
  return change
end

local function brief(route, places)
  return { name = route.name, patterns = route.match.paths, place = places[route.name] }
end

-- ------------------------------------------------------------------------------------------------ requests to try

-- A path that the pattern takes; nil for a regular expression.
local function sample_path(pattern)
  if pattern:sub(1, 1) == "~" then return nil end
  local n = 0
  local path = pattern:gsub("{[^{}]*}", function()
    n = n + 1
    return "x" .. n
  end):gsub("/%*$", "/x")
  return path
end

local function pairs_of(list)
  local out = {}
  for i, item in ipairs(list or {}) do out[i] = { item.name, item.value or "x" } end
  return out
end

local function query_of(list)
  local out = {}
  for i, item in ipairs(list or {}) do out[i] = ("%s=%s"):format(item.name, item.value or "x") end
  return table.concat(out, "&")
end

-- Requests that its conditions let through: one for each path, host and method.
local function samples(route, base_path)
  local out, match = {}, route.match
  for _, pattern in ipairs(match.paths) do
    local path = sample_path(pattern)
    for _, host in ipairs(path and (match.hosts or { "" }) or {}) do
      for _, method in ipairs(match.methods or { "GET" }) do
        out[#out + 1] = { method = method, host = host:gsub("^%*", "x"), path = base_path .. path,
          query = query_of(match.query), headers = pairs_of(match.headers), listener = match.listener }
      end
    end
  end
  return out
end

local function describe(request)
  local query = request.query ~= "" and "?" .. request.query or ""
  return ("%s %s%s%s"):format(request.method, request.host, request.path, query)
end

-- Guards of the one that the other has not, sorted.
local function lost_guards(old, new)
  local out, left = {}, steps.guards(new.steps)
  for title in pairs(steps.guards(old.steps)) do
    if not left[title] then out[#out + 1] = title end
  end
  table.sort(out)
  return out
end

-- Requests which both configs take, and the new one with less to keep them out. Each pair of routes once.
local function find_openings(old, new)
  local old_routes, new_routes, out, told = by_name(old.shown.routes), by_name(new.shown.routes), {}, {}
  local function try(request)
    local before, after = old_routes[old.find(request) or ""], new_routes[new.find(request) or ""]
    local lost = before and after and lost_guards(before, after) or {}
    local key = before and after and before.name .. "\0" .. after.name
    if #lost == 0 or told[key] then return end
    told[key] = true
    out[#out + 1] = { request = describe(request), before = before.name, after = after.name, lost = lost,
      place = new.places[after.name] }
  end
  for _, config in ipairs { old, new } do
    for _, route in ipairs(config.shown.routes) do
      for _, request in ipairs(samples(route, config.shown.base_path)) do try(request) end
    end
  end
  return out
end

-- Guards that stay, with other options.
local function find_changed_guards(changed)
  local out = {}
  for _, route in ipairs(changed) do
    for _, step in ipairs(route.steps and route.steps.changed or {}) do
      if step.guard then
        out[#out + 1] = { route = route.name, step = step.title, changes = step.changes, place = route.place }
      end
    end
  end
  return out
end

-- ------------------------------------------------------------------------------------------------ all of it

-- old, new: { shown =, places =, shadows =, find = function(request) }, as moongate.inspect has them.
function M.compare(old, new)
  local old_of, taken = pair(old.shown.routes, new.shown.routes)
  local out = { added = {}, removed = {}, changed = {}, shadowed = {}, lost_steps = {} }
  for _, route in ipairs(old.shown.routes) do
    if not taken[route] then out.removed[#out.removed + 1] = brief(route, old.places) end
  end
  for _, route in ipairs(new.shown.routes) do
    local before = old_of[route]
    if not before then
      out.added[#out.added + 1] = brief(route, new.places)
    else
      out.changed[#out.changed + 1] = change_of(before, route, new.places)
    end
  end
  for _, shadow in ipairs(new.shadows) do
    shadow.place = new.places[shadow.route]
    out.shadowed[#out.shadowed + 1] = shadow
  end
  for _, route in ipairs(out.changed) do
    for _, step in ipairs(route.steps and route.steps.lost or {}) do
      out.lost_steps[#out.lost_steps + 1] = { route = route.name, step = step.title, guard = step.guard,
        place = route.place }
    end
  end
  return out, { openings = find_openings(old, new), changed_guards = find_changed_guards(out.changed) }
end

return M
