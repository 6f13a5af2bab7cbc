-- The formats that are checked: { [name] = function(text) -> boolean }. Names that are not here mean nothing.

local mg = require "moongate"
local pattern = require "moongate.json_schema.pattern"

local M = {}

local REGEX_BYTES = 1000 -- a longer one is taken for none: it is compiled each time
local SCHEME = "^%a[%w+.-]*:"

local DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function is_leap(year)
  return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
end

-- RFC 3339 full-date
function M.date(text)
  local year, month, day = text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)$"
  if not year then return false end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  local days = month == 2 and is_leap(year) and 29 or DAYS[month]
  return days ~= nil and day >= 1 and day <= days
end

-- RFC 3339 full-time. A leap second is the last one of a day in UTC.
function M.time(text)
  local hour, minute, second, fraction, zone = text:match "^(%d%d):(%d%d):(%d%d)(%.?%d*)(.+)$"
  if not hour or (fraction ~= "" and not fraction:find "^%.%d+$") then return false end
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  local offset = 0
  if not zone:find "^[Zz]$" then
    local sign, by_hours, by_minutes = zone:match "^([+-])(%d%d):(%d%d)$"
    if not sign or tonumber(by_hours) > 23 or tonumber(by_minutes) > 59 then return false end
    offset = (by_hours * 60 + by_minutes) * (sign == "+" and 1 or -1)
  end
  if hour > 23 or minute > 59 or second > 60 then return false end
  return second < 60 or (hour * 60 + minute - offset) % 1440 == 1439
end

M["date-time"] = function(text)
  local date, time = text:match "^(..........)[Tt](.*)$"
  return date ~= nil and M.date(date) and M.time(time)
end

-- Numbers with units behind them, in the order of `units` and without a gap: "1Y2M" of "YMD", and not "1Y3D".
local function is_run(text, units)
  local letters, rest = text:gsub("%d+", ""), text:gsub("%d+%a", "")
  return text ~= "" and rest == "" and units:find(letters, 1, true) ~= nil
end

-- RFC 3339 appendix A
function M.duration(text)
  local date, mark, time = text:match "^P([^T]*)(T?)(.*)$"
  if not date or date .. mark == "" then return false end
  if mark == "" and is_run(date, "W") then return true end
  return (date == "" or is_run(date, "YMD")) and (mark == "" or is_run(time, "HMS"))
end

local function is_hostname(text)
  if text == "" or #text > 253 or text:find "^%." or text:find "%.$" or text:find("..", 1, true) then return false end
  for label in text:gmatch "[^.]+" do
    if #label > 63 or not label:find "^[%w-]+$" or label:find "^%-" or label:find "%-$" then return false end
    if label:find "^..%-%-" and not label:lower():find "^xn%-%-." then return false end -- RFC 5891 4.2.3.1
  end
  return true
end
M.hostname = is_hostname

-- Four decimal octets. (Strict: mg.ip takes no leading zeros either.)
function M.ipv4(text)
  local _, family = mg.ip.parse(text)
  return family == 4 and text:find "^[%d.]+$" ~= nil
end

-- mg.ip tells ::ffff:10.0.0.1 as IPv4; it is written as IPv6.
function M.ipv6(text)
  return text:find(":", 1, true) ~= nil and text:find "^[%x:.]+$" ~= nil and mg.ip.parse(text) ~= nil
end

-- RFC 5321 Mailbox: a dot-string or a quoted text, at a domain or an address in brackets.
function M.email(text)
  local user, domain = text:match "^(.+)@([^@]+)$"
  if not user or #user > 64 then return false end
  local quoted = user:match '^"(.*)"$'
  if quoted then
    local plain = quoted:gsub("\\[\32-\126]", "")
    if plain:find '[%c"\\\127-\255]' then return false end
  elseif not user:find "^[%w!#$%%&'*+/=?^_`{|}~.-]+$" or user:find "^%." or user:find "%.$"
    or user:find("..", 1, true) then
    return false
  end
  local address = domain:match "^%[(.*)%]$"
  if not address then return is_hostname(domain) end
  local v6 = address:match "^[Ii][Pp][Vv]6:(.*)$"
  if v6 then return M.ipv6(v6) end
  return M.ipv4(address)
