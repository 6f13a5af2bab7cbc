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

local function uses_tls(service)
  return service.tls ~= nil
end

-- Backends that stay keep their connections and what is known of them; not with TLS, since how they are verified may
-- have changed.
local function compare_services(old, new, out)
  for _, name in ipairs(sorted_names(new)) do
    local before, service = old[name], new[name]
    if before and (uses_tls(before) or uses_tls(service)) then
      add(out.anew, "connections and health of the backends of '%s', which speak TLS", name)
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

local LIMITS = { ["rate-limit"] = true, quota = true, concurrency = true }

-- Limits without a name are counted by where they stand.
local function moved_limits(old, new, out)
  for _, route in ipairs(new.shown.routes) do
    local before, place = old.places[route.name], new.places[route.name]
    for i, step in ipairs(route.steps) do
      local path = place.steps[i]
      if LIMITS[step.name] and before and not (step.conf or {}).name then
        local known = false
        for _, old_path in ipairs(before.steps) do known = known or old_path == path end
        if not known then
          add(out.anew, "the counts of %s in route '%s': it has no name, and stands at %s now", step.name,
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
  if a.workers ~= b.workers then
    add(out.restart, "the number of workers: %s -> %s", a.workers == 0 and "auto" or a.workers,
      b.workers == 0 and "auto" or b.workers)
  end
  return out
end

return M
