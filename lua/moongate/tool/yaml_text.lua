-- YAML text of a config: keys in the order in which people look for them, short containers on one line, quotes where
-- they are needed.
--
--     yaml_text(value, { notes = { [container] = { [key] = comment } }, is_list = function(container) }) -> text
--
-- Raises with a message when there is a value that no file can hold.

local json = require "moongate".json

local LINE = 100

-- Keys that stand first in their map; others follow by name, and those of LAST after them.
local FIRST = {
  "include", "base_path", "name", "id", "use", "match", "path", "path_prefix", "methods", "host", "listen",
  "admin", "address", "url", "backends", "label", "workers", "dev", "zone", "trusted_proxies", "limits", "lua",
  "secrets", "keys", "consumers", "shared", "caches", "redis", "services", "pipelines", "service", "split", "version",
  "strip_prefix",
  "rewrite", "timeout", "policies", "routes", "default_response", "errors", "log", "telemetry",
}
local LAST = { "when", "on_error", "enabled" }

local RANK = {}
for i, key in ipairs(FIRST) do RANK[key] = i end
for i, key in ipairs(LAST) do RANK[key] = 1000 + i end

local Writer = {}
Writer.__index = Writer

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = tostring(key) end
  table.sort(keys, function(a, b)
    local ra, rb = RANK[a] or 500, RANK[b] or 500
    if ra ~= rb then return ra < rb end
    return a < b
  end)
  return keys
end

local function member(map, key)
  local value = map[key]
  if value == nil then return map[tonumber(key)] end -- of a Lua config
  return value
end

-- ------------------------------------------------------------------------------------------------ scalars

-- Words that some reader takes for something else than a string.
local WORDS = {}
for word in ("true false null yes no on off y n inf nan"):gmatch "%S+" do WORDS[word] = true end

local function is_plain(text)
  if WORDS[text:lower()] then return false end
  if text:match "^%d+[a-df-zA-DF-Z%%][a-zA-Z]*$" then return not text:match "^0[xob]" end -- 10s, 64KiB, 20%
  return text:match "^[%a_/][%w_/.*=+@%%%-]*$" ~= nil or text:match "^[%a_/][%w_/.*=+@%%%-]*:[%w_/.*=+@%%%-]+$" ~= nil
end

local function quoted(text)
  if text:find('"', 1, true) and not text:find "[%c\128-\255]" then return "'" .. text:gsub("'", "''") .. "'" end
  local out = assert(json.encode(text))
  return (out:gsub("\127", "\\x7f"))
end

local function number_text(value)
  if math.type(value) == "integer" then return tostring(value) end
  local text = ("%.15g"):format(value)
  if tonumber(text) ~= value then text = ("%.17g"):format(value) end
  return text:find "[.eE]" and text or text .. ".0"
end

local function scalar(value)
  local kind = type(value)
  if kind == "string" then return is_plain(value) and value or quoted(value) end
  if kind == "number" then return number_text(value) end
  if kind == "boolean" then return tostring(value) end
  if kind == "userdata" then return "null" end
  error(("a %s cannot be written to a file"):format(kind), 0)
end

-- ------------------------------------------------------------------------------------------------ on one line

function Writer:has_notes(value)
  if type(value) ~= "table" then return false end
  if self.notes[value] then return true end
  for _, item in pairs(value) do
    if self:has_notes(item) then return true end
  end
  return false
end

-- The value on one line, or nil when it is too long for that, deeper than two containers, or has comments.
function Writer:flow(value, depth)
  if type(value) ~= "table" then return scalar(value) end
  if depth == 2 and next(value) ~= nil or self:has_notes(value) then return nil end
  local parts, list = {}, self.is_list(value)
  if list then
    for i, item in ipairs(value) do parts[i] = self:flow(item, depth + 1) or false end
  else
    for i, key in ipairs(sorted_keys(value)) do
      local text = self:flow(member(value, key), depth + 1)
      parts[i] = text and ("%s: %s"):format(scalar(key), text) or false
    end
  end
  for _, part in ipairs(parts) do
    if not part then return nil end
  end
  if #parts == 0 then return list and "[]" or "{}" end
  local text = table.concat(parts, ", ")
  return list and "[" .. text .. "]" or "{ " .. text .. " }"
end

-- ------------------------------------------------------------------------------------------------ blocks

-- A text of several lines as a literal block; nil when that would change it.
local function literal(text, indent)
  if not text:match "^[^%s].*\n.*[^\n]\n$" or text:find "[ \t]\n" or text:find "[%z\1-\9\11-\31\127-\255]" then
    return nil
  end
  return "|\n" .. text:gsub("[^\n]+", indent .. "%0"):gsub("\n$", "")
end

function Writer:add(line)
  self.lines[#self.lines + 1] = line
end

function Writer:has_one_key(value)
  return type(value) == "table" and not self.is_list(value) and next(value) ~= nil and not next(value, next(value))
end

-- Is it a list of records, such as routes? They have a line each.
function Writer:has_records(value)
  if type(value) ~= "table" or not self.is_list(value) then return false end
  for _, item in ipairs(value) do
    if type(item) == "table" and not self.is_list(item) and not self:has_one_key(item) then return true end
  end
  return false
end

-- A value behind `head` ("key:" or "-"), whose own members stand at `indent`.
function Writer:value(head, value, indent)
  local flow = self:flow(value, 0)
  local open = self:has_records(value) or head:match "%-$" and self:has_one_key(value)
  if flow and #head + #flow < LINE and not open then
    local block = type(value) == "string" and literal(value, indent)
    return self:add(head .. " " .. (block or flow))
  end
  if type(value) ~= "table" then
    return self:add(head .. " " .. (type(value) == "string" and literal(value, indent) or scalar(value)))
  end
  if head:match "%-$" and not self.is_list(value) then return self:map(value, indent, head .. " ") end
  self:add(head)
  if self.is_list(value) then self:list(value, indent) else self:map(value, indent) end
end

function Writer:note(container, key, indent)
  local note = (self.notes[container] or {})[key]
  if note then self:add(indent .. "# " .. note:gsub("%c", " ")) end
end

-- The first member may stand behind the dash of a list.
function Writer:map(map, indent, first)
  for _, key in ipairs(sorted_keys(map)) do
    if not first then self:note(map, key, indent) end
    self:value((first or indent) .. scalar(key) .. ":", member(map, key), indent .. "  ")
    first = nil
  end
end

function Writer:list(list, indent)
  for i, item in ipairs(list) do
    self:note(list, i, indent)
    self:value(indent .. "-", item, indent .. "  ")
  end
end

return function(value, options)
  local self = setmetatable({ lines = {}, notes = options.notes, is_list = options.is_list }, Writer)
  if next(value) == nil then return "{}\n" end
  self:map(value, "")
  return table.concat(self.lines, "\n") .. "\n"
end
