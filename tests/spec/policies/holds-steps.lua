-- For specs: runs the steps that a header of the request names, or what the spec says.
local s = require "moongate.schema"

local M = { name = "holds-steps", version = "1.0.0" }

M.schema = s.record {
  parts = s.map(s.steps(), { default = {} }),
  list = s.list(s.steps { single = true }, { default = {} }),
  run = s.any(),
}

function M.new(conf, env)
  if conf.run then return load(conf.run, "=run", "t")(conf, env) end
  return function(req, next)
    local part = req:header "X-Part"
    return (conf.parts[part] or conf.list[tonumber(part)])(req, next)
  end
end

return M
