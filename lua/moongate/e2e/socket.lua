-- Sockets whose calls wait in the loop:
--
--     s:send(bytes)                 true, or nil and why ("closed", "timeout")
--     s:receive(n?)                 exactly n bytes, or without n whatever there is; or nil, why, the part that came
--     s:line()                      a line without its CRLF; or nil, why, part
--     s:until_close(seconds?)       all bytes until the other side closes, and how it ended: closed, reset, timeout
--     s:is_open()                   false once the other side has closed and all its bytes were read
--     s:half_close()                ends our direction
--     s:truncate()                  the same, and over TLS without a goodbye
--     s:raw_send(bytes)             the same as send, and over TLS past it
--     s:reset()                     closes with a TCP reset
--     s:close()
--
-- Waits end after `s.timeout` seconds (30). moongate.e2e.tls makes TLS sockets of them.

local socket = require "socket"
local unix = require "socket.unix"
local loop = require "moongate.e2e.loop"
local scope = require "moongate.e2e.scope"

local M = {}

local Socket = {}
Socket.__index = Socket
M.Socket = Socket

local READ_SIZE = 65536

local function wrap(raw)
  raw:settimeout(0)
  if raw.setoption then pcall(raw.setoption, raw, "tcp-nodelay", true) end
  return setmetatable({ raw = raw, buffer = "", timeout = 30 }, Socket)
end

-- ------------------------------------------------------------------------------------------------ connections

-- TLS may want the other direction.
local WANTED = { wantread = "read", wantwrite = "write" }

-- Waits until a call that could not go on may be tried again, "ready" or "timeout"; nil when it failed.
function Socket:_wait(fault, direction, deadline)
  local wanted = WANTED[fault] or fault == "timeout" and direction
  return wanted and loop.wait { [wanted] = self.raw, at = deadline }
end

-- What a fault of reading says about the connection's end.
function Socket:_end_of(fault)
  return fault == "closed" and "closed" or "reset"
end

function Socket:send(bytes)
  local at, deadline = 1, loop.deadline(self.timeout)
  if not self.raw then return nil, "closed" end
  while at <= #bytes do
    local last, fault, part = self.raw:send(bytes, at)
    at = (last or part) + 1
    if not last then
      local how = self:_wait(fault, "write", deadline)
      if how == "timeout" then return nil, how end
      if not how then
        self.ended = self.ended or fault
        return nil, fault
      end
    end
    if not self.raw then return nil, "closed" end
  end
  return true
end

-- Reads once into the buffer; false and why when nothing comes any more.
function Socket:_fill(deadline)
  while true do
    if self.ended then return false, self.ended end
    if not self.raw then return false, "closed" end
    local data, fault, part = self.raw:receive(READ_SIZE)
    data = data or part
    if #data > 0 then
      self.buffer = self.buffer .. data
      -- TLS tells of a fault only once.
      if fault and fault ~= "timeout" and not WANTED[fault] then self.ended = self:_end_of(fault) end
      return true
    end
    local how = self:_wait(fault, "read", deadline)
    if how == "timeout" then return false, how end
    if not how then
      self.ended = self:_end_of(fault)
      return false, self.ended
    end
  end
end

function Socket:_take(n)
  local bytes = self.buffer:sub(1, n)
  self.buffer = self.buffer:sub(n + 1)
  return bytes
end

