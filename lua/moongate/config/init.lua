-- The config: text in, checked table out, with every error there is.
--
--     local config = require "moongate.config"
--     local checked, errors, warnings, notes = config.load(text, "moongate.yaml", opts)
--     if not checked then io.stderr:write(config.render(errors)) end
--
-- A name that ends in .json or .lua says what the text is, YAML otherwise. In place of the text a table will do.
-- Errors, warnings and notes are { file=, line=?, col=?, path=, message=, source=? }, sorted.
--
-- opts, all optional:
--
--     read(path) -> text | nil, err      for included files, whose paths are those of `include`
--     glob(pattern) -> list of paths     for `include: routes.d/*.yaml`
--     getenv(name) -> string | nil       default os.getenv
--     policy(name) -> module, file, built_in | nil, err     a policy's Lua module, and whether it comes with the
--                                        gateway, so that all it uses is in its options; nil without err: there is none
--     policy_names() -> list             for "did you mean"
--     policy_paths(paths)                told of `lua.path` as it is written, before policies are asked for
--     regex(text) -> true | nil, err     whether a regular expression compiles
--     yaml                               the reader, default require "moongate.yaml"
--     notes                              true: also tell who holds bodies in memory
--     dev                                true sets `dev`, whatever the file says
--     admin_only                         true: of the file only `admin` counts, with the secret that it names
--
-- The checked table is plain data, all defaults filled in: durations are numbers of seconds, sizes whole bytes, lists
-- sequences. What differs from the written form:
--
--     listen        { { name=?, address=, host=, port= | unix=, proxy_protocol=, tls=? }, ... }
--     admin         { address = "" | "IP:port" | "unix:path", by_default=, token=?, public = { { name=, path= } ... } }
--     workers       0 for "auto"
--     services      [name] = { backends = { { address=, host=, port=, weight=, priority=, zone=? }, ... },
--                   path = "" | "/base", dns=?, ... }; `url` becomes a backend and `path`
--     routes        { { name=, path=, file=, line=?, col=?, service=?, split=?, version=?,
--                       strip_prefix = boolean or string, rewrite=?, timeout=?, steps=, on_error=,
--                       match = { paths=, methods=?, hosts=?, listener=?,
--                                 headers = { { name=, value=? }, ... }?, query = likewise? } }, ... }
--                   no value: any will do. Globals and pipelines are in `steps`, in order:
--     fallback      the steps of requests that no route takes: those of the file
--     steps         { { name=, id=, kind = "policy" | "native" | "lua" | "function", conf=?, source=?, func=?, path=,
--                       file=, line=?, col=?, source_line=?, via=?, when=?, on_error = "fail" | "continue", body=?,
--                       native=?, native_conf=?, inner = { { steps= }, ... }?, mounts=? }, ... }
--                   via: the path of the `use` that brought it into this list. conf: checked by the policy's
--                   schema. source: Lua text that begins at `source_line`. inner: the pipelines that the options
--                   hold; mounts: where in conf each of them stood, as lists of keys. native: the policy is the
--                   gateway's own, of that name (src/script/natives.h); native_conf: what that one reads in place of
--                   the conf.
--                   Steps with `enabled: false` are gone.
--     files         the names of all files that were read, the main one first

local document = require "moongate.config.document"
local guards = require "moongate.config.guards"
local net = require "moongate.config.net"
local pipelines = require "moongate.config.pipelines"
local report = require "moongate.config.report"
local routes = require "moongate.config.routes"
local shape = require "moongate.config.shape"
local steps = require "moongate.config.steps"
local walk = require "moongate.config.walk"

local M = {}

M.render = report.render

-- ------------------------------------------------------------------------------------------------ files

local function is_glob(path)
  return path:find("[*?%[]") ~= nil
end

local function include_paths(path, opts)
  if not is_glob(path) then return { path } end
  local found, fault = nil, "no way to list files"
  if opts.glob then found, fault = opts.glob(path) end
  return found, fault
end

