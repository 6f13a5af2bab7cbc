-- A small scheduler, so that one process plays clients and backends at the same time.
--
-- A task is a coroutine that waits in `loop.wait`: for a socket, or for a point in time. What waits outside of any task
-- (a spec's body, whatever coroutine busted runs it in) turns the loop itself until its own wait is over. So every
-- function of this folder can be called from both, and nothing moves while a spec does not wait for something.

local socket = require "socket"

local M = {}

local tasks = setmetatable({}, { __mode = "k" }) -- coroutine to task
local waiting = {}                               -- set of waits
local ready = {}                                 -- tasks that have yet to run for the first time

-- Sanitizers make the gateway many times slower: every limit is multiplied by this.
M.patience = 1

-- How long a wait lasts where a spec names no time. It is for what never comes: a machine that has much else to do must
-- not reach it.
local SECONDS = 30

function M.now()
  return socket.gettime()
end

-- A deadline, from seconds that a spec named.
function M.deadline(seconds)
  return M.now() + (seconds or SECONDS) * M.patience
end

-- ------------------------------------------------------------------------------------------------ tasks

local Task = {}
Task.__index = Task

local function run(task, ...)
  local ok, fault = coroutine.resume(task.co, ...)
  if not ok then
    task.done, task.fault = true, debug.traceback(task.co, tostring(fault))
  elseif coroutine.status(task.co) == "dead" then
    task.done = true
  end
end

-- Runs fn(...) beside its caller. It begins when the caller waits.
function M.spawn(fn, ...)
  local args = table.pack(...)
  local task = setmetatable({}, Task)
  task.co = coroutine.create(function()
    task.results = table.pack(fn(table.unpack(args, 1, args.n)))
  end)
  tasks[task.co] = task
  ready[#ready + 1] = task
  return task
end

-- What the function returned; raises what it raised. Waits at most `seconds` (30).
function Task:wait(seconds)
  if not M.until_true(function() return self.done end, seconds) then error("the task is not done in time", 2) end
  if self.fault then error(self.fault, 0) end
  return table.unpack(self.results, 1, self.results.n)
end

-- Ends it where it waits; its `<close>` variables are closed.
function Task:cancel()
  if self.done then return end
  self.done, self.results = true, table.pack()
  for wait in pairs(waiting) do
    if wait.task == self then waiting[wait] = nil end
  end
  coroutine.close(self.co)
end

-- ------------------------------------------------------------------------------------------------ waiting

local function fire(wait, what)
  waiting[wait] = nil
  wait.result = what
  if wait.task then run(wait.task, what) end
end

-- False when there was none.
local function run_ready()
  if not ready[1] then return false end
  while ready[1] do
    local task = table.remove(ready, 1)
    if not task.done then run(task) end
  end
  return true
end

local checking = false

-- Looks whether a condition holds. It must not wait itself: who would turn the loop?
local function holds(check)
  checking = true
  local ok, value = pcall(check)
  checking = false
  if not ok then error(value, 0) end
  return value
end

local function fire_ready(read, write)
  local due, time = {}, M.now()
  for wait in pairs(waiting) do
    if wait.read and read[wait.read] or wait.write and write[wait.write] then
      due[#due + 1] = { wait, "ready" }
    elseif wait.check and holds(wait.check) then
      due[#due + 1] = { wait, "ready" }
    elseif wait.at and wait.at <= time then
      due[#due + 1] = { wait, "timeout" }
    end
  end
  for _, item in ipairs(due) do
    if waiting[item[1]] then fire(item[1], item[2]) end
  end
end

local POLL = 0.002 -- how often conditions are looked at that no socket tells of

-- select(2) takes no descriptor above 1023. Sockets that a spec has let go of are closed when they are collected, and
-- that is seen to before there are so many.
local MANY = 700

local function close_forgotten(sockets)
  for _, sock in ipairs(sockets) do
    if sock.getfd and sock:getfd() > MANY then return collectgarbage() end
  end
end

local function turn()
  if run_ready() then return end
  local read, write, first = {}, {}, nil
  for wait in pairs(waiting) do
    if wait.read then read[#read + 1] = wait.read end
    if wait.write then write[#write + 1] = wait.write end
    if wait.check then
      if holds(wait.check) then
        fire(wait, "ready")
        return
      end
      first = math.min(first or math.huge, M.now() + POLL)
    end
    if wait.at then first = math.min(first or math.huge, wait.at) end
  end
  local left = first and math.max(0, first - M.now()) or nil
  if not left and #read + #write == 0 then error("everything waits for something that cannot happen") end
  close_forgotten(read)
  local r, w = socket.select(read, write, left)
  fire_ready(r, w)
end

-- Waits for one of `wait.read` (a socket), `wait.write`, `wait.check` (a function) or the time `wait.at`.
-- Gives "ready" or "timeout".
function M.wait(wait)
  if checking then error("a condition must not wait", 2) end
  waiting[wait] = true
  local task = tasks[coroutine.running()]
  if task then
    wait.task = task
    return coroutine.yield()
  end
  local ok, fault = pcall(function()
    while not wait.result do turn() end
  end)
  waiting[wait] = nil
  if not ok then error(fault, 0) end
  return wait.result
end

-- The socket is closed: whoever waits for it goes on.
function M.forget(closed)
  local due = {}
  for wait in pairs(waiting) do
    if wait.read == closed or wait.write == closed then due[#due + 1] = wait end
  end
  for _, wait in ipairs(due) do
    waiting[wait] = nil
    wait.result = "closed"
    if wait.task then ready[#ready + 1] = wait.task end
  end
end

function M.sleep(seconds)
  M.wait { at = M.now() + seconds }
end

-- Waits until fn() is true, at most `seconds`; gives its value, or what was false. fn must not wait.
function M.until_true(fn, seconds)
  local value = fn()
  if value then return value end
  M.wait { check = function()
    value = fn()
    return value
  end, at = M.deadline(seconds) }
  return value
end

-- Calls fn until it raises nothing more and gives no `false`, at most `seconds`; gives what it returns. fn may wait.
function M.eventually(fn, seconds)
  local deadline = M.deadline(seconds)
  while true do
    local results = table.pack(pcall(fn))
    if results[1] and results[2] ~= false then return table.unpack(results, 2, results.n) end
    if M.now() >= deadline then error(results[2] or "what was waited for is still false", 0) end
    M.sleep(POLL)
  end
end

return M
