-- The fields of a service that protect it and its backends. Each is off when it is left out.

local percentage = require "moongate.config.percentage"
local s = require "moongate.schema"

local M = {}

local percent = percentage(1)

M.circuit_breaker = s.record {
  failures = s.integer { default = 5, ge = 0, le = 1000000, help = "in a row, that open it; 0: not looked at" },
  open_for = s.duration { default = 10, ge = 0.001, le = 86400 },
  ratio = percent { help = "of failures among the answers of `window`, that opens it" },
  min_requests = s.integer { default = 20, ge = 1, le = 1000000, help = "fewer in the window tell nothing" },
  window = s.duration { default = 10, ge = 0.1, le = 3600 },
  slow = s.duration { gt = 0, help = "an answer that took longer is a failure" },
}:check(function(value)
  if value.failures == 0 and not value.ratio then return "needs 'failures' or 'ratio'", "failures" end
end)

local FAILURES = { connect = true, reset = true, timeout = true }
local CLASSES = { ["gateway-error"] = { 502, 504 }, ["4xx"] = { 400, 499 }, ["5xx"] = { 500, 599 } }

-- What a request is tried again on: a word, a class of statuses, or a status.
local retry_cause = s.define("retry_cause", {
  wants = { string = true, integer = true },
  describe = function(_, short)
    return short and "failure" or "failure (connect, reset, timeout, gateway-error, 4xx, 5xx or a status)"
  end,
  check = function(schema, value, place, w)
    local status = math.tointeger(tonumber(value))
    if FAILURES[value] or CLASSES[value] then return value end
    if status and status >= 400 and status <= 599 then return status end
    return w:fail_expected(schema, value, place)
  end,
})

-- The causes as the two lists that C reads.
local function sort_causes(causes)
  local failures, statuses = {}, {}
  for _, cause in ipairs(causes) do
    if FAILURES[cause] then
      failures[#failures + 1] = cause
    else
      local class = CLASSES[cause] or { cause, cause }
      for status = class[1], class[2] do statuses[#statuses + 1] = status end
    end
  end
  return failures, statuses
end

M.retries = s.record {
  attempts = s.integer { default = 1, ge = 1, le = 15, help = "beyond the first" },
  on = s.list(retry_cause(), { single = true, len = { 1 }, default = { "connect", 503 } }),
  methods = s.list(s.method(), { single = true, len = { 1 }, default = { "GET", "HEAD" } }),
  budget = percent { default = 20, help = "of the requests of the last ten seconds, and ten more" },
  backoff = s.duration { default = "25ms", gt = 0, le = 60 },
}

M.hedge = s.record {
  delay = s.duration { default = "50ms", gt = 0, help = "until a second backend is asked as well" },
  max = s.integer { default = 1, ge = 1, le = 3, help = "backends asked beside the first" },
}

M.outliers = s.record {
  errors = s.integer { default = 5, ge = 1, le = 1000000, help = "in a row, that eject a backend" },
  eject_for = s.duration { default = 30, ge = 0.001, le = 86400, help = "the first time; longer when it comes again" },
  max_ejected = percent { default = 50, help = "of the backends" },
}

M.max_requests = s.integer { ge = 1, le = 10000000, help = "under way at a time, over all workers" }

M.queue = s.record {
  size = s.integer { default = 100, ge = 1, le = 1000000, help = "requests above max_requests that wait" },
  timeout = s.duration { default = 1, gt = 0, le = 3600 },
}

-- After the schema: a service's retries in the form that C reads.
function M.finish(service)
  local retries = service.retries
  if retries then retries.failures, retries.statuses = sort_causes(retries.on) end
end

return M
