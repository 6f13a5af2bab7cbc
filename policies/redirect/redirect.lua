-- Sends the client to another scheme, host or path, when it is not there already.

local mg, s = require "moongate", require "moongate.schema"

local M = { name = "redirect", version = "1.0.0", summary = "Redirect to HTTPS, to another host or another path" }

local HOST_LENGTH = { 1, 253 } -- mutate: equal, HOST wants a character as well
local HOST, WILDCARD = "^[%w_][%w_.-]*$", "^%*%.[%w_][%w_.-]*$"

-- The parts of `to`: scheme, host and port where it is a URL, then path and query. Nil when it is no target.
local function parse(to)
  local scheme, authority, rest = to:match "^(https?)://(%${host})(.*)$"
  if not scheme then scheme, authority, rest = to:match "^(https?)://([^/?$]+)(.*)$" end
  if rest and not rest:find "^/" then rest = "/" .. rest end
  local path, query = (rest or to):match "^(/[^?]*)[?]?(.*)$"
  if not path or path:find "^//" then return nil end
  local parts = { scheme = scheme, path = path, query = query ~= "" and query or nil }
  if not scheme or authority == "${host}" then return parts end
  local host, port = authority:match "^(.-):?(%d*)$"
  if not host:find(HOST) or #host > 253 then return nil end
  parts.host, parts.port = host, tonumber(port)
  if parts.port and (parts.port < 1 or parts.port > 65535) then return nil end
  return parts
end

M.schema = s.record {
  to = s.expr { match = "^[^%c%s#]+$", len = { 1, 8192 },
    help = "where to go, with ${...}: a URL such as https://www.example.com${path}, or a path" },
  scheme = s.enum { "https", help = "sends plain HTTP to HTTPS, and leaves HTTPS alone" },
  port = s.integer { ge = 1, le = 65535, help = "of the target, where it is not that of its scheme" },
  host = s.string { match = HOST, len = HOST_LENGTH, help = "the host to go to; left out: the one asked for" },
  path = s.expr { match = "^/[^%c%s?#]*$", help = "the path to go to, with ${...}; left out: the one asked for" },
  query = s.enum { "keep", "drop", default = "keep", help = "what becomes of the query" },
  hosts = s.list(s.any_of { s.string { match = HOST }, s.string { match = WILDCARD } },
    { single = true, len = { 1 }, help = "hosts that may be asked for, such as *.example.com; 421 for others" }),
  status = s.status { one_of = { 301, 302, 303, 307, 308 }, default = 308, help = "307 and 308 keep method and body" },
}:check(function(conf)
  local to = conf.to and parse(conf.to) or {}
  if conf.to then
    if not to.path then return "expected http(s)://host/path, or /path", "to" end
    for _, part in ipairs { "scheme", "host", "port", "path" } do
      if conf[part] and (to.scheme or part == "path") then return "stands in 'to'", part end
    end
  end
  local scheme, host = to.scheme or conf.scheme, to.host or conf.host
  if not scheme and not host and not conf.path and not conf.to then
    return "needs 'to', 'scheme', 'host' or 'path'"
  end
  if conf.port and not scheme and not host then return "needs 'scheme' or 'host'", "port" end
  if conf.hosts and (host or not scheme) then return "is for 'scheme' without 'host'", "hosts" end
end)

-- ------------------------------------------------------------------------------------------------ path and query

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

-- A question mark has its place in a query.
local function encode_query_text(text)
  return (text:gsub("[^%w%-._~!$&'()*+,;=:@/%%?]", escape))
end

-- The template's pieces: texts, and expressions with what encodes their values.
local function compile(template, encode, encoder_of)
  local pieces, at = {}, 1 -- mutate: equal, a text has nothing before 1
  for from, expression, to in template:gmatch "()(%${[^}]*})()" do
    pieces[#pieces + 1] = { text = encode(template:sub(at, from - 1)) }
    pieces[#pieces + 1] = { expression = expression, encode = encoder_of(expression:sub(3, -2)) }
    at = to
  end
  pieces[#pieces + 1] = { text = encode(template:sub(at)) }
  return pieces
end

local function fill(pieces, req)
  local out = {}
  for i = 1, #pieces do
    local piece = pieces[i]
    out[i] = piece.text or piece.encode(req:expr(piece.expression))
  end
  return table.concat(out)
end

-- Gives a function of a request; nil without a template. Two slashes at the front would name a host (RFC 3986 4.2).
local function path_of(template)
  if not template then return nil end
  local pieces = compile(template, encode_text, encoder)
  return function(req) return (fill(pieces, req):gsub("^//+", "/")) end
end

-- The same for a query of its own, which takes the place of the request's.
local function query_of(template, fate)
  if not template then return function(req) return fate == "keep" and req.query or nil end end
  local function encoder_of(name) return name == "query" and keep or mg.url.encode end
  local pieces = compile(template, encode_query_text, encoder_of)
  return function(req) return fill(pieces, req) end
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
  local goal = conf.to and parse(conf.to) or { path = conf.path }
  local scheme, port, host = goal.scheme or conf.scheme, goal.port or conf.port, goal.host or conf.host
  local fixed_host, find_host = host and host:lower(), host_finder(conf.hosts)
  local new_path, new_query = path_of(goal.path), query_of(goal.query, conf.query)
  local is_absolute = scheme ~= nil or fixed_host ~= nil

  return { request = function(req)
    local raw_path = req.raw_path
    local to_scheme, to_path, to_query = scheme or req.scheme, new_path and new_path(req) or raw_path, new_query(req)
    -- The port is no reason to redirect: what the client sees of it may be a matter of something in front of us.
    local is_there = to_scheme == req.scheme and to_path == raw_path and to_query == req.query
    if is_there and (not fixed_host or fixed_host == req.host:lower()) then return end

    local target = to_path .. (to_query and "?" .. to_query or "")
    if is_absolute then
      local found, refusal = fixed_host
      if not found then found, refusal = find_host(req) end
      if not found then return refusal end
      target = origin(to_scheme, found, port) .. target
    end
    return mg.redirect(target, conf.status)
  end }
end

return M
