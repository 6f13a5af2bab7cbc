-- What outlives the change from one config to the other, when the running gateway reloads: rules of src/app/reload.c
-- and of the registries in src/shared/.

local values = require "moongate.plan.values"

local M = {}

local function sorted_names(map)
  local out = {}
  for name in pairs(map) do out[#out + 1] = name end
  table.sort(out)
  return out
end

local function add(list, text, ...)
  list[#list + 1] = text:format(...)
end

-- Backends that stay keep their connections and what is known of them, unless they are verified in another way.
local function compare_services(old, new, out)
  for _, name in ipairs(sorted_names(new)) do
    local before, service = old[name], new[name]
    if before and not values.same(before.tls, service.tls) then
      add(out.anew, "connections to the backends of '%s' and their health: its TLS differs", name)
    elseif before then
      for _, part in ipairs { "circuit_breaker", "retries", "max_requests", "queue", "outliers" } do
        if before[part] ~= nil and not values.same(before[part], service[part]) then
          add(out.anew, "what %s of '%s' has counted", part, name)
        end
      end
    end
  end
end

-- One thing by that name and definition goes on; another definition is another thing.
local function compare_stores(old, new, what, out)
  for _, name in ipairs(sorted_names(new)) do
    if old[name] ~= nil and not values.same(old[name], new[name]) then
      add(out.anew, "the %s '%s', which is empty then: its definition differs", what, name)
    end
  end
  for _, name in ipairs(sorted_names(old)) do
    if new[name] == nil then add(out.gone, "the %s '%s' with what is in it", what, name) end
  end
end

local HEAD_BYTES = 32768 -- heads of responses may be so long in any case
local LIMITS = { ["rate-limit"] = true, quota = true, concurrency = true }

-- Where a step stands, with its route's name for its number: what limits without a name are counted by (env.key).
local function key_of(path)
  return (path:gsub("^routes%[%d+%]", ""))
end

-- { [policy and key] = true } of a route of that name; nil: there is none.
local function keys_in(config, name)
  for _, route in ipairs(config.shown.routes) do
    if route.name == name then
      local out = {}
      for i, path in ipairs(config.places[name].steps) do out[route.steps[i].name .. key_of(path)] = true end
      return out
    end
  end
  return nil
end

local function moved_limits(old, new, out)
  for _, route in ipairs(new.shown.routes) do
    local known
    for i, step in ipairs(route.steps) do
      if LIMITS[step.name] and not (step.conf or {}).name then
        known = known or keys_in(old, route.name) or {}
        local path = new.places[route.name].steps[i]
        if next(known) and not known[step.name .. key_of(path)] then
          add(out.anew, "the counts of %s in route '%s', which has no name and stands at %s now", step.name,
            route.name, path)
        end
      end
    end
  end
end

-- { stays = { text }, anew = { text }, gone = { text }, restart = { text } }
function M.compare(old, new)
  local a, b = old.shown, new.shown
  local out = { stays = {}, anew = {}, gone = {}, restart = {} }
  add(out.stays, "requests under way, tunnels among them, finish on the config they began with")
  add(out.stays, "listeners whose address stays, counts of routes and services whose names stay")
  add(out.stays, "connections to backends that stay, with their health and circuit breakers")
  add(out.stays, "caches and shared dictionaries that are defined as before, and so the counts of limits")
  compare_services(a.services, b.services, out)
  compare_stores(a.caches, b.caches, "cache", out)
  compare_stores(a.shared, b.shared, "dictionary", out)
  moved_limits(old, new, out)
  local header_bytes = b.limits.header_bytes
  if header_bytes > math.max(a.limits.header_bytes, HEAD_BYTES) then
    add(out.restart, "limits.header_bytes of responses: %d -> %d", a.limits.header_bytes, header_bytes)
  end
  if a.workers ~= b.workers then
    add(out.restart, "the number of workers: %s -> %s", a.workers == 0 and "auto" or a.workers,
      b.workers == 0 and "auto" or b.workers)
  end
  return out
end

return M
