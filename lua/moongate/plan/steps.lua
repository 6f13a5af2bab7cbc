-- What differs between the steps of two routes.
--
-- Steps are the same by name and id, in the order in which they stand: the second `headers` of one route is that of the
-- other.

local values = require "moongate.plan.values"

local M = {}

-- Those that keep requests out, in a step: itself, or what is in it.
local function guards_in(step, out)
  if step.guard then out[#out + 1] = step.name end
  for _, inner in ipairs(step.inner or {}) do
    for _, held in ipairs(inner.steps) do guards_in(held, out) end
  end
  return out
end

-- What it is called: by its id, where it has one of its own; a group with the guards in it.
function M.title(step)
  local guards = step.inner and guards_in(step, {}) or {}
  local name = #guards > 0 and ("%s(%s)"):format(step.name, table.concat(guards, ", ")) or step.name
  return step.id ~= step.name and ("%s (%s)"):format(step.id, name) or name
end

function M.is_guard(step)
  return #guards_in(step, {}) > 0
end

-- { key = step } and the keys in order.
local function by_key(steps)
  local out, order, count = {}, {}, {}
  for _, step in ipairs(steps) do
    local base = step.name .. "\0" .. step.id
    count[base] = (count[base] or 0) + 1
    local key = base .. "\0" .. count[base]
    out[key], order[#order + 1] = step, key
  end
  return out, order
end

local TOLD = { conf = "", when = "when", on_error = "on_error", source = "its text", native = "native", kind = "kind",
  body = "body" }

local function changes_of(old, new)
  local out = {}
  for field, word in pairs(TOLD) do
    for _, change in ipairs(values.changes(old[field], new[field])) do
      local path = word == "" and change.path or change.path == "" and word or word .. "." .. change.path
      local text = field == "source" and "changed" or change.text
      out[#out + 1] = { path = path, text = text }
    end
  end
  local inner_old, inner_new = old.inner or {}, new.inner or {}
  if not values.same(inner_old, inner_new) then out[#out + 1] = { path = "the steps in it", text = "changed" } end
  table.sort(out, function(a, b) return a.path < b.path end)
  return out
end

-- Do the steps that both have stand in one order?
local function is_reordered(old_order, new_order, old, new)
  local at, last = {}, 0
  for i, key in ipairs(new_order) do at[key] = i end
  for _, key in ipairs(old_order) do
    if old[key] and new[key] then
      if at[key] < last then return true end
      last = at[key]
    end
  end
  return false
end

-- { lost = { { title=, guard= } }, added = { ... }, changed = { { title=, guard=, changes= } }, reordered = boolean },
-- or nil when nothing differs.
function M.compare(old_steps, new_steps)
  local old, old_order = by_key(old_steps)
  local new, new_order = by_key(new_steps)
  local out = { lost = {}, added = {}, changed = {}, reordered = is_reordered(old_order, new_order, old, new) }
  for _, key in ipairs(old_order) do
    local item = { title = M.title(old[key]), guard = M.is_guard(old[key]) }
    if not new[key] then
      out.lost[#out.lost + 1] = item
    else
      item.changes = changes_of(old[key], new[key])
      if #item.changes > 0 then out.changed[#out.changed + 1] = item end
    end
  end
  for _, key in ipairs(new_order) do
    if not old[key] then out.added[#out.added + 1] = { title = M.title(new[key]), guard = M.is_guard(new[key]) } end
  end
  if #out.lost + #out.added + #out.changed == 0 and not out.reordered then return nil end
  return out
end

-- The guards of a route's steps, by title.
function M.guards(steps)
  local out = {}
  for _, step in ipairs(steps) do
    if M.is_guard(step) then out[M.title(step)] = true end
  end
  return out
end

return M
