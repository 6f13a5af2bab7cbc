-- Signed tokens for specs.
--
--     T.jwt({ sub = "ann", exp = 1767229200 }, { key = "…", algorithm = "HS256", kid = "k1", typ = "at+jwt" })
--
-- `key` (or `secret`) is a shared secret, or the PEM of a private key; left out, it is M.SECRET. The algorithm is what
-- the key is for when none is named: HS256 of a secret. A token without `exp` gets one that is far away for real and
-- simulated clocks alike; `exp = false` makes one that never ends.

local mg = require "moongate"

local M = { SECRET = "a secret of the test kit, no more" }

local FAR = 4102444800 -- 2100-01-01

function M.sign(claims, opts)
  opts = opts or {}
  local all = { exp = FAR }
  for name, value in pairs(claims) do all[name] = value end
  if all.exp == false then all.exp = nil end
  return mg.jwt.sign(all, {
    key = opts.key or opts.secret or M.SECRET, algorithm = opts.algorithm, kid = opts.kid, typ = opts.typ,
  })
end

return M
