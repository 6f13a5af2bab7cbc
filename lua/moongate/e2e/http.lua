-- HTTP/1.1 as the specs' clients and backends speak it. Written to be plain, not strict: what is sent is what the spec
-- says, what comes is shown as it came.
--
-- A message is { headers = { {name, value}, ... }, body=, trailers=, framing= "none" | "length" | "chunked" | "close" }
-- with the methods below; a request has method, target, path, query and version, a response status, reason, version and
-- interim (the 1xx before it).

local json = require "dkjson"

local M = {}

M.null = json.null

-- ------------------------------------------------------------------------------------------------ messages

local Message = {}
Message.__index = Message

-- All values of a header, in order.
function Message:header_values(name)
  local out = {}
  for _, field in ipairs(self.headers) do
    if field[1]:lower() == name:lower() then out[#out + 1] = field[2] end
  end
  return out
end

-- Joined with ", "; nil when there is none.
function Message:header(name)
  local values = self:header_values(name)
  return #values > 0 and table.concat(values, ", ") or nil
end

function Message:trailer(name)
  for _, field in ipairs(self.trailers or {}) do
    if field[1]:lower() == name:lower() then return field[2] end
  end
  return nil
end

function Message:text()
  return self.body
end

function Message:json()
  local value, _, fault = json.decode(self.body, 1, json.null)
  return value, fault
end

function Message:arg(name)
  local value = ("&" .. (self.query or "")):match("&" .. name:gsub("%p", "%%%0") .. "=([^&]*)")
  return value and (value:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- ------------------------------------------------------------------------------------------------ reading

local function read_fields(s)
  local out = {}
  while true do
    local line, why = s:line()
    if not line then return nil, why end
    if line == "" then return out end
    local name, value = line:match("^([^:]+):[ \t]*(.-)[ \t]*$")
    if not name then return nil, "bad header line: " .. line end
    out[#out + 1] = { name, value }
  end
end

local function read_chunked(s, message)
  local parts = {}
  while true do
    local line, why = s:line()
    local size = line and tonumber(line:match("^%x+"), 16)
    if not size then return nil, why or "bad chunk size: " .. line end
    message.chunk_sizes = message.chunk_sizes or {}
    table.insert(message.chunk_sizes, size)
    if size == 0 then break end
    local data, fault, part = s:receive(size)
    parts[#parts + 1] = data or part
    message.body = table.concat(parts)
    if not data then return nil, fault end
    if s:line() ~= "" then return nil, "chunk without its end" end
  end
  message.body = table.concat(parts)
  local fault
  message.trailers, fault = read_fields(s)
  return message.trailers ~= nil, fault
end

-- Fills message.body; what came of a body that breaks off is there too. True, or nil and why.
function M.read_body(s, message, until_close)
  message.body = ""
  local length = math.tointeger(tonumber(message:header("content-length")))
  if (message:header("transfer-encoding") or ""):lower():match("chunked$") then
    message.framing = "chunked"
    return read_chunked(s, message)
  elseif length then
    message.framing = "length"
    local data, why, part = s:receive(length)
    message.body = data or part
    return data and true, why
  elseif until_close then
    message.framing = "close"
    local why
    message.body, why = s:until_close()
    return why == "closed", why
  end
  message.framing = "none"
  return true
end

-- The head of a request, or nil and why.
function M.read_request(s)
  local line, why, part = s:line()
  if not line then return nil, why, part end
  local method, target, version = line:match("^(%S+) (%S+) HTTP/(%S+)$")
  if not method then return nil, "bad request line: " .. line end
  local headers, fault = read_fields(s)
  if not headers then return nil, fault end
  local path, query = target:match("^([^?]*)[?]?(.*)$")
  return setmetatable({
    method = method, target = target, path = path, query = query, version = version, headers = headers,
  }, Message)
end

local function read_head(s)
  local line, why, part = s:line()
  if not line then return nil, why, part end
  local version, status, reason = line:match("^HTTP/(%S+) (%d%d%d) ?(.*)$")
  if not version then return nil, "bad status line: " .. line end
  local headers, fault = read_fields(s)
  if not headers then return nil, fault end
  return setmetatable({
    version = version, status = math.tointeger(tonumber(status)), reason = reason, headers = headers,
  }, Message)
end

-- A whole response to a request with this method, or nil, why, and the message as far as it came.
function M.read_response(s, method)
  local interim = {}
  while true do
    local res, why = read_head(s)
    if not res then return nil, why end
    res.interim = interim
    if res.status >= 200 or res.status == 101 then
      local bodiless = method == "HEAD" or res.status == 101 or res.status == 204 or res.status == 304
      res.body, res.framing = "", "none"
      if bodiless then return res end
      local ok, fault = M.read_body(s, res, true)
      if ok then return res end
      return nil, fault, res
    end
    interim[#interim + 1] = res
  end
end

-- ------------------------------------------------------------------------------------------------ writing

-- Header lines of { name = value | {values} } or of { {name, value}, ... }; names in order.
function M.header_lines(headers)
  local names, lines = {}, {}
  for name in pairs(headers or {}) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, field in ipairs(headers or {}) do lines[#lines + 1] = ("%s: %s\r\n"):format(field[1], field[2]) end
  for _, name in ipairs(names) do
    local values = headers[name]
    for _, value in ipairs(type(values) == "table" and values or { values }) do
      lines[#lines + 1] = ("%s: %s\r\n"):format(name, value)
    end
  end
  return table.concat(lines)
end

function M.has_header(headers, name)
  for key, value in pairs(headers or {}) do
    local known = type(key) == "string" and key or type(value) == "table" and value[1]
    if known and known:lower() == name then return true end
  end
  return false
end

function M.chunk(bytes)
  return ("%x\r\n%s\r\n"):format(#bytes, bytes)
end

function M.last_chunk(trailers)
  return "0\r\n" .. M.header_lines(trailers) .. "\r\n"
end

-- The head of a request: { method, path, version, host, headers, body | json | chunks }.
function M.request_head(req, host)
  local lines = { ("%s %s HTTP/%s\r\n"):format(req.method or "GET", req.path or "/", req.version or "1.1") }
  if not M.has_header(req.headers, "host") and host then lines[#lines + 1] = ("Host: %s\r\n"):format(host) end
  if req.chunks then
    lines[#lines + 1] = "Transfer-Encoding: chunked\r\n"
  elseif req.body and not M.has_header(req.headers, "content-length") then
    lines[#lines + 1] = ("Content-Length: %d\r\n"):format(#req.body)
  end
  lines[#lines + 1] = M.header_lines(req.headers)
  return table.concat(lines) .. "\r\n"
end

-- A table with items is an array, any other an object. (dkjson's own encoder takes { n = 3 } for three nulls.)
function M.encode_json(value)
  if type(value) ~= "table" or value == json.null then return json.encode(value) end
  local parts = {}
  for i, item in ipairs(value) do parts[i] = M.encode_json(item) end
  if #parts > 0 then return "[" .. table.concat(parts, ",") .. "]" end
  for key, item in pairs(value) do
    parts[#parts + 1] = json.quotestring(key) .. ":" .. M.encode_json(item)
  end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

return M
