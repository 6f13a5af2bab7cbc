-- Identities from elsewhere, a certificate or a token, as consumers of the config: those of the same name.

local mg, s = require "moongate", require "moongate.schema"

local M = {}

-- For a policy's schema: who may come in.
M.option = s.list(s.string { len = { 1, 128 } }, { single = true, len = { 1, 10000 },
  help = "of the config, one of whom it must be by its subject; roles and groups are theirs; default: anybody" })

local function copy(list)
  return table.move(list, 1, #list, 1, {})
end

-- Makes a function that says whether an identity is one of these consumers, and gives it their roles and groups.
-- Without names everybody is right, and stays as they are.
function M.matcher(names)
  if not names then return function() return true end end
  local all, chosen = {}, {}
  for _, consumer in ipairs(mg.consumers()) do all[consumer.name] = consumer end
  for _, name in ipairs(names) do
    chosen[name] = all[name] or error(("unknown consumer '%s'"):format(name), 0)
  end
  return function(auth)
    local consumer = auth.subject and chosen[auth.subject]
    if not consumer then return false end
    auth.roles, auth.claims.groups = copy(consumer.roles), copy(consumer.groups)
    return true
  end
end

return M
