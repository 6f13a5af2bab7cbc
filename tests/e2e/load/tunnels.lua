-- Open WebSockets as a program of its own, both ends of them: lua5.4 tunnels.lua STOP COUNT PER_SECOND
--
-- Says "listening on PORT", where it plays the backend. When the file STOP.port is there it opens COUNT tunnels through
-- the gateway on the port in that file, and says "running". Until the file STOP is there it sends something through one
-- tunnel after the other and back, PER_SECOND times a second; one in ten it closes and opens anew, so that tunnels of
-- all ages are there. In the end something goes through each, and it says how many there were and how many had failed.

local socket = require "socket"

local stop, count, per_second = arg[1], tonumber(arg[2]), tonumber(arg[3])

local ASK = "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
  .. "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
local AGREE = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
  .. "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
local TIMEOUT = 60

local failed, opened, faults, port = 0, 0, {}, nil

local function fail(what)
  failed = failed + 1
  faults[what] = (faults[what] or 0) + 1
end

local function read(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

local listener = assert(socket.bind("127.0.0.1", 0, 4096))
listener:settimeout(TIMEOUT)
print("listening on " .. select(2, listener:getsockname()))
io.stdout:flush()

local function skip_head(s)
  local first, why = s:receive "*l"
  local line = first
  while line and line ~= "" do line, why = s:receive "*l" end
  return line and first, why
end

-- A tunnel, or nil and why not.
local function open()
  opened = opened + 1
  local client = assert(socket.tcp4())
  client:settimeout(TIMEOUT)
  local ok, why = client:connect("127.0.0.1", port)
  ok, why = ok and client:send(ASK), why
  if not ok then return nil, why end
  local backend
  backend, why = listener:accept()
  if not backend then return nil, "backend: " .. why end
  backend:settimeout(TIMEOUT)
  ok, why = skip_head(backend)
  ok, why = ok and backend:send(AGREE), why
  if not ok then return nil, "backend: " .. why end
  local status
  status, why = skip_head(client)
  if not status or not status:find " 101 " then return nil, status or why end
  return { client = client, backend = backend }
end

local function close(t)
  t.client:close()
  t.backend:close()
end

local function pass(from, to, text)
  from:send(text)
  local got, why = to:receive(#text)
  return got == text or nil, why or "other bytes"
end

-- There and back; nil and why not.
local function use(t, text)
  local ok, why = pass(t.client, t.backend, text)
  if not ok then return nil, "to the backend: " .. why end
  ok, why = pass(t.backend, t.client, text:upper())
  if not ok then return nil, "to the client: " .. why end
  return true
end

local function renew(tunnels, i)
  local t, why = open()
  if not t then fail("open: " .. why) end
  tunnels[i] = t or false
end

local function step(tunnels, n)
  local i = n % count + 1
  if not tunnels[i] then return renew(tunnels, i) end
  local ok, why = use(tunnels[i], "frame " .. n)
  if not ok then fail(why) end
  if not ok or n % 10 == 9 then
    close(tunnels[i])
    renew(tunnels, i)
  end
end

while not port do
  port = tonumber(read(stop .. ".port") or "")
  if not port then socket.sleep(0.01) end
end
local tunnels = {}
for i = 1, count do renew(tunnels, i) end
print "running"
io.stdout:flush()

local began, n = socket.gettime(), 0
while not read(stop) do
  step(tunnels, n)
  n = n + 1
  socket.sleep(math.max(0, began + n / per_second - socket.gettime()))
end
for i = 1, count do
  local ok, why = tunnels[i] and use(tunnels[i], "the last")
  if tunnels[i] and not ok then fail(why) end
end
for what, times in pairs(faults) do print(("fault: %s (%d)"):format(what, times)) end
print(("requests=%d failed=%d used=%d"):format(opened, failed, n))
