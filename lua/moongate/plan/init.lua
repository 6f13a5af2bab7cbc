-- What a new config would change, beside the one in force.
--
--     local plan = require("moongate.plan").compare(old, new)
--
-- Both are what moongate.inspect loads. The plan is plain data:
--
--     changes        how many things differ
--     security       { openings = { { request=, before=, after=, lost = { step } } }, changed_guards = { ... } }:
--                    requests that both take, and the new one without a step that kept requests out
--     routes         { added=, removed=, changed=, shadowed=, lost_steps= }
--     services, listeners, caches, ...: { added = { name }, removed = { name }, changed = { { name=, changes= } } }
--     settings       { { path=, text= } }: everything else
--     reload         { stays=, anew=, gone=, restart= } of texts

local reload = require "moongate.plan.reload"
local routes = require "moongate.plan.routes"
local values = require "moongate.plan.values"

local M = {}

M.PARTS = { "services", "listeners", "caches", "shared", "redis", "keys", "secrets", "consumers" }

-- Lists of records as maps, by what tells them apart.
local function listeners_of(shown)
  local out = {}
  for _, item in ipairs(shown.listen) do out[item.address] = item end
  return out
end

local function consumers_of(shown)
  local out = {}
  for _, item in ipairs(shown.consumers or {}) do out[item.name] = item end
  return out
end

-- Backends are told by their addresses.
local function services_of(shown)
  local out = {}
  for name, service in pairs(shown.services) do
    local copy = {}
    for key, value in pairs(service) do copy[key] = value end
    copy.backends = {}
    for _, backend in ipairs(service.backends) do copy.backends[backend.address] = backend end
    out[name] = copy
  end
  return out
end

local OF = { listeners = listeners_of, consumers = consumers_of, services = services_of }

local function part_of(shown, part)
  return OF[part] and OF[part](shown) or shown[part] or {}
end

local function compare_part(old, new)
  local out = { added = {}, removed = {}, changed = {} }
  for name, value in pairs(new) do
    local changes = old[name] ~= nil and values.changes(old[name], value) or {}
    if old[name] == nil then
      out.added[#out.added + 1] = name
    elseif #changes > 0 then
      out.changed[#out.changed + 1] = { name = name, changes = changes }
    end
  end
  for name in pairs(old) do
    if new[name] == nil then out.removed[#out.removed + 1] = name end
  end
  table.sort(out.added)
  table.sort(out.removed)
  table.sort(out.changed, function(a, b) return a.name < b.name end)
  return out
end

local ELSEWHERE = { routes = true, listen = true, fallback = true }
for _, part in ipairs(M.PARTS) do ELSEWHERE[part] = true end

local function settings_of(shown)
  local out = {}
  for key, value in pairs(shown) do
    if not ELSEWHERE[key] then out[key] = value end
  end
  return out
end

local function view(config)
  return { shown = config:shown(), places = config:places(), shadows = config:shadows(),
    find = function(request) return config:find(request) end }
end

local function count(plan)
  local n = #plan.settings + #plan.routes.added + #plan.routes.removed + #plan.routes.changed
  for _, part in ipairs(M.PARTS) do
    n = n + #plan[part].added + #plan[part].removed + #plan[part].changed
  end
  return n
end

function M.compare(old_config, new_config)
  local old, new = view(old_config), view(new_config)
  local plan = {}
  plan.routes, plan.security = routes.compare(old, new)
  for _, part in ipairs(M.PARTS) do plan[part] = compare_part(part_of(old.shown, part), part_of(new.shown, part)) end
  plan.settings = values.changes(settings_of(old.shown), settings_of(new.shown))
  plan.reload = reload.compare(old, new)
  plan.changes = count(plan)
  return plan
end

return M
