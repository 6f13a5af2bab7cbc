-- The options that `moongate test` has beside those of busted. Pure.
--
--     parse(args) -> options | nil, what is wrong
--
-- options.rest is what busted gets; coverage, a file's name; mutate, the file to break; watch, help: booleans; paths,
-- the specs that were named; folders, the values of -C, which are not in `rest` when this command itself goes there.

local M = {}

M.help = [[
and of moongate test:

  -c, --coverage[=FILE]  which lines of policies ran: a table, and an lcov tracefile
                         (lcov.info), in place of what LuaCov would do for busted
  --mutate FILE [PATH]   break one thing at a time in a policy and run the specs in
                         PATH (those beside it): some must fail, or they miss it
  --watch                run again when a .lua or .yaml file changes in the paths
                         (the present folder), until Ctrl-C
]]

-- Options of busted that take a value, which may be the next argument.
local VALUED = {}
for name in ([[p pattern exclude-pattern e o output C directory f config-file coverage-config-file t tags exclude-tags
  filter filter-out m lpath cpath r run repeat seed lang loaders helper lua Xoutput Xhelper]]):gmatch "%S+" do
  VALUED[name] = true
end

local OURS = {
  c = function(out) out.coverage = out.coverage or "lcov.info" end,
  mutate = function(out, value, args)
    value = value or args()
    if not value or value == "" then return "--mutate needs a file's name" end
    if out.mutate then return ("--mutate takes one file at a time, '%s' is one more"):format(value) end
    out.mutate = value
  end,
  watch = function(out, value)
    if value then return "--watch does not take a value; name the paths after it" end
    out.watch = true
  end,
}

function OURS.coverage(out, value)
  if value == "" then return "--coverage= needs a file's name" end
  out.coverage = value or out.coverage or "lcov.info"
end

function OURS.help(out) out.help = true end
OURS.h = OURS.help

-- Reads an option of busted.
local function pass(out, arg, name, value, args)
  local words = { arg }
  if VALUED[name] and not value then
    value = args()
    words[2] = value
  end
  if name == "C" or name == "directory" then
    table.insert(out.folders, value)
    out.folder_words = out.folder_words or {}
    table.move(words, 1, #words, #out.folder_words + 1, out.folder_words)
  else
    table.move(words, 1, #words, #out.rest + 1, out.rest)
  end
end

local function check(out)
  if out.mutate and out.watch then return "--mutate and --watch do not go together" end
  if out.mutate and out.coverage then return "--mutate and --coverage do not go together" end
end

-- What busted shall see of ours, and where it shall go.
local function complete(out)
  local first = {}
  if not out.mutate and not out.watch then first = out.folder_words or {} end
  if out.coverage then first[#first + 1] = "--coverage" end
  if out.help then first[#first + 1] = "--help" end
  table.move(out.rest, 1, #out.rest, #first + 1, first)
  out.rest, out.folder_words = first, nil
  return out
end

function M.parse(list)
  local out, at = { rest = {}, paths = {}, folders = {} }, 0
  local function args()
    at = at + 1
    return list[at]
  end
  local only_paths = false
  for arg in args do
    local dashes, name, value = arg:match "^(%-%-?)([^=]+)=?(.*)$"
    if value == "" and not arg:find "=$" then value = nil end
    if arg == "--" and not only_paths then
      only_paths = true
      table.insert(out.rest, arg)
    elseif only_paths or not dashes then
      table.insert(out.rest, arg)
      table.insert(out.paths, arg)
    elseif OURS[name] and (#name == 1) == (dashes == "-") then
      local fault = OURS[name](out, value, args)
      if fault then return nil, fault end
    else
      pass(out, arg, name, value, args)
    end
  end
  local fault = check(out)
  if fault then return nil, fault end
  return complete(out)
end

return M
