-- The real program under test, in a folder of its own, and a client for it.

local http = require "moongate.e2e.http"
local loop = require "moongate.e2e.loop"
local lua_text = require "moongate.e2e.lua_text"
local process = require "moongate.e2e.process"
local scope = require "moongate.e2e.scope"
local socket = require "moongate.e2e.socket"
local tls = require "moongate.e2e.tls"

local M = {}

-- ------------------------------------------------------------------------------------------------ the program

-- The MOONGATE of the environment, or the program that runs these specs itself, or what `make` builds.
local function find_program()
  local named = os.getenv("MOONGATE")
  if named and named ~= "" then return named end
  local words = {}
  for word in (process.read("/proc/self/cmdline") or ""):gmatch("[^\0]+") do words[#words + 1] = word end
  if words[2] == "test" and (words[1] or ""):match("[^/]*$") == "moongate" then return words[1] end
  return "build/moongate"
end

M.program = find_program()
if M.program:find("/asan/", 1, true) or M.program:find("/tsan/", 1, true) then loop.patience = 10 end

-- ------------------------------------------------------------------------------------------------ clients

local Client = {}
Client.__index = Client

-- Sends what was given, and reads the response. Or nil, why, and the message as far as it came. A request is
-- { method=, path=, headers=, body= | chunks= | json=, trailers=, version= }; `raw` is a whole head in place of that.
function Client:request(req)
  if type(req) == "string" then req = { path = req } end
  self:send_request(req)
  return self:response(req.method)
end

function Client:send_request(req)
  local body = req.body
  if req.json ~= nil then
    body = http.encode_json(req.json)
    local headers = req.headers or { ["Content-Type"] = "application/json" }
    req = setmetatable({ body = body, headers = headers }, { __index = req })
  end
  local bytes = req.raw or http.request_head(req, self.host)
  if body and not req.chunks then bytes = bytes .. body end
  self.socket:send(bytes)
  for _, part in ipairs(req.chunks or {}) do self.socket:send(http.chunk(part)) end
  if req.chunks then self.socket:send(http.last_chunk(req.trailers)) end
end

-- Reads one response to a request with this method.
function Client:response(method)
  return http.read_response(self.socket, method)
end

-- The socket's own functions, see moongate.e2e.socket.
for _, name in ipairs {
  "send", "receive", "line", "until_close", "is_open", "half_close", "truncate", "raw_send", "reset", "close",
} do
  Client[name] = function(self, ...) return self.socket[name](self.socket, ...) end
end

local Gateway = {}
Gateway.__index = Gateway

-- A connection to the gateway. options: port, or unix (a path); from (the address it comes from); ip; timeout (30 s);
-- first (bytes to send before all else); tls (true, or options of moongate.e2e.tls; what E.start was told when left
-- out; false: none). A TLS client has `tls` as its socket does.
function Gateway:connect(options)
  options = options or {}
  local to, secure = options.unix or options.port or self.port, options.tls
  if secure == nil then secure = self.tls end
  local s, why = socket.connect(to, options)
  if not s then return nil, why end
  s.timeout = options.timeout or s.timeout
  if options.first then s:send(options.first) end
  if secure then s, why = tls.client(s, secure == true and {} or secure) end
  if not s then return nil, why end
  local host = options.unix and "localhost" or secure and secure ~= true and secure.sni or "127.0.0.1:" .. to
  return setmetatable({ socket = s, host = host, tls = s.tls }, Client)
end

-- One request on a connection of its own, see Client:request; with the options of `connect` in it. Raises when there is
-- no whole response.
function Gateway:request(req)
  if type(req) == "string" then req = { path = req } end
  local client = assert(self:connect(req))
  local res, why, part = client:request(req)
  client:close()
  if not res then
    error(("no response to %s %s: %s%s"):format(req.method or "GET", req.path or "/", why,
      part and (", after a status %d and %d bytes"):format(part.status, #part.body) or ""), 2)
  end
  return res
end

function Gateway:get(path, options)
  return self:request(setmetatable({ path = path }, { __index = options }))
end

-- Sends these bytes; gives all that comes until the gateway closes the connection, and how it ended.
function Gateway:raw(bytes, options)
  local client = assert(self:connect(options))
  client:send(bytes)
  local answer, why = client:until_close(options and options.seconds)
  client:close()
  return answer, why
end

-- ------------------------------------------------------------------------------------------------ the admin listener

-- One request to it, as Gateway:request. A config given as a table has one on a free port; others must name it.
function Gateway:ask_admin(req)
  if not self.admin then error("this gateway has no admin listener: its config gives it none", 2) end
  if type(req) == "string" then req = { path = req } end
  local port = math.tointeger(tonumber(self.admin:match ":(%d+)$"))
  local to = port and { port = port } or { unix = self.admin:match "^unix:(.*)$" }
  to.tls = false
  return self:request(setmetatable(to, { __index = req }))
end

-- What it has counted: { requests_count = { success =, error = }, latency_ms = { average =, p95 =, p99 = } }.
function Gateway:stats()
  return self:ask_admin("/stats"):json()
end

-- ------------------------------------------------------------------------------------------------ the log

local function log_lines(self)
  local lines = {}
  for line in self.process:stderr():gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
  return lines
end

-- The lines of the log that match a Lua pattern. An error among them is an expected one.
function Gateway:log(pattern)
  local out = {}
  for i, line in ipairs(log_lines(self)) do
    if line:find(pattern) then
      out[#out + 1] = line
      self.expected[i] = true
    end
  end
  return out
end

-- Waits for such lines.
function Gateway:wait_log(pattern, seconds)
  local lines
  loop.until_true(function()
    lines = self:log(pattern)
    return #lines > 0
  end, seconds)
  if #lines == 0 then error(("nothing in the log matches '%s'"):format(pattern), 2) end
  return lines
end

-- An error, or what a program says when it falls: no line of the log, and neither of the config's warnings.
local function is_error(line)
  return line:find('"level":"error"', 1, true) or line:match("^%S+Z error ")
    or line:find("Sanitizer", 1, true) or line:find("runtime error:", 1, true) or line:find("moongate: bug", 1, true)
end

local function unexpected_errors(self)
  local out = {}
  for i, line in ipairs(log_lines(self)) do
    if is_error(line) and not self.expected[i] then out[#out + 1] = line end
  end
  return out
end

-- Has it read its config again; see moongate.e2e.reload.
Gateway.reload = require "moongate.e2e.reload"

-- ------------------------------------------------------------------------------------------------ its end

-- Begins to stop it; it finishes what is under way.
function Gateway:terminate()
  self.stopping = true
  self.process:signal("TERM")
end

-- Stops it; gives its exit status.
function Gateway:stop(seconds)
  self:terminate()
  return self:wait(seconds)
end

-- Waits for its end, and gives its exit status.
function Gateway:wait(seconds)
  self.stopping = true
  return self.process:wait(seconds) or error("the gateway did not stop in time", 2)
end

-- Ends it the hard way, as a power cut would: the supervisor, and with it what it has started.
function Gateway:kill()
  local pids = self:serving_pids()
  self.killed = true
  self.process:signal("KILL")
  self:wait()
  for _, pid in ipairs(pids) do loop.until_true(function() return not process.lives(pid) end) end
end

-- The processes that serve, below the supervisor: the one that was started last is the last.
function Gateway:serving_pids()
  local pids = {}
  for pid in (process.read(("/proc/%d/task/%d/children"):format(self.pid, self.pid)) or ""):gmatch "%d+" do
    pids[#pids + 1] = math.tointeger(tonumber(pid))
  end
  return pids
end

function Gateway:serving_pid()
  local pids = self:serving_pids()
  return pids[#pids]
end

function Gateway:is_running()
  return self.process:status() == nil
end

local ERRORS_SHOWN = 5

function Gateway:close()
  local early = not self.stopping and self.process:status()
  self.process:signal("TERM")
  local status = self.process:wait()
  self.process:kill()
  local faults = {}
  if early then
    faults[1] = ("the gateway ended by itself, status %d"):format(early)
  elseif not status then
    faults[1] = "the gateway had to be killed, it did not stop"
  elseif status ~= 0 and not self.killed then
    faults[1] = ("the gateway ended with status %d"):format(status)
  end
  local errors = unexpected_errors(self)
  for i = 1, math.min(#errors, ERRORS_SHOWN) do faults[#faults + 1] = "unexpected in the log: " .. errors[i] end
  if #errors > ERRORS_SHOWN then faults[#faults + 1] = ("... and %d more"):format(#errors - ERRORS_SHOWN) end
  process.remove_folder(self.folder)
  if #faults > 0 then error(table.concat(faults, "\n"), 0) end
end

local SHOWN = 20 -- lines of the log

function Gateway:on_failure()
  local lines = log_lines(self)
  if #lines == 0 then return end
  io.stderr:write(("--- log of the gateway on port %s\n"):format(self.port))
  for i = math.max(1, #lines - SHOWN + 1), #lines do io.stderr:write(lines[i], "\n") end
  io.stderr:write("---\n")
end

-- ------------------------------------------------------------------------------------------------ its start

local function write_files(folder, files)
  for name, text in pairs(files or {}) do
    local sub = name:match("^(.*)/")
    if sub then process.make_folder(folder .. "/" .. sub) end
    process.write(folder .. "/" .. name, text)
  end
end

-- A table gets what a spec seldom cares for: free ports of this machine, one worker.
local function write_config(folder, options)
  local text, name = options.config, options.name or "moongate.yaml"
  if type(text) == "table" then
    local whole = { listen = "127.0.0.1:0", admin = { address = "127.0.0.1:0" }, workers = 1 }
    for key, value in pairs(text) do whole[key] = value end
    text, name = lua_text(whole), options.name or "moongate.lua"
  end
  local file = folder .. "/" .. name
  process.write(file .. ".new", (text:gsub("%%{folder}", folder)))
  assert(os.rename(file .. ".new", file)) -- nobody shall read half of it
  return file
end

-- What it listens on, as it said last: when it was ready, or had reloaded.
local function note_addresses(self)
  local said, admin = {}, nil
  self.addresses = {}
  for line in self.process:stdout():gmatch "moongate: ([^\n]*)\n" do
    said[#said + 1] = line:match "^listening on (%S+)$"
    admin = line:match "^admin on (%S+)$" or admin
    if line == "ready" or line == "reloaded" then
      self.addresses, self.admin, said, admin = said, admin, {}, nil
    end
  end
  self.ports = {}
  for i, address in ipairs(self.addresses) do
    self.ports[i] = math.tointeger(tonumber(address:match(":(%d+)$"))) or false
  end
  self.port = self.ports[1] or nil
end

-- Specs sign their tokens with secrets as short as they like.
local function environment(options)
  local env = { MOONGATE_WEAK_KEYS = "allow" }
  for name, value in pairs(options.env or {}) do env[name] = value end
  return env
end

local function copy_program(folder)
  local path = folder .. "/program"
  assert(os.execute(("cp '%s' '%s'"):format(M.program, path)))
  return path
end

-- Starts the gateway and waits until it is ready. options: config (a table, or text), name (of its file; moongate.lua
-- or moongate.yaml), files ({ [path] = text } beside it), env, args, tls (how its client connects, see
-- Gateway:connect), program (a link to it by a name that means `run`), own_program (a copy of the program, which the
-- spec may replace), under (a command that becomes the program which follows). `%{folder}` in the config is its folder.
-- Members of what it gives: port, ports (of all listeners), addresses, admin (address of the admin listener), pid,
-- folder, program (its file). `pid` is the supervisor's.
function M.start(options)
  local folder = process.folder()
  write_files(folder, options.files)
  local file = write_config(folder, options)
  local args = options.program and { "-c", file } or { "run", "-c", file }
  table.move(options.args or {}, 1, #(options.args or {}), #args + 1, args)
  local self = setmetatable({ folder = folder, expected = {}, tls = options.tls }, Gateway)
  self.program = options.own_program and copy_program(folder) or options.program or M.program
  local words = table.move(options.under or {}, 1, #(options.under or {}), 1, {})
  words[#words + 1] = self.program
  table.move(args, 1, #args, #words + 1, words)
  self.process = process.start(folder, words[1], { table.unpack(words, 2) }, environment(options))
  self.pid = self.process.pid
  self.note_addresses = function() note_addresses(self) end
  self.write_config = function(config)
    write_config(folder, { config = config, name = options.name or file:match "[^/]*$" })
  end
  loop.until_true(function()
    return self.process:stdout():find("moongate: ready\n", 1, true) or self.process:status()
  end)
  note_addresses(self)
  if not self.process:stdout():find("moongate: ready\n", 1, true) then
    local said = self.process:stderr()
    self.process:kill()
    process.remove_folder(folder)
    error("the gateway did not start:\n" .. said, 2)
  end
  return scope.add(self)
end

-- Runs the program to its end: { status, stdout, stderr }. options as for start; among the args the config's name
-- stands for `CONFIG`, and the folder for `%{folder}`.
function M.run(options)
  local folder = process.folder()
  write_files(folder, options.files)
  local config = options.config and write_config(folder, options)
  local args = {}
  for i, arg in ipairs(options.args) do
    args[i] = arg == "CONFIG" and config or arg:gsub("%%{folder}", function() return folder end)
  end
  local p = process.start(folder, M.program, args, options.env)
  local status = p:wait(options.seconds)
  p:kill()
  local function plain(text) return (text:gsub(folder:gsub("%p", "%%%0") .. "/", "")) end
  local result = { status = status, stdout = plain(p:stdout()), stderr = plain(p:stderr()) }
  process.remove_folder(folder)
  return result
end

return M
