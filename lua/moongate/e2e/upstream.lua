-- A backend that a spec plays, on a real socket.
--
-- An answer is { status=, headers=, body=, json=, delay= (seconds before it), chunks = {...} (sent chunked),
-- trickle = {bytes, seconds} (so many at a time), trailers=, interim = { {103, headers}, ... }, version = "1.0",
-- close=, raw= (exactly these bytes, then the end), hang = true (nothing, ever) }. `close` is one of
--
--     "at-once"         before anything is answered; also "before-headers", as in simulation
--     "after-headers"   the head, and nothing of the body
--     "mid-body"        half of the body
--     "reset"           half of the body, then a TCP reset
--     "after"           after the whole answer, without having said so
--     "said"            the same with `Connection: close`
--
-- `error = "reset"` resets the connection in place of an answer.
--
-- Or it is function(req) -> answer, called for each request when its body is there; it may wait. `options`:
--
--     early = true      answers as soon as the head is there; the function reads with req:read_body() if it wants to
--     serve = fn(s, n)  plays the n-th connection itself, with the socket `s`
--     tls = true        with a new authority's certificate for localhost and the loopback addresses; up.ca is its file
--     tls = {...}       with options of moongate.e2e.tls's servers: cert, key, ca, request, ...

local authority = require "moongate.e2e.authority"
local http = require "moongate.e2e.http"
local loop = require "moongate.e2e.loop"
local scope = require "moongate.e2e.scope"
local socket = require "moongate.e2e.socket"
local tls = require "moongate.e2e.tls"

local M = {}

local Upstream = {}
Upstream.__index = Upstream

-- ------------------------------------------------------------------------------------------------ answering

local function body_of(answer)
  if answer.json ~= nil then return http.encode_json(answer.json) end
  return answer.body or ""
end

