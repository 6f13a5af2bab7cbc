-- One file of a config: its text as a value whose containers remember where they stood.
--
-- { name=, text=, value=, walk=, notes=, warnings= }; the walk collects the file's errors. YAML and JSON files have
-- positions; a `.lua` file, which returns the table, has none. A file of another program is lifted to the native shape
-- (moongate.config.dialect), which leaves notes and warnings.

local dialect = require "moongate.config.dialect"
local env = require "moongate.config.env"
local json = require "moongate".json
local walk = require "moongate.config.walk"

local M = {}

local function read_yaml(doc, yaml)
  local value, positions = yaml.parse(doc.text, doc.name)
  if value ~= nil then return value, positions end
  for _, e in ipairs(positions) do
    e.file, e.path = doc.name, ""
    table.insert(doc.walk.errors, e)
  end
  return nil
end

local function fail_lua(doc, message)
  local line, rest = message:match("^[^\n]-:(%d+): (.*)$")
  table.insert(doc.walk.errors, {
    file = doc.name, path = "", message = rest or message, line = math.tointeger(line), col = line and 1,
  })
end

local function read_lua(doc)
  -- Globals that the file sets stay its own.
  local chunk, fault = load(doc.text, "@" .. doc.name, "t", setmetatable({}, { __index = _G }))
  if not chunk then return fail_lua(doc, fault) end
  local ok, value = pcall(chunk)
  if not ok then return fail_lua(doc, tostring(value)) end
  if type(value) ~= "table" then
    return fail_lua(doc, ("must return a table, returned %s"):format(type(value)))
  end
  return value, {}
end

-- A JavaScript file that exports an object.
local function read_js(doc, yaml)
  local js = require "moongate.config.dialect.js"
  local value, positions = js.parse(doc.text, yaml.null)
  if value ~= nil then return value, positions end
  for _, e in ipairs(positions) do
    e.file, e.path = doc.name, ""
    table.insert(doc.walk.errors, e)
  end
  return nil
end

-- A copy of a caller's table: what stands in it may be replaced.
local function copy(value, seen)
  if type(value) ~= "table" then return value end
  if seen[value] then return seen[value] end
  local out = json.is_array(value) and json.array() or {}
  seen[value] = out
  for key, item in pairs(value) do out[key] = copy(item, seen) end
  return out
end

local function is_js(name, text)
  return name:match "%.[cm]?js$" ~= nil or ("\n" .. text):find "\nmodule%.exports%s*=" ~= nil
end

-- Whether there may be names of the environment in a text of YAML: what is not in it itself comes from escapes.
local function may_name_env(text)
  return text:find("${", 1, true) ~= nil or text:find("\\", 1, true) ~= nil
end

-- Leaves what says where the running gateway is talked to, and with which token. The rest may be wrong by now, or need
-- what is in the gateway's environment alone.
local function leave_admin(value)
  local token = type(value.admin) == "table" and value.admin.token
  for key in pairs(value) do
    if key ~= "admin" and key ~= "secrets" then value[key] = nil end
  end
  for name in pairs(type(value.secrets) == "table" and value.secrets or {}) do
    if name ~= token then value.secrets[name] = nil end
  end
end

-- Reads a file; `text` may also be its table. `ctx` is what all files of one config share; each gets its own with file,
-- positions and from_env. doc.value is nil when the file could not be read; doc.walk.errors tells why. With
-- opts.verbatim names of the environment stay as they are written, with opts.admin_only nothing else is left.
function M.read(name, text, opts, ctx)
  local own = setmetatable({ file = name, from_env = {} }, { __index = ctx })
  local doc = { name = name, text = text, walk = walk.new(own), notes = {}, warnings = {} }
  local value, positions
  local has_env = not opts.verbatim
  if type(text) == "table" then
    value, positions = copy(text, {}), {}
  elseif name:match("%.lua$") then
    value, positions = read_lua(doc)
  else
    local read = is_js(name, text) and read_js or read_yaml
    has_env = has_env and (read == read_js or may_name_env(text))
    value, positions = read(doc, opts.yaml or require "moongate.yaml")
    doc.walk.origin = 1 << 20 | 1
  end
  if value == nil then return doc end
  if walk.is_absent(value) then value = {} end -- an empty file
  doc.walk.positions, own.positions = positions, positions
  own.text = type(text) == "string" and text or nil
  doc.value = value
  if opts.admin_only and type(value) == "table" then leave_admin(value) end
  if has_env then env.apply(doc.walk, value, opts.getenv or os.getenv) end
  dialect.lift(doc, opts)
  return doc
end

return M
