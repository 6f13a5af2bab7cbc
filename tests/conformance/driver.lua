-- One gateway, driven in two ways: in simulation (moongate.test), and as the real program over sockets (moongate.e2e).
--
--     local g = driver.start("simulation", { config = {...}, upstreams = { api = answer } })    -- or "real"
--
-- Both speak bytes to the gateway, and read what it says with the same reader. An upstream's answer is what both kits
-- know by that name, or a function that gives one; each upstream is a service of its name, with what
-- config.services[name] says beside its backend. Without routes all requests go to the service `api`.
--
--     g:request(what) -> res       a request on a connection of its own: a path, or { method, path, version, headers,
--                                  body | chunks | json, trailers, host, from }; or nil, why, what came of it
--     g:connect{ from= } -> client request(what), send(bytes), response(method), rest() -> bytes and how it ended,
--                                  half_close(), reset(), close()
--     g:raw(bytes) -> bytes, how   says these bytes; gives all that the gateway says until it closes the connection
--     g:seen(name, n) -> list      what an upstream got: { method, target, fields, body, chunked, trailers, host,
--                                  length } with header(name); waits until there are n (0), whole ones or not
--     g:log(text, n) -> list       the log's lines with this text, as tables; waits until there are n (1)
--     g:close()                    the real one is closed at the end of its block of specs
--
-- g:begin() begins a case. Its transcript tells all that was said since, on both sides of the gateway, and the log:
-- what differs between any two runs (times, ids, ports, addresses) has a name in its place.

local http = require "moongate.e2e.http"
local json = require "dkjson"

local M = {}

local FILE = "moongate.yaml"
local PATIENCE = 10 -- seconds that a client in simulation waits for anything

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"

-- ------------------------------------------------------------------------------------------------ messages

-- Fields as a list of { name, value } from a flat list or from such a list.
local function pairs_of(fields)
  if type(fields[1]) == "table" then return fields end
  local out = {}
  for i = 1, #fields, 2 do out[#out + 1] = { fields[i], fields[i + 1] } end
  return out
end

local Seen = {}
Seen.__index = Seen

