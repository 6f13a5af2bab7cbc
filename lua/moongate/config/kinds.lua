-- The scalar kinds of a schema: how each reads its value.
--
-- A kind is { name =, short =, wants =, parse = }. `name` stands after "expected", `short` (or else `name`) where a
-- value is missing. `wants` has as keys the sorts of value that it can be at all: string, integer, number, boolean.
-- parse(value, schema, ctx) gives the checked value, or nil and what is wrong; without a text it is
-- "expected <name>, got ...".

local net = require "moongate.config.net"
local suggest = require "moongate.config.suggest"

local M = {}

local STRING, NUMBER = { string = true }, { number = true, integer = true }
local STRING_OR_NUMBER = { string = true, number = true, integer = true }

local function same(value) return value end

-- A kind that is a string for which `test` holds.
local function text(name, test)
  return {
    name = name,
    wants = STRING,
    parse = function(value) return test(value) and value or nil end,
  }
end

M.string = { name = "string", wants = STRING, parse = same }
M.boolean = { name = "boolean", wants = { boolean = true }, parse = same }
M.integer = { name = "integer", wants = { integer = true, number = true }, parse = math.tointeger }

M.number = {
  name = "number",
  wants = NUMBER,
  parse = function(value)
    if value ~= value or value == math.huge or value == -math.huge then return nil end
    return value
  end,
}

local SECONDS = { ms = 0.001, s = 1, m = 60, h = 3600, d = 86400 }

M.duration = {
  name = "duration (200ms, 10s, 5m, 1h, 1d)",
  short = "duration",
  wants = STRING_OR_NUMBER,
  parse = function(value)
    if type(value) == "string" then
      local digits, unit = value:match("^(%d+%.?%d*)(%a+)$")
      if not SECONDS[unit] then return nil end
      -- Dividing keeps 200ms at 0.2; 200 * 0.001 is a hair off.
      value = unit == "ms" and tonumber(digits) / 1000 or tonumber(digits) * SECONDS[unit]
    end
    if not (value >= 0 and value < math.huge) then return nil end
    return math.tointeger(value) or value
  end,
}

local BYTES = {
  [""] = 1, B = 1,
  KB = 1000, MB = 1000 ^ 2, GB = 1000 ^ 3, TB = 1000 ^ 4,
  KiB = 1024, MiB = 1024 ^ 2, GiB = 1024 ^ 3, TiB = 1024 ^ 4,
}

M.size = {
  name = "size (64KiB, 10MiB, 1GiB)",
  short = "size",
  wants = STRING_OR_NUMBER,
  parse = function(value)
    if type(value) == "string" then
      local digits, unit = value:match("^(%d+%.?%d*) ?(%a*)$")
      if not BYTES[unit] then return nil end
      value = tonumber(digits) * BYTES[unit]
    end
    local bytes = math.tointeger(value)
    return bytes and bytes >= 0 and bytes <= 1 << 53 and bytes or nil
  end,
}

-- RFC 9110 5.6.2
local TOKEN = "^[!#$%%&'*+%-.^_`|~%w]+$"

M.header_name = text("header name", function(value) return value:match(TOKEN) end)

-- RFC 9110 5.5: no control characters but the tab, no blanks at the ends.
M.header_value = text("header value", function(value)
  return not value:find("[\0-\8\10-\31\127]") and not value:find("^[ \t]") and not value:find("[ \t]$")
end)

local METHODS = { "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH" }

M.method = {
  name = "method",
  wants = STRING,
  parse = function(value)
    if value:match(TOKEN) and value == value:upper() then return value end
    local nearest = suggest.nearest(value:upper(), METHODS)
    return nil, ('expected method in upper case, got string "%s"%s'):format(
      value, nearest and (", did you mean '%s'?"):format(nearest) or "")
  end,
}

M.status = {
  name = "status (100 to 599)",
  short = "status",
  wants = NUMBER,
  parse = function(value)
    local status = math.tointeger(value)
    return status and status >= 100 and status <= 599 and status or nil
  end,
}

M.url = text("URL (http://... or https://...)", net.url)
M.url.short = "URL"
M.cidr = text("address or network (10.0.0.0/8, ::1)", net.is_cidr)
M.cidr.short = "address or network"

-- What other parts of the file are called, and so what `x:` in a map may be.
M.name = text("name (letters, digits, '_', '-', '.')", function(value)
  return #value <= 128 and value:match("^[%w_][%w_.-]*$")
end)
M.name.short = "name"

-- A name of something that stands elsewhere in the file. ctx[where] has the known names as keys; without it (a policy
-- checked alone) any name goes. Names in use are noted in ctx.used[where].
local function reference(what, where)
  return {
    name = what .. " name",
    wants = STRING,
    parse = function(value, _, ctx)
      local known = ctx[where]
      if known and known[value] == nil then
        return nil, ("unknown %s '%s'%s"):format(what, value, suggest.hint(value, known))
      end
      if ctx.used then ctx.used[where][value] = true end
      return value
    end,
  }
end

M.secret = reference("secret", "secrets")
M.key = reference("key", "keys")
M.redis = reference("redis", "redis")
M.service = reference("service", "services")
M.cache = reference("cache", "caches")

-- Names that ${...} may hold at run time, as src/gateway/expr.c knows them; a dot at the end wants more behind it.
local EXPR_NAMES = {
  "id", "method", "scheme", "host", "port", "path", "raw_path", "query", "version", "client_ip", "client_port",
  "route", "service", "status",
  "auth.", "header.", "params.", "arg.", "claims.", "cookie.", "ctx.", "res.header.",
}
M.expr_names = EXPR_NAMES

local EXPR_KNOWN = {}
for _, name in ipairs(EXPR_NAMES) do EXPR_KNOWN[name] = true end

local function expr_name_fault(name, more)
  if more and more[name] then return nil end
  if name == "" then return "nothing between '${' and '}'" end
  if EXPR_KNOWN[name] and name:sub(-1) ~= "." then return nil end
  local group, rest = name:match("^(res%.header%.)(.*)$")
  if not group then group, rest = name:match("^([^.]*%.)(.*)$") end
  if group and EXPR_KNOWN[group] then
    if rest ~= "" and not rest:find("[%s%c]") then return nil end
    return ("'${%s}' needs a name after the dot"):format(name)
  end
  local near = group and suggest.nearest(group, EXPR_NAMES)
  near = near and near:sub(-1) == "." and near .. rest or suggest.nearest(name, EXPR_NAMES)
  return ("unknown name '%s' in '${%s}'%s"):format(name, name, near and (", did you mean '%s'?"):format(near) or "")
end

-- What is wrong with the names in a template, or nil. `more`: further names that it may have, as keys.
local function expr_fault(value, more)
  local at = 1
  while true do
    local open = value:find("${", at, true)
    if not open then return nil end
    local name, close = value:match("^([^{}]*)}()", open + 2)
    if not name then return "'${' without its '}'" end
    local fault = expr_name_fault(name, more)
    if fault then return fault end
    at = close
  end
end

M.expr = {
  name = "expression",
  wants = STRING,
  fault = expr_fault, -- for templates with names of their own
  parse = function(value)
    local fault = expr_fault(value)
    if fault then return nil, fault end
    return value
  end,
}

return M
