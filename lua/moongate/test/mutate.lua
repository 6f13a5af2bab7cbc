-- `moongate test --mutate FILE`: breaks one thing at a time in a policy, and runs its specs. Where they still pass,
-- they do not look.
--
-- Each mutant runs in a process of its own, forked from this one, as many at a time as there are CPUs. It is never on
-- the disk: wherever the file's text would be compiled, by a gateway of the spec or by its `require`, the mutant is
-- instead.
--
-- A comment `mutate: equal, <reason>`, behind a line or alone above it, accepts what survives there.

local files = require "moongate.test.files"
local mutants_of = require "moongate.test.mutants"
local process = require "moongate.process"
local tokens_of = require "moongate.test.lua_tokens"

local PASSED, FAILED, NOT_LOADED = 0, 1, 3 -- exit statuses of children

-- An endless loop is a kill; a machine that is busy is none. Times of an undisturbed run, and seconds.
local PATIENCE, AT_LEAST = 10, 3

local function complain(...)
  io.stderr:write("moongate test: ", ...)
  io.stderr:write("\n")
  return 2
end

-- ------------------------------------------------------------------------------------------------ in a child

-- A function that says whether a path means the file.
local function matcher(file)
  local name, id = files.tidy(file), process.stat(file)
  return function(path)
    path = files.tidy(path)
    return path == name or id ~= nil and process.stat(path) == id
  end
end

-- The compiled mutant, for `require` in a spec.
local function search(is_file, text, name)
  for i = 3, #package.searchers do -- after that of package.preload, and this one
    local loader, path = package.searchers[i](name)
    if type(loader) == "function" then
      if type(path) ~= "string" or not is_file(path) then return nil end
      return assert(load(text, "@" .. path, "t")), path
    end
  end
end

-- Runs the specs with this text in the file's place. Gives a status.
local function run_with(file, text, run)
  local is_file, loaded = matcher(file), false
  require "moongate.core".on_source(function(chunk_name)
    local path = chunk_name:match "^@(.*)"
    if not path or not is_file(path) then return nil end
    loaded = true
    return text
  end)
  table.insert(package.searchers, 2, function(name)
    local loader, path = search(is_file, text, name)
    loaded = loaded or loader ~= nil
    return loader, path
  end)
  local status = run()
  if status ~= 0 then return FAILED end
  return loaded and PASSED or NOT_LOADED
end

-- ------------------------------------------------------------------------------------------------ children

-- Runs many things, some at a time. jobs(): the next one, or nil. start(job) forks and gives the pid. done(job, status)
-- is told its end; "timed out" when it took longer than `seconds`. False when it was interrupted.
local function run_all(jobs, start, done, seconds)
  local running, count, job = {}, 0, jobs()
  while job or count > 0 do
    while job and count < process.cpus() do
      running[start(job)] = { job = job, deadline = process.clock() + seconds }
      count, job = count + 1, jobs()
    end
    local pid, status = process.wait(0.1)
    for child, one in pairs(running) do
      if status == "interrupted" or one.deadline < process.clock() and child ~= pid then
        one.late = true
        process.kill(child)
      end
    end
    if status == "interrupted" then return false end
    if pid and running[pid] then
      local one = running[pid]
      running[pid], count = nil, count - 1
      done(one.job, one.late and "timed out" or status)
    end
  end
  return true
end

-- ------------------------------------------------------------------------------------------------ what is asked

