-- A real redis-server for a spec, in a folder of its own, on a free port of this machine.
--
--     local r = E.redis { password = "secret" }
--     r.address                       "127.0.0.1:PORT", or "unix:PATH"
--     r:command("GET", "key")         a reply: string, integer, list, E.null; an error reply is raised
--     r:kill()  r:start()             as a crash, and again on the same port, with nothing in it
--     r:pause()  r:resume()           it stops for a while: connections stay, and nothing is answered
--     r:give_up()                     a sentinel that waits no longer for a master that does not answer
--
-- Options: password, unix = true (a socket's path instead of a port), tls = { cert=, key=, ca= } (files; a port that
-- speaks TLS), replica_of (another), monitors (another: it is a sentinel of that master, which it calls "main"),
-- args (more for its command line). Its port stays its own while it is dead.

local http = require "moongate.e2e.http"
local loop = require "moongate.e2e.loop"
local process = require "moongate.e2e.process"
local scope = require "moongate.e2e.scope"
local socket = require "moongate.e2e.socket"

local M = {}

local Redis = {}
Redis.__index = Redis

-- ------------------------------------------------------------------------------------------------ its protocol

local function encode(args)
  local parts = { ("*%d\r\n"):format(#args) }
  for _, arg in ipairs(args) do
    local text = tostring(arg)
    parts[#parts + 1] = ("$%d\r\n%s\r\n"):format(#text, text)
  end
  return table.concat(parts)
end

local function read_reply(s)
  local line = assert(s:line())
  local kind, rest = line:sub(1, 1), line:sub(2)
  if kind == "+" then return rest end
  if kind == "-" then error("redis: " .. rest, 0) end
  if kind == ":" then return math.tointeger(tonumber(rest)) end
  local n = math.tointeger(tonumber(rest))
  if n < 0 then return http.null end
  if kind == "$" then return (assert(s:receive(n + 2)):sub(1, n)) end
  local list = {}
  for i = 1, n do list[i] = read_reply(s) end
  return list
end

-- ------------------------------------------------------------------------------------------------ life

-- A sentinel wants a file that it may write. It is told when a master is dead (give_up): what is only slow is not.
local SENTINEL = [[
port %d
bind 127.0.0.1
unixsocket %s
dir %s
sentinel monitor main 127.0.0.1 %d 1
sentinel down-after-milliseconds main 600000
sentinel failover-timeout main 2000
]]

local function arguments(self)
  local options, folder = self.options, self.folder
  if options.monitors then
    local file = folder .. "/sentinel.conf"
    process.write(file, SENTINEL:format(self.port, self.path, folder, options.monitors.port))
    return { file, "--sentinel" }
  end
  local args = { "--save", "", "--appendonly", "no", "--dir", folder, "--bind", "127.0.0.1", "--loglevel", "warning" }
  local function add(...) table.move({ ... }, 1, select("#", ...), #args + 1, args) end
  if options.tls then
    add("--port", "0", "--tls-port", self.port, "--tls-cert-file", options.tls.cert, "--tls-key-file", options.tls.key,
      "--tls-ca-cert-file", options.tls.ca, "--tls-auth-clients", options.tls.clients and "yes" or "no")
  else
    add("--port", options.unix and 0 or self.port)
  end
  -- Beside the port too: it is how the kit itself talks to one that speaks TLS.
  add("--unixsocket", self.path)
  if options.password then add("--requirepass", options.password) end
  if options.replica_of then add("--replicaof", "127.0.0.1 " .. options.replica_of.port) end
  for _, arg in ipairs(options.args or {}) do add(arg) end
  return args
end

function Redis:start()
  self.process = process.start(self.folder, "redis-server", arguments(self), {})
  loop.eventually(function()
    if self.process:status() then error("redis-server ended: " .. self.process:stdout(), 0) end
    self:command "PING"
  end)
end

-- As a crash: connections are reset or ended, and the port is closed.
function Redis:kill()
  self:_disconnect()
  self.process:kill()
  os.remove(self.folder .. "/pid")
  os.remove(self.folder .. "/status")
end

function Redis:pause()
  self.process:signal "STOP"
  -- The signal goes through a shell.
  loop.until_true(function()
    local stat = process.read(("/proc/%d/stat"):format(self.process.pid)) or ""
    return stat:find "%) T " ~= nil
  end)
end

function Redis:give_up()
  self:command("SENTINEL", "SET", "main", "down-after-milliseconds", 500)
end

function Redis:resume()
  self.process:signal "CONT"
end

function Redis:_disconnect()
  if self.connection then self.connection:close() end
  self.connection = nil
end

function Redis:_connect()
  local s, fault = socket.connect(self.path)
  if not s then error("redis: " .. fault, 0) end
  self.connection = s
  if self.options.password then
    s:send(encode { "AUTH", self.options.password })
    read_reply(s)
  end
end

function Redis:command(...)
  if not (self.connection and self.connection:is_open()) then self:_connect() end
  assert(self.connection:send(encode { ... }))
  return read_reply(self.connection)
end

function Redis:close()
  if not self.process:status() then
    self:resume()
    self:kill()
  end
  self.reserved:close()
  process.remove_folder(self.folder)
end

function M.start(options)
  options = options or {}
  local folder = process.folder()
  local self = setmetatable({ options = options, folder = folder, path = folder .. "/redis.sock" }, Redis)
  self.port, self.reserved = socket.reserve()
  self.address = options.unix and "unix:" .. self.path or "127.0.0.1:" .. self.port
  self:start()
  return scope.add(self)
end

return M
