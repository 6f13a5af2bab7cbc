-- Addresses as people write them: IP addresses, networks, hosts, host:port, what to listen on.
--
-- Every function takes a text and gives what it means, or nil.

local M = {}

local UNIX_PATH_MAX = 107 -- sun_path without its NUL

local function is_ipv4(text)
  local n = 0
  for part in (text .. "."):gmatch("([^.]*)%.") do
    n = n + 1
    if not part:match("^%d%d?%d?$") or (#part > 1 and part:sub(1, 1) == "0") or tonumber(part) > 255 then
      return false
    end
  end
  return n == 4
end

-- Groups of one side of "::", or nil; an IPv4 tail counts for two.
local function ipv6_groups(text, last)
  if text == "" then return 0 end
  local n = 0
  local parts = {}
  for part in (text .. ":"):gmatch("([^:]*):") do parts[#parts + 1] = part end
  for i, part in ipairs(parts) do
    if part:match("^%x%x?%x?%x?$") then
      n = n + 1
    elseif last and i == #parts and is_ipv4(part) then
      n = n + 2
    else
      return nil
    end
  end
  return n
end

-- RFC 4291 2.2.
local function is_ipv6(text)
  local head, tail = text:match("^(.-)::(.*)$")
  if not head then return ipv6_groups(text, true) == 8 end
  local a, b = ipv6_groups(head, false), ipv6_groups(tail, true)
  return a ~= nil and b ~= nil and a + b <= 7
end

-- 4, 6 or nil.
function M.ip_version(text)
  if is_ipv4(text) then return 4 end
  if text:find(":", 1, true) and is_ipv6(text) then return 6 end
  return nil
end

-- "10.0.0.0/8", "::1", ...
function M.is_cidr(text)
  local ip, bits = text:match("^([^/]+)/(%d%d?%d?)$")
  local version = M.ip_version(ip or text)
  return version ~= nil and (not bits or tonumber(bits) <= (version == 4 and 32 or 128))
end

-- A DNS name or IPv4 address. Underscores are no part of a host name by RFC 1123, but container names have them.
function M.is_host(text)
  if #text == 0 or #text > 253 then return false end
  if text:match("^[%d.]+$") then return is_ipv4(text) end
  for label in (text .. "."):gmatch("([^.]*)%.") do
    if #label > 63 or not label:match("^[%w_][%w_-]*$") or label:sub(-1) == "-" then return false end
  end
  return true
end

-- 0 to 65535, or nil.
function M.port(text)
  local port = text:match("^%d%d?%d?%d?%d?$") and math.tointeger(tonumber(text))
  return port and port <= 65535 and port or nil
end

-- "host", "host:port", "[v6]:port" -> host (without brackets), port or nil when none was given.
function M.host_port(text)
  local host, rest = text:match("^%[([^%]]*)%](.*)$")
  if host then
    if not is_ipv6(host) then return nil end
  else
    host, rest = text:match("^([^:]*)(.*)$")
    if not M.is_host(host) then return nil end
  end
  if rest == "" then return host, nil end
  local port = rest:sub(1, 1) == ":" and M.port(rest:sub(2))
  if not port then return nil end
  return host, port
end

-- Puts host and port together again.
function M.join(host, port)
  if host:find(":", 1, true) then host = "[" .. host .. "]" end
  return host .. ":" .. port
end

-- What to listen on: a port, "IP:port", "[v6]:port", "localhost:port", ":port", "*:port" or "unix:path"
-- -> { address=, host=, port= } or { address=, unix= }.
function M.listen(value)
  if math.type(value) == "integer" then value = tostring(value) end
  if type(value) ~= "string" then return nil end
  local path = value:match("^unix:(.+)$")
  if path then
    if #path > UNIX_PATH_MAX then return nil end
    return { address = value, unix = path }
  end
  local port = M.port(value)
  local host = "0.0.0.0"
  if not port then
    local any = value:match("^%*?:(%d+)$")
    if any then
      port = M.port(any)
    else
      host, port = M.host_port(value)
      if host == "localhost" then host = "127.0.0.1" end
      if not host or not M.ip_version(host) then return nil end
    end
    if not port then return nil end
  end
  return { address = M.join(host, port), host = host, port = port }
end

-- "http://host:port/path" -> { scheme=, host=, port=, path= } ("" for no path), or nil. Neither user nor fragment;
-- bytes that a URL cannot hold (RFC 3986 2) are refused.
function M.url(text)
  local scheme, authority, rest = text:match("^(%a[%w+.-]*)://([^/?#]*)(.*)$")
  if not scheme or not rest:match("^[%w%-._~:/?%[%]@!$&'()*+,;=%%]*$") then return nil end
  scheme = scheme:lower()
  if scheme ~= "http" and scheme ~= "https" then return nil end
  local host, port = M.host_port(authority)
  if not host then return nil end
  return { scheme = scheme, host = host, port = port or (scheme == "http" and 80 or 443), path = rest }
end

return M
