-- For specs: reads both bodies, and says so.
local s = require "moongate.schema"

local M = { name = "stream-reader", version = "1.0.0", body = { request = "stream", response = "stream" } }
M.schema = s.record {}

function M.new()
  return {
    request = function(req) req:set_header("X-Read", #req:text()) end,
    response = function(_, res) res:set_header("X-Read", #res:text()) end,
  }
end

return M
