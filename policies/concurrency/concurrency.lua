-- Limits how many requests are under way at a time.

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

-- ------------------------------------------------------------------------------------------------ in C

-- The gateway itself runs it (src/gateway/concurrency.c).
M.native = "concurrency"

-- What it reads. One step of the file is one limit, also when many routes have it; a name makes one of several steps.
function M.native_conf(conf, env)
  return {
    dictionary = "concurrency", prefix = mg.key(conf.name or env.key),
    by = type(conf.by) == "table" and conf.by or { conf.by },
    max = conf.max, queue = conf.queue, timeout = conf.timeout, status = conf.status,
  }
end

return M
