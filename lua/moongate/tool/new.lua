-- What `moongate new` does in its Lua state. The chunk's arguments are those of the command line after `new`; it gives
-- the exit status: 1 when a file cannot be made, 2 for wrong use.

require "moongate.core" -- brings `moongate.files` along

local files = require "moongate.files"
local policies = require "moongate.tool.policies"
local suggest = require "moongate.config.suggest"
local templates = require "moongate.tool.templates"
local commands = require "moongate.tool.command"

local USAGE = [[
usage: moongate new policy NAME [--dir FOLDER]

  makes FOLDER/NAME/ with a policy, its README and its spec; FOLDER is policies where none is named
]]

local FOLDER = "policies"
local NAME_MAX = 64

-- Keys of a step in a config, beside which a policy's name stands.
local STEP_KEYS = { "enabled", "id", "use", "when" }

local command = commands.new("new", USAGE)

-- ------------------------------------------------------------------------------------------------ arguments

local function parse(args)
  local opts, words, i = { folder = FOLDER }, {}, 1
  while i <= #args do
    local word = args[i]
    if word == "--dir" then
      i = i + 1
      opts.folder = (args[i] or ""):gsub("(.)/+$", "%1")
      if opts.folder == "" then return nil, "--dir needs a value" end
    elseif word == "-h" or word == "--help" then
      opts.help = true
    elseif word:sub(1, 1) == "-" then
      return nil, ("unknown option '%s'%s"):format(word, suggest.hint(word, { "--dir", "--help" }))
    else
      words[#words + 1] = word
    end
    i = i + 1
  end
  opts.what, opts.name = words[1], words[2]
  if opts.help then return opts end
  if not opts.what then return nil, "what? There is `policy`" end
  if opts.what ~= "policy" then
    return nil, ("unknown thing '%s'%s"):format(opts.what, suggest.hint(opts.what, { "policy" }))
  end
  if not opts.name then return nil, "a name is missing" end
  if words[3] then return nil, ("one policy at a time, '%s' is one more"):format(words[3]) end
  return opts
end

-- ------------------------------------------------------------------------------------------------ names

local function is_name(text)
  return #text <= NAME_MAX and text:find "^[%l%d][%l%d-]*$" ~= nil
end

-- What stands where `require` looks first would be found by the spec in place of the policy.
local function is_module(name)
  return package.loaded[name] or package.preload[name] or package.searchpath(name, package.path)
    or package.searchpath(name, package.cpath)
end

local function name_fault(name)
  if not is_name(name) then
    local better = name:gsub("%f[%u]%u%l", "-%0"):lower():gsub("[^%l%d]+", "-"):gsub("^-+", ""):gsub("-+$", "")
    local hint = is_name(better) and (", such as '%s'"):format(better) or ""
    return ("'%s' is no name of a policy: lower case letters, digits and hyphens, at most %d%s"):format(
      name, NAME_MAX, hint)
  end
  if policies.is_built_in(name) then return ("'%s' is the name of a built-in policy"):format(name) end
  for _, key in ipairs(STEP_KEYS) do
    if name == key then return ("'%s' has a meaning of its own in a config"):format(name) end
  end
  if is_module(name) then return ("'%s' is the name of a Lua module of this machine"):format(name) end
  return nil
end

-- ------------------------------------------------------------------------------------------------ files

local function fill(template, name)
  return (template:gsub("@NAME@", name))
end

local function contents(folder, name)
  return {
    { ("%s/%s/%s.lua"):format(folder, name, name), fill(templates.policy, name) },
    { ("%s/%s/README.md"):format(folder, name), fill(templates.readme, name) },
    { ("%s/%s/%s_spec.lua"):format(folder, name, name), fill(templates.spec, name) },
  }
end

-- All or none. Gives nil and why not.
local function create_all(list)
  for i, file in ipairs(list) do
    local ok, why = files.create(file[1], file[2])
    if not ok then
      for j = 1, i - 1 do os.remove(list[j][1]) end
      return nil, why
    end
  end
  return true
end

local function create(folder, name)
  local single = ("%s/%s.lua"):format(folder, name)
  local file = io.open(single, "rb")
  if file then
    file:close()
    return nil, single .. ": File exists"
  end
  local ok, why = files.make_folder(("%s/%s"):format(folder, name))
  if not ok then return nil, why end
  local list = contents(folder, name)
  ok, why = create_all(list)
  if not ok then return nil, why end
  return list
end

-- ------------------------------------------------------------------------------------------------ main

-- As it was called, so that the commands below can be typed.
local function program()
  local file = io.open("/proc/self/cmdline", "rb")
  local word = file and file:read("a"):match "^[^%z]+"
  if file then file:close() end
  return word or "moongate"
end

local function print_next(folder, name)
  local called = program()
  local rows = {
    { "edit " .. ("%s/%s/%s.lua"):format(folder, name, name), "" },
    { ("%s test %s/%s"):format(called, folder, name), "runs its spec" },
    { ("%s policy %s"):format(called, name), "shows its options" },
  }
  print "\nNext:"
  for _, line in ipairs(require("moongate.tool.text").columns(rows)) do print("  " .. line) end
  print(("\nIn a config it is a step of `policies`:\n\n  - %s: { header: X-Tenant }"):format(name))
  if folder ~= FOLDER then print(("\nand its folder is named there: lua: { path: [%s] }"):format(folder)) end
end

local opts, status = command:options(parse, { ... })
if not opts then return status end
local fault = name_fault(opts.name)
if fault then
  command:complain(fault)
  return 2
end
local made, why = create(opts.folder, opts.name)
if not made then
  command:complain(why .. "; nothing was made")
  return 1
end
for i, file in ipairs(made) do print((i == 1 and "made  " or "      ") .. file[1]) end
print_next(opts.folder, opts.name)
return 0
