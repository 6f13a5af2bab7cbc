-- For specs: its options are steps, which it runs.
local s = require "moongate.schema"

local M = { name = "only-steps", version = "1.0.0", schema = s.steps { required = true } }

function M.new(run)
  return function(req, next) return run(req, next) end
end

return M
