-- `moongate test --watch`: runs, and runs again when a file changes. Each run is a process of its own, so that nothing
-- is left of the last one.

local files = require "moongate.test.files"
local process = require "moongate.process"

local POLL = 0.3 -- seconds

-- The states of all files that matter, by name.
local function look(paths)
  local states = {}
  for _, path in ipairs(paths) do
    -- Of a spec, what lies beside it matters too.
    if files.exists(path) then path = path:match "^(.*)/[^/]*$" or "." end
    files.each(path, function(file)
      if file:find "%.lua$" or file:find "%.ya?ml$" then
        local _, now = process.stat(file)
        states[files.tidy(file)] = now
      end
    end)
  end
  return states
end

-- The first name, in order, whose state is another one.
local function difference(before, now)
  local names = {}
  for name, state in pairs(before) do
    if now[name] ~= state then names[#names + 1] = name end
  end
  for name in pairs(now) do
    if not before[name] then names[#names + 1] = name end
  end
  table.sort(names)
  return names[1]
end

local function say(...)
  io.stdout:write(...)
  io.stdout:write("\n")
  io.stdout:flush()
end

-- Runs once, in a child. Gives its exit status; nil when it was interrupted.
local function run_once(run, exit)
  local child = process.fork()
  if child == 0 then
    math.randomseed()
    exit(run(), true)
  end
  while true do
    local ended, status = process.wait(60)
    if ended == child then return status end
    if status == "interrupted" then
      process.kill(child)
      process.wait(5) -- takes leave of it
      return nil
    end
  end
end

-- Waits for a change: the states then, and the name of what has changed. Nil when it was interrupted.
local function wait_for_change(paths, before)
  while true do
    local now = look(paths)
    local name = difference(before, now)
    if name then return now, name end
    local _, why = process.wait(POLL)
    if why == "interrupted" then return nil end
  end
end

-- run() runs the specs and gives their status; exit(status, true) ends a process. Gives the last status.
return function(options, run, exit)
  local paths = options.paths[1] and options.paths or { "." }
  local status = 130 -- as a shell has it, for what is interrupted
  local states = look(paths) -- before the run: what changes meanwhile counts
  while true do
    local ended = run_once(run, exit)
    if not ended then return status end
    status = ended
    say("watching ", table.concat(paths, ", "), "; Ctrl-C ends")
    local now, name = wait_for_change(paths, states)
    if not now then return status end
    states = now
    say("\n", name, " has changed")
  end
end
