-- Steady load as a program of its own: lua5.4 requests.lua STOP PORT CONNECTIONS RATE NEW
--
-- RATE requests a second on CONNECTIONS keep-alive connections, and NEW more a second on connections of their own,
-- until the file STOP is there. Each answer has to be 200, with the whole body that its head promises, and a
-- generation (the field X-Generation) not older than the one before it on the same connection. Says "running" after
-- the first round, and in the end how many requests there were and how many failed, each fault once with its count.

local socket = require "socket"

local stop, port, connections = arg[1], tonumber(arg[2]), tonumber(arg[3])
local rate, new = tonumber(arg[4]), tonumber(arg[5])

local KEPT = "GET /kept HTTP/1.1\r\nHost: a\r\n\r\n"
local ALONE = "GET /alone HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
local TIMEOUT = 60 -- of a socket; a gateway that hangs is a failure

local requests, failed, faults = 0, 0, {}

local function fail(what)
  failed = failed + 1
  faults[what] = (faults[what] or 0) + 1
end

local function connect()
  local s = assert(socket.tcp4())
  s:settimeout(TIMEOUT)
  local ok, why = s:connect("127.0.0.1", port)
  if not ok then
    fail("connect: " .. why)
    s:close()
    return nil
  end
  s:setoption("tcp-nodelay", true)
  return { socket = s, generation = 0 }
end

local function read_head(s)
  local line, why = s:receive "*l"
  if not line then return nil, why end
  local head = { status = line:match "^HTTP/1.1 (%d%d%d)" }
  while true do
    line, why = s:receive "*l"
    if not line then return nil, why end
    if line == "" then return head end
    local name, value = line:match "^([^:]+):%s*(.-)%s*$"
    head[name:lower()] = value
  end
end

-- What is wrong with the answer, or nil.
local function read_answer(c)
  local head, why = read_head(c.socket)
  if not head then return "head: " .. why end
  if head.status ~= "200" then return "status " .. tostring(head.status) end
  local length = tonumber(head["content-length"])
  if not length or length == 0 then return "no body" end
  local body
  body, why = c.socket:receive(length)
  if not body then return "body: " .. why end
  local generation = tonumber(head["x-generation"])
  if not generation then return "no generation" end
  if generation < c.generation then return "an older generation" end
  c.generation = generation
end

local function send(c, request)
  requests = requests + 1
  local ok, why = c.socket:send(request)
  return not ok and "send: " .. why or nil
end

-- All that are kept ask at once, and then read. One that fails is replaced.
local function round(kept)
  for i = 1, connections do
    kept[i] = kept[i] or connect()
    local c = kept[i]
    if c then c.fault = send(c, KEPT) end
  end
  for i = 1, connections do
    local c = kept[i]
    local fault = c and (c.fault or read_answer(c))
    if fault then
      fail(fault)
      c.socket:close()
      kept[i] = nil
    end
  end
end

local function ask_alone()
  local c = connect()
  if not c then return end
  local fault = send(c, ALONE) or read_answer(c)
  if fault then fail("alone: " .. fault) end
  c.socket:close()
end

local function is_stopped()
  local file = io.open(stop)
  if file then file:close() end
  return file ~= nil
end

local kept, began, rounds, alone = {}, socket.gettime(), 0, 0
repeat
  round(kept)
  rounds = rounds + 1
  if rounds == 1 then
    print "running"
    io.stdout:flush()
  end
  local seconds = socket.gettime() - began
  while alone < seconds * new do
    ask_alone()
    alone = alone + 1
  end
  socket.sleep(math.max(0, began + rounds * connections / rate - socket.gettime()))
until is_stopped()

local seconds = socket.gettime() - began
for what, count in pairs(faults) do print(("fault: %s (%d)"):format(what, count)) end
print(("requests=%d failed=%d rate=%.0f"):format(requests, failed, requests / seconds))
