-- Sets, renames and removes arguments of the query.

local mg, s = require "moongate", require "moongate.schema"

local M = { name = "query", version = "1.0.0", summary = "Set, rename and remove query arguments" }

local NAME = s.string { len = { 1, 256 } }

M.schema = s.record {
  set = s.map(s.any_of { s.expr(), s.number(), s.boolean() }, { keys = NAME, help = "replaces what is there" }),
  rename = s.map(NAME, { keys = NAME, help = "old name: new name" }),
  remove = s.list(NAME, { single = true, help = "takes these arguments away" }),
}:check(function(conf)
  if not conf.set and not conf.rename and not conf.remove then return "needs 'set', 'rename' or 'remove'" end
  for _, name in ipairs(conf.remove or {}) do
    if conf.set and conf.set[name] ~= nil then return ("'%s' is in 'set' too"):format(name), "remove" end
    if conf.rename and conf.rename[name] then return ("'%s' is in 'rename' too"):format(name), "remove" end
  end
  for name in pairs(conf.rename or {}) do
    if conf.set and conf.set[name] ~= nil then return ("'%s' is in 'set' too"):format(name), "rename" end
  end
end)

local DROP = ""

-- What becomes of an argument that the client sent: by its name, the new name as it is written, or DROP.
local function compile_actions(conf)
  local actions = {}
  for name in pairs(conf.set or {}) do actions[name] = DROP end
  for _, name in ipairs(conf.remove or {}) do actions[name] = DROP end
  for old, new in pairs(conf.rename or {}) do actions[old] = mg.url.encode(new) end
  return actions
end

-- Arguments to set, sorted: { written name, template, whole text if it is constant }.
local function compile_set(set)
  local list = {}
  for name, value in pairs(set or {}) do
    local text, written = tostring(value), mg.url.encode(name)
    -- mutate: equal, without magic there is nothing to find elsewhere or otherwise
    local constant = not text:find("${", 1, true) and written .. "=" .. mg.url.encode(text)
    list[#list + 1] = { written, text, constant }
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

local function decoded(name)
  if not name:find("[%%+]") then return name end -- mutate: equal, it only saves work
  return mg.url.decode((name:gsub("%+", " "))) or name
end

-- Only filled from one call of `edit` to its end, and nothing in between waits: so one is enough for all.
local parts = {}

-- Keeps the order and the writing of all that is not touched. Gives how many parts there are.
local function keep_parts(query, actions)
  local n = 0
  for part in query:gmatch("[^&]+") do
    local name = part:match("^[^=]*")
    local action = actions[decoded(name)]
    if action ~= DROP then
      n = n + 1
      parts[n] = action and action .. part:sub(#name + 1) or part
    end
  end
  return n
end

local function add_set(list, n, req)
  for i = 1, #list do
    local item = list[i]
    local text = item[3]
    if not text then
      local value = req:expr(item[2])
      text = value ~= "" and item[1] .. "=" .. mg.url.encode(value)
    end
    if text then
      n = n + 1
      parts[n] = text
    end
  end
  return n
end

function M.new(conf)
  local actions, set = compile_actions(conf), compile_set(conf.set)
  return { request = function(req)
    local query = req.query
    if not query and #set == 0 then return end -- mutate: equal, it only saves work
    local n = add_set(set, query and keep_parts(query, actions) or 0, req)
    req.query = n > 0 and table.concat(parts, "&", 1, n) or nil
  end }
end

return M
