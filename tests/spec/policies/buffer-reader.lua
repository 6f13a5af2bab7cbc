-- For specs: has both bodies in memory before it runs.
local s = require "moongate.schema"

local M = { name = "buffer-reader", version = "1.0.0", body = { request = "buffer", response = "buffer" } }
M.schema = s.record {}

function M.new()
  return {
    request = function(req) req:set_header("X-Read", #req:text()) end,
    response = function(_, res) res:set_header("X-Read", #res:text()) end,
  }
end

return M
