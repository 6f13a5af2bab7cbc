-- The schema of the config file.
--
-- What a later part of the gateway will read is no key here: a key that does nothing would be a lie.

local s = require "moongate.schema"
local balance = require "moongate.config.balance"
local guards = require "moongate.config.guards"
local health = require "moongate.config.health"
local kinds = require "moongate.config.kinds"
local net = require "moongate.config.net"
local pattern = require "moongate.config.pattern"
local steps = require "moongate.config.steps"
local suggest = require "moongate.config.suggest"

local M = {}

-- ------------------------------------------------------------------------------------------------ kinds of its own

-- A key that is a step: below it are the options of the policy of that name.
local step_key = s.define("step_key", {
  wants = { map = true },
  describe = function() return "options of a policy" end,
  check = function(_, _, place, w) return steps.of_key(place, w) end,
})

-- A kind that is a string, with an example of it or "". parse(text, ctx) gives the checked value, or nil and what is
-- wrong.
local function text_kind(kind, name, example, parse)
  return s.define(kind, {
    wants = { string = true },
    describe = function(_, short) return short and name or name .. example end,
    check = function(schema, value, place, w)
      if type(value) ~= "string" then return w:fail_expected(schema, value, place) end
      local checked, fault = parse(value, w.ctx)
      if checked ~= nil then return checked end
      if fault then return w:fail(place, fault) end
      return w:fail_expected(schema, value, place)
    end,
  })
end

-- A string for which fault(text, ctx) finds no fault.
local function faultless(fault)
  return function(value, ctx)
    local message = fault(value, ctx)
    if message then return nil, message end
    return value
  end
end

local listen_address = s.define("listen_address", {
  wants = { string = true, integer = true },
  describe = function(_, short) return short and "address" or "address (a port, IP:PORT, [IPv6]:PORT or unix:PATH)" end,
  check = function(schema, value, place, w)
    return net.listen(value) or w:fail_expected(schema, value, place)
  end,
})

-- Without a port it is the protocol's.
local backend_address = text_kind("backend_address", "address", " (HOST:PORT)", function(value)
  local host, port = net.host_port(value)
  return host and { host = host, port = port }
end)

-- Finished: the port is there.
local function address_with_port(usual)
  return function(value)
    local host, port = net.host_port(value)
    return host and net.join(host, port or usual)
  end
end

local redis_address = text_kind("redis_address", "address", " (HOST:PORT or unix:PATH)", function(value)
  if value:match "^unix:" then return (net.listen(value) or {}).address end
  return address_with_port(6379)(value)
end)

local cluster_address = text_kind("cluster_address", "address", " (HOST:PORT)", address_with_port(6379))
local sentinel_address = text_kind("sentinel_address", "address", " (HOST:PORT)", address_with_port(26379))

local host_pattern = text_kind("host_pattern", "host", " (api.example.com or *.example.com)", pattern.host)

local path_pattern = text_kind("path_pattern", "path pattern", "", faultless(function(value, ctx)
  return pattern.path_fault(value, ctx.regex)
end))

local literal_path = text_kind("literal_path", "path", "", faultless(pattern.literal_fault))
local rewrite = text_kind("rewrite", "path", "", faultless(pattern.rewrite_fault))

local listener_name = text_kind("listener_name", "listener name", "", function(value, ctx)
  if ctx.listeners[value] then return value end
  return nil, ("unknown listener '%s'%s"):format(value, suggest.hint(value, ctx.listeners))
end)

-- ------------------------------------------------------------------------------------------------ parts