local function framing_lines(answer, body)
  local lines = ""
  if answer.json ~= nil and not http.has_header(answer.headers, "content-type") then
    lines = "Content-Type: application/json\r\n"
  end
  local framed = http.has_header(answer.headers, "content-length")
    or http.has_header(answer.headers, "transfer-encoding")
  local status = answer.status or 200
  if framed or status == 204 or status == 304 or status < 200 or answer.version == "1.0" then return lines end
  if answer.chunks or answer.trailers then return lines .. "Transfer-Encoding: chunked\r\n" end
  return lines .. ("Content-Length: %d\r\n"):format(#body)
end

local function head_of(answer, body)
  local lines = { ("HTTP/%s %d %s\r\n"):format(answer.version or "1.1", answer.status or 200, answer.reason or "Stub") }
  lines[#lines + 1] = framing_lines(answer, body)
  if answer.close == "said" then lines[#lines + 1] = "Connection: close\r\n" end
  lines[#lines + 1] = http.header_lines(answer.headers)
  return table.concat(lines) .. "\r\n"
end

local function send_slowly(s, bytes, step, seconds)
  for at = 1, #bytes, step do
    if at > 1 then loop.sleep(seconds) end
    if not s:send(bytes:sub(at, at + step - 1)) then return end
  end
end

local function send_interim(s, answer)
  for _, item in ipairs(answer.interim or {}) do
    s:send(("HTTP/1.1 %d Interim\r\n%s\r\n"):format(item[1], http.header_lines(item[2])))
  end
end

local function send_chunks(s, answer, body)
  for _, bytes in ipairs(answer.chunks or { body }) do
    if #bytes > 0 then s:send(http.chunk(bytes)) end
  end
  s:send(http.last_chunk(answer.trailers))
end

-- Sends a body that ends early, or nothing of it. True when the connection is over.
local function break_off(s, answer, head, body)
  if answer.error == "reset" then
    s:reset()
  elseif answer.close == "at-once" or answer.close == "before-headers" then
    s:close()
  elseif answer.close == "after-headers" then
    s:send(head)
    s:close()
  elseif answer.close == "mid-body" or answer.close == "reset" then
    s:send(head .. body:sub(1, #body // 2))
    if answer.close == "reset" then s:reset() else s:close() end
  else
    return false
  end
  return true
end

-- True when the connection can take the next request.
local function send_answer(s, req, answer)
  if answer.delay then loop.sleep(answer.delay) end
  if answer.hang then
    s:until_close(3600)
    return false
  end
  send_interim(s, answer)
  if answer.raw then
    s:send(answer.raw)
    return false
  end
  local body = body_of(answer)
  local head = head_of(answer, body)
  if break_off(s, answer, head, body) then return false end
  if req.method == "HEAD" or answer.status == 204 or answer.status == 304 then
    s:send(head)
  elseif answer.chunks or answer.trailers then
    s:send(head)
    send_chunks(s, answer, body)
  elseif answer.trickle then
    s:send(head)
    send_slowly(s, body, answer.trickle[1], answer.trickle[2])
  else
    s:send(head .. body)
  end
  return not answer.close and not answer.error and answer.version ~= "1.0"
end

-- ------------------------------------------------------------------------------------------------ serving

local function read_body(req, s)
  if req.body then return req.body end
  if (req:header("expect") or ""):lower() == "100-continue" then s:send("HTTP/1.1 100 Continue\r\n\r\n") end
  local ok, why = http.read_body(s, req)
  req.broken = not ok and why or nil
  req.complete = ok
  return req.body
end

local function answer_to(self, req)
  if type(self.answer) == "function" then return self.answer(req) or {} end
  return self.answer or {}
end

-- Requests of one connection, one after the other.
local function serve(self, s, number)
  while true do
    local req = http.read_request(s)
    if not req then break end
    req.connection, req.socket = number, s
    req.read_body = function(r) return read_body(r, s) end
    self.seen[#self.seen + 1] = req
    if not self.options.early then read_body(req, s) end
    if req.broken then break end
    local answer = answer_to(self, req)
    if answer.handled or not send_answer(s, req, answer) then break end
  end
  if s.raw then s:close() end
end

local function serve_all(self, s, number)
  if self.context then
    local ok, why = tls.server(s, self.context)
    if not ok then
      table.insert(self.refused, why)
      return
    end
  end
  if self.options.serve then return self.options.serve(s, number) end
  return serve(self, s, number)
end

local function secure(self, options)
  if options == true then
    local ca = authority.new()
    local leaf = ca:issue { names = { "localhost", "127.0.0.1", "::1" } }
    self.ca, options = ca.cert, { cert = leaf.cert, key = leaf.key }
  end
  self.context = tls.server_context(options)
end

-- Listens; options also: port, ip (where). Members: port, address ("127.0.0.1:port"), url, seen (requests, in the order
-- in which they came; each with `connection`, the number of the connection it came by, and `socket`), refused (why TLS
-- handshakes failed).
function M.start(answer, options)
  options = options or {}
  local self = setmetatable({ answer = answer, options = options, seen = {}, refused = {}, tasks = {} }, Upstream)
  if options.tls then secure(self, options.tls) end
  self.listener = socket.listen(function(s, number)
    s.timeout = 3600
    self.tasks[#self.tasks + 1] = loop.spawn(serve_all, self, s, number)
  end, options)
  self.port = self.listener.port
  self.address = (self.listener.ip:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(self.listener.ip, self.port)
  self.url = (options.tls and "https://" or "http://") .. self.address
  return scope.add(self)
end

-- How many there were so far.
function Upstream:connections()
  return self.listener.accepted
end

-- How many are open now.
function Upstream:open_connections()
  local n = 0
  for _, s in pairs(self.listener.connections) do
    if s.raw and not s.ended then n = n + 1 end
  end
  return n
end

-- Forgets what was seen.
function Upstream:reset()
  self.seen = {}
end

-- Closes all connections, in the middle of whatever they are in.
function Upstream:drop_connections()
  for _, s in pairs(self.listener.connections) do s:close() end
end

-- Listens no more: connecting is refused from now on.
function Upstream:stop()
  self.listener:stop()
  self:drop_connections()
end

function Upstream:close()
  self.listener:close()
  for _, task in ipairs(self.tasks) do
    local fault = task.fault
    task:cancel()
    if fault then error("a backend of the spec failed: " .. fault, 0) end
  end
end

return M
