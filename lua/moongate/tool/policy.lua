-- What `moongate policy` does in its Lua state. The chunk's arguments are those of the command line after `policy`; it
-- gives the exit status: 1 when something cannot be read or loaded, 2 for wrong use.

require "moongate.core"

local describe = require "moongate.tool.describe"
local example = require "moongate.tool.example"
local json = require "moongate".json
local json_schema = require "moongate.tool.json_schema"
local policies = require "moongate.tool.policies"
local text = require "moongate.tool.text"
local commands = require "moongate.tool.command"

local USAGE = [[
usage: moongate policy [-c FILE] [--json]            all policies: built in, and those of the config
       moongate policy [-c FILE] [--json] NAME       one of them, with its options

  -c FILE   the config whose `lua.path` says where your own are; default moongate.yaml, or else ./policies
  --json    the list as data; the options as JSON Schema, for editors
]]

local WIDTH = 100
local HELP_INDENT = 4

local command = commands.new("policy", USAGE)

-- ------------------------------------------------------------------------------------------------ arguments

local function take_option(opts, word, args, i)
  if word == "--json" then
    opts.json = true
  elseif word == "-h" or word == "--help" then
    opts.help = true
  elseif word == "-c" or word == "--config" then
    opts.config = args[i + 1]
    if not opts.config or opts.config == "" then return nil, word .. " needs a value" end
    return i + 1
  else
    return nil, ("unknown argument '%s'"):format(word)
  end
  return i
end

local function parse(args)
  local opts, names, i = {}, {}, 1
  while i <= #args do
    if args[i]:sub(1, 1) == "-" then
      local at, fault = take_option(opts, args[i], args, i)
      if not at then return nil, fault end
      i = at
    else
      names[#names + 1] = args[i]
    end
    i = i + 1
  end
  if names[1] == "help" then
    table.remove(names, 1)
    opts.help = opts.help or #names == 0
  end
  if #names > 1 then return nil, ("one policy at a time, '%s' is one more"):format(names[2]) end
  opts.name = names[1]
  return opts
end

-- ------------------------------------------------------------------------------------------------ the list

local function list_of(folders)
  local list = {}
  for i, name in ipairs(policies.names(folders)) do list[i] = policies.find(name, folders) end
  return list
end

local function as_data(found)
  local module = found.module or {}
  return {
    name = found.name, from = found.from, version = module.version, summary = module.summary, fault = found.fault,
  }
end

local function print_list(list)
  local rows = { { "NAME", "VERSION", "FROM", "SUMMARY" } }
  for _, found in ipairs(list) do
    local module = found.module or {}
    rows[#rows + 1] = {
      found.name, tostring(module.version or "-"), found.from,
      found.fault and "cannot be loaded: " .. found.fault:match "^[^\n]*" or tostring(module.summary or ""),
    }
  end
  print(table.concat(text.columns(rows), "\n"))
end

local function show_list(folders, opts)
  local list, status = list_of(folders), 0
  for _, found in ipairs(list) do
    if found.fault then status = 1 end
  end
  if opts.json then
    local data = {}
    for i, found in ipairs(list) do data[i] = as_data(found) end
    print(assert(json.encode(json.array(data), { sort = true, pretty = true })))
  else
    print_list(list)
  end
  return status
end

-- ------------------------------------------------------------------------------------------------ one policy

local function bodies_of(module)
  local parts = {}
  for _, side in ipairs { "request", "response" } do
    local reads = (module.body or {})[side]
    parts[#parts + 1] = reads and ("%s (%s)"):format(side, reads == "buffer" and "whole" or "as a stream")
  end
  return table.concat(parts, ", ")
end

-- Of `needs` and `provides`.
local function words_of(words)
  if type(words) == "function" then return "(by its options)" end
  return table.concat(words or {}, ", ")
end

local function print_head(found)
  local module = found.module
  print(("%s%s, %s"):format(found.name, module.version and " " .. tostring(module.version) or "",
    found.from == policies.BUILT_IN and found.from or "from " .. found.from))
  if module.summary then print(tostring(module.summary)) end
  local rows = {}
  local function add(name, value)
    if value ~= "" then rows[#rows + 1] = { "  " .. name, value } end
  end
  add("needs", words_of(module.needs))
  add("provides", words_of(module.provides))
  add("reads bodies of", bodies_of(module))
  if #rows > 0 then print("\n" .. table.concat(text.columns(rows), "\n")) end
end

-- Two columns; what does not fit beside the option goes on below.
local function print_options(rows)
  local column = 0
  for _, row in ipairs(rows) do column = math.max(column, #row.path) end
  local indent = (" "):rep(column + HELP_INDENT)
  print("\nOptions:\n")
  for _, row in ipairs(rows) do
    local facts = #row.facts > 0 and "; " .. table.concat(row.facts, "; ") or ""
    local lines = text.wrap(row.type .. facts, WIDTH - #indent)
    for _, line in ipairs(row.help and text.wrap(row.help, WIDTH - #indent) or {}) do lines[#lines + 1] = line end
    for i, line in ipairs(lines) do
      print((i == 1 and ("  %-" .. column .. "s  "):format(row.path) or indent) .. line)
    end
  end
end

local function show_policy(found, opts)
  if found.fault then
    command:complain(("cannot load '%s': %s"):format(found.name, found.fault))
    return 1
  end
  local module = found.module
  if opts.json then
    print(assert(json.encode(json_schema.of(module), { sort = true, pretty = true })))
    return 0
  end
  print_head(found)
  local rows = describe.options(module.schema)
  if #rows > 0 then print_options(rows) elseif module.schema then print "\nIt has no options." end
  local yaml = module.example or example.yaml(found.name, module.schema)
  if yaml then print("\nExample:\n\n  " .. yaml:gsub("\n", "\n  ")) end
  return 0
end

-- ------------------------------------------------------------------------------------------------ main

local opts, status = command:options(parse, { ... })
if not opts then return status end
local folders, why = policies.folders(opts.config)
if not folders then
  command:complain(why)
  return 1
end
if not opts.name then return show_list(folders, opts) end
local found, unknown = policies.find(opts.name, folders)
if not found then
  command:complain(unknown)
  return 2
end
return show_policy(found, opts)
