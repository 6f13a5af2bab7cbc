-- Signed tokens for specs.
--
--     T.jwt({ sub = "ann", exp = 1767229200 }, { key = "…", algorithm = "HS256", kid = "k1", typ = "at+jwt" })
--
-- `key` (or `secret`) is a shared secret, or the PEM of a private key; left out, it is M.SECRET. The algorithm is HS256
-- when none is named.

local mg = require "moongate"

local M = { SECRET = "a secret of the test kit, no more" }

function M.sign(claims, opts)
  opts = opts or {}
  return mg.jwt.sign(claims, {
    key = opts.key or opts.secret or M.SECRET, algorithm = opts.algorithm, kid = opts.kid, typ = opts.typ,
  })
end

return M
