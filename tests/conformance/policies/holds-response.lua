-- Has the whole body of the response in memory.
local M = { name = "holds-response", body = { response = "buffer" } }

function M.new()
  return { response = function(_, res) res:text() end }
end

return M
