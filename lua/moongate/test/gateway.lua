-- A gateway in simulation, as specs use it.

local answers = require "moongate.test.answer"
local core = require "moongate.core"
local message = require "moongate.test.message"
local json = require "moongate".json
local redis = require "moongate.test.redis"

local Gateway = {}
Gateway.__index = Gateway
Gateway.__name = "moongate.test.Gateway"

local M = { type = Gateway }

-- ------------------------------------------------------------------------------------------------ making

local function keys_of(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = tostring(key) end
  table.sort(keys)
  return keys
end

function M.check_keys(what, value, known)
  for _, key in ipairs(keys_of(value)) do
    if not known[key] then
      error(("%s: unknown field '%s'; it may have %s"):format(what, key, table.concat(keys_of(known), ", ")), 0)
    end
  end
end

-- Puts a function into a tree like the config, at a place like "routes[0].policies[1]".
local function plant(tree, path, func)
  local keys = {}
  for name, index in path:gmatch "([^%.%[%]]+)%]?(%[?)" do
    keys[#keys + 1] = name:match "^%d+$" and #keys > 0 and math.tointeger(name) + 1 or name
    assert(index)
  end
  for i = 1, #keys - 1 do
    tree[keys[i]] = tree[keys[i]] or {}
    tree = tree[keys[i]]
  end
  tree[keys[#keys]] = func
end

-- The functions among the steps, where the core looks for them.
local function functions_of(checked)
  local tree = {}
  local function plant_all(steps)
    for _, step in ipairs(steps or {}) do
      if step.kind == "function" then plant(tree, step.path, step.func) end
      for _, inner in ipairs(step.inner or {}) do plant_all(inner.steps) end
    end
  end
  plant_all(checked.fallback)
  for _, route in ipairs(checked.routes) do
    plant_all(route.steps)
    plant_all(route.on_error)
  end
  return tree
end

local DEFAULT_LUA_RUN = 0.05
-- What the core calls those who play a Redis, before its name.
local REDIS = "redis:"

-- opts: value, file, upstreams, redis, seed, identity.
function M.new(opts)
  local self = setmetatable({ _answers = {}, _redis = {}, _seen = {}, _waiting = {}, seed = opts.seed }, Gateway)
  local stubs = {}
  for name, answer in pairs(opts.upstreams) do
    self._answers[name] = answers.check(name, answer)
    self._seen[name] = {}
    stubs[name] = answers.reach(answer)
  end
  -- The core holds what it calls for as long as the gateway lives, so it must not hold the gateway.
  local weak = setmetatable({ self }, { __mode = "v" })
  for name, played in pairs(opts.redis or {}) do
    local stub = REDIS .. name
    stubs[stub] = "reached"
    self._redis[stub] = redis.new(name, played, function() return weak[1]:now() end, function(word)
      weak[1]._kit:redis_reach(stub, word)
    end)
  end
  local checked, faults = core.check(opts.value, opts.file, opts.identity)
  if not checked then error(faults, 0) end
  -- The default limit on how long Lua runs is made for machines that serve: in a spec it would be chance.
  local lua_run = checked.limits.lua_run ~= DEFAULT_LUA_RUN
  self._kit = core.new(checked, opts.file, {
    seed = opts.seed,
    stubs = stubs,
    functions = functions_of(checked),
    lua_run = lua_run,
    play = function(play, name, raw)
      if weak[1] then weak[1]:_play(play, name, raw) end
    end,
    play_redis = function(name, connection, words)
      return weak[1] and weak[1]._redis[name]:_answer(connection, words)
    end,
  })
  return self
end

-- A request at an upstream. Runs as a task.
function Gateway:_play(play, name, raw)
  local request = message.request(raw)
  table.insert(self._seen[name], request)
  local answer = self._answers[name]
  if type(answer) == "function" then
    answer = answers.check(name, answer(request))
    if type(answer) == "function" then error(("upstream '%s': its function gave a function"):format(name), 0) end
    if answers.reach(answer) ~= "reached" then
      error(("upstream '%s': a function is asked when there is a connection: it can be 'reset', not '%s'"):format(
        name, answer.error), 0)
    end
  end
  answers.give(play, answer)
end

-- ------------------------------------------------------------------------------------------------ requests

local REQUEST = {
  method = true, path = true, query = true, headers = true, body = true, json = true, chunks = true, auth = true,
  params = true, client_ip = true, listener = true, host = true, tls = true,
}

local TLS = { version = true, cipher = true, sni = true, alpn = true, resumed = true, client_cert = true }

local CERTIFICATE = {
  subject = true, common_name = true, issuer = true, serial = true, fingerprint = true, not_before = true,
  not_after = true, sans = true, pem = true,
}

-- What every real certificate has, for specs that do not care.
local CERTIFICATE_DEFAULTS = {
  subject = "CN=test", issuer = "CN=Test CA", serial = "1", fingerprint = ("0"):rep(64), not_before = 0,
  not_after = 4102444800, sans = {}, pem = "-----BEGIN CERTIFICATE-----\ndGVzdA==\n-----END CERTIFICATE-----\n",
}

local function certificate_of(cert)
  if type(cert) ~= "table" then
    error(("request: tls.client_cert: expected a table, got a %s"):format(type(cert)), 0)
  end
  M.check_keys("request: tls.client_cert", cert, CERTIFICATE)
  local facts = {}
  for key, value in pairs(CERTIFICATE_DEFAULTS) do facts[key] = value end
  if cert.common_name then facts.subject = "CN=" .. cert.common_name end
  for key, value in pairs(cert) do facts[key] = value end
  return facts
end

local function tls_of(tls)
  if tls == nil then return nil end
  if type(tls) ~= "table" then error(("request: tls: expected a table, got a %s"):format(type(tls)), 0) end
  M.check_keys("request: tls", tls, TLS)
  local facts = {}
  for key, value in pairs(tls) do facts[key] = key == "client_cert" and certificate_of(value) or value end
  return facts
end

local function escape(text)
  return (tostring(text):gsub("[^%w%-%._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function target_of(what)
  local path, query = what.path or "/", what.query
  if type(query) == "table" then
    local parts = {}
    for _, name in ipairs(keys_of(query)) do
      local value = query[name]
      for _, item in ipairs(type(value) == "table" and value or { value }) do
        parts[#parts + 1] = escape(name) .. "=" .. escape(item)
      end
    end
    query = table.concat(parts, "&")
  end
  if query then path = path .. (path:find("?", 1, true) and "&" or "?") .. query end
  if path:find "[%c ]" or path == "" then
    error(("request: '%s' is no path; t:raw can send such"):format(path), 0)
  end
  return path
end

function Gateway:_read_request(what)
  if what == nil then what = {} end
  if type(what) == "string" then what = { path = what } end
  if type(what) ~= "table" then error(("request: expected a path or a table, got a %s"):format(type(what)), 0) end
  M.check_keys("request", what, REQUEST)
  local fields, body = answers.fields(what.headers), what.body
  if what.json ~= nil then
    body = assert(json.encode(what.json, { sort = true }))
    if not answers.has_field(fields, "content-type") then
      fields[#fields + 1] = "Content-Type"
      fields[#fields + 1] = "application/json"
    end
  end
  if what.chunks then body = table.concat(what.chunks) end
  local auth, tls = what.auth == nil and self._auth or what.auth, tls_of(what.tls)
  return {
    method = what.method or (body and "POST" or "GET"), target = target_of(what), host = what.host, fields = fields,
    body = body, chunked = what.chunks ~= nil, client_ip = what.client_ip, listener = what.listener,
    secure = tls ~= nil,
    inject = (auth or what.params or tls) and { auth = auth or nil, params = what.params, tls = tls } or nil,
  }
end

-- A request under way: .res, .req and .at are there once it is done.
local Handle = {}
Handle.__name = "moongate.test.Handle"

function Handle.__index(handle, key)
  if key == "wait" then return Handle.wait end
  local result = rawget(handle, "_call"):result()
  if not result then return nil end
  local gateway = rawget(handle, "_gateway")
  local res, request = message.response(result), result.request
  res.request = nil
  res._gateway, res._log_from, res._line = gateway, rawget(handle, "_log_from"), rawget(handle, "_line")
  rawset(handle, "res", res)
  rawset(handle, "req", request and message.request(request) or nil)
  rawset(handle, "at", res.at)
  setmetatable(handle, { __index = { wait = Handle.wait }, __name = Handle.__name })
  return rawget(handle, key)
end

-- Runs until it is done; gives res, req.
function Handle:wait()
  if rawget(self, "res") == nil and self.res == nil then self._gateway._kit:wait(self._call) end
  return self.res, self.req
end

local function protect(fn, ...)
  local results = table.pack(pcall(fn, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  -- Tables are somebody's own errors and go on as they are.
  error(results[2], type(results[2]) == "string" and results[2]:find("^[^\n]-:%d+: ") and 0 or 2)
end

function Gateway:_start(what)
  local request = self:_read_request(what)
  return setmetatable({
    _gateway = self, _log_from = #self._kit:log() + 1, _line = request.method .. " " .. request.target,
    _call = self._kit:start(request),
  }, Handle)
end

-- Sends a request and goes on at once.
function Gateway:start(what)
  return protect(self._start, self, what)
end

-- Sends a request and waits for its response: res, req. `req` is the request as the gateway's policies left it; nil
-- when no route took it.
function Gateway:request(what)
  return protect(function()
    self._kit:check() -- or else what the gateway calls could start one after the other
    return self:_start(what):wait()
  end)
end

-- Runs until nothing is under way any more: requests, what upstreams still do, background tasks.
function Gateway:settle()
  return protect(self._kit.settle, self._kit)
end

function Gateway:advance(seconds)
  return protect(self._kit.advance, self._kit, seconds)
end

-- Seconds since the gateway's start.
function Gateway:now()
  return self._kit:now()
end

-- How often its loop went round to look for what is ready: what a stretch of time was worth in work.
function Gateway:turns()
  return self._kit:turns()
end

-- Identity of all requests from now on that bring none of their own; nil: none.
function Gateway:auth(auth)
  self._auth = auth
end

-- ------------------------------------------------------------------------------------------------ bytes

local Connection = {}
Connection.__index = Connection
Connection.__name = "moongate.test.Connection"

-- A connection on which the spec says exactly what it wants.
function Gateway:connect(opts)
  opts = opts or {}
  M.check_keys("connect", opts, { client_ip = true, listener = true })
  local conn = protect(self._kit.connect, self._kit, opts.client_ip, opts.listener)
  return setmetatable({ _conn = conn, _gateway = self, state = "open" }, Connection)
end

function Connection:_take()
  local bytes
  bytes, self.state = self._conn:take()
  return bytes, self.state
end

-- Sends, and runs what can be run without waiting: what came back, and "open", "closed" or "reset".
function Connection:send(bytes)
  protect(self._conn.put, self._conn, bytes)
  protect(self._gateway._kit.present, self._gateway._kit)
  return self:_take()
end

-- What came since; waits until nothing is under way, or for so many seconds.
function Connection:receive(seconds)
  if seconds then self._gateway:advance(seconds) else self._gateway:settle() end
  return self:_take()
end

-- Says that no more will come.
function Connection:finish()
  self._conn:half_close()
  return self:receive()
end

function Connection:close()
  self._conn:cut(false)
  self._gateway:settle()
end

function Connection:reset()
  self._conn:cut(true)
  self._gateway:settle()
end

-- Sends these bytes on a connection of their own; gives all that the gateway says to them.
function Gateway:raw(bytes)
  local conn = self:connect()
  local said = conn:send(bytes)
  local more, state = conn:receive()
  conn:close()
  return said .. more, state
end

-- ------------------------------------------------------------------------------------------------ looking

-- What an upstream got: how many requests, the last, all.
function Gateway:seen(service)
  local all = self._seen[service]
  if not all then
    error(("seen: no upstream '%s'; there is %s"):format(tostring(service), table.concat(keys_of(self._seen), ", ")), 2)
  end
  return #all, all[#all], all
end

-- A Redis that is played; see moongate.test.redis.
function Gateway:redis(name)
  return self._redis[REDIS .. name] or error(("redis: nobody plays '%s'"):format(tostring(name)), 2)
end

-- The log's lines as tables, in order; with a text only those that have it.
function Gateway:log(text)
  local out = {}
  for line in self._kit:log():gmatch "[^\n]+" do
    if not text or line:find(text, 1, true) then out[#out + 1] = json.decode(line) or { msg = line } end
  end
  return out
end

-- What the policies complained of while a response was made; "" when they did not. For messages.
function M.complaints(res)
  local ok, log = pcall(function() return res._gateway._kit:log() end)
  local out = {}
  for line in (ok and log or ""):sub(res._log_from or 1):gmatch "[^\n]+" do
    local entry = json.decode(line)
    if entry and entry.level == "error" then
      local place = entry.path and (" (%s)"):format(entry.path) or ""
      local step = entry.step and (" in step %s%s"):format(entry.step, place) or ""
      local policy = entry.policy and entry.policy ~= entry.step and (" of policy '%s'"):format(entry.policy) or ""
      out[#out + 1] = ("%s%s%s: %s"):format(entry.msg, step, policy, entry.error or "")
    end
  end
  return table.concat(out, "\n")
end

-- Ends it now, and not when it is collected.
function Gateway:close()
  self._kit:close()
end

return M
