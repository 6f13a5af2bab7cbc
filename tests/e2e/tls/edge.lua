-- What the specs of TLS have in common: a gateway with one TLS listener, whose only route tells what it knows of the
-- connection.

local E = require "moongate.e2e"

local M = {}

-- Steps that answer with req.tls and more.
M.TELL = { { lua = [[
  local worker = tostring({})
  return { request = function(req)
    return mg.reply(200, mg.json.encode { tls = req.tls, ip = req.client_ip, scheme = req.scheme, worker = worker })
  end }]] } }

-- A listener for certificates as E.authority issues them, the first one first. `more` is the rest of its `tls`.
function M.listener(leaves, more)
  local tls = { certificates = {} }
  for i, leaf in ipairs(leaves.cert and { leaves } or leaves) do
    tls.certificates[i] = { cert = leaf.cert, key = leaf.key, names = leaf.only }
  end
  for key, value in pairs(more or {}) do tls[key] = value end
  return { address = "127.0.0.1:0", tls = tls }
end

-- Starts a gateway whose clients speak TLS. `config` may have what other configs have.
function M.start(listener, config, options)
  local whole = { listen = { listener }, routes = { { match = "/*", policies = M.TELL } } }
  for key, value in pairs(config or {}) do whole[key] = value end
  local all = { config = whole, tls = true }
  for key, value in pairs(options or {}) do all[key] = value end
  return E.start(all)
end

-- One that forwards all to the backend `up`.
function M.proxy(listener, up, config, options)
  local whole = { services = { api = { backends = { up.address } } }, routes = { { match = "/*", service = "api" } } }
  for key, value in pairs(config or {}) do whole[key] = value end
  return M.start(listener, whole, options)
end

-- req.tls of a new connection with these TLS options.
function M.tell(g, tls)
  return g:get("/", { tls = tls or true }):json().tls
end

-- Why a handshake with these options fails. TLS 1.2 clients may hear of it in their handshake or right behind it.
function M.failure(g, tls)
  local client, why = g:connect { tls = tls }
  if not client then return why end
  local res
  res, why = client:request "/"
  client:close()
  return not res and why or nil
end

return M