end

-- RFC 6531: with any character beyond ASCII where a letter may stand, in the domain too.
M["idn-email"] = function(text)
  return M.email((text:gsub("[\xC2-\xF4][\x80-\xBF]+", "x")))
end

function M.uuid(text)
  return text:find("^" .. ("%x"):rep(8) .. "%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-" .. ("%x"):rep(12) .. "$") ~= nil
end

-- RFC 3986: only what a URI may be written with, each % before two digits, brackets around an address alone.
local function is_reference(text)
  if text:find "[^%w%-._~:/?#%[%]@!$&'()*+,;=%%]" or text:gsub("%%%x%x", ""):find("%", 1, true) then return false end
  local rest = text:match "^[^#]*"
  if text:sub(#rest + 2):find "[#%[%]]" then return false end
  local authority = rest:gsub("^%a[%w+.-]*:", "", 1):match "^//([^/?]*)"
  local outside = rest
  if authority then
    local host = authority:match "^[^@]*@(.*)$" or authority
    if host:find("@", 1, true) then return false end
    local user = authority:match "^([^@]*)@"
    if user and user:find "[%[%]]" then return false end
    local literal, port = host:match "^%[(.*)%](.*)$"
    if literal then
      if not (M.ipv6(literal) or literal:find "^[vV]%x+%.[%w%-._~!$&'()*+,;=:]+$") then return false end
    else
      literal, port = host:match "^([^:]*)(.*)$"
      if literal:find "[%[%]]" then return false end
    end
    if not port:find "^:%d*$" and port ~= "" then return false end
    local from = rest:find("//", 1, true)
    outside = rest:sub(1, from - 1) .. rest:sub(from + 2 + #authority)
  end
  return not outside:find "[%[%]]"
end

function M.uri(text)
  return text:find(SCHEME) ~= nil and is_reference(text)
end

-- One without a scheme has no colon in its first segment (4.2).
M["uri-reference"] = function(text)
  return is_reference(text) and (text:find(SCHEME) ~= nil or not text:find "^[^/?#]*:")
end

-- RFC 3987: a URI that may have characters beyond ASCII where a letter may stand, but for controls.
local function as_ascii(text)
  return (text:gsub("[\xC3-\xF4][\x80-\xBF]+", "x"):gsub("\xC2[\xA0-\xBF]", "x"))
end

function M.iri(text)
  return text:find(SCHEME) ~= nil and is_reference(as_ascii(text))
end

M["iri-reference"] = function(text)
  return is_reference(as_ascii(text)) and (text:find(SCHEME) ~= nil or not text:find "^[^/?#]*:")
end

-- A variable of a template, and what is behind it: `name`, `name:3`, `name*` (RFC 6570 2.3, 2.4).
local function is_variable(text)
  local name = text:match "^(.*):[1-9]%d?%d?%d?$" or text:match "^(.*)%*$" or text
  if name == "" or ("." .. name .. "."):find("..", 1, true) then return false end
  return not name:gsub("%%%x%x", ""):find "[^%w_.]"
end

local function is_expression(text)
  local list = text:match "^[+#./;?&=,!@|]?(.*)$"
  for variable in (list .. ","):gmatch "([^,]*)," do
    if not is_variable(variable) then return false end
  end
  return true
end

-- RFC 6570
M["uri-template"] = function(text)
  local good = true
  local literals = as_ascii(text):gsub("{([^{}]*)}", function(expression)
    good = good and is_expression(expression)
    return "/"
  end):gsub("%%%x%x", "")
  return good and not literals:find '[%c\128-\255 "%%<>\\^`{|}]'
end

M["json-pointer"] = function(text)
  return (text == "" or text:sub(1, 1) == "/") and not text:gsub("~[01]", ""):find("~", 1, true)
end

M["relative-json-pointer"] = function(text)
  local rest = text:match "^0(.*)$" or text:match "^[1-9]%d*(.*)$"
  return rest ~= nil and (rest == "#" or M["json-pointer"](rest))
end

-- As `pattern` takes it: ECMA-262, with Unicode.
function M.regex(text)
  return #text <= REGEX_BYTES and pattern.compile(text) ~= nil
end

return M
