-- The policies that a command can see: the built-in ones, and those in the folders of a config. They are found and
-- loaded as the gateway does it.

local commands = require "moongate.tool.command"
local core = require "moongate.core"
local document = require "moongate.config.document"
local suggest = require "moongate.config.suggest"

local M = {}

local DEFAULT_CONFIG = "moongate.yaml"

M.BUILT_IN = "built in"

-- `lua` has no file: the config itself holds its text.
local INLINE = {
  name = "lua",
  summary = "A step written in the config itself",
  schema = require("moongate.schema").string {
    required = true, help = "Lua that returns what a policy's `new` returns: a function of the request, or a table",
  },
  example = [[
- lua: |
    return {
      request = function(req)
        if req:arg "debug" then return mg.problem(403, "no-debugging-here") end
      end,
    }]],
}

-- ------------------------------------------------------------------------------------------------ folders

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- Beside the config, unless the path says more.
local function below(config, folder)
  if folder:sub(1, 1) == "/" then return folder end
  return (config:match "^.*/" or "") .. folder
end

local function strings(list)
  local out = {}
  for _, item in ipairs(list) do out[#out + 1] = type(item) == "string" and item or nil end
  return out
end

-- The folders where the policies of a config lie, or nil and why it cannot be read. Without a name: those of
-- moongate.yaml, or ./policies where there is none. Faults of the config are for `moongate check` to tell.
function M.folders(config)
  if not config and not exists(DEFAULT_CONFIG) then return { "policies" } end
  config = config or DEFAULT_CONFIG
  local text, why = commands.read(config)
  if not text then return nil, why end
  local value = document.read(config, text, {}, {}).value
  local lua = type(value) == "table" and value.lua
  local path = type(lua) == "table" and lua.path or "policies"
  local folders = strings(type(path) == "table" and path or { path })
  for i, folder in ipairs(folders) do folders[i] = below(config, folder) end
  return folders
end

-- ------------------------------------------------------------------------------------------------ policies

-- All names, sorted.
function M.names(folders)
  local names = core.policy_names(folders)
  names[#names + 1] = INLINE.name
  table.sort(names)
  return names
end

function M.is_built_in(name)
  for _, known in ipairs(M.names {}) do
    if name == known then return true end
  end
  return false
end

-- Where it comes from: its folder, or "built in". A file of one's own may only hide a built-in one when it says so, or
-- is the same.
local function origin(name, folders, module)
  local built_in = M.is_built_in(name)
  if built_in and not (module and module.replace) then return M.BUILT_IN end
  for _, folder in ipairs(folders) do
    if exists(("%s/%s.lua"):format(folder, name)) or exists(("%s/%s/%s.lua"):format(folder, name, name)) then
      return folder
    end
  end
  return "installed"
end

-- { name =, from =, module = | fault = }, or nil and what to say when there is none of that name.
function M.find(name, folders)
  if name == INLINE.name then return { name = name, from = M.BUILT_IN, module = INLINE } end
  local module, fault = core.policy(name, folders)
  if not module and not fault then
    return nil, ("unknown policy '%s'%s"):format(name, suggest.hint(name, M.names(folders)))
  end
  return { name = name, from = origin(name, folders, module), module = module, fault = fault }
end

return M
