-- From steps as they are written (moongate.config.steps) to what a route runs: flat lists without `use`, and in them
-- those that steps hold. Rules that look at several steps at once.
--
-- flatten gives each entry that holds steps its `inner`, the flat lists made of its `lists`: the same for all routes.

local steps = require "moongate.config.steps"
local walk = require "moongate.config.walk"

local M = {}

local MAX_STEPS = 1000 -- of one route; pipelines that use each other double quickly

-- ------------------------------------------------------------------------------------------------ circles

-- Calls fn for each `use`, also of steps in steps.
local function each_use(entries, fn)
  for _, entry in ipairs(entries or {}) do
    if entry.kind == "use" then fn(entry) end
    for _, list in ipairs(entry.lists or {}) do each_use(list, fn) end
  end
end

-- Reports each `use` that closes a circle. `pipelines` maps names to entries. True when there was none.
function M.check_cycles(pipelines)
  local done, stack, ok = {}, {}, true
  local function visit(name)
    if done[name] then return end
    stack[#stack + 1] = name
    stack[name] = #stack
    each_use(pipelines[name], function(entry)
      if stack[entry.name] then
        ok = false
        local circle = table.concat(stack, " -> ", stack[entry.name]) .. " -> " .. entry.name
        entry.walk:fail(entry.place, ("pipelines use each other in a circle: %s"):format(circle))
      elseif not entry.broken then
        visit(entry.name)
      end
    end)
    stack[name] = nil
    stack[#stack] = nil
    done[name] = true
  end
  for _, name in ipairs(walk.sorted_keys(pipelines)) do visit(name) end
  return ok
end

-- The names of the pipelines that these lists of entries use, also by way of others, as a set.
function M.used(lists, pipelines)
  local used = {}
  local function note(entry)
    if used[entry.name] then return end
    used[entry.name] = true
    each_use(pipelines[entry.name], note)
  end
  for _, list in pairs(lists) do each_use(list, note) end
  return used
end

-- ------------------------------------------------------------------------------------------------ flat lists

local resolve

-- Appends the enabled steps of `entries` to `out`, pipelines in place; `out.size` counts those in steps as well,
-- `out.depth` how deep they lie, and `out.via` has the `use` by which each came, the outermost one, or false. False,
-- with an error, when there are too many.
local function splice(entries, pipelines, out, via)
  for _, entry in ipairs(entries or {}) do
    if entry.kind == "use" and not entry.broken then
      if not splice(pipelines[entry.name], pipelines, out, via or entry) then return false end
    elseif entry.enabled ~= false then
      resolve(entry, pipelines)
      out[#out + 1] = entry
      out.via[#out] = via or false
      out.size, out.depth = out.size + entry.size, math.max(out.depth, entry.depth)
    end
    if out.size > MAX_STEPS then
      if not out.too_many then entry.walk:fail(entry.place, ("more than %d steps in one route"):format(MAX_STEPS)) end
      out.too_many = true
      return false
    end
  end
  return true
end

local function new_list()
  return { size = 0, depth = 0, via = {} }
end

-- An alternative of which nothing is left would let everybody in.
local function check_group(entry)
  local left = {}
  for _, list in ipairs(entry.inner) do
    if #list > 0 then left[#left + 1] = list end
  end
  entry.inner = left
  if #left == 0 and not entry.broken then entry.walk:fail(entry.place, "no step is left in it") end
end

function resolve(entry, pipelines)
  if entry.inner then return end
  entry.inner, entry.size, entry.depth = {}, 1, 0
  for i, list in ipairs(entry.lists or {}) do
    local flat = new_list()
    splice(list, pipelines, flat)
    entry.inner[i] = flat
    entry.size, entry.depth = entry.size + flat.size, math.max(entry.depth, flat.depth + 1)
  end
  if entry.group then check_group(entry) end
  if entry.depth == steps.MAX_NESTING + 1 then
    entry.walk:fail(entry.place, ("steps in steps, more than %d levels deep"):format(steps.MAX_NESTING))
  end
end

-- The steps of several lists, one after the other, without `use`. Only after check_cycles.
function M.flatten(lists, pipelines)
  local out = new_list()
  for _, entries in ipairs(lists) do
    if not splice(entries, pipelines, out) then break end
  end
  return out
end

-- Calls fn for each of them, and for those in them.
function M.each(list, fn)
  for _, step in ipairs(list or {}) do
    fn(step)
    for _, inner in ipairs(step.inner or {}) do M.each(inner, fn) end
  end
end

-- ------------------------------------------------------------------------------------------------ needs

local provided_by

local function add_all(into, set)
  for what in pairs(set) do into[what] = true end
end

-- What the steps of a list provide together, as a set; nil: nobody knows, for one of them is broken.
local function provided_in(list)
  local out = {}
  for _, step in ipairs(list) do
    local set = provided_by(step)
    if not set then return nil end
    add_all(out, set)
  end
  return out
end

-- Takes away what is not in the other set.
local function intersect(set, other)
  if not set then return other end
  for what in pairs(set) do
    if not other[what] then set[what] = nil end
  end
  return set
end

-- One alternative of a group decides, and nobody knows which: what they all provide is there in any case. Steps that
-- other policies hold may run or not.
function provided_by(step)
  if step.broken then return nil end
  local common
  for _, list in ipairs(step.group and step.inner or {}) do
    local set = provided_in(list)
    if not set then return nil end
    common = intersect(common, set)
  end
  local out = common or {}
  for _, what in ipairs(step.provides or {}) do out[what] = true end
  return out
end

-- The step that provides it later: behind this one, or behind one that holds this one.
local function later_provider(scope, what)
  while scope do
    for i = scope.at + 1, #scope.steps do
      local set = provided_by(scope.steps[i])
      if set and set[what] then return scope.steps[i] end
    end
    scope = scope.outer
  end
  return nil
end

-- Where another step stands, seen from a step of `route`: without the route's own path.
local function relative(path, route)
  return path:sub(1, #route + 1) == route .. "." and path:sub(#route + 2) or path
end

local function need_fault(scope, what, route)
  local later = later_provider(scope, what)
  if not later then return ('needs "%s"; no step provides it'):format(what) end
  return ('needs "%s"; the step that provides it (%s, %s) comes later'):format(
    what, later.name, relative(later.path, route))
end

-- Calls report(step, what, scope) for what is missing. False when a step is broken: it might have provided anything.
local function check_list(list, provided, outer, report)
  for i, step in ipairs(list) do
    local scope = { steps = list, at = i, outer = outer }
    local set = provided_by(step)
    if not set then return false end
    for _, what in ipairs(step.needs or {}) do
      if not provided[what] then report(step, what, scope) end
    end
    for _, inner in ipairs(step.inner) do
      local known = {}
      add_all(known, provided)
      if not check_list(inner, known, scope, report) then return false end
    end
    add_all(provided, set)
  end
  return true
end

-- Checks that what each step needs is provided before it. A shared step is blamed once, with the first route it fails
-- in; `blamed` remembers. `route_name` nil: the steps of requests that no route takes.
function M.check_needs(list, route, route_name, blamed)
  check_list(list, {}, nil, function(step, what, scope)
    if blamed[step] then return end
    blamed[step] = true
    local own = relative(step.path, route) ~= step.path
    local message = need_fault(scope, what, route)
    if not own and route_name then message = ("%s (in route '%s')"):format(message, route_name) end
    if step.keyed then step.walk:fail_key(step.place, message) else step.walk:fail(step.place, message) end
  end)
end

-- ------------------------------------------------------------------------------------------------ order

-- All that a step, or one in it, provides perhaps: { [what] = that step }.
local function may_provide(step, out)
  for _, what in ipairs(step.provides or {}) do out[what] = step end
  for _, list in ipairs(step.inner or {}) do
    for _, inner in ipairs(list) do may_provide(inner, out) end
  end
  return out
end

-- `seen` and `later`: what steps around the list provide, before and behind it.
local function check_order(list, seen, later, report)
  local before, rest = setmetatable({}, { __index = seen }), { [#list + 1] = later }
  for i = #list, 1, -1 do rest[i] = may_provide(list[i], setmetatable({}, { __index = rest[i + 1] })) end
  for i, step in ipairs(list) do
    for what, reason in pairs(step.after or {}) do
      if not before[what] and rest[i + 1][what] then report(step, "before", what, rest[i + 1][what], reason) end
    end
    for what, reason in pairs(step.before or {}) do
      if before[what] then report(step, "behind", what, before[what], reason) end
    end
    for _, inner in ipairs(step.inner or {}) do check_order(inner, before, rest[i + 1], report) end
    may_provide(step, before)
  end
end

-- Calls warn(step, step.place, message) for steps that work where they stand, but not as their policies say they are
-- meant to (`after` and `before` of a module). `blamed` as above.
function M.check_order(list, route, blamed, warn)
  check_order(list, {}, {}, function(step, where, what, other, reason)
    if blamed[step] then return end
    blamed[step] = true
    warn(step, step.place, ('stands %s %s (%s), which provides "%s": %s'):format(
      where, other.name, relative(other.path, route), what, reason))
  end)
end

-- ------------------------------------------------------------------------------------------------ as they leave

-- A conf without the steps in it, and where those stand, in the order of the entry's `inner`: lists of keys.
local function without_steps(conf, path, mounts)
  if getmetatable(conf) == steps.List then
    mounts[#mounts + 1] = path
    return nil
  end
  if type(conf) ~= "table" then return conf end
  local out = {}
  local function take(key)
    local at = table.move(path, 1, #path, 1, {})
    at[#at + 1] = key
    out[key] = without_steps(conf[key], at, mounts)
  end
  for i in ipairs(conf) do take(i) end
  for _, key in ipairs(walk.sorted_keys(conf)) do
    if math.type(key) ~= "integer" then take(key) end
  end
  return out
end

-- The conf of a policy, and the mounts if there are any.
local function plain_conf(step)
  if step.group then return nil end
  if not step.lists or #step.lists == 0 then return step.conf end
  local mounts = {}
  return without_steps(step.conf, {}, mounts), mounts
end

-- The path of a step in an included file's route changes with its route.
local function moved(path, from, to)
  return path:sub(1, #from + 1) == from .. "." and to .. path:sub(#from + 1) or path
end

-- `env.key` of a step at that path: the route's name stands for its number.
local function key_of(path, at, route)
  return path:sub(1, #at + 1) == at .. "." and ("routes[%s]%s"):format(route, path:sub(#at + 1)) or path
end

-- What C reads of the conf of a policy that it runs; nil: the conf itself.
local function native_conf(step, path, key)
  local make = step.native and step.module.native_conf
  return make and make(step.conf, { path = path, key = key })
end

-- Steps of the route of that name as they leave the loader: plain data.
function M.export(list, from, to, route)
  local out = {}
  for i, step in ipairs(list) do
    local path, via, inner = moved(step.path, from, to), list.via[i], {}
    local at = step.keyed and step.walk:locate_key(step.place) or step.walk:locate(step.place)
    local conf, mounts = plain_conf(step)
    for n, steps_in in ipairs(step.inner) do inner[n] = { steps = M.export(steps_in, from, to, route) } end
    out[i] = {
      name = step.name, kind = step.kind, conf = conf, func = step.func, source = step.source,
      path = path, via = via and moved(via.path, from, to) or nil,
      id = step.id or step.name, when = step.when, on_error = step.on_error,
      file = step.walk.ctx.file, line = at and at >> 20, col = at and at & 0xFFFFF, source_line = step.line,
      body = step.module and step.module.body,
      native = step.native, native_conf = native_conf(step, path, key_of(path, to, route)),
      guard = step.guard, inner = inner[1] and inner, mounts = mounts,
    }
  end
  return out
end

return M