function Seen:header(name)
  local values = {}
  for _, field in ipairs(self.fields) do
    if field[1]:lower() == name:lower() then values[#values + 1] = field[2] end
  end
  return #values > 0 and table.concat(values, ", ") or nil
end

-- No fields to the gateway, which writes them itself: their place among the others is nobody's promise.
local OWN = {
  host = true, ["content-length"] = true, connection = true, te = true, upgrade = true,
}
-- Gone when the body is there, which is when a simulated upstream looks.
local GONE = { ["transfer-encoding"] = true, expect = true }

local function seen_request(req, target, chunked)
  local fields, own = {}, {}
  for _, field in ipairs(pairs_of(req.fields or req.headers)) do
    local name = field[1]:lower()
    if not GONE[name] then table.insert(OWN[name] and own or fields, field) end
  end
  table.sort(own, function(a, b) return a[1] < b[1] end)
  table.move(own, 1, #own, #fields + 1, fields)
  return setmetatable({
    method = req.method, target = target, fields = fields, chunked = chunked, body = req.body or "",
    trailers = pairs_of(req.trailers or {}), host = req:header "host", length = req:header "content-length",
  }, Seen)
end

-- ------------------------------------------------------------------------------------------------ transcripts

local Transcript = {}
Transcript.__index = Transcript

-- names: what stands for a text, { [address] = "<api>" }.
local function new_transcript(names)
  return setmetatable({ names = names, ids = {}, count = 0, lines = {} }, Transcript)
end

-- Ids first: one may hold the digits of a port.
function Transcript:clean(text)
  text = text:gsub("%f[%x]%x+%f[%X]", function(hex)
    if #hex ~= 32 then return nil end
    if not self.ids[hex] then
      self.count = self.count + 1
      self.ids[hex] = ("<id %d>"):format(self.count)
    end
    return self.ids[hex]
  end)
  for found, name in pairs(self.names) do text = text:gsub(found:gsub("%p", "%%%0"), name) end
  return text
end

function Transcript:add(format, ...)
  self.lines[#self.lines + 1] = self:clean(format:format(...))
end

function Transcript:add_fields(mark, fields)
  for _, field in ipairs(fields) do self:add("%s %s: %s", mark, field[1], field[2]) end
end

local DATE = "%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT"

-- A Date is there, and comes last: it may be the upstream's own, or the gateway's, which have different places.
local function with_last_date(fields)
  local out, dates = {}, {}
  for _, field in ipairs(fields) do table.insert(field[1] == "Date" and dates or out, field) end
  for _, field in ipairs(dates) do
    out[#out + 1] = { "Date", field[2]:find("^" .. DATE .. "$") and "<date>" or field[2] }
  end
  return out
end

-- What came of a response before it broke is a matter of buffers.
function Transcript:add_response(res, why)
  if not res then return self:add("< no whole response: %s", why) end
  for _, interim in ipairs(res.interim or {}) do
    self:add("< %d", interim.status)
    self:add_fields("<", interim.headers)
  end
  self:add("< HTTP/%s %d %s", res.version, res.status, res.reason)
  self:add_fields("<", with_last_date(res.headers))
  self:add("< (%s) %s", res.framing, res.body)
  self:add_fields("< trailer", res.trailers or {})
end

function Transcript:add_seen(name, req)
  self:add("%s> %s %s", name, req.method, req.target)
  self:add_fields(name .. ">", req.fields)
  self:add("%s> (%s) %s", name, req.chunked and "chunked" or "length", req.body)
  self:add_fields(name .. "> trailer", req.trailers)
end

local VOLATILE = { time = true, after_ms = true, connection = true, duration = true, level = true, msg = true }

function Transcript:add_log(line)
  local keys = {}
  for key in pairs(line) do
    if not VOLATILE[key] then keys[#keys + 1] = key end
  end
  table.sort(keys)
  for i, key in ipairs(keys) do
    -- A traceback shows the names that functions have in the whole state, which is another one in a spec.
    keys[i] = ("%s=%s"):format(key, tostring(line[key]):gsub("\nstack traceback:.*", ""))
  end
  self:add("log %s: %s %s", line.level, line.msg, table.concat(keys, " "))
end

-- ------------------------------------------------------------------------------------------------ clients

local Client = {}
Client.__index = Client

local function host_of(what)
  return what.host or "gw.example"
end

function Client:send(bytes)
  self.socket:send(bytes)
end

function Client:send_request(what)
  if type(what) == "string" then what = { path = what } end
  if what.json ~= nil then
    what = setmetatable({ body = http.encode_json(what.json) }, { __index = what })
    what.headers = what.headers or { ["Content-Type"] = "application/json" }
  end
  local bytes = http.request_head(what, host_of(what))
  for _, part in ipairs(what.chunks or { what.body }) do
    bytes = bytes .. (what.chunks and http.chunk(part) or part)
  end
  if what.chunks then bytes = bytes .. http.last_chunk(what.trailers) end
  self:send(bytes)
end

function Client:response(method)
  local res, why, part = http.read_response(self.socket, method)
  why = why and self.socket:how_it_ended(why)
  self.gateway._transcript:add_response(res, why)
  return res, why, part
end

function Client:request(what)
  self:send_request(what)
  return self:response(what.method)
end

function Client:rest()
  local bytes, how = self.socket:until_close()
  how = self.socket:how_it_ended(how)
  self.gateway._transcript:add("< then %q, %s", bytes, how)
  return bytes, how
end

for _, name in ipairs { "half_close", "reset", "close" } do
  Client[name] = function(self) return self.socket[name](self.socket) end
end

-- ------------------------------------------------------------------------------------------------ gateways

local Gateway = {}

function Gateway:connect(opts)
  return setmetatable({ gateway = self, socket = self:_connect(opts or {}) }, Client)
end

function Gateway:request(what)
  if type(what) == "string" then what = { path = what } end
  local client = self:connect { from = what.from }
  local res, why, part = client:request(what)
  client:close()
  return res, why, part
end

-- There may be many messages, so dates are left out.
function Gateway:raw(bytes)
  local client = self:connect {}
  client:send(bytes)
  local said, how = client.socket:until_close()
  client:close()
  self._transcript:add("< raw %s, %s", said:gsub("Date: " .. DATE .. "\r\n", ""), how)
  return said, how
end

function Gateway:begin()
  self._transcript = new_transcript(self._names)
  self._seen_from, self._log_from = {}, #self:_log_lines()
  for _, name in ipairs(self._upstreams) do self._seen_from[name] = #self:_seen(name) end
end

function Gateway:seen(name, count)
  local all
  self:_until(function()
    all = self:_seen(name, count ~= nil)
    return #all - self._seen_from[name] >= (count or 0)
  end)
  return table.move(all, self._seen_from[name] + 1, #all, 1, {})
end

-- Of this case, all that are there now.
function Gateway:_log_of_case()
  local all = self:_log_lines()
  return table.move(all, self._log_from + 1, #all, 1, {})
end

function Gateway:log(text, count)
  local out
  self:_until(function()
    out = {}
    for _, line in ipairs(self:_log_of_case()) do
      if (line.msg .. " " .. (line.error or "")):find(text, 1, true) then out[#out + 1] = line end
    end
    return #out >= (count or 1)
  end)
  return out
end

-- All of the case as one text; the log of at least `log_lines`.
function Gateway:transcript(log_lines)
  local log
  self:_until(function()
    log = self:_log_of_case()
    return #log >= (log_lines or 0)
  end)
  for _, name in ipairs(self._upstreams) do
    for _, req in ipairs(self:seen(name)) do self._transcript:add_seen(name, req) end
  end
  for _, line in ipairs(log) do self._transcript:add_log(line) end
  return table.concat(self._transcript.lines, "\n"), #log
end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function copy(t)
  local out = {}
  for key, value in pairs(t or {}) do out[key] = value end
  return out
end

-- The config as both read it: JSON, which is YAML too. addresses: of the upstreams by their names.
local function config_text(group, addresses)
  local config = copy(group.config)
  config.listen, config.workers = "127.0.0.1:0", 1
  config.services = copy(config.services)
  for name, address in pairs(addresses) do
    local service = copy(config.services[name])
    service.backends = { address }
    config.services[name] = service
  end
  config.routes = config.routes or { { match = "/*", service = "api" } }
  return http.encode_json(config)
end

-- The policies of cases lie beside the config, or so it seems.
local POLICIES = { "holds-request", "holds-response" }

-- ------------------------------------------------------------------------------------------------ simulation

-- A connection in simulation, with what moongate.e2e.http needs of a socket.
local SimSocket = {}
SimSocket.__index = SimSocket

function SimSocket:_take(bytes, state)
  self.buffer = self.buffer .. bytes
  if state ~= "open" then self.ended = state end
  return bytes ~= ""
end

-- Lets time pass until something comes. False and why when nothing does.
function SimSocket:_fill()
  if self.ended then return false, self.ended end
  if self:_take(self.conn:receive()) or self.ended then return true end
  if self:_take(self.conn:receive(PATIENCE)) or self.ended then return true end
  return false, "timeout"
end

function SimSocket:_cut(n)
  local bytes = self.buffer:sub(1, n)
  self.buffer = self.buffer:sub(n + 1)
  return bytes
end

function SimSocket:send(bytes)
  self:_take(self.conn:send(bytes))
end

function SimSocket:receive(n)
  while #self.buffer < n do
    local ok, why = self:_fill()
    if not ok then return nil, why, self:_cut(n) end
  end
  return self:_cut(n)
end

function SimSocket:line()
  while not self.buffer:find("\n", 1, true) do
    local ok, why = self:_fill()
    if not ok then return nil, why, self:_cut(#self.buffer) end
  end
  return (self:_cut((self.buffer:find("\n", 1, true))):gsub("\r?\n$", ""))
end

function SimSocket:until_close()
  while true do
    local ok, why = self:_fill()
    if not ok then return self:_cut(#self.buffer), why end
  end
end

function SimSocket:half_close()
  self:_take(self.conn:finish())
end

function SimSocket:how_it_ended(how) return how end
function SimSocket:reset() self.conn:reset() end
function SimSocket:close() self.conn:close() end

local Simulation = setmetatable({}, { __index = Gateway })
Simulation.__index = Simulation

function Simulation:_connect(opts)
  local conn = self.t:connect { client_ip = opts.from or "127.0.0.1" }
  return setmetatable({ conn = conn, buffer = "" }, SimSocket)
end

function Simulation:_seen(name)
  local _, _, all = self.t:seen(name)
  local out = {}
  for i, req in ipairs(all) do
    local target = req.raw_path .. (req.query and "?" .. req.query or "")
    out[i] = seen_request(req, target, req.chunked)
  end
  return out
end

function Simulation:_log_lines()
  return self.t:log()
end

function Simulation:_until(check)
  if not check() then
    self.t:settle()
    check()
  end
end

function Simulation:close()
  self.t:close()
end

local function start_simulation(group)
  local T = require "moongate.test"
  local addresses, names = {}, { ["8080"] = "<port>", [here .. "/"] = "" }
  local upstreams = sorted_keys(group.upstreams or {})
  for i, name in ipairs(upstreams) do
    addresses[name] = "127.0.0.1:" .. 1000 + i
    names[addresses[name]] = ("<%s>"):format(name)
  end
  local t = T.load(here .. "/" .. FILE, { text = config_text(group, addresses), upstreams = group.upstreams, seed = 1 })
  return setmetatable({ t = t, _names = names, _upstreams = upstreams }, Simulation)
end

-- ------------------------------------------------------------------------------------------------ the real program

local Real = setmetatable({}, { __index = Gateway })
Real.__index = Real

-- luasocket says "closed" of resets too. After the end of the other direction one can still send, after a reset not.
local function how_it_ended(socket, how)
  if how ~= "closed" or not socket.raw or socket.is_half_closed then return how end
  return socket:send "\r\n" and "closed" or "reset"
end

local function half_close(socket)
  socket.is_half_closed = true
  socket.raw:shutdown "send"
end

function Real:_connect(opts)
  local socket = assert(self.g:connect { from = opts.from }).socket
  socket.how_it_ended, socket.half_close = how_it_ended, half_close
  return socket
end

function Real:_seen(name, also_broken)
  local out = {}
  for _, req in ipairs(self.ups[name] and self.ups[name].seen or {}) do
    if req.complete or also_broken then out[#out + 1] = seen_request(req, req.target, req.framing == "chunked") end
  end
  return out
end

-- What the program says of its own life is no part of a case.
local LIFE = { ["gateway ready"] = true }

function Real:_log_lines()
  local out = {}
  for _, text in ipairs(self.g:log "") do
    local line = json.decode(text)
    if line and not LIFE[line.msg] then out[#out + 1] = line end
  end
  return out
end

function Real:_until(check)
  require "moongate.e2e.loop".until_true(check)
end

function Real:close() end

-- The upstream's own reason would go on to the client; without one it is that of its status, as in simulation.
local function real_answer(answer)
  if type(answer) == "function" then
    return function(req) return real_answer(answer(req)) end
  end
  return setmetatable({ reason = "" }, { __index = answer })
end

local function start_real(group)
  local E = require "moongate.e2e"
  local addresses, names, ups = {}, {}, {}
  local upstreams = sorted_keys(group.upstreams or {})
  for _, name in ipairs(upstreams) do
    local answer = group.upstreams[name]
    if type(answer) == "table" and answer.error == "refused" then
      addresses[name] = "127.0.0.1:" .. E.refused()
    else
      ups[name] = E.upstream(real_answer(answer))
      addresses[name] = ups[name].address
    end
    names[addresses[name]] = ("<%s>"):format(name)
  end
  local files = {}
  for _, name in ipairs(POLICIES) do
    local file = assert(io.open(("%s/policies/%s.lua"):format(here, name)))
    files[("policies/%s.lua"):format(name)] = file:read "a"
    file:close()
  end
  local g = E.start { config = config_text(group, addresses), name = FILE, files = files }
  names[tostring(g.port)] = "<port>"
  names[g.folder .. "/"] = ""
  return setmetatable({ g = g, ups = ups, _names = names, _upstreams = upstreams }, Real)
end

-- ------------------------------------------------------------------------------------------------ both

function M.start(kind, group)
  local g = kind == "real" and start_real(group) or start_simulation(group)
  g:begin()
  return g
end

return M
