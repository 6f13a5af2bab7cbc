local mg, s = require "moongate", require "moongate.schema"
local M = { name = "swr-cache", version = "1.0.0" }
M.schema = s.record { ttl = s.number { default = 60, gt = 0 }, stale = s.number { default = 30 } }

function M.new(conf)
  local cache = mg.cache("pages")                  -- RFC 9111 rules live in C

  return function(req, next)
    local hit, key = cache:lookup(req)
    if not key then return next(req) end           -- not ours to answer from a cache
    if not hit then
      local res = next(req)
      local stored = cache:store(key, res, conf)   -- C tees the body while it streams
      res:add_header("Cache-Status", "moongate; fwd=uri-miss" .. (stored and "; stored" or ""))
      return res
    end
    if hit.stale then                              -- refresh behind the client's back, once
      local again = req:copy()
      cache:refresh(key, function() cache:store(key, next(again), conf) end)
    end
    return hit:response()                          -- with Age and Cache-Status
  end
end
return M
