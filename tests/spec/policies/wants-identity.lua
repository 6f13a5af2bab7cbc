-- For specs: passes on whose request it is.
local s = require "moongate.schema"

local M = { name = "wants-identity", version = "1.0.0", needs = { "identity" }, schema = s.record {} }

function M.new()
  return { request = function(req) req:set_header("X-Subject", req.auth.subject) end }
end

return M
