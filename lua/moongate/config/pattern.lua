-- Path patterns, hosts and rewrites of routes: what is wrong with one, if anything.
--
--     /a/b          this path            /a/*       all below /a/
--     /a/{id}       one segment          /a/{x+}    any depth, at the end
--     ~^/v(\d+)/    a regular expression

local net = require "moongate.config.net"

local M = {}

local NAME = "^[%a_][%w_]*$"

-- RFC 3986 3.3: pchar, with percent-encoding in twos. Bytes beyond ASCII may stand as they are.
local function is_literal(segment)
  local bare = segment:gsub("%%%x%x", "")
  return bare:match("^[%w%-._~!$&'()+,;=:@\x80-\xFF]*$") ~= nil
end

-- The name in a `{name}` or `{name+}` segment and whether it has the plus; or nil.
local function placeholder(segment)
  local name, plus = segment:match("^{([^{}+]*)(%+?)}$")
  return name, plus == "+"
end

local function segment_fault(segment, last, seen)
  local name, deep = placeholder(segment)
  if segment == "*" then
    return not last and "'*' may only be the last segment" or nil
  elseif name then
    if not name:match(NAME) then return ("'%s' is no name for a segment"):format(name) end
    if deep and not last then return ("'%s' may only be the last segment"):format(segment) end
    if seen[name] then return ("'{%s}' stands there twice"):format(name) end
    seen[name] = true
    return nil
  elseif segment:find("[{}]") then
    return ("'%s': braces must hold a whole segment"):format(segment)
  elseif segment:find("*", 1, true) then
    return ("'%s': '*' must be a whole segment"):format(segment)
  elseif segment == "." or segment == ".." or (segment == "" and not last) then
    return ("'%s' can never match, paths are normalised before"):format(segment == "" and "//" or segment)
  elseif not is_literal(segment) then
    return ("'%s' has a character that no path can hold"):format(segment)
  end
  return nil
end

local function segments(pattern)
  local out = {}
  for segment in (pattern:sub(2) .. "/"):gmatch("([^/]*)/") do out[#out + 1] = segment end
  return out
end

-- Most paths are nothing but words and slashes, with a "/*" at the end perhaps.
local function is_plain(pattern)
  local path = pattern:sub(-2) == "/*" and pattern:sub(1, -2) or pattern
  return not path:find("[^%w/_~-]") and not path:find("//", 1, true)
end

-- regex(text) -> true or nil, message; left out, a regular expression is taken as it is.
function M.path_fault(pattern, regex)
  if pattern:sub(1, 1) == "~" then
    if pattern == "~" then return "a regular expression must follow '~'" end
    local ok, fault = true, nil
    if regex then ok, fault = regex(pattern:sub(2)) end
    return not ok and ("bad regular expression: %s"):format(fault) or nil
  end
  if pattern:sub(1, 1) ~= "/" then return "must begin with '/', or with '~' for a regular expression" end
  if is_plain(pattern) then return nil end
  local seen, all = {}, segments(pattern)
  for i, segment in ipairs(all) do
    local fault = segment_fault(segment, i == #all, seen)
    if fault then return fault end
  end
  return nil
end

-- A path without placeholders: path_prefix, base_path, strip_prefix.
function M.literal_fault(path)
  if path:sub(1, 1) ~= "/" then return "must begin with '/'" end
  if path:find("[{}*]") then return "must be a plain path, without '*' and '{...}'" end
  return M.path_fault(path)
end

-- A host, lower-cased, or nil: "api.example.com", "*.example.com", "[::1]".
function M.host(text)
  local v6 = text:match("^%[(.*)%]$")
  if v6 then return net.ip_version(v6) == 6 and text:lower() or nil end
  return net.is_host(text:match("^%*%.(.+)$") or text) and text:lower() or nil
end

-- Names that a pattern gives to rewrites, as keys; "*" is its unnamed rest. For a regular expression nil: anything.
local function names_of(pattern)
  if pattern:sub(1, 1) == "~" then return nil end
  local names = {}
  for _, segment in ipairs(segments(pattern)) do
    local name = segment == "*" and "*" or placeholder(segment)
    if name then names[name] = true end
  end
  return names
end

-- What is wrong with a rewrite by itself.
function M.rewrite_fault(text)
  if text:sub(1, 1) ~= "/" then return "must begin with '/'" end
  local bare = text:gsub("{([^{}]*)}", function(name)
    if name == "*" or name:match(NAME) or name:match("^%d+$") then return "" end
    return nil
  end)
  local bad = bare:match("%b{}") or bare:match("[{}]")
  if bad then return ("'%s' is no placeholder, those are {name}, {*} and {1}"):format(bad) end
  return bare:find("[%s%c#]") and "must be a path" or nil
end

-- What is wrong with a rewrite for these patterns: each must give every name it uses.
function M.rewrite_names_fault(text, patterns)
  for _, pattern in ipairs(patterns) do
    local names = names_of(pattern)
    for name in text:gmatch("{([^{}]*)}") do
      if names and not names[name] then return ("'{%s}' is not in the pattern '%s'"):format(name, pattern) end
    end
  end
  return nil
end

-- The pattern with its names taken out: two with the same shape match the same paths.
function M.shape(pattern)
  if pattern:sub(1, 1) == "~" or not pattern:find("{", 1, true) then return pattern end
  return (pattern:gsub("{[^{}+]*}", "{}"):gsub("{[^{}]*%+}", "*"))
end

return M