-- A rule: exactly one of these fields.
local function exactly_one(...)
  local names = { ... }
  return function(value)
    local found = {}
    for _, name in ipairs(names) do
      if value[name] ~= nil then found[#found + 1] = name end
    end
    if #found == 1 then return nil end
    if #found == 0 then return ("needs one of '%s'"):format(table.concat(names, "', '")) end
    return ("'%s' exclude each other"):format(table.concat(found, "' and '")), found[2]
  end
end

local function headers()
  return s.map(s.header_value(), { keys = s.header_name() })
end

-- A file's path, below the folder of the config.
local function file(options)
  options = options or {}
  options.len, options.match = { 1, 4096 }, "^[^%z]+$"
  return s.string(options)
end

local certificate = s.record {
  cert = file { required = true, help = "the certificate, and those between it and the root" },
  key = file { required = true },
  password = s.secret { help = "of the key" },
  names = s.list(host_pattern(),
    { single = true, len = { 1 }, help = "hosts; those in the certificate when left out" }),
}

local listen_tls = s.record {
  certificates = s.list(certificate, { single = true, len = { 1 } }),
  min_version = s.any_of { s.enum { "1.2", "1.3" }, s.number { one_of = { 1.2, 1.3 } }, default = "1.2" },
  client_auth = s.enum { "none", "request", "require", help = "are clients asked for a certificate; default: none" },
  client_ca = file { help = "file with those who may vouch for clients" },
  client_crl = file { help = "file with certificates that were revoked" },
  client_depth = s.integer { default = 4, ge = 0, le = 8,
    help = "CAs between the client's certificate and a trusted one" },
  alpn = s.list(s.enum { "h2", "http/1.1" }, { single = true, len = { 1 }, default = { "http/1.1" } }),
  unknown_names = s.enum { "default", "reject", default = "default",
    help = "hosts without a certificate: the first one, or an alert" },
  session_tickets = s.boolean { default = true },
  session_lifetime = s.duration { default = "12h", ge = 60, le = 7 * 86400 },
}:check(function(value)
  local wanted = value.client_auth and value.client_auth ~= "none"
  if wanted and not value.client_ca then return "'client_auth' needs 'client_ca'", "client_auth" end
  for _, name in ipairs { "client_ca", "client_crl" } do
    -- Whoever wrote `none` knows that these wait for another day; who wrote nothing believes that clients are checked.
    if value[name] and not value.client_auth then return "does nothing without 'client_auth'", name end
  end
end)

local listener = s.record {
  name = s.name(),
  address = listen_address { required = true },
  tls = listen_tls,
  proxy_protocol = s.boolean { help = "connections begin with a PROXY header (v1 or v2)" },
}

local listen = s.list(s.any_of { listen_address(), listener },
  { single = true, len = { 1, 64 }, default = 8080, help = "a port, an address, or a list" })

-- What the listeners for requests may tell of the gateway, and where. What changes something is not among it.
local function public_path(help)
  return literal_path { help = help }
end

local admin = s.any_of {
  s.enum { "off" },
  s.record {
    address = s.any_of { s.enum { "off" }, listen_address(), help = "off, a port of this machine, or an address" },
    token = s.secret { help = "what clients show: `Authorization: Bearer ...`" },
    public = s.record({
      health = public_path "alive, and the hash of the config",
      ready = public_path "503 while it starts or drains",
      stats = public_path "requests and latencies",
      routes = public_path(),
      services = public_path "backends, their health, circuit breakers",
      config = public_path "without its secrets",
    }, { default = {} }),
  },
  default = {},
}

local limits = s.record({
  header_bytes = s.size { default = "32KiB", ge = 1024, le = 1 << 20 },
  headers = s.integer { default = 100, ge = 1, le = 10000 },
  body_bytes = s.size { default = "10MiB", help = "413 above it" },
  buffered_body_bytes = s.size { default = "1MiB", help = "what a step may hold in memory" },
  request_time = s.duration { default = "60s", gt = 0 },
  header_time = s.duration { default = "10s", gt = 0, help = "slow clients" },
  idle_time = s.duration { default = "75s", gt = 0 },
  connections = s.integer { default = 50000, ge = 1 },
  lua_run = s.duration { default = "50ms", gt = 0, help = "one uninterrupted run of policy code" },
  lua_memory = s.size { default = "256MiB", ge = 1 << 20, help = "each worker" },
}, { default = {} })

local secret = s.record {
  env = s.string { len = { 1 }, help = "the environment variable that has it" },
  file = s.string { len = { 1 }, help = "the file that has it" },
  policies = s.list(s.string { len = { 1, 128 } }, { single = true, len = { 0, 100 },
    help = "whose code may ask for it: policies, or ids of steps; all when left out" }),
}:check(exactly_one("env", "file"))

-- A user-id has no colon (RFC 7617 2), and all names end up in logs and headers.
local consumer = s.record {
  name = s.string { required = true, len = { 1, 128 }, match = "^[^%c:]+$" },
  keys = s.list(s.secret(), { single = true, len = { 1, 100 }, help = "secrets: what key-auth asks for" }),
  password = s.secret { help = "a secret with the hash of a password, for basic-auth" },
  secret = s.secret { help = "what signs its requests, for hmac-auth" },
  roles = s.list(s.string { len = { 1, 128 } }, { single = true, default = {} }),
  groups = s.list(s.string { len = { 1, 128 } }, { single = true, default = {} }),
}

local cache = s.record {
  size = s.size { default = "64MiB", ge = 1 << 20, help = "memory for all workers together" },
  max_object = s.size { default = "2MiB", ge = 1024, help = "the largest body that is kept" },
  redis = s.redis { help = "a name of `redis`: what gateways leave there for each other" },
  redis_max_object = s.size { default = "1MiB", ge = 1024, le = 16 << 20,
    help = "the largest body that is left there" },
}:check(function(value)
  if value.max_object > value.size // 8 then return "must be at most an eighth of 'size'", "max_object" end
end)

local backend = s.any_of {
  backend_address(),
  s.record {
    address = backend_address { required = true },
    weight = balance.backend.weight,
    zone = balance.backend.zone,
    priority = balance.backend.priority,
  },
}

-- How those are verified that we connect to.
local peer_tls = s.record {
  verify = s.boolean { default = true, help = "false: anybody may pretend to be the peer" },
  name = s.string { match = "^[%w_.:-]+$", len = { 1, 253 },
    help = "in the peer's certificate, instead of its own" },
  ca = file { help = "file with those who may vouch for it; the system's when left out" },
  crl = file(),
  cert = file { help = "the client certificate" },
  key = file(),
  password = s.secret { help = "of the key" },
}:check(function(value)
  if (value.cert == nil) ~= (value.key == nil) then
    return "'cert' and 'key' go together", value.cert and "cert" or "key"
  end
  for _, name in ipairs { "ca", "crl" } do
    if value[name] and not value.verify then return "does nothing without 'verify'", name end
  end
end)

local service = s.record {
  backends = s.list(backend, { single = true, len = { 1 } }),
  url = s.url(),
  dns = s.record {
    name = s.string { required = true, match = "^[%w_.-]+$", len = { 1, 253 } },
    port = s.integer { default = 80, ge = 1, le = 65535 },
  },
  balance = balance.service.balance,
  sticky = balance.service.sticky,
  slow_start = balance.service.slow_start,
  panic_threshold = balance.service.panic_threshold,
  require_zone = balance.service.require_zone,
  protocol = s.enum { "http", "https" },
  tls = peer_tls,
  host = s.any_of { s.enum { "keep", "backend" }, host_pattern(), default = "keep",
    help = "the Host that the backend sees" },
  timeouts = s.record({
    connect = s.duration { default = "1s", gt = 0 },
    first_byte = s.duration { default = "10s", gt = 0 },
    idle = s.duration { default = "60s", gt = 0 },
    per_try = s.duration { gt = 0, help = "of one try, to the head of its response" },
  }, { default = {} }),
  deadline_header = s.header_name { help = "tells backends how many milliseconds are left" },
  keepalive = s.record({
    max = s.integer { default = 64, ge = 0, help = "idle connections of one worker to one backend" },
    idle = s.duration { default = "60s", gt = 0 },
  }, { default = {} }),
  status_when_down = s.status { default = 503, ge = 400 },
  label = s.string { len = { 1, 128 }, match = '^[^%c"\\]+$',
    help = "what clients are told it is called; its name when left out, and several may have the same" },
  circuit_breaker = guards.circuit_breaker,
  retries = guards.retries,
  hedge = guards.hedge,
  outliers = guards.outliers,
  max_requests = guards.max_requests,
  queue = guards.queue,
  health = health.new(headers(), host_pattern()),
}:check(exactly_one("backends", "url", "dns")):check(function(value)
  local scheme = value.url and net.url(value.url).scheme
  if scheme and value.protocol and value.protocol ~= scheme then
    return "does not fit the scheme of 'url'", "protocol"
  end
  if value.queue and not value.max_requests then return "needs 'max_requests'", "queue" end
  if value.tls and (scheme or value.protocol) ~= "https" then return "needs 'protocol: https'", "tls" end
  if value.url and value.url:find("?", 1, true) then return "must not have a query", "url" end
  if value.host:sub(1, 2) == "*." then return "must be one host", "host" end
end)

local match = s.any_of {
  path_pattern(),
  s.record {
    path = s.list(path_pattern(), { single = true, len = { 1 } }),
    methods = s.list(s.method(), { single = true, len = { 1 } }),
    host = s.list(host_pattern(), { single = true, len = { 1 } }),
    headers = s.map(s.string(), { keys = s.header_name(), help = '"*": any value' }),
    query = s.map(s.string(), { help = '"*": any value' }),
    listener = listener_name(),
  },
}

local route = s.record {
  name = s.string { len = { 1, 128 }, match = "^%C+$" },
  match = match,
  path_prefix = literal_path { help = "this path and all below it" },
  service = s.service(),
  version = s.string { len = { 1, 64 } },
  split = s.list(s.record {
    service = s.service { required = true },
    weight = s.integer { default = 1, gt = 0, le = 1000000 },
  }, { len = { 1, 100 } }),
  mirror = step_key { help = "options of the policy `mirror`, which then is the last step" },
  strip_prefix = s.any_of { s.boolean(), literal_path(), default = false },
  rewrite = rewrite(),
  timeout = s.duration { gt = 0 },
  policies = s.steps(),
  on_error = s.steps(),
  inherit = s.boolean { default = true, help = "false: without the policies of the file" },
}:check(function(value)
  if not value.match and not value.path_prefix then return "needs one of 'match', 'path_prefix'" end
  if value.match and value.path_prefix then return "'match' and 'path_prefix' exclude each other", "path_prefix" end
  if value.service and value.split then return "'service' and 'split' exclude each other", "split" end
  if value.strip_prefix and value.rewrite then return "'strip_prefix' and 'rewrite' exclude each other", "rewrite" end
end)

local ALGORITHMS = {
  "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

local keys = s.record {
  secret = s.string { len = { 1 }, help = "the name of a secret, or the secret itself" },
  public_key = file { help = "PEM of a public key or certificate" },
  jwks_file = file { help = "a JWK Set (RFC 7517)" },
  jwks = s.url { help = "where the issuer has its JWK Set" },
  issuer = s.string { len = { 1, 1024 }, match = "^[^%c%s]+$",
    help = "whose tokens they are for (iss); alone, a URL: its OpenID Connect document says where the keys are" },
  refresh = s.duration { ge = 1, le = 30 * 86400, help = "of an issuer's keys; 1h when left out" },
  tls = peer_tls,
  algorithms = s.list(s.enum(ALGORITHMS), { single = true, len = { 1 },
    help = "what the keys are good for; all that fit them when left out" }),
}:check(function(value)
  local names = { "secret", "public_key", "jwks_file", "jwks" }
  if not value.jwks then names[#names + 1] = "issuer" end
  return exactly_one(table.unpack(names))(value)
end):check(function(value)
  if value.jwks or value.issuer then return end
  for _, name in ipairs { "refresh", "tls" } do
    if value[name] ~= nil then return "is for keys of an issuer: 'jwks' or 'issuer'", name end
  end
end)

local redis = s.record {
  address = redis_address(),
  sentinels = s.list(sentinel_address(), { single = true, len = { 1, 32 }, help = "they know where the master is" }),
  master = s.string { len = { 1, 128 }, match = "^[^%c%s]+$", help = "its name among the sentinels" },
  sentinel_password = s.secret(),
  cluster = s.list(cluster_address(), { single = true, len = { 1, 32 },
    help = "some servers of a cluster, which name the others" }),
  username = s.string { len = { 1, 255 }, help = "of an ACL; the default user when left out" },
  password = s.secret(),
  database = s.integer { default = 0, ge = 0, le = 65535 },
  tls = s.any_of { s.boolean(), peer_tls, default = false },
  timeout = s.duration { default = "200ms", gt = 0, le = 3600, help = "of one command" },
  connect_timeout = s.duration { default = "1s", gt = 0, le = 3600 },
  pool = s.integer { default = 4, ge = 1, le = 64, help = "connections of one worker" },
}:check(function(value)
  if value.username and not value.password then return "needs a 'password'", "username" end
  if value.sentinels and not value.master then return "needs the 'master' that they are asked for", "sentinels" end
  for _, name in ipairs { "master", "sentinel_password" } do
    if value[name] and not value.sentinels then return "does nothing without 'sentinels'", name end
  end
  if value.cluster and value.database ~= 0 then return "must be 0 in a cluster", "database" end
end):check(exactly_one("address", "sentinels", "cluster"))

-- Names that only the access log knows; see src/gateway/access_log.h.
local ACCESS_NAMES = {}
for name in ([[time time.clf url user bytes duration_ms backend attempts connect_ms first_byte_ms reason error
source]]):gmatch "%S+" do ACCESS_NAMES[name] = true end

local FORMATS = ' ("json", "combined", or "${url} ${status}")'

local access_format = text_kind("access_format", "format", FORMATS, function(value)
  if value == "json" or value == "combined" then return value end
  if not value:find("${", 1, true) or value:find "%c" then return nil end
  local fault = kinds.expr.fault(value, ACCESS_NAMES)
  if fault then return nil, fault end
  return value
end)

local access = s.any_of {
  s.enum { "off", "json", "combined" },
  s.record {
    format = access_format { default = "json" },
    to = s.string { len = { 1, 4096 }, match = "^[^%z]+$", default = "stdout",
      help = "stdout, stderr, syslog, or a file" },
    fields = s.map(s.expr(), { help = "more fields of JSON lines: templates" }),
  }:check(function(value)
    if value.fields and value.format ~= "json" then return "are for 'format: json'", "fields" end
  end),
  default = "off",
}

-- ------------------------------------------------------------------------------------------------ the files

local SHARED = {
  services = s.map(service, { keys = s.name() }),
  pipelines = s.map(s.steps(), { keys = s.name() }),
  routes = s.list(route),
}

local function with_shared(fields)
  for name, schema in pairs(SHARED) do fields[name] = schema end
  return s.record(fields)
end

M.included = with_shared {}

M.main = with_shared {
  version = s.integer { default = 1, one_of = { 1 } },
  include = s.list(s.string { len = { 1 } }, { single = true, help = "files with more services, pipelines, routes" }),
  base_path = literal_path(),
  listen = listen,
  admin = admin,
  zone = balance.zone,
  user = s.string { len = { 1, 32 }, match = "^[%w_][%w_.-]*%$?$", help = "who it is once it listens" },
  group = s.string { len = { 1, 32 }, match = "^[%w_][%w_.-]*$", help = "in place of the user's own" },
  workers = s.any_of { s.enum { "auto" }, s.integer { ge = 1, le = 1024 }, default = "auto" },
  dev = s.boolean { default = false },
  trusted_proxies = s.list(s.cidr(), { single = true, default = {} }),
  limits = limits,
  lua = s.record({ path = s.list(s.string { len = { 1 } }, { single = true, default = { "policies" } }) },
    { default = {} }),
  secrets = s.map(secret, { keys = s.name(), default = {} }),
  consumers = s.list(consumer, { len = { 0, 100000 }, default = {}, help = "who may be let in by key or password" }),
  keys = s.map(keys, { keys = s.name(), default = {} }),
  shared = s.map(s.size { ge = 128 * 1024 }, { keys = s.name(), default = {} }),
  redis = s.map(redis, { keys = s.name(), default = {} }),
  caches = s.map(cache, { keys = s.name(), default = {}, help = "one named 'default' is there without being named" }),
  policies = s.steps(),
  default_response = s.record {
    status_code = s.status { default = 404, ge = 200 },
    body = s.string { default = "" },
    headers = headers(),
  },
  errors = s.record({
    format = s.enum { "problem", "simple", default = "problem" },
    problem_base = s.string { match = "^%a[%w+.-]*:[^%c%s]*$" },
  }, { default = {} }),
  log = s.record({
    format = s.enum { "json", "plain", default = "json" },
    level = s.enum { "debug", "info", "warn", "error", default = "info" },
    access = access,
    redact = s.list(s.header_name(), {
      default = {},
      help = "fields that no log line shows, beside authorization, cookie, set-cookie, proxy-authorization, x-api-key",
    }),
  }, { default = {} }),
}

return M
