-- The test kit: a whole gateway in memory, for specs under busted.
--
--     local T = require "moongate.test"
--
--     local t = T.new {
--       policies = { { ["token-bucket"] = { rate = 1, burst = 2 } } },
--       upstreams = { api = { body = "ok" } },
--     }
--     assert.status(t:request "/", 200)
--     t:advance(60)
--
-- What runs is the gateway itself: its parser, router, pipeline, pools and limiters. Only connections and the clock are
-- in memory. When nothing can run the clock jumps to the next thing that is due, so waiting takes no time. A gateway
-- begins with empty dictionaries and an empty log, at 2026-01-01T00:00:00Z.
--
--     T.new { ... }          one route with these steps (below)
--     T.load(file, { ... })  a whole config; its `upstreams` play the services
--     T.validate(module, conf) -> conf | nil, text       what the policy's schema says
--     T.jwt(claims, opts)    a signed token
--     T.each_split(body, fn) calls fn(first, second) for every way to cut a body in two
--
-- Gateways: moongate.test.gateway. Answers of upstreams: moongate.test.answer. Matchers: moongate.test.matchers.

require "moongate.core" -- brings `moongate` along

local answers = require "moongate.test.answer"
local gateway = require "moongate.test.gateway"
local around = require "moongate.test.around"
local matchers = require "moongate.test.matchers"
local secrets = require "moongate.test.secrets"

local T = {}

-- ------------------------------------------------------------------------------------------------ seeds

-- In the registry, for busted loads modules anew for each file.
local SEED, TOLD = "moongate.test.seed", "moongate.test.told"

local function chosen_seed()
  for i = 1, #(arg or {}) do
    local seed = arg[i]:match "^%-%-seed=(%d+)$" or (arg[i] == "--seed" and arg[i + 1])
    if math.tointeger(tonumber(seed)) then return math.tointeger(tonumber(seed)) end
  end
  return math.random(1, 999999)
end

local registry = debug.getregistry()
registry[SEED] = registry[SEED] or chosen_seed()

-- The seed of gateways that are given none. It orders what is ready at the same time, and makes all that is random.
T.seed = registry[SEED]

-- busted says it at the end, when a spec failed.
local function tell_seed_on_failure()
  local busted = package.loaded.busted
  if registry[TOLD] or not (busted and busted.subscribe) then return end
  registry[TOLD] = true
  local failed = false
  local function on_failure()
    failed = true
    return nil, true -- others hear it too
  end
  busted.subscribe({ "failure" }, on_failure)
  busted.subscribe({ "error" }, on_failure)
  busted.subscribe({ "exit" }, function()
    if failed then io.stderr:write(("seed %d (--seed=%d gives the same order)\n"):format(T.seed, T.seed)) end
    return nil, true
  end)
end

-- ------------------------------------------------------------------------------------------------ gateways

local NEW = {
  policies = true, upstreams = true, service = true, config = true, seed = true, match = true, path = true,
  timeout = true, secrets = true, redis = true,
}

-- The only upstream, when there is one.
local function only(upstreams)
  local name = next(upstreams)
  return name and next(upstreams, name) == nil and name or nil
end

local function sorted(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- An upstream is a service, or an origin that policies name by URL: "login.example.com".
local function is_service(name)
  return name:find "[.:]" == nil
end

local function services_of(opts, config)
  local services = {}
  for name, service in pairs(config.services or {}) do services[name] = service end
  for i, name in ipairs(sorted(opts.upstreams or {})) do
    if is_service(name) and not services[name] then services[name] = { backends = { ("10.0.%d.1:80"):format(i) } } end
  end
  return services
end

local function redises_of(opts, config)
  local redises = {}
  for name, redis in pairs(config.redis or {}) do redises[name] = redis end
  for name in pairs(opts.redis or {}) do redises[name] = redises[name] or { address = name .. ":6379" } end
  return redises
end

local function config_of(opts, places)
  local config = {}
  for key, value in pairs(opts.config or {}) do config[key] = value end
  if opts.secrets then
    for name, place in pairs(config.secrets or {}) do places[name] = places[name] or place end
    config.secrets = places
  end
  config.services = services_of(opts, config)
  config.lua = config.lua or { path = opts.path or around.folders() }
  config.redis = redises_of(opts, config)
  local service = opts.service or only(opts.upstreams or {})
  if service and not is_service(service) then service = nil end
  config.routes = config.routes or {
    { name = "test", match = opts.match or "/*", service = service, policies = opts.policies, timeout = opts.timeout },
  }
  return config
end

local function make(opts)
  local t = gateway.new(opts)
  matchers.latest = t
  tell_seed_on_failure()
  return t
end

-- A gateway with one route:
--
--     policies   its steps, as in a config; a function(req, next) is one too
--     upstreams  { name = answer, ... }, each a service of that name, or one backend of a service: ["users-1:8080"]
--     redis      { name = true or function, ... }, each a Redis in memory, or a function that answers its commands
--     service    where the route forwards to; default: the only upstream
--     match      the route's pattern; default "/*"
--     timeout    the route's
--     config     the rest of the config: limits, shared, services with their options, routes of its own ...
--     secrets    { name = text, ... }, for those that the config refers to
--     path       folders of policies; default: around the spec, and ./policies
--     seed       default: T.seed
--
-- No step needs to provide the identity that others need: requests bring it (`auth`).
function T.new(opts)
  local ok, t = pcall(function()
    gateway.check_keys("T.new", opts, NEW)
    return secrets.with(opts.secrets or {}, function(places)
      return make {
        value = config_of(opts, places), file = "T.new", upstreams = opts.upstreams or {}, redis = opts.redis,
        seed = opts.seed or T.seed, identity = true,
      }
    end)
  end)
  if not ok then error(t, type(t) == "string" and 2 or 0) end
  return t
end

local LOAD = { upstreams = true, redis = true, seed = true, text = true }

-- A gateway with the config of a file, or of opts.text in place of it.
function T.load(file, opts)
  opts = opts or {}
  local ok, t = pcall(function()
    gateway.check_keys("T.load", opts, LOAD)
    local text = opts.text
    if not text then
      local handle = assert(io.open(file, "rb"))
      text = handle:read "a"
      handle:close()
    end
    return make {
      value = text, file = file, upstreams = opts.upstreams or {}, redis = opts.redis, seed = opts.seed or T.seed,
    }
  end)
  if not ok then error(t, type(t) == "string" and 2 or 0) end
  return t
end

-- ------------------------------------------------------------------------------------------------ without a gateway

-- What the schema of a policy makes of a config: the checked table, or nil and all that is wrong, a line each.
function T.validate(module, conf)
  local schema = module.schema
  if not schema then return conf end
  local checked, errors = schema:validate(conf, { path = module.name })
  if checked ~= nil then return checked end
  local lines = {}
  for i, e in ipairs(errors) do lines[i] = (e.path ~= "" and e.path .. ": " or "") .. e.message end
  return nil, table.concat(lines, "\n")
end

-- Calls fn(first, second, n) for every way to cut the body in two, both ends included.
function T.each_split(body, fn)
  for n = 0, #body do
    local ok, fault = pcall(fn, body:sub(1, n), body:sub(n + 1), n)
    if not ok then
      local where = ("cut after %d of %d bytes: "):format(n, #body)
      if type(fault) == "string" then error(where .. fault, 0) end
      if type(fault) == "table" and type(fault.message) == "string" then fault.message = where .. fault.message end
      error(fault, 0)
    end
  end
end

T.fields = answers.fields
T.jwt = require "moongate.test.jwt".sign

return T
