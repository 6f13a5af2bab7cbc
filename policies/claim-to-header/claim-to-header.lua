-- Tells the backend in headers who the client is, and lets nobody else do so.

local headers = require "moongate.auth.header"
local s = require "moongate.schema"

local M = {
  name = "claim-to-header", version = "1.0.0", summary = "Tells the backend who the client is, in headers",
  needs = function(conf) return not conf.optional and { "identity" } or {} end,
}

local CLAIM = s.string { len = { 1, 256 } }

M.schema = s.record {
  claim = s.string { len = { 1, 256 }, help = "the claim; inside of others with dots: address.country; default: sub" },
  header = s.header_name { help = "that gets it; default: X-User-Id" },
  claims = s.map(s.header_name(), { keys = CLAIM, len = { 1, 100 },
    help = "several at once: each claim and its header" }),
  required = s.any_of { s.boolean(), s.list(CLAIM, { single = true }),
    default = false, help = "true: refuse who lacks one of them; or a list of those that must be there" },
  optional = s.boolean { default = false,
    help = "true: also where nobody has verified the client: then its own headers go, and none come" },
}:check(function(conf)
  if conf.optional and conf.required then return "has no meaning beside 'required'", "optional" end
  if conf.claims and conf.claim then return "is in 'claims', or alone, but not both", "claim" end
  if conf.claims and conf.header then return "stands in 'claims' beside its claim", "header" end
  local names = {}
  for _, header in pairs(conf.claims or { conf.header }) do
    local field = conf.claims and "claims" or "header"
    if headers.is_reserved(header) then return ("'%s' is written by the gateway itself"):format(header), field end
    for other in pairs(names) do
      if headers.is_same(header, other) then return ("'%s' comes twice"):format(header), field end
    end
    names[header] = true -- mutate: equal, only the key is looked at
  end
  for _, claim in ipairs(type(conf.required) == "table" and conf.required or {}) do
    local known = conf.claims and conf.claims[claim] or claim == (not conf.claims and (conf.claim or "sub"))
    if not known then return ("'%s' goes to no header"):format(claim), "required" end
  end
end)

-- ------------------------------------------------------------------------------------------------ in C

-- The gateway itself runs it (src/gateway/claim_headers.c).
M.native = "claim-to-header"

local function is_required(required, claim)
  if type(required) ~= "table" then return required end
  for _, name in ipairs(required) do
    if name == claim then return true end
  end
  return false
end

-- What it reads: which claims go where, in the order in which a missing one is told; and whether somebody has to be
-- known.
function M.native_conf(conf)
  local required = conf.required
  local list = {}
  for claim, header in pairs(conf.claims or { [conf.claim or "sub"] = conf.header or "X-User-Id" }) do
    list[#list + 1] = { claim = claim, header = header, required = is_required(required, claim) }
  end
  table.sort(list, function(a, b) return a.claim < b.claim end) -- mutate: equal, no two are the same
  return { claims = list, needs_identity = required == true or type(required) == "table" and #required > 0 }
end

return M
