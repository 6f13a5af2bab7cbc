-- `moongate test --coverage`: which lines of policies ran.
--
-- Ours stands where busted looks for LuaCov, so that its -c and the `coverage` of `.busted` mean the same. A hook of
-- the core counts all lines of the spec's Lua state (policies are guests in it, see src/script/guest.h). Shown are
-- policies: what the gateways of the specs compiled, what was required from a place where policies lie, and those in
-- the paths that were named, for which there may be no spec at all.

local files = require "moongate.test.files"
local lines_of = require "moongate.test.lines"

local M = {}

-- ------------------------------------------------------------------------------------------------ texts. Pure
-- A file: { path =, lines = { [line] = true }, functions = { { line =, name = } }, counts = { [line] = times } }

local function sorted_lines(file)
  local list = {}
  for line in pairs(file.lines) do list[#list + 1] = line end
  table.sort(list)
  return list
end

local function sum(file)
  local found, hit = 0, 0
  for line in pairs(file.lines) do
    found = found + 1
    if file.counts[line] then hit = hit + 1 end
  end
  return found, hit
end

local function add_functions(out, file)
  local hit, taken = 0, {}
  local named = {}
  for i, func in ipairs(file.functions) do
    local name = func.name or "function"
    if not func.name or taken[name] then name = name .. "@" .. func.line end
    while taken[name] do name = name .. "'" end -- several in one line
    taken[name], named[i] = true, name
    out[#out + 1] = ("FN:%d,%s"):format(func.line, name)
  end
  for i, func in ipairs(file.functions) do
    local calls = file.counts[-func.line] or 0
    if calls > 0 then hit = hit + 1 end
    out[#out + 1] = ("FNDA:%d,%s"):format(calls, named[i])
  end
  out[#out + 1] = ("FNF:%d"):format(#file.functions)
  out[#out + 1] = ("FNH:%d"):format(hit)
end

-- A tracefile, as geninfo(1) of lcov describes it.
function M.lcov(list)
  local out = { "TN:" }
  for _, file in ipairs(list) do
    out[#out + 1] = "SF:" .. file.path
    add_functions(out, file)
    for _, line in ipairs(sorted_lines(file)) do
      out[#out + 1] = ("DA:%d,%d"):format(line, file.counts[line] or 0)
    end
    local found, hit = sum(file)
    out[#out + 1] = ("LF:%d"):format(found)
    out[#out + 1] = ("LH:%d"):format(hit)
    out[#out + 1] = "end_of_record"
  end
  return table.concat(out, "\n") .. "\n"
end

-- "3, 7-9": lines between which there is no other code are one range.
local function missing(file)
  local ranges, first, last = {}, nil, nil
  local function close()
    if first then ranges[#ranges + 1] = first == last and ("%d"):format(first) or ("%d-%d"):format(first, last) end
    first = nil
  end
  for _, line in ipairs(sorted_lines(file)) do
    if file.counts[line] then
      close()
    else
      first, last = first or line, line
    end
  end
  close()
  return table.concat(ranges, ", ")
end

local function percent(hit, found)
  return ("%.1f"):format(found == 0 and 100 or math.floor(1000 * hit / found) / 10) -- 100.0 only when all did
end

function M.table(list)
  local rows, width = {}, #"policy"
  local all_found, all_hit = 0, 0
  for _, file in ipairs(list) do
    local found, hit = sum(file)
    all_found, all_hit = all_found + found, all_hit + hit
    rows[#rows + 1] = { file.path, found, hit, percent(hit, found), missing(file) }
    width = math.max(width, #file.path)
  end
  rows[#rows + 1] = { "all", all_found, all_hit, percent(all_hit, all_found), "" }
  local format = "%-" .. width .. "s  %6s  %6s  %6s  %s"
  local out = { format:format("policy", "lines", "ran", "%", "did not run") }
  for _, row in ipairs(rows) do out[#out + 1] = format:format(table.unpack(row)):gsub(" +$", "") end
  return table.concat(out, "\n") .. "\n"
end

-- ------------------------------------------------------------------------------------------------ which files

local function is_spec(path)
  return path:find "_spec%.lua$" ~= nil
end

-- Would somebody look for a policy there? In a folder of policies, or beside its spec.
local function is_policy(path)
  if is_spec(path) or path:find "^lua/moongate/" then return false end
  local base = path:match "^(.+)%.lua$"
  if not base then return false end
  local place = "/" .. base
  if place:find "/policies/[^/]+$" then return true end
  local folder, name = place:match "/policies/([^/]+)/([^/]+)$"
  return folder ~= nil and folder == name or files.exists(base .. "_spec.lua")
end

-- A file that is somebody else's, or ours.
local function is_foreign(path)
  return path:find "^/" or path:find "^%.%./" or path:find "^lua/moongate/" or is_spec(path)
end

local state -- while lines are counted: { core =, texts = what the sandbox compiled, by path, file =, paths = }

-- Counts by path; several chunk names may mean one file.
local function counts_by_path(counts)
  local out = {}
  for name, lines in pairs(counts) do
    local path = files.tidy(name:sub(2))
    out[path] = out[path] or {}
    for line, times in pairs(lines) do out[path][line] = (out[path][line] or 0) + times end
  end
  return out
end

local function wanted(counts)
  local set = {}
  for path in pairs(state.texts) do set[path] = true end
  for path in pairs(counts) do
    if is_policy(path) and not is_foreign(path) then set[path] = true end
  end
  for _, path in ipairs(state.paths) do
    if not files.exists(path) then
      files.each(path, function(file)
        file = files.tidy(file)
        if is_policy(file) then set[file] = true end
      end)
    end
  end
  local list = {}
  for path in pairs(set) do list[#list + 1] = path end
  table.sort(list)
  return list
end

local function read_file(path, counts)
  local text = state.texts[path] or files.read(path) or state.core.built_in(path)
  local chunk = text and load(text, "@" .. path, "t")
  if not chunk then return nil end -- it never ran, and cannot
  local lines, functions = lines_of(chunk, text)
  return { path = path, lines = lines, functions = functions, counts = counts or {} }
end

-- ------------------------------------------------------------------------------------------------ the run

local function begin(file, paths)
  local core = require "moongate.core"
  state = { core = core, texts = {}, file = file, paths = paths }
  core.on_source(function(name, text)
    local path = name:match "^@(.*)"
    path = path and files.tidy(path)
    if path and not is_foreign(path) then state.texts[path] = text end
  end)
  core.count_lines()
end

-- Makes busted begin ours in the place of LuaCov.
function M.offer(options)
  package.preload["busted.modules.luacov"] = function()
    return function() -- a factory
      return function()
        begin(options.coverage or "lcov.info", options.paths[1] and options.paths or { "policies" })
        return true
      end
    end
  end
end

-- Writes and shows what was counted, if it was asked for. False: it could not be written.
function M.report()
  if not state then return true end
  local counts, list = counts_by_path(state.core.line_counts()), {}
  for _, path in ipairs(wanted(counts)) do list[#list + 1] = read_file(path, counts[path]) end
  io.stdout:write("\n", M.table(list))
  local file, why = io.open(state.file, "w")
  if file then
    file:write(M.lcov(list))
    why = select(2, file:close())
  end
  state = nil
  if why then io.stderr:write("moongate test: cannot write the tracefile: ", why, "\n") end
  return not why
end

return M
