-- From a path of the checked config, such as `listen[0].tls.key`, back to where that stands in the files.
--
-- What is only found wrong when files are read and services built is known by its path alone; people want the line.

local walk = require "moongate.config.walk"

local M = {}

-- The longest name with which the path goes on, for names may have dots: the key, and what is left of the path.
local function next_name(value, path)
  local found
  for key in pairs(value) do
    local tail = type(key) == "string" and path:sub(1, #key) == key and path:sub(#key + 1, #key + 1)
    if tail and tail:match "^[.%[]?$" and (not found or #key > #found) then found = key end
  end
  return found, found and path:sub(#found + 1)
end

-- One step down, or nil. What may be written once or as a list is a list when it is checked: there [0] is itself.
local function next_key(doc, value, path)
  local index, rest = path:match "^%[(%d+)%](.*)$"
  if not index then return next_name(value, (path:gsub("^%.", ""))) end
  if doc.walk:is_list(value) then return tonumber(index) + 1, rest end
  return nil, index == "0" and rest or nil
end

-- The place as far down as the file has the path, the value there, and how much of the path that is.
local function descend(doc, path)
  local place, value, rest = walk.root(), doc.value, path
  while rest ~= "" and type(value) == "table" do
    local key, after = next_key(doc, value, rest)
    if not after or (key and walk.is_absent(value[key])) then break end
    if key then place, value = walk.child(place, value, key), value[key] end
    rest = after
  end
  return place, value, #path - #rest
end

-- The file, and line and column when it has such: where `path` stands, or else the nearest thing around it. Several
-- files may have services: it is the one that has most of the path.
function M.find(docs, path)
  local found, place, value, most = docs[1], nil, nil, -1
  for _, doc in ipairs(docs) do
    local at, item, reach = descend(doc, path)
    if reach > most then found, place, value, most = doc, at, item, reach end
  end
  local at = found.walk:locate(place, value)
  return found.name, at and at >> 20, at and at & 0xFFFFF
end

return M
