-- Lets requests in by the client's address.

local mg, s = require "moongate", require "moongate.schema"

local M = { name = "ip-filter", version = "1.0.0", summary = "Allow and deny client addresses",
  guard = true }

M.schema = s.record {
  allow = s.list(s.cidr(), { single = true, help = "only these; left out: all" }),
  deny = s.list(s.cidr(), { single = true, help = "none of these, not even when allowed" }),
  status = s.status { default = 403, ge = 400, help = "the answer to the others" },
}:check(function(conf)
  if not conf.allow and not conf.deny then return "needs 'allow' or 'deny'" end
end)

function M.new(conf)
  local allow = conf.allow and mg.ip.matcher(conf.allow)
  local deny = conf.deny and mg.ip.matcher(conf.deny)
  local status = conf.status
  return { request = function(req)
    local ip = req.client_ip
    if (deny and deny(ip)) or (allow and not allow(ip)) then return mg.problem(status, "address-refused") end
  end }
end

return M
