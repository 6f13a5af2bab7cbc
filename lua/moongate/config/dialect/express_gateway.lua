-- Express Gateway: endpoints, services and pipelines of policies between them.
--
--     http: { port: 8080 }
--     apiEndpoints: { users: { host: localhost, paths: /users/* } }
--     serviceEndpoints: { userService: { url: http://localhost:3001 } }
--     policies: [proxy]
--     pipelines:
--       userPipeline:
--         apiEndpoints: [users]
--         policies: [proxy: { action: { serviceEndpoint: userService, changeOrigin: true } }]
--
-- A pipeline becomes a native one, and a route for each of its endpoints that uses it; its proxy becomes the route's
-- service. Policies and conditions: express_policies.lua, express_conditions.lua.

local conditions = require "moongate.config.dialect.express_conditions"
local lifts = require "moongate.config.dialect.lift"
local policies = require "moongate.config.dialect.express_policies"
local s = require "moongate.schema"
local suggest = require "moongate.config.suggest"
local walk = require "moongate.config.walk"

local M = { name = "Express Gateway" }

local NO_COUNTERPART = "has no counterpart in the native file"

local function texts(options)
  options = options or {}
  options.single = true
  return s.list(s.string { len = { 1 } }, options)
end

local port = s.any_of { s.integer { ge = 0, le = 65535 }, s.string { match = "^%d+$" } }
local listener = { port = port, host = s.string(), hostname = s.string() }

M.fields = {
  http = s.record(listener),
  https = s.record { port = port, host = s.string(), hostname = s.string(),
    tls = s.map(s.record { key = s.string { required = true }, cert = s.string { required = true } }) },
  admin = s.record(listener),
  apiEndpoints = s.map(s.list(s.record {
    host = s.string { len = { 1 } }, paths = texts { len = { 1 } }, pathRegex = s.string { len = { 1 } },
    methods = texts { len = { 1 } },
  }, { single = true }), { required = true }),
  serviceEndpoints = s.map(s.record {
    url = s.string(), urls = texts { len = { 1 } }, proxyOptions = s.map(s.any()),
  }:check(function(endpoint)
    if (endpoint.url == nil) == (endpoint.urls == nil) then return "needs one of 'url', 'urls'" end
  end), { default = {} }),
  policies = s.list(s.string()),
  pipelines = s.any { required = true },
}

-- ------------------------------------------------------------------------------------------------ listeners

local function address_of(part, usual)
  local host = part.hostname or part.host
  local number = walk.is_absent(part.port) and usual or part.port
  return walk.is_absent(host) and number or ("%s:%s"):format(host, number)
end

local function lift_tls(lift, https, place)
  local at = walk.child(place, https, "tls")
  local tls, list = lift:map(at), lift:list(at)
  for name, item, where in lift:pairs(https.tls, at) do
    local certificate = lift:map(where)
    lift:move(item, where, "cert", certificate, "cert")
    lift:move(item, where, "key", certificate, "key")
    if name ~= "default" then lift:set(certificate, "names", name, where) end
    lift:append(list, certificate, where)
  end
  lift:set(tls, "certificates", list, at)
  return tls, at
end

local function lift_listeners(lift, native)
  local value, list = lift.value, lift:list(lift.root)
  if type(value.http) == "table" then
    local at = walk.child(lift.root, value, "http")
    lift:append(list, address_of(value.http, 8080), at)
  end
  if type(value.https) == "table" then
    local at = walk.child(lift.root, value, "https")
    local one = lift:map(at)
    lift:set(one, "address", address_of(value.https, 8443), at)
    lift:set(one, "tls", lift_tls(lift, value.https, at))
    lift:append(list, one, at)
  end
  if #list > 0 then lift:set(native, "listen", #list == 1 and list[1] or list, lift.root) end
  if type(value.admin) == "table" then
    local at = walk.child(lift.root, value, "admin")
    local admin, part = lift:map(at), value.admin
    local host = part.hostname or part.host
    lift:set(admin, "address", ("%s:%s"):format(walk.is_absent(host) and "127.0.0.1" or host,
      walk.is_absent(part.port) and 9876 or part.port), at)
    lift:set(native, "admin", admin, at)
    lift:note(native, "admin", "the interface of Moongate, not that of Express Gateway")
  end
end

-- ------------------------------------------------------------------------------------------------ services

local PROXY_OPTIONS = {
  changeOrigin = s.boolean(), stripPath = s.boolean(), secure = s.boolean(), timeout = s.number { gt = 0 },
  proxyTimeout = s.number { gt = 0 },
}

local PROXY = { serviceEndpoint = s.string { required = true } }
for key, schema in pairs(PROXY_OPTIONS) do PROXY[key] = schema end

local PROXY_MISSING = {
  prependPath = true, ignorePath = false, followRedirects = false, xfwd = true, strategy = "round-robin", ws = true,
  autoRewrite = false, preserveHeaderKeyCase = true,
}

-- Checks the keys of an action (or of proxyOptions). False when something is wrong.
local function check_keys(lift, action, place, fields, missing)
  local before = #lift.walk.errors
  for key, value, at in lift:pairs(action, place) do
    if fields[key] then
      if not walk.is_absent(value) and not lift.verbatim then lift.walk:check(fields[key], value, at) end
    elseif missing[key] == nil then
      lift.walk:fail_key(at, walk.unknown_field(key, fields))
    elseif value ~= missing[key] then
      lift:fail(at, ("%s; only %s has"):format(NO_COUNTERPART, tostring(missing[key])))
    end
  end
  return #lift.walk.errors == before
end

-- Options of a proxy: the action's own, or else those of its service endpoint.
local function option(key, action, endpoint)
  local options = type(endpoint.proxyOptions) == "table" and endpoint.proxyOptions or {}
  if not walk.is_absent(action[key]) then return action[key] end
  if not walk.is_absent(options[key]) then return options[key] end
  return nil
end

local function backends_of(lift, endpoint, place, service)
  if not walk.is_absent(endpoint.url) then return lift:move(endpoint, place, "url", service, "url") end
  local at = walk.child(place, endpoint, "urls")
  local list, scheme = lift:list(at), nil
  for url, where in lift:each(endpoint.urls, at) do
    local protocol, host, path = url:match "^(https?)://([^/?#]+)(.*)$"
    if not protocol or (path ~= "" and path ~= "/") or protocol ~= (scheme or protocol) then
      lift:fail(where, "of several URLs each must be a scheme, the same for all, and a host")
    end
    scheme = protocol
    lift:append(list, host or url, where)
  end
  lift:set(service, "backends", list, at)
  lift:set(service, "protocol", scheme, at)
end

local function new_service(lift, endpoint, place, how)
  local service = lift:map(place)
  backends_of(lift, endpoint, place, service)
  if how.host then lift:set(service, "host", "backend", place) end
  if how.timeout then
    local timeouts = lift:map(place)
    lift:set(timeouts, "first_byte", how.timeout .. "ms", place)
    lift:set(timeouts, "idle", how.timeout .. "ms", place)
    lift:set(service, "timeouts", timeouts, place)
  end
  if how.insecure then
    local tls = lift:map(place)
    lift:set(tls, "verify", false, place)
    lift:set(service, "tls", tls, place)
  end
  return service
end

local function is_https(endpoint)
  local url = endpoint.url
  if walk.is_absent(url) then url = type(endpoint.urls) == "table" and endpoint.urls[1] or endpoint.urls end
  return tostring(url):match "^https:" ~= nil
end

-- The native service of a proxy, made when it is the first that wants it so.
local function service_of(out, action, place)
  local lift, at = out.lift, walk.child(place, action, "serviceEndpoint")
  local endpoints = walk.is_absent(lift.value.serviceEndpoints) and {} or lift.value.serviceEndpoints
  local name = action.serviceEndpoint
  local endpoint = endpoints[name]
  if type(endpoint) ~= "table" then
    lift:fail(at, ("unknown serviceEndpoint '%s'%s"):format(tostring(name), suggest.hint(tostring(name), endpoints)),
      action)
    return nil
  end
  local how = {
    host = option("changeOrigin", action, endpoint) ~= false,
    timeout = option("proxyTimeout", action, endpoint),
    insecure = option("secure", action, endpoint) == false and is_https(endpoint),
  }
  local key = ("%s\0%s\0%s\0%s"):format(name, how.host, how.timeout, how.insecure)
  if not out.known[key] then
    local where = walk.child(walk.child(lift.root, lift.value, "serviceEndpoints"), endpoints, name)
    local free = lifts.free_name(name, out.services)
    check_keys(lift, endpoint.proxyOptions, walk.child(where, endpoint, "proxyOptions"), PROXY_OPTIONS, PROXY_MISSING)
    lift:set(out.services, free, new_service(lift, endpoint, where, how), where)
    out.known[key] = free
  end
  out.used[name] = true
  return out.known[key], endpoint
end

-- ------------------------------------------------------------------------------------------------ pipelines

local function has_condition(item)
  local condition = item.condition
  return not walk.is_absent(condition) and not (type(condition) == "table" and condition.name == "always")
end

-- The proxy, which ends a pipeline: out.target is what routes need of it.
local function lift_proxy(out, item, action, place)
  local lift = out.lift
  if has_condition(item) then
    lift:fail(walk.child(place, item, "condition"), "a proxy's condition " .. NO_COUNTERPART
      .. "; make an apiEndpoint of it", item.condition)
  end
  local at = walk.child(place, item, "action")
  if not check_keys(lift, action, at, PROXY, PROXY_MISSING) then return end
  local service, endpoint = service_of(out, action, at)
  if not service then return end
  out.target = {
    service = service, place = walk.child(at, action, "serviceEndpoint"),
    strip = option("stripPath", action, endpoint) == true, timeout = option("timeout", action, endpoint),
  }
end

-- One { condition, action } of a policy.
local function lift_item(out, name, item, place)
  local lift = out.lift
  for key, _, at in lift:pairs(item, place) do
    if key ~= "condition" and key ~= "action" then
      lift.walk:fail_key(at, walk.unknown_field(key, { condition = true, action = true }))
    end
  end
  local at = walk.child(place, item, "action")
  local action = walk.is_absent(item.action) and {} or item.action
  if type(action) ~= "table" then return lift:fail(at, "expected map", action) end
  for key, value in pairs(action) do
    if walk.is_absent(value) then action[key] = nil end
  end
  if name == "proxy" then return lift_proxy(out, item, action, place) end
  local policy = policies[name]
  local when
  if has_condition(item) then
    when = conditions.translate(lift, item.condition, walk.child(place, item, "condition"))
  end
  if not check_keys(lift, action, at, policy.fields, policy.missing) then return end
  out.step = function(native_name, conf, where)
    local step = lift:map(place)
    lift:set(step, native_name, conf, where)
    if when then lift:set(step, "when", when, walk.child(place, item, "condition")) end
    lift:append(out.steps, step, place)
  end
  policy.lift(out, action, at)
  out.ends = out.ends or (policy.ends and not when)
end

local function is_allowed(lift, name)
  local allowed = lift.value.policies
  if walk.is_absent(allowed) then return true end
  for item in lift:each(allowed, lift.root) do
    if item == name then return true end
  end
  return false
end

local function lift_policy(out, name, value, place)
  local lift = out.lift
  if not is_allowed(lift, name) then
    lift.walk:fail_key(place, ("policy '%s' is not among the 'policies' of this file"):format(name))
  elseif out.target or out.ends then
    lift.walk:fail_key(place, "stands behind what ends the pipeline, and never runs")
  elseif name ~= "proxy" and (not policies[name] or not policies[name].lift) then
    lift.walk:fail_key(place, ("policy '%s' has no counterpart%s"):format(name,
      policies.without[name] and ": " .. policies.without[name] or suggest.hint(name, policies)))
  else
    local items, some = value, false
    if walk.is_absent(items) then items = {} end
    if type(items) ~= "table" then return lift:fail(place, "expected a map with 'condition' and 'action'") end
    for item, at in lift:each(items, place) do
      some = true
      if type(item) == "table" then lift_item(out, name, item, at) else lift:fail(at, "expected map", item) end
    end
    if not some then lift_item(out, name, {}, place) end
  end
end

-- The steps of a pipeline, and what they end in.
local function lift_steps(out, list, place)
  local lift = out.lift
  out.steps, out.target, out.ends = lift:list(place), nil, false
  for entry, at in lift:each(list, place) do
    if type(entry) == "string" then
      lift_policy(out, entry, nil, at)
    elseif type(entry) == "table" then
      for name, value, where in lift:pairs(entry, at) do lift_policy(out, name, value, where) end
    else
      lift:fail(at, "expected a policy", entry)
    end
  end
  return out.steps, out.target
end

-- ------------------------------------------------------------------------------------------------ routes

-- A path of Express as a native pattern; nil after an error.
local function pattern_of(lift, path, place)
  if path == "*" then return "/*" end
  if path:find "[()?+]" then
    return lift:fail(place, "a regular expression inside of a path " .. NO_COUNTERPART .. "; use 'pathRegex'")
  end
  return (path:gsub("/:([%a_][%w_]*)", "/{%1}"))
end

local function lift_paths(lift, endpoint, place, match)
  if not walk.is_absent(endpoint.pathRegex) then
    local at = walk.child(place, endpoint, "pathRegex")
    return lift:set(match, "path", "~" .. endpoint.pathRegex, at)
  end
  if walk.is_absent(endpoint.paths) then return lift:set(match, "path", "/*", place) end
  local at = walk.child(place, endpoint, "paths")
  local list = lift:list(at)
  for path, where in lift:each(endpoint.paths, at) do lift:append(list, pattern_of(lift, path, where) or "/", where) end
  lift:set(match, "path", #list == 1 and list[1] or list, at)
end

local function lift_match(lift, endpoint, place)
  local match = lift:map(place)
  lift_paths(lift, endpoint, place, match)
  if endpoint.host ~= "*" then lift:move(endpoint, place, "host", match, "host") end
  if not walk.is_absent(endpoint.methods) then
    local at = walk.child(place, endpoint, "methods")
    local list = lift:list(at)
    for item, where in lift:each(endpoint.methods, at) do
      for method in item:gmatch "[^,%s]+" do lift:append(list, method:upper(), where) end
    end
    lift:set(match, "methods", list, at)
  end
  return match
end

local function add_routes(out, endpoint_name, pipeline, place)
  local lift, endpoints = out.lift, out.lift.value.apiEndpoints
  local at = walk.child(walk.child(lift.root, lift.value, "apiEndpoints"), endpoints, endpoint_name)
  for endpoint, where in lift:each(endpoints[endpoint_name], at) do
    local route, target = lift:map(where), pipeline.target
    local name = lifts.free_name(endpoint_name, out.names)
    out.names[name] = true
    lift:set(route, "name", name, where)
    lift:set(route, "match", lift_match(lift, endpoint, where), where)
    if target then
      lift:set(route, "service", target.service, target.place)
      if target.strip then lift:set(route, "strip_prefix", true, target.place) end
      if target.timeout then lift:set(route, "timeout", target.timeout .. "ms", target.place) end
    end
    if pipeline.name then
      local uses, use = lift:list(place), lift:map(place)
      lift:set(use, "use", pipeline.name, place)
      lift:append(uses, use, place)
      lift:set(route, "policies", uses, place)
    end
    lift:append(out.routes, route, place)
  end
end

local function lift_pipeline(out, name, pipeline, place)
  local lift = out.lift
  for key, _, at in lift:pairs(pipeline, place) do
    if key ~= "apiEndpoints" and key ~= "apiEndpoint" and key ~= "policies" and key ~= "name" then
      lift.walk:fail_key(at, walk.unknown_field(key, { apiEndpoints = true, policies = true }))
    end
  end
  local steps_at = walk.child(place, pipeline, "policies")
  local steps, target = lift_steps(out, pipeline.policies, steps_at)
  local made = { target = target }
  if #steps > 0 then
    made.name = lifts.free_name(name, out.pipelines)
    lift:set(out.pipelines, made.name, steps, steps_at)
  end
  local key = pipeline.apiEndpoints ~= nil and "apiEndpoints" or "apiEndpoint"
  local some = false
  for endpoint, at in lift:each(pipeline[key], walk.child(place, pipeline, key)) do
    some = true
    if lift.value.apiEndpoints[endpoint] == nil then
      lift:fail(at, ("unknown apiEndpoint '%s'%s"):format(tostring(endpoint),
        suggest.hint(tostring(endpoint), lift.value.apiEndpoints)))
    else
      out.served[endpoint] = true
      add_routes(out, endpoint, made, at)
    end
  end
  if not some then lift:fail(place, "needs 'apiEndpoints'", pipeline) end
end

local function warn_unused(lift, part, used, message)
  local at = walk.child(lift.root, lift.value, part)
  for name, _, place in lift:pairs(lift.value[part], at) do
    if not used[name] then lift:warn(place, message) end
  end
end

-- In a map by name, or in a list with `name` in each.
local function lift_pipelines(out)
  local lift, pipelines = out.lift, out.lift.value.pipelines
  local at = walk.child(lift.root, lift.value, "pipelines")
  if type(pipelines) ~= "table" then return lift:fail(at, "expected map", pipelines) end
  local function one(name, pipeline, place)
    if type(pipeline) ~= "table" then return lift:fail(place, "expected map", pipeline) end
    lift_pipeline(out, tostring(name or pipeline.name), pipeline, place)
  end
  if lift.walk:is_list(pipelines) then
    for pipeline, place in lift:each(pipelines, at) do one(nil, pipeline, place) end
  else
    for name, pipeline, place in lift:pairs(pipelines, at) do one(name, pipeline, place) end
  end
end

function M.lift(lift)
  local native, at = lift:map(lift.root), walk.child(lift.root, lift.value, "pipelines")
  local out = {
    lift = lift, native = native, services = lift:map(lift.root), pipelines = lift:map(at), routes = lift:list(at),
    known = {}, used = {}, served = {}, names = {},
  }
  function out.keys()
    if not native.keys then lift:set(native, "keys", lift:map(at), at) end
    return native.keys
  end
  lift_listeners(lift, native)
  lift_pipelines(out)
  lift:set(native, "services", out.services, walk.child(lift.root, lift.value, "serviceEndpoints"))
  if next(out.pipelines) then lift:set(native, "pipelines", out.pipelines, at) end
  lift:set(native, "routes", out.routes, at)
  warn_unused(lift, "apiEndpoints", out.served, "no pipeline has this endpoint")
  warn_unused(lift, "serviceEndpoints", out.used, "no proxy uses this service")
  return native
end

return M
