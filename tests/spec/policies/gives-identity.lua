-- For specs: an identity from nowhere.
local s = require "moongate.schema"

local M = { name = "gives-identity", version = "1.0.0", provides = { "identity" }, schema = s.record {} }

function M.new()
  return { request = function(req) req.auth = { subject = "ann", claims = { role = "admin" } } end }
end

return M
