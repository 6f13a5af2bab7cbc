-- rgate: routes by prefix to backends that are containers with labels, and one answer for everything else:
--
--     backends:
--       - name: payment
--         match_labels: [app_name=payment, env=production]
--     routes:
--       - { path_prefix: /api/payment, backend: payment }
--     default_response: { body: This is not reachable, status_code: 403 }
--
-- Containers are not looked up by their labels yet. `addresses` (HOST:PORT, one or a list) says where a backend is;
-- without them its name is taken for a host, as containers on one network have it. A backend is chosen at random.

local lifts = require "moongate.config.dialect.lift"
local net = require "moongate.config.net"
local s = require "moongate.schema"
local suggest = require "moongate.config.suggest"
local walk = require "moongate.config.walk"

local M = { name = "rgate" }

local function label()
  return s.string { match = "^[^=%s]+=.*$", len = { 3, 512 } }
end

M.fields = {
  backends = s.list(s.record {
    name = s.string { required = true, len = { 1, 128 } },
    match_labels = s.list(label(), { single = true, len = { 1, 64 } }),
    addresses = s.list(s.string(), { single = true, len = { 1 } }),
  }:check(function(backend)
    if not backend.match_labels and not backend.addresses then return "needs one of 'match_labels', 'addresses'" end
  end), { required = true }),
  routes = s.list(s.record {
    path_prefix = s.string { required = true },
    backend = s.string { required = true },
  }, { required = true }),
}

-- ------------------------------------------------------------------------------------------------ backends

local BY_LABEL = "containers are not looked up by label yet; "

-- Where a backend without addresses is.
local function by_name(lift, backend, place, service)
  local at = walk.child(place, backend, "match_labels")
  if not net.is_host(backend.name) then
    return lift:fail(at, BY_LABEL .. "say in 'addresses' where they are, HOST:PORT", backend.match_labels)
  end
  local list = lift:list(at)
  lift:append(list, backend.name, walk.child(place, backend, "name"))
  lift:set(service, "backends", list, at)
  lift:warn(at, ("%sthe host '%s', port 80, is asked; 'addresses' may say otherwise"):format(BY_LABEL, backend.name))
  local labels = {}
  for one in lift:each(backend.match_labels, at) do labels[#labels + 1] = one end
  lift:note(service, "backends", "for containers with " .. table.concat(labels, ", "))
end

-- Gives the native service of each backend, by its name.
local function lift_backends(lift, services)
  local at, names = walk.child(lift.root, lift.value, "backends"), {}
  for backend, place in lift:each(lift.value.backends, at) do
    local named = walk.child(place, backend, "name")
    local service = lift:map(place)
    lift:move(backend, place, "addresses", service, "backends")
    if not service.backends then by_name(lift, backend, place, service) end
    lift:set(service, "balance", "random", place)
    if names[backend.name] then lift:fail(named, ("two backends are called '%s'"):format(backend.name)) end
    names[backend.name] = lifts.free_name(backend.name, services)
    if names[backend.name] ~= backend.name then lift:move(backend, place, "name", service, "label") end
    lift:set(services, names[backend.name], service, named)
  end
  return names
end

-- ------------------------------------------------------------------------------------------------ routes

local function lift_route(lift, item, place, names)
  local route, at = lift:map(place), walk.child(place, item, "backend")
  lift:move(item, place, "path_prefix", route, "path_prefix")
  if not names[item.backend] then
    lift:fail(at, ("unknown backend '%s'%s"):format(item.backend, suggest.hint(item.backend, names)))
  end
  lift:set(route, "service", names[item.backend], at)
  return route
end

-- /stats is on the port for requests.
local function lift_stats(lift)
  local admin, public = lift:map(lift.root), lift:map(lift.root)
  lift:set(public, "stats", "/stats", lift.root)
  lift:set(admin, "public", public, lift.root)
  return admin
end

function M.lift(lift)
  local native, at = lift:map(lift.root), walk.child(lift.root, lift.value, "routes")
  local services, routes = lift:map(lift.root), lift:list(at)
  local names = lift_backends(lift, services)
  for item, place in lift:each(lift.value.routes, at) do
    lift:append(routes, lift_route(lift, item, place, names), place)
  end
  lift:set(native, "services", services, walk.child(lift.root, lift.value, "backends"))
  lift:set(native, "routes", routes, at)
  if lift.value.admin == nil then lift:set(native, "admin", lift_stats(lift), lift.root) end
  return native
end

return M
