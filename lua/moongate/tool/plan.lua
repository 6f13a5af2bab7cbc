-- What `moongate plan` does in its Lua state: what a new config changes, told before it is in force. The chunk's
-- arguments are those of the command line after `plan`; it gives the exit status, which the usage tells.

local inspect = require "moongate.inspect"
local json = require "moongate.core" and require("moongate").json
local plan = require "moongate.plan"
local commands = require "moongate.tool.command"

local USAGE = [[
usage: moongate plan NEW [-c OLD] [--json] [--detailed-exitcode]

  tells what the config NEW would change: first where requests come in that were kept out, then routes that are added,
  removed, changed or can never match, everything else that differs, and what a reload keeps, begins anew, or needs a
  restart for. Nothing is served, and no gateway is asked

  -c OLD                 the config in force; default moongate.yaml
  --json, -o json        the same as data
  --detailed-exitcode    2 when something changes, 3 when requests come in that were kept out

  exit status: 0, or 1 when a config cannot be used, 2 for wrong use (1 with --detailed-exitcode)
]]

local command = commands.new("plan", USAGE)

-- ------------------------------------------------------------------------------------------------ arguments

local FLAGS = { ["--json"] = "json", ["--detailed-exitcode"] = "detailed", ["-h"] = "help", ["--help"] = "help" }

local function parse(args)
  local opts, i = { old = "moongate.yaml" }, 1
  while i <= #args do
    local word, value = args[i], args[i + 1]
    if FLAGS[word] then
      opts[FLAGS[word]] = true
    elseif word == "-c" or word == "--config" or word == "-o" or word == "--output" then
      if (value or "") == "" then return nil, word .. " needs a value", opts end
      i = i + 1
      if word:find "^%-%-?c" then
        opts.old = value
      elseif value == "json" or value == "text" then
        opts.json = value == "json"
      else
        return nil, word .. " knows json and text", opts
      end
    elseif word:sub(1, 1) == "-" then
      return nil, ("unknown option '%s'"):format(word), opts
    elseif opts.new then
      return nil, ("one new config at a time, '%s' is one more"):format(word), opts
    else
      opts.new = word
    end
    i = i + 1
  end
  if not opts.help and not opts.new then return nil, "which config?", opts end
  return opts
end

-- ------------------------------------------------------------------------------------------------ words

local function place(item)
  local at = item.place
  if not at then return "" end
  return at.line == 0 and ("  (%s)"):format(at.file) or ("  (%s:%d:%d)"):format(at.file, at.line, at.col)
end

local function print_changes(changes, indent)
  for _, change in ipairs(changes) do
    print(("%s%s%s"):format(indent, change.path ~= "" and change.path .. ": " or "", change.text))
  end
end

local function print_security(security)
  if #security.openings + #security.changed_guards == 0 then return end
  print "SECURITY: what keeps requests out"
  for _, o in ipairs(security.openings) do
    local lost = table.concat(o.lost, ", ")
    if o.before == o.after then
      print(("  ! route '%s' loses %s: %s%s"):format(o.after, lost, o.request, place(o)))
    else
      print(("  ! requests of '%s' go to '%s', without %s: %s%s"):format(o.before, o.after, lost, o.request, place(o)))
    end
  end
  for _, guard in ipairs(security.changed_guards) do
    print(("  ~ %s of route '%s' changes%s"):format(guard.step, guard.route, place(guard)))
    print_changes(guard.changes, "      ")
  end
  print ""
end

local function print_steps(steps)
  for _, step in ipairs(steps.lost) do print("      - step lost: " .. step.title) end
  for _, step in ipairs(steps.added) do print("      + step added: " .. step.title) end
  for _, step in ipairs(steps.changed) do
    print("      ~ step changed: " .. step.title)
    print_changes(step.changes, "          ")
  end
  if steps.reordered then print "      ~ steps in another order" end
end

local function print_routes(routes)
  if #routes.added + #routes.removed + #routes.changed + #routes.shadowed == 0 then return end
  print "routes"
  for _, route in ipairs(routes.removed) do
    print(("  - %s  %s%s"):format(route.name, table.concat(route.patterns, " "), place(route)))
  end
  for _, route in ipairs(routes.added) do
    print(("  + %s  %s%s"):format(route.name, table.concat(route.patterns, " "), place(route)))
  end
  for _, route in ipairs(routes.changed) do
    print(("  ~ %s%s"):format(route.name, place(route)))
    print_changes(route.changes, "      ")
    if route.steps then print_steps(route.steps) end
  end
  for _, shadow in ipairs(routes.shadowed) do
    print(("  ! %s can never match by %s%s: '%s' takes all its requests%s"):format(shadow.route, shadow.host,
      shadow.pattern, shadow.by, place(shadow)))
  end
  print ""
end

local function print_part(name, part)
  if #part.added + #part.removed + #part.changed == 0 then return end
  print(name == "shared" and "shared dictionaries" or name)
  for _, item in ipairs(part.removed) do print("  - " .. item) end
  for _, item in ipairs(part.added) do print("  + " .. item) end
  for _, item in ipairs(part.changed) do
    print("  ~ " .. item.name)
    print_changes(item.changes, "      ")
  end
  print ""
end

local AFTER = { { "stays", "stays" }, { "anew", "begins anew" }, { "gone", "goes" }, { "restart", "NEEDS A RESTART" } }

local function print_reload(reload)
  print "after a reload"
  for _, row in ipairs(AFTER) do
    for i, line in ipairs(reload[row[1]]) do print(("  %-16s %s"):format(i == 1 and row[2] or "", line)) end
  end
end

local function print_plan(found)
  print_security(found.security)
  print_routes(found.routes)
  for _, part in ipairs(plan.PARTS) do print_part(part, found[part]) end
  if #found.settings > 0 then
    print "settings"
    print_changes(found.settings, "  ~ ")
    print ""
  end
  if found.changes == 0 then
    print "nothing changes"
  else
    print_reload(found.reload)
  end
end

-- ------------------------------------------------------------------------------------------------ main

local function load_config(file)
  local config, diagnostics = inspect.load(file)
  if config then return config end
  io.stderr:write(diagnostics)
  command:complain(("%s cannot be used"):format(file))
  return nil
end

-- Empty lists stay lists.
local function mark_lists(value)
  if type(value) ~= "table" then return value end
  for _, item in pairs(value) do mark_lists(item) end
  return next(value) == nil and json.array(value) or value
end

local function status_of(found, opts)
  if not opts.detailed then return 0 end
  if #found.security.openings > 0 then return 3 end
  return found.changes > 0 and 2 or 0
end

local opts, status, partly = command:options(parse, { ... })
if not opts then return status == 2 and partly.detailed and 1 or status end
local old = load_config(opts.old)
local new = load_config(opts.new)
if not old or not new then return 1 end
local found = plan.compare(old, new)
if opts.json then
  print(json.encode(mark_lists(found), { sort = true, pretty = true }))
else
  print_plan(found)
end
return status_of(found, opts)
