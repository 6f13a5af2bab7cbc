-- What `moongate convert` does in its Lua state: a config in any dialect, written as the native file. The chunk's
-- arguments are those of the command line after `convert`; it gives the exit status: 1 when the file is wrong, 2 for
-- wrong use.

require "moongate.core"

local config = require "moongate.config"
local document = require "moongate.config.document"
local report = require "moongate.config.report"
local walk = require "moongate.config.walk"
local yaml_text = require "moongate.tool.yaml_text"
local commands = require "moongate.tool.command"

local USAGE = [[
usage: moongate convert FILE

  prints a config as the native file. FILE is one, or a file of another program: routes JSON, rgate YAML, Express
  Gateway (YAML, JSON, or a .js with module.exports). ${NAME} stays as it is written. What has no counterpart is told;
  `moongate check FILE` tells the rest
]]

local command = commands.new("convert", USAGE)

-- Says what is wrong with a file of another program; of others it says nothing. False when something is. Variables need
-- not be set here; what else is said of their places is a consequence.
local function check(name, text)
  local doc = document.read(name, text, {}, {})
  if not doc.dialect then return true end
  local errors, unset = {}, {}
  for _, e in ipairs(doc.walk.errors) do unset[e.path] = unset[e.path] or e.alone end
  for _, e in ipairs(doc.walk.errors) do
    if not unset[e.path] then errors[#errors + 1] = e end
  end
  io.stderr:write(config.render(report.quote_sources(report.sort(errors, { name }), { [name] = text })))
  return #errors == 0
end

local function convert(name)
  local text, why = commands.read(name)
  if not text then return nil, why end
  if not check(name, text) then return nil, ("%s cannot be converted"):format(name) end
  local doc = document.read(name, text, { verbatim = true }, {}) -- which takes for granted that it is right
  if doc.value ~= nil and not doc.walk:is_map(doc.value) then
    doc.value = doc.walk:fail(walk.root(), "expected map, got " .. doc.walk:sort_of(doc.value), doc.value)
  end
  if doc.value == nil then
    io.stderr:write(config.render(report.quote_sources(doc.walk.errors, { [name] = text })))
    return nil, ("%s cannot be read"):format(name)
  end
  local ok, out = pcall(yaml_text, doc.value, {
    notes = doc.notes, is_list = function(value) return doc.walk:is_list(value) and not doc.walk:is_map(value) end,
  })
  if not ok then return nil, out end
  local from = name:match "[^/]*$"
  return doc.dialect and ("# From %s, a file of %s.\n%s"):format(from, doc.dialect, out) or out
end

local args = { ... }
if args[1] == "-h" or args[1] == "--help" then
  io.write(USAGE)
  return 0
end
if #args ~= 1 or args[1]:sub(1, 1) == "-" then
  command:complain(#args == 0 and "which file?\n" or "one file, and no options\n")
  io.stderr:write(USAGE)
  return 2
end
local text, fault = convert(args[1])
if not text then
  command:complain(fault)
  return 1
end
io.write(text)
return 0