function Socket:receive(n)
  local deadline = loop.deadline(self.timeout)
  local parts, left = {}, n or 1
  while true do
    local part = self:_take(n and left or #self.buffer)
    parts[#parts + 1] = part
    left = left - #part
    if left <= 0 then return table.concat(parts) end
    local ok, why = self:_fill(deadline)
    if not ok then return nil, why, table.concat(parts) end
  end
end

function Socket:line()
  local deadline = loop.deadline(self.timeout)
  while true do
    local at = self.buffer:find("\n", 1, true)
    if at then return (self:_take(at):gsub("\r?\n$", "")) end
    local ok, why = self:_fill(deadline)
    if not ok then return nil, why, self:_take(#self.buffer) end
  end
end

function Socket:until_close(seconds)
  local deadline = loop.deadline(seconds or self.timeout)
  local parts = {}
  while true do
    parts[#parts + 1] = self:_take(#self.buffer)
    local ok, why = self:_fill(deadline)
    if not ok then return table.concat(parts), why end
  end
end

-- Looks without waiting.
function Socket:is_open()
  self:_fill(loop.now())
  return #self.buffer > 0 or not self.ended and self.raw ~= nil
end

function Socket:half_close()
  self.raw:shutdown("send")
end

function Socket:truncate()
  self:half_close()
end

function Socket:raw_send(bytes)
  return self:send(bytes)
end

function Socket:close()
  local raw = self.raw
  if not raw then return end
  self.raw = nil
  raw:close()
  loop.forget(raw)
end

function Socket:reset()
  self.raw:setoption("linger", { on = true, timeout = 0 })
  self:close()
end

local function connect(raw, ...)
  raw:settimeout(0)
  local ok, fault = raw:connect(...)
  if not ok and fault == "timeout" then
    if loop.wait { write = raw, at = loop.deadline() } == "timeout" then return nil, "timeout" end
    ok, fault = raw:connect(...)
    ok = ok or fault == "already connected"
  end
  if not ok then
    raw:close()
    return nil, fault
  end
  return scope.add(wrap(raw))
end

-- Opens a connection to a port of this machine, or to a unix socket's path. Or nil and why ("connection refused").
-- options: ip, from (the address it comes from).
function M.connect(to, options)
  options = options or {}
  if type(to) == "string" then return connect(unix(), to) end
  local v6 = (options.ip or ""):find(":", 1, true)
  local raw = assert(v6 and socket.tcp6() or socket.tcp4())
  if options.from then assert(raw:bind(options.from, 0)) end
  return connect(raw, options.ip or "127.0.0.1", to)
end

-- ------------------------------------------------------------------------------------------------ ports

local function bind(raw, ip, port)
  raw:setoption("reuseaddr", true)
  assert(raw:bind(ip, port))
  return raw
end

-- A free port of this machine, and the socket that reserves it: as long as that is open, and does not listen, others
-- that name the port can listen there (as all do with SO_REUSEADDR), but nobody gets it by chance, as a listener on any
-- port or as a client.
function M.reserve(ip)
  ip = ip or "127.0.0.1"
  local raw = bind(assert(ip:find(":", 1, true) and socket.tcp6() or socket.tcp4()), ip, 0)
  local _, port = raw:getsockname()
  return math.tointeger(tonumber(port)), raw
end

-- A port for a program that has to be told one: nobody else gets it until the block ends.
function M.free_port()
  local port, raw = M.reserve()
  scope.add { close = function() raw:close() end }
  return port
end

-- ------------------------------------------------------------------------------------------------ listeners

local Listener = {}
Listener.__index = Listener

local function accept_all(self, on_connection)
  while self.raw do
    local raw = self.raw:accept()
    if raw then
      self.accepted = self.accepted + 1
      local connection = wrap(raw)
      self.connections[self.accepted] = connection
      on_connection(connection, self.accepted)
    else
      loop.wait { read = self.raw }
    end
  end
end

-- Listens on a free port of this machine; on_connection(socket, number) is called for each connection, and must not
-- wait.
function M.listen(on_connection, options)
  options = options or {}
  local ip = options.ip or "127.0.0.1"
  local port, reserved = options.port, nil
  if not port then port, reserved = M.reserve(ip) end
  local raw = bind(assert(ip:find(":", 1, true) and socket.tcp6() or socket.tcp4()), ip, port)
  assert(raw:listen(128))
  raw:settimeout(0)
  local self = setmetatable({
    raw = raw, reserved = reserved, ip = ip, port = port, accepted = 0, connections = {},
  }, Listener)
  self.task = loop.spawn(accept_all, self, on_connection)
  return self
end

-- Stops listening; connections stay, and nobody else gets the port.
function Listener:stop()
  self.task:cancel()
  if self.raw then self.raw:close() end
  self.raw = nil
end

function Listener:close()
  self:stop()
  if self.reserved then self.reserved:close() end
  self.reserved = nil
  for _, connection in pairs(self.connections) do connection:close() end
end

-- A port of this machine where nobody listens. Bound, so that nobody else gets it meanwhile.
function M.refused()
  local raw = assert(socket.tcp4())
  assert(raw:bind("127.0.0.1", 0))
  local _, port = raw:getsockname()
  scope.add { close = function() raw:close() end }
  return math.tointeger(tonumber(port))
end

return M