local function read_include(path, place, docs, opts, ctx)
  for _, doc in ipairs(docs) do
    if doc.name == path then return end
  end
  local text, fault = nil, "no way to read files"
  if opts.read then text, fault = opts.read(path) end
  if not text then
    docs[1].walk:fail(place, ("cannot read '%s': %s"):format(path, fault or "no such file"))
    return
  end
  docs[#docs + 1] = document.read(path, text, opts, ctx)
end

local function read_includes(docs, opts, ctx)
  local main = docs[1]
  local include = type(main.value) == "table" and main.value.include
  if type(include) == "string" then include = { include } end
  if type(include) ~= "table" then return end
  local at = walk.child(walk.root(), main.value, "include")
  for i, path in ipairs(include) do
    local place = main.value.include == include and walk.child(at, include, i) or at
    if type(path) == "string" then
      local paths, fault = include_paths(path, opts)
      if not paths then main.walk:fail(place, ("cannot list '%s': %s"):format(path, fault)) end
      for _, found in ipairs(paths or {}) do read_include(found, place, docs, opts, ctx) end
    end
  end
end

-- ------------------------------------------------------------------------------------------------ names

-- Names of the entries of one part, over all files, before anything is checked: references are checked against them.
local function names_in(docs, part)
  local names = {}
  for _, doc in ipairs(docs) do
    local entries = type(doc.value) == "table" and doc.value[part]
    for name in pairs(type(entries) == "table" and entries or {}) do names[name] = true end
  end
  return names
end

local function listener_names(main)
  local names, listen = {}, type(main.value) == "table" and main.value.listen
  if type(listen) ~= "table" then return names end
  if listen.name then listen = { listen } end
  for _, item in ipairs(listen) do
    if type(item) == "table" and type(item.name) == "string" then names[item.name] = true end
  end
  return names
end

-- Joins one part of all files; a name may stand in one of them only. Gives the entries, and the document of each.
local function merge(docs, part)
  local all, home = {}, {}
  for _, doc in ipairs(docs) do
    local entries = doc.checked and doc.checked[part] or {}
    local place = walk.child(walk.root(), doc.value, part)
    for _, name in ipairs(walk.sorted_keys(entries)) do
      if home[name] then
        doc.walk:fail_key(walk.child(place, doc.value[part], name),
          ("'%s' stands in %s already"):format(name, home[name].name))
      else
        all[name], home[name] = entries[name], doc
      end
    end
  end
  return all, home
end

-- ------------------------------------------------------------------------------------------------ finished forms

-- Listeners and backends are written as an address, or as a record that has one.
local function address_of(item)
  return type(item.address) == "table" and item.address or item
end

local function finish_listen(main)
  local out, addresses, names = {}, {}, {}
  local raw = main.value.listen
  local at = walk.child(walk.root(), main.value, "listen")
  for i, item in ipairs(main.checked.listen or {}) do
    local address = address_of(item)
    local place = main.walk:is_list(raw) and walk.child(at, raw, i) or at
    if address.port ~= 0 and addresses[address.address or ""] then
      main.walk:fail(place, ("'%s' stands there twice"):format(address.address))
    elseif names[item.name or ""] then
      main.walk:fail(place, ("two listeners are called '%s'"):format(item.name))
    end
    if item.tls then item.tls.min_version = tostring(item.tls.min_version) end
    addresses[address.address or 0] = true
    names[item.name or 0] = true
    out[i] = { name = item.name, address = address.address, host = address.host, port = address.port,
      unix = address.unix, proxy_protocol = item.proxy_protocol, tls = item.tls }
  end
  return out
end

local ADMIN_DEFAULT = "127.0.0.1:9901"

local function is_loopback(address)
  return address.unix or address.host:match "^127%." or address.host == "::1"
end

-- Whoever reaches it may reload and stop the gateway.
local function check_admin_token(main, admin, address)
  if is_loopback(address) or admin.token then return end
  local place = walk.child(walk.child(walk.root(), main.value, "admin"), main.value.admin, "address")
  main.walk:fail(place, "needs a 'token', since others than this machine can reach it")
end

-- { address = "" | "IP:port" | "unix:path", by_default=, token=?, public = { { name=, path= }, ... } }
local function finish_admin(main)
  local admin = main.checked.admin or {} -- when it is wrong, that is an error already
  if admin == "off" then admin = { address = "off", public = {} } end
  local out = { address = "", token = admin.token, by_default = admin.address == nil, public = {} }
  if admin.address == nil then
    out.address = ADMIN_DEFAULT
  elseif admin.address ~= "off" then
    local address = admin.address
    if math.type(main.value.admin.address) == "integer" then address = net.listen("127.0.0.1:" .. address.port) end
    check_admin_token(main, admin, address)
    out.address = address.address
  end
  for _, name in ipairs(walk.sorted_keys(admin.public or {})) do
    out.public[#out.public + 1] = { name = name, path = admin.public[name] }
  end
  return out
end

-- Gives each item of a list to fn, with its place.
local function each_item(doc, part, fn)
  local raw = doc.value[part]
  local at = walk.child(walk.root(), doc.value, part)
  for i, item in ipairs(doc.checked[part] or {}) do fn(item, walk.child(at, raw, i), raw[i]) end
end

-- A name is one consumer's, and so is a key: with it comes the name.
local function check_consumers(main)
  local names, keys = {}, {}
  each_item(main, "consumers", function(consumer, place, raw)
    local name = consumer.name or "" -- when it is missing, that is an error already
    if names[name] then
      main.walk:fail(walk.child(place, raw, "name"), ("two consumers are called '%s'"):format(name))
    end
    names[name] = consumer.name ~= nil
    for _, key in ipairs(consumer.keys or {}) do
      if keys[key] then
        main.walk:fail(walk.child(place, raw, "keys"), ("'%s' is a key of '%s' already"):format(key, keys[key]))
      end
      keys[key] = name
    end
  end)
end

local function finish_service(service)
  guards.finish(service)
  local backends = {}
  local url = service.url and net.url(service.url)
  service.protocol = url and url.scheme or service.protocol or "http"
  if service.protocol == "https" then service.tls = service.tls or { verify = true } end
  for i, item in ipairs(service.backends or {}) do
    local address = address_of(item)
    local port = address.port or (service.protocol == "https" and 443 or 80)
    backends[i] = { address = net.join(address.host, port), host = address.host, port = port,
      weight = item.weight or 1, zone = item.zone, priority = item.priority or 0 }
  end
  service.path = ""
  if url then
    backends[1] = { address = net.join(url.host, url.port), host = url.host, port = url.port, weight = 1,
      priority = 0 }
    service.path = (url.path:gsub("/+$", ""))
  end
  service.backends = backends
end

local function finish_redis(redis)
  if type(redis.tls) == "boolean" then redis.tls = redis.tls and { verify = true } or nil end
end

local function lower_all(list)
  local out = {}
  for i, text in ipairs(list) do out[i] = text:lower() end
  return out
end

local function finish(main, parts, opts)
  local config = main.checked
  config.listen = parts.listen
  config.admin = parts.admin
  config.include = nil
  config.policies = nil
  config.pipelines = nil
  config.base_path = ((config.base_path or ""):gsub("/+$", ""))
  config.workers = config.workers == "auto" and 0 or config.workers
  config.dev = config.dev or opts.dev == true
  if type(config.log.access) == "string" then config.log.access = { format = config.log.access, to = "stdout" } end
  config.log.redact = lower_all(config.log.redact)
  if config.default_response then config.default_response.headers = config.default_response.headers or {} end
  -- Who only wants a cache need not name one.
  config.caches.default = config.caches.default
    or { size = 64 << 20, max_object = 2 << 20, redis_max_object = 1 << 20 }
  config.services = parts.services
  for _, service in pairs(parts.services) do finish_service(service) end
  for _, redis in pairs(config.redis) do finish_redis(redis) end
  config.routes = routes.export(parts.routes)
  config.fallback = pipelines.export(parts.fallback, "", "")
  config.files = parts.files
  return config
end

-- ------------------------------------------------------------------------------------------------ warnings

-- Whether inline Lua may call it: its name stands there, or there is a function, which nobody can look into.
local function in_lua(name, parts)
  local found = false
  local function look(list)
    pipelines.each(list, function(step)
      found = found or step.func ~= nil or (step.source and step.source:find(name, 1, true)) ~= nil
    end)
  end
  for _, route in ipairs(parts.routes) do
    look(route.steps)
    look(route.on_error)
  end
  look(parts.fallback)
  return found
end

-- Whether all backends of a service are where it must not go.
local function leaves_its_zone(service, zone)
  for _, item in ipairs(service.backends or {}) do
    if type(item) == "table" and item.zone == zone then return false end
  end
  return service.require_zone
end

local UNUSED = {
  keys = "no policy uses these keys", redis = "no policy uses this Redis", caches = "no policy uses this cache",
}

-- Definitions that nothing names. Policies that are not ours may name them in their code.
local function warn_unused(main, parts, ctx, warn)
  for part, message in pairs(ctx.has_own_policies and {} or UNUSED) do
    local at = walk.child(walk.root(), main.value, part)
    for name in pairs(main.value[part] and main.checked[part] or {}) do
      if not ctx.used[part][name] and main.value[part][name] ~= nil and not in_lua(name, parts) then
        warn(main, walk.child(at, main.value[part], name), message)
      end
    end
  end
end

local function warn_unused_pipelines(docs, parts, warn)
  local lists = { docs[1].checked.policies }
  for _, route in ipairs(parts.routes) do
    lists[#lists + 1] = route.checked.policies
    lists[#lists + 1] = route.checked.on_error
  end
  local used = pipelines.used(lists, parts.pipelines)
  for _, doc in ipairs(docs) do
    local at = walk.child(walk.root(), doc.value, "pipelines")
    for name in pairs(doc.checked.pipelines or {}) do
      if not used[name] then warn(doc, walk.child(at, doc.value.pipelines, name), "no step uses this pipeline") end
    end
  end
end

-- warn(of, place, message, value): `of` is the document, or an entry in it.
local function warner(walks)
  return function(of, place, message, value)
    local w = walks[of.walk] or walk.new(of.walk.ctx)
    walks[of.walk] = w
    if of.keyed and of.place == place then w:fail_key(place, message) else w:fail(place, message, value) end
  end
end

local function errors_of(walks)
  local out = {}
  for _, w in pairs(walks) do table.move(w.errors, 1, #w.errors, #out + 1, out) end
  return out
end

local function collect_warnings(docs, parts, homes, ctx, opts)
  local walks = {}
  local warn = warner(walks)
  for _, doc in ipairs(docs) do
    for _, warning in ipairs(doc.warnings) do warn(doc, warning.place, warning.message) end
  end
  routes.warn_hidden(parts.routes, warn)
  routes.warn_order(parts.routes, warn)
  warn_unused(docs[1], parts, ctx, warn)
  warn_unused_pipelines(docs, parts, warn)
  for name, doc in pairs(homes) do
    if not ctx.used.services[name] and not in_lua(name, parts) then
      local at = walk.child(walk.root(), doc.value, "services")
      warn(doc, walk.child(at, doc.value.services, name), "no route or policy uses this service")
    end
    if leaves_its_zone(parts.services[name], docs[1].checked.zone) then
      local at = walk.child(walk.root(), doc.value, "services")
      warn(doc, walk.child(at, doc.value.services, name), "no backend is in the zone that it requires")
    end
  end
  local getenv, main = opts.getenv or os.getenv, docs[1]
  for name, secret in pairs(main.checked.secrets or {}) do
    if secret.env and not getenv(secret.env) then
      local at = walk.child(walk.child(walk.root(), main.value, "secrets"), main.value.secrets, name)
      warn(main, walk.child(at, main.value.secrets[name], "env"),
        ("environment variable '%s' is not set"):format(secret.env))
    end
  end
  if #parts.routes == 0 then warn(main, walk.root(), "no routes: every request gets the default response") end
  return errors_of(walks)
end

-- ------------------------------------------------------------------------------------------------ notes

local SIDES = { "request", "response" }

-- Steps that have whole bodies in memory: what each request in flight may cost.
local function collect_notes(main, parts)
  local walks, told = {}, {}
  local note = warner(walks)
  local limit = main.checked.limits.buffered_body_bytes
  local function look(step)
    local body, held = step.module and step.module.body or {}, {}
    for _, side in ipairs(SIDES) do
      if body[side] == "buffer" then held[#held + 1] = side end
    end
    if #held == 0 or told[step] then return end
    told[step] = true
    note(step, step.place, ("holds whole %s bodies in memory, up to %d bytes each"):format(
      table.concat(held, " and "), limit))
  end
  for _, route in ipairs(parts.routes) do
    pipelines.each(route.steps, look)
    pipelines.each(route.on_error, look)
  end
  pipelines.each(parts.fallback, look)
  return errors_of(walks)
end

-- ------------------------------------------------------------------------------------------------ load

local written = setmetatable({}, { __mode = "k" }) -- by checked table: the documents it is from

local function collect_errors(docs)
  local out = {}
  for _, doc in ipairs(docs) do
    local alone = {}
    for _, e in ipairs(doc.walk.errors) do
      if e.alone then alone[e.path] = e end
    end
    for _, e in ipairs(doc.walk.errors) do
      if not alone[e.path] or alone[e.path] == e then out[#out + 1] = e end
    end
  end
  return out
end

local function check_docs(docs, ctx)
  ctx.services = names_in(docs, "services")
  ctx.pipelines = names_in(docs, "pipelines")
  ctx.secrets = names_in({ docs[1] }, "secrets")
  ctx.keys = names_in({ docs[1] }, "keys")
  ctx.redis = names_in({ docs[1] }, "redis")
  ctx.caches = names_in({ docs[1] }, "caches")
  ctx.caches.default = true -- always there
  ctx.listeners = listener_names(docs[1])
  for i, doc in ipairs(docs) do
    if doc.value ~= nil then
      doc.checked = doc.walk:field(i == 1 and shape.main or shape.included, doc.value, walk.root())
    end
  end
end

local function whole(docs)
  for _, doc in ipairs(docs) do
    if not doc.checked then return false end
  end
  return true
end

-- Whose data may not leave a zone must know which one that is.
local function check_zones(main, services, homes)
  for name, service in pairs(services) do
    if service.require_zone and not main.checked.zone then
      local home = homes[name]
      local at = walk.child(walk.child(walk.root(), home.value, "services"), home.value.services, name)
      home.walk:fail(walk.child(at, home.value.services[name], "require_zone"), "needs the 'zone' of this gateway")
    end
  end
end

local function link(docs)
  check_consumers(docs[1])
  local services, homes = merge(docs, "services")
  check_zones(docs[1], services, homes)
  local parts = { services = services, listen = finish_listen(docs[1]), admin = finish_admin(docs[1]),
    routes = routes.collect(docs) }
  parts.pipelines = merge(docs, "pipelines")
  parts.fallback = routes.link(parts.routes, docs[1].checked.policies, parts.pipelines)
  return parts, homes
end

-- Policies are loaded while the config is checked, so where they lie must be known before.
local function tell_policy_paths(value, opts)
  if not opts.policy_paths then return end
  local lua = type(value) == "table" and value.lua
  local paths = type(lua) == "table" and lua.path or nil
  if walk.is_absent(paths) then paths = "policies" end
  opts.policy_paths(paths)
end

function M.load(text, name, opts)
  opts = opts or {}
  local ctx = {
    regex = opts.regex,
    used = { services = {}, secrets = {}, keys = {}, redis = {}, caches = {} },
  }
  ctx.find_policy = steps.catalogue(opts, function() ctx.has_own_policies = true end)
  local docs = { document.read(name, text, opts, ctx) }
  tell_policy_paths(docs[1].value, opts)
  read_includes(docs, opts, ctx)
  check_docs(docs, ctx)

  local parts, homes
  if whole(docs) then parts, homes = link(docs) end
  local sources, order = {}, {}
  for i, doc in ipairs(docs) do
    sources[doc.name] = type(doc.text) == "string" and doc.text or nil
    order[i] = doc.name
  end
  local errors, warnings, notes = collect_errors(docs), {}, {}
  if #errors == 0 then
    warnings = collect_warnings(docs, parts, homes, ctx, opts)
    if opts.notes then notes = collect_notes(docs[1], parts) end
  end
  for _, list in ipairs { errors, warnings, notes } do report.quote_sources(report.sort(list, order), sources) end
  if #errors > 0 then return nil, errors, warnings, notes end
  parts.files = order
  local checked = finish(docs[1], parts, opts)
  written[checked] = docs
  return checked, {}, warnings, notes
end

-- Where in its files what has that path stands: file, line?, col?; nothing for a table that is not from here.
function M.locate(checked, path)
  local docs = written[checked]
  if docs then return require("moongate.config.locate").find(docs, path) end -- most configs need it not
end

return M
