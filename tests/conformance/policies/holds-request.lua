-- Has the whole body of the request in memory.
local M = { name = "holds-request", body = { request = "buffer" } }

function M.new()
  return { request = function(req) req:text() end }
end

return M
