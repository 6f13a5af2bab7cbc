-- Limits how many requests are under way at a time. A place is taken before the request goes on, and given back when
-- the response is over or the client has left; all workers count together.

local answer = require "moongate.limits.answer"
local keys = require "moongate.limits.key"
local mg, s = require "moongate", require "moongate.schema"

local M = { name = "concurrency", version = "1.0.0", summary = "Limits how many requests are under way at a time",
  after = keys.after }

M.schema = s.record {
  max = s.integer { required = true, ge = 1, le = 1000000, help = "requests at a time" },
  by = keys.option "ip",
  name = s.string { match = "^[%w][%w _.-]*$", len = { 1, 64 }, help = "steps with the same name count together" },
  queue = s.integer { default = 0, ge = 0, le = 100000, help = "so many more may wait for a place" },
  timeout = s.duration { default = "1s", ge = 0, le = 3600, help = "how long they wait" },
  status = s.status { default = 503, ge = 400, help = "of a refusal" },
}

-- Who waits is woken by whoever gives a place back in the same worker; places of other workers are looked for.
local LOOK_EVERY = 0.02

-- ------------------------------------------------------------------------------------------------ who waits

-- Lists by key, first come first; only of this worker.
local function new_waiting()
  local lists = {}

  local function remove(key, alarm)
    local list = lists[key]
    for i = 1, #list do
      if list[i] == alarm then
        table.remove(list, i)
        break
      end
    end
    if not list[1] then lists[key] = nil end
  end

  return {
    wait = function(key, alarm)
      local list = lists[key] or {}
      lists[key], list[#list + 1] = list, alarm
      -- Also when the client leaves meanwhile, and the task ends here.
      local _ <close> = setmetatable({}, { __close = function() remove(key, alarm) end })
      alarm:wait()
    end,
    wake = function(key)
      local first = lists[key] and lists[key][1]
      if first then first:cancel() end
    end,
  }
end

-- ------------------------------------------------------------------------------------------------ the step

function M.new(conf, env)
  local dict, waiting = mg.shared "concurrency", new_waiting()
  local key_of = mg.client_key(conf.by)
  local prefix = mg.key(conf.name or env.key)
  local grants = {} -- the key of this step's grants in req.ctx

  local function take(grant, what, key, max)
    local got, err = dict:acquire(key, max)
    if not got then mg.log.error("requests cannot be counted", { why = err.code }) end
    grant[what] = got ~= nil and got.ok
    return grant[what]
  end

  local function give_back(grant, what, key)
    if not grant[what] then return end
    grant[what] = false
    dict:release(key)
  end

  local function wait_for_place(grant)
    if conf.queue == 0 or not take(grant, "queued", grant.queue, conf.queue) then return false end
    local deadline = mg.monotonic() + conf.timeout
    repeat
      local left = deadline - mg.monotonic()
      if left <= 0 then break end
      local alarm = mg.spawn(mg.sleep, math.min(left, LOOK_EVERY))
      waiting.wait(grant.key, alarm)
    until take(grant, "held", grant.key, conf.max)
    give_back(grant, "queued", grant.queue)
    return grant.held
  end

  return {
    request = function(req)
      -- Remembered before it is granted: a place that nobody remembers would be taken for ever.
      local key, list = prefix .. key_of(req), req.ctx[grants] or {}
      local grant = { key = key, queue = "q" .. key, held = false, queued = false }
      req.ctx[grants], list[#list + 1] = list, grant
      if take(grant, "held", key, conf.max) or wait_for_place(grant) then return end
      mg.log.info("too many requests at a time", { max = conf.max })
      return answer.overloaded("Too many requests at a time", 1, conf.status)
    end,
    finish = function(req)
      for _, grant in ipairs(req.ctx[grants] or {}) do
        give_back(grant, "queued", grant.queue)
        if grant.held then
          give_back(grant, "held", grant.key)
          waiting.wake(grant.key)
        end
      end
    end,
  }
end

return M
