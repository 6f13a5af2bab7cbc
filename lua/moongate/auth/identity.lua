-- What policies ask of an identity, `req.auth`: claims by their path, lists in them, and the answer when there is none.

local mg = require "moongate"
local token = require "moongate.auth.token"

local M = {}

-- 401 for a client that nobody has identified.
function M.unauthenticated(realm)
  return mg.problem(401, "unauthenticated", "User not authenticated",
    { headers = { ["WWW-Authenticate"] = token.challenge(realm) } })
end

local function member(value, key)
  if type(value) ~= "table" then return nil end
  value = value[key]
  if value == mg.json.null then return nil end
  return value
end

-- Makes a function that finds a claim in an identity: of that very name (`https://example.com/roles` has dots as well),
-- else inside of others, `realm_access.roles`. The subject is there as `sub` whatever has verified it.
function M.reader(path)
  local steps = {}
  for step in path:gmatch "[^.]+" do steps[#steps + 1] = step end
  return function(auth)
    local value = member(auth.claims, path)
    if value == nil and path == "sub" then return auth.subject end
    if value ~= nil or #steps < 2 then return value end
    value = auth.claims
    for i = 1, #steps do value = member(value, steps[i]) end
    return value
  end
end

local function split(text, separator)
  local items = {}
  for item in text:gmatch("[^" .. separator .. "]+") do
    item = item:match "^%s*(.-)%s*$"
    if item ~= "" then items[#items + 1] = item end
  end
  return items
end

-- The strings of a claim that is a list, or a single string. A string is taken apart only where a separator (one
-- character of a pattern's set) is given: "super admin" must not become "admin" by itself.
function M.list(value, separator)
  if type(value) == "string" then
    if separator then return split(value, separator) end
    return value ~= "" and { value } or {}
  end
  local items = {}
  if type(value) ~= "table" then return items end
  for _, item in ipairs(value) do
    if type(item) == "string" then items[#items + 1] = item end
  end
  return items
end

-- Whether a list has any, or all, of the wanted strings.
function M.has(list, wanted, all)
  local set = {}
  for i = 1, #list do set[list[i]] = true end
  for i = 1, #wanted do
    if (set[wanted[i]] == true) ~= all then return not all end
  end
  return all
end

return M
