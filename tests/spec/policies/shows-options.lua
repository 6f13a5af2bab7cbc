-- For specs: answers with its options as JSON.
local mg, s = require "moongate", require "moongate.schema"

local M = { name = "shows-options", version = "1.0.0" }

M.schema = s.record { list = s.list(s.string()), any = s.any(), full = s.list(s.list(s.integer())) }

function M.new(conf)
  return { request = function() return mg.reply(200, mg.json.encode(conf, { sort = true })) end }
end

return M
