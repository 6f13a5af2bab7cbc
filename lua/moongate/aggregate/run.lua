-- One aggregation: its parts, each asked for as soon as what it needs is there. Waits.
--
--     run.new(plan, req) -> r
--     r:all()            until every part is there or missing, or one that is needed has failed: then r.failed is set
--     r:start()          for streams: begins
--     r:wait_for(names)  until these parts have come to their end, and all of them for "failures"; r:is_done(names)
--
-- `r.v` and `r.raw` are what the plan's functions want; `r.failures` is a list of { part, code, reason, status } of all
-- that failed, r.failed the one that ends it. When that happens the others are cancelled, and with them their
-- connections; so it is when the time is over.

local ask = require "moongate.aggregate.part"
local mg = require "moongate"

local M = {}

local Run = {}
Run.__index = Run

local NONE = {} -- failures, as long as there are none

function M.new(plan, req)
  local r = setmetatable({ plan = plan, req = req, v = {}, raw = {}, failures = NONE }, Run)
  if plan.independent then return r end
  r.begun, r.done, r.tasks, r.left = {}, {}, {}, #plan.parts
  r.ends = plan.timeout and mg.monotonic() + plan.timeout
  return r
end

-- ------------------------------------------------------------------------------------------------ what came

-- A part that stays away: its default stands in its place.
function Run:leave_out(part)
  local value = part.default
  self.raw[part.name] = value
  if value ~= nil then self.v[part.name] = value end
end

function Run:fail(part, err)
  local failure = {
    part = part.name, code = err.code, reason = err.message, status = err.status,
    message = part.name .. ": " .. tostring(err.message),
  }
  if self.failures == NONE then self.failures = {} end
  self.failures[#self.failures + 1] = failure
  self:leave_out(part)
  if not part.optional and not self.failed then self.failed = failure end
end

function Run:take(part, raw, value)
  self.raw[part.name] = raw
  self.v[part.name] = value
end

-- ------------------------------------------------------------------------------------------------ independent parts

-- All of them in one call, which needs no tasks.
function Run:ask_at_once()
  local plan, calls = self.plan, {}
  for _, part in ipairs(plan.parts) do
    local spec, err = part.make(self.v, self.raw, self.req)
    if spec then
      calls[part.name] = spec
    else
      self:fail(part, err)
      if self.failed then return end
    end
  end
  local got, failures = mg.fetch_all(calls, plan.at_once)
  for _, part in ipairs(plan.parts) do
    local res = got and got[part.name]
    if res then
      local raw, value, err = ask.take(part, res)
      if err then self:fail(part, err) else self:take(part, raw, value) end
    elseif got and calls[part.name] then
      self:fail(part, failures[part.name])
    elseif failures and failures.name == part.name then
      self:fail(part, failures)
    end
    if self.failed then return end
  end
end

-- ------------------------------------------------------------------------------------------------ parts that depend

local SLEEP_MAX = 86400

-- Until somebody wakes us, or the time is over: then false.
function Run:rest()
  local left = self.ends and self.ends - mg.monotonic() or SLEEP_MAX
  if left <= 0 then return false end
  self.nap = mg.spawn(mg.sleep, left)
  local _, err = self.nap:wait()
  self.nap = nil
  return err ~= nil
end

function Run:wake()
  local nap = self.nap
  self.nap = nil
  if nap then nap:cancel() end
end

function Run:stop()
  local tasks = self.tasks
  self.tasks = {}
  for _, task in pairs(tasks) do task:cancel() end
end

local function is_ready(self, part)
  for name in pairs(part.needs) do
    if not self.done[name] then return false end
  end
  return true
end

-- Runs in the part's task.
local function fetch(self, part)
  local wanted = not part.when or part.when(self.v, self.raw, self.req)
  local raw, value, err
  if wanted then raw, value, err = ask.ask(part, self) end
  self.tasks[part] = nil -- it is not to be cancelled any more, it has come this far
  if not wanted then
    self:leave_out(part)
  elseif err then
    self:fail(part, err)
  else
    self:take(part, raw, value)
  end
  self.done[part.name], self.left = true, self.left - 1
  if self.failed then
    self:stop()
  else
    self:start()
  end
  self:wake()
end

-- A fault in here is one of this program, and ends the request as everywhere.
local function guarded(self, part)
  local ok, fault = pcall(fetch, self, part)
  if ok then return end
  self.fault, self.tasks[part] = fault, nil
  self:stop()
  self:wake()
end

function Run:start()
  for _, part in ipairs(self.plan.parts) do
    if self.failed or self.fault then return end
    if not self.done[part.name] and not self.begun[part] and is_ready(self, part) then
      self.begun[part] = true
      local task = mg.spawn(guarded, self, part)
      if not self.done[part.name] and not self.fault then self.tasks[part] = task end
    end
  end
end

-- What has not come by now does not come.
function Run:expire()
  self:stop()
  for _, part in ipairs(self.plan.parts) do
    if not self.done[part.name] then
      self.done[part.name], self.left = true, self.left - 1
      self:fail(part, { code = "timeout", message = "not in time" })
      if self.failed then return end
    end
  end
end

function Run:wait_until(reached)
  while not self.failed and not reached(self) do
    if self.fault then error(self.fault, 0) end
    if not self:rest() then self:expire() end
  end
  if self.fault then error(self.fault, 0) end
end

local function all_done(self) return self.left == 0 end

function Run:all()
  if self.plan.independent then return self:ask_at_once() end
  self:start()
  self:wait_until(all_done)
end

function Run:is_done(names)
  for name in pairs(names) do
    if name ~= "failures" and not self.done[name] then return false end
  end
  return self.left == 0 or not names.failures
end

function Run:wait_for(names)
  self:wait_until(function() return self:is_done(names) end)
end

return M
