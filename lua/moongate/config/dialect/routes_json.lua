-- A list of routes, each with its backends:
--
--     {"routes": [{"path_pattern": "/api/users/*", "service": "users-service", "version": "v1",
--                  "backends": ["users-1:8080", "users-2"], "strip_prefix": false}]}
--
-- Routes of the same service, version and backends share a native service; its name has the version at its end, and its
-- label is the service as it stands there.

local lifts = require "moongate.config.dialect.lift"
local s = require "moongate.schema"
local walk = require "moongate.config.walk"

local M = { name = "routes JSON" }

M.fields = {
  routes = s.list(s.record {
    path_pattern = s.string { required = true },
    service = s.string { required = true, len = { 1, 128 } },
    version = s.string { len = { 1, 64 } },
    backends = s.list(s.string(), { single = true, required = true, len = { 1 } }),
    strip_prefix = s.boolean(),
  }),
}

local function signature(lift, route, place)
  local parts = { route.service, type(route.version) == "string" and route.version or "" }
  for backend in lift:each(route.backends, place) do parts[#parts + 1] = backend end
  return table.concat(parts, "\0")
end

-- The native service of a route, made when it is the first that wants it.
local function service_of(lift, route, place, services, known)
  local key = signature(lift, route, place)
  if known[key] then return known[key] end
  local version = not walk.is_absent(route.version) and "-" .. route.version or ""
  local name = lifts.free_name(route.service .. version, services)
  local service = lift:map(place)
  lift:move(route, place, "backends", service, "backends")
  if name ~= route.service then lift:move(route, place, "service", service, "label") end
  lift:set(services, name, service, walk.child(place, route, "service"))
  known[key] = name
  return name
end

function M.lift(lift)
  local native, at = lift:map(lift.root), walk.child(lift.root, lift.value, "routes")
  local services, routes, known = lift:map(at), lift:list(at), {}
  for item, place in lift:each(lift.value.routes, at) do
    local route = lift:map(place)
    lift:move(item, place, "path_pattern", route, "match")
    lift:set(route, "service", service_of(lift, item, place, services, known), walk.child(place, item, "service"))
    lift:move(item, place, "version", route, "version")
    lift:move(item, place, "strip_prefix", route, "strip_prefix")
    lift:append(routes, route, place)
  end
  lift:set(native, "services", services, at)
  lift:set(native, "routes", routes, at)
  return native
end

return M