-- Specs to run: those that were named, or those beside the file.
local function specs_of(options)
  if options.paths[1] then return {} end -- they are in options.rest
  local folder, out = options.mutate:match "^(.*)/[^/]*$" or ".", {}
  for _, name in ipairs(files.names_in(folder)) do
    if name:find "_spec%.lua$" then out[#out + 1] = folder .. "/" .. name end
  end
  return out
end

local function arguments(options, specs)
  local args, seeded = { "--no-coverage" }, false
  for _, arg in ipairs(options.rest) do
    seeded = seeded or arg:find "^%-%-seed" ~= nil
    args[#args + 1] = arg
  end
  if not seeded then args[#args + 1] = "--seed=1" end -- all mutants see the same
  return table.move(specs, 1, #specs, #args + 1, args)
end

-- Reasons by line.
local function accepted(text)
  local tokens, comments = tokens_of(text)
  local code, reasons = {}, {}
  for _, token in ipairs(tokens) do code[token.line] = true end
  for _, comment in ipairs(comments) do
    local reason = comment.text:match "^%-%-%s*mutate: equal, *(%S.-)%s*$"
    if reason then reasons[code[comment.line] and comment.line or comment.line + 1] = reason end
  end
  return reasons
end

local function place(file, mutant)
  return ("%s:%d:%d: %s -> %s"):format(file, mutant.line, mutant.col, mutant.from, mutant.to)
end

-- ------------------------------------------------------------------------------------------------ the unbroken file

-- Runs the specs on the file as it is. Gives how long that took, or nil and an exit status.
local function try_unbroken(file, text, run, exit)
  local output, from = os.tmpname(), process.clock()
  local outcome
  local finished = run_all(
    coroutine.wrap(function()
      coroutine.yield(file)
      return nil
    end),
    function()
      local pid = process.fork(output)
      if pid == 0 then exit(run_with(file, text, run), true) end
      return pid
    end,
    function(_, status) outcome = status end, math.huge)
  local seconds, said = process.clock() - from, files.read(output) or ""
  os.remove(output)
  if not finished then return nil, 130 end
  if outcome == PASSED then return seconds end
  if outcome == NOT_LOADED then return nil, complain("the specs pass, but none of them loads ", file) end
  io.stderr:write(said)
  return nil, complain("the specs fail before anything is broken in ", file)
end

-- ------------------------------------------------------------------------------------------------ the mutants

-- Sorts them into killed, survived, late.
local function try_mutants(file, mutants, run, exit, seconds)
  local at, tried = 0, 0
  local terminal = require "term".isatty(io.stderr)
  local finished = run_all(
    function()
      at = at + 1
      return mutants[at]
    end,
    function(mutant)
      local pid = process.fork "/dev/null"
      if pid == 0 then exit(run_with(file, mutant.text, run), true) end
      return pid
    end,
    function(mutant, status)
      mutant.fate = status == "timed out" and "late" or status == PASSED and "survived" or "killed"
      tried = tried + 1
      if terminal then io.stderr:write(("\r%d of %d"):format(tried, #mutants)) end
    end, seconds)
  if terminal then io.stderr:write "\r\27[K" end
  return finished
end

local function report(file, mutants, reasons)
  local count, forgiven, needed = { killed = 0, survived = 0, late = 0 }, {}, {}
  for _, mutant in ipairs(mutants) do
    local reason = mutant.fate == "survived" and reasons[mutant.line]
    if reason then
      forgiven[#forgiven + 1] = ("%s (%s)"):format(place(file, mutant), reason)
      needed[mutant.line] = true
    else
      count[mutant.fate] = count[mutant.fate] + 1
      if mutant.fate == "survived" then print(place(file, mutant)) end
    end
  end
  print(("%d mutants, %d killed, %d survived, %d timed out"):format(#mutants - #forgiven, count.killed, count.survived,
    count.late))
  if forgiven[1] then print(("%d accepted:\n  %s"):format(#forgiven, table.concat(forgiven, "\n  "))) end
  local stale = {}
  for line in pairs(reasons) do
    if not needed[line] then stale[#stale + 1] = line end
  end
  table.sort(stale)
  for _, line in ipairs(stale) do
    print(("%s:%d: nothing survives here; its `mutate: equal` can go"):format(file, line))
  end
  return count.survived == 0 and 0 or 1
end

-- run(args) runs specs and gives their status; exit(status, true) ends a process. Gives an exit status: 0 when no
-- mutant survived, 1 when one did, 2 when nothing could be tried.
return function(options, run, exit)
  local file = files.tidy(options.mutate)
  local text, why = files.read(file)
  text = text or require "moongate.core".built_in(file)
  if not text then return complain("cannot read the file to break: ", why) end
  local mutants, fault = mutants_of(text)
  if not mutants then return complain(file, ": ", fault) end
  local specs = specs_of(options)
  if not specs[1] and not options.paths[1] then
    return complain("there are no specs beside ", file, "; name those to run")
  end
  local args = arguments(options, specs)
  local function run_all_specs() return run(args) end
  local function run_to_failure() return run { "--no-keep-going", table.unpack(args) } end

  local seconds, status = try_unbroken(file, text, run_all_specs, exit)
  if not seconds then return status end
  if not try_mutants(file, mutants, run_to_failure, exit, AT_LEAST + PATIENCE * seconds) then return 130 end
  return report(file, mutants, accepted(text))
end
