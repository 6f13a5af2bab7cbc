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

-- What a call gave, or an error that says where it failed.
local function check(what, value, why)
  return value or error(what .. ": " .. why, 0)
end

-- Reads a head; gives its first line.
local function read_head(what, s)
  local first = check(what, s:receive "*l")
  while check(what, s:receive "*l") ~= "" do end
  return first
end

-- A tunnel; raises why there is none.
local function open()
  opened = opened + 1
  local client = assert(socket.tcp4())
  client:settimeout(TIMEOUT)
  check("connect", client:connect("127.0.0.1", port))
  check("ask", client:send(ASK))
  local backend = check("accept", listener:accept())
  backend:settimeout(TIMEOUT)
  read_head("backend", backend)
  check("agree", backend:send(AGREE))
  local status = read_head("client", client)
  if not status:find " 101 " then error(status, 0) end
  return { client = client, backend = backend }
end

local function close(t)
  t.client:close()
  t.backend:close()
end

local function pass(what, from, to, text)
  check(what, from:send(text))
  if check(what, to:receive(#text)) ~= text then error(what .. ": other bytes", 0) end
end

-- There and back. False: that has failed.
local function use(t, text)
  local ok, why = pcall(function()
    pass("to the backend", t.client, t.backend, text)
    pass("to the client", t.backend, t.client, text:upper())
  end)
  if not ok then fail(why) end
  return ok
end

local function renew(tunnels, i)
  local ok, t = pcall(open)
  if not ok then fail(t) end
  tunnels[i] = ok and t
end

local function step(tunnels, n)
  local i = n % count + 1
  if not tunnels[i] then return renew(tunnels, i) end
  if not use(tunnels[i], "frame " .. n) or n % 10 == 9 then
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
  if tunnels[i] then use(tunnels[i], "the last") end
end
for what, times in pairs(faults) do print(("fault: %s (%d)"):format(what, times)) end
print(("requests=%d failed=%d used=%d"):format(opened, failed, n))
