-- Sends the client to another scheme, host or path, when it is not there already.

local mg, s = require "moongate", require "moongate.schema"

local M = { name = "redirect", version = "1.0.0", summary = "Redirect to HTTPS, to another host or another path" }

local HOST_LENGTH = { 1, 253 } -- mutate: equal, HOST wants a character as well
local HOST, WILDCARD = "^[%w_][%w_.-]*$", "^%*%.[%w_][%w_.-]*$"

M.schema = s.record {
  scheme = s.enum { "https", help = "sends plain HTTP to HTTPS, and leaves HTTPS alone" },
  port = s.integer { ge = 1, le = 65535, help = "of the target, where it is not that of its scheme" },
  host = s.string { match = HOST, len = HOST_LENGTH, help = "the host to go to; left out: the one asked for" },
  path = s.expr { match = "^/[^%c%s?#]*$", help = "the path to go to, with ${...}; left out: the one asked for" },
  query = s.enum { "keep", "drop", default = "keep", help = "what becomes of the query" },
  hosts = s.list(s.any_of { s.string { match = HOST }, s.string { match = WILDCARD } },
    { single = true, len = { 1 }, help = "hosts that may be asked for, such as *.example.com; 421 for others" }),
  status = s.status { one_of = { 301, 302, 303, 307, 308 }, default = 308, help = "307 and 308 keep method and body" },
}:check(function(conf)
  if not conf.scheme and not conf.host and not conf.path then return "needs 'scheme', 'host' or 'path'" end
  if conf.port and not conf.scheme and not conf.host then return "needs 'scheme' or 'host'", "port" end
  if conf.hosts and (conf.host or not conf.scheme) then return "is for 'scheme' without 'host'", "hosts" end
end)

-- ------------------------------------------------------------------------------------------------ path

local FOREIGN = "[^%w%-._~!$&'()*+,;=:@/%%]" -- to a path (RFC 3986 3.3)

local function escape(char)
  return ("%%%02X"):format(char:byte())
end

-- Paths as the gateway has them are decoded but for %2F and %25, and may hold slashes.
local function encode_path(text)
  return (text:gsub(FOREIGN, escape))
end

-- What people write in a config: encoded, but for what no URI may hold (RFC 3986 2).
local function encode_text(text)
  return (text:gsub(FOREIGN, escape))
end

local function keep(text)
  return text
end

local function encoder(name)
  if name == "raw_path" then return keep end
  if name == "path" or name:find "^params%." then return encode_path end
  return mg.url.encode -- one segment
end

-- The template's pieces: texts, and expressions with what encodes their values.
local function compile(template)
  local pieces, at = {}, 1 -- mutate: equal, a text has nothing before 1
  for from, expression, to in template:gmatch "()(%${[^}]*})()" do
    pieces[#pieces + 1] = { text = encode_text(template:sub(at, from - 1)) }
    pieces[#pieces + 1] = { expression = expression, encode = encoder(expression:sub(3, -2)) }
    at = to
  end
  pieces[#pieces + 1] = { text = encode_text(template:sub(at)) }
  return pieces
end

-- Two slashes at the front would name a host (RFC 3986 4.2).
local function fill(pieces, req)
  local out = {}
  for i = 1, #pieces do
    local piece = pieces[i]
    out[i] = piece.text or piece.encode(req:expr(piece.expression))
  end
  return (table.concat(out):gsub("^//+", "/"))
end

-- ------------------------------------------------------------------------------------------------ host

-- The parser lets more through than names have: no browser shall read a quote or an escape as something else.
local function is_host(host)
  return host:find(HOST) ~= nil or host:find "^[%x:.]+$" ~= nil
end

local function matcher(hosts)
  if not hosts then return function() return true end end
  local exact, suffixes = {}, {}
  for _, host in ipairs(hosts) do
    local suffix = host:lower():match "^%*(.*)$"
    if suffix then suffixes[#suffixes + 1] = suffix else exact[host:lower()] = true end
  end
  return function(host)
    for _, suffix in ipairs(suffixes) do
      if host:sub(-#suffix) == suffix then return true end
    end
    return exact[host]
  end
end

-- Gives a function that finds the host asked for, or nil and what to answer.
local function host_finder(hosts)
  local allowed = matcher(hosts)
  return function(req)
    local host = req.host:lower()
    if not is_host(host) then return nil, mg.problem(400, "no-host", "The request names no host") end
    if not allowed(host) then return nil, mg.problem(421, "host-refused", "This host is not served here") end
    return host
  end
end

local DEFAULT_PORTS = { http = 80, https = 443 }

local function origin(scheme, host, port)
  if host:find ":" then host = "[" .. host .. "]" end
  if not port or port == DEFAULT_PORTS[scheme] then return scheme .. "://" .. host end
  return ("%s://%s:%d"):format(scheme, host, port)
end

-- ------------------------------------------------------------------------------------------------ the step

function M.new(conf)
  local fixed_host, find_host = conf.host and conf.host:lower(), host_finder(conf.hosts)
  local pieces = conf.path and compile(conf.path)
  local is_absolute = conf.scheme ~= nil or fixed_host ~= nil

  return { request = function(req)
    local scheme, raw_path, query = req.scheme, req.raw_path, req.query
    local to_scheme, to_path = conf.scheme or scheme, pieces and fill(pieces, req) or raw_path
    local to_query = conf.query == "keep" and query or nil
    -- The port is no reason to redirect: what the client sees of it may be a matter of something in front of us.
    local is_there = to_scheme == scheme and to_path == raw_path and to_query == query
    if is_there and (not fixed_host or fixed_host == req.host:lower()) then return end

    local target = to_path .. (to_query and "?" .. to_query or "")
    if is_absolute then
      local host, refusal = fixed_host
      if not host then host, refusal = find_host(req) end
      if not host then return refusal end
      target = origin(to_scheme, host, conf.port) .. target
    end
    return mg.redirect(target, conf.status)
  end }
end

return M
