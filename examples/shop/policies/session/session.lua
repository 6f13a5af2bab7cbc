-- Lets in who has a session. Asks the auth service whose the token is, and tells the steps and the backend behind.
--
-- No token, or one that the auth service does not know: 401. When the service cannot be asked: 503, so nobody
-- gets in unknown. The user goes on as `req.auth` and in the header X-User-Id, whatever the client sent there.

local mg, s = require "moongate", require "moongate.schema"

local M = {
  name = "session",
  version = "1.0.0",
  summary = "Asks the auth service who the client is",
  provides = { "identity" },
}

M.schema = s.record {
  service = s.service { default = "auth", help = "answers GET /auth/session with the user of the token" },
  timeout = s.duration { default = 1, gt = 0 },
}

local CHALLENGE = { ["WWW-Authenticate"] = 'Bearer realm="shop"' }
local BAD_TOKEN = { ["WWW-Authenticate"] = 'Bearer realm="shop", error="invalid_token"' }

function M.new(conf)
  return {
    request = function(req)
      local token = (req:header "Authorization" or ""):match "^[Bb]earer +([%w._~+/=-]+)$"
      if not token then return mg.problem(401, "no-token", "No token provided", { headers = CHALLENGE }) end

      local res, err = mg.fetch(conf.service, {
        path = "/auth/session",
        headers = { Authorization = "Bearer " .. token },
        timeout = conf.timeout,
      })
      if not res or res.status >= 500 then
        mg.log.error("cannot ask for a session", { reason = err and tostring(err) or "status " .. res.status })
        return mg.problem(503, "auth-unavailable", "Try again later", { headers = { ["Retry-After"] = 5 } })
      end
      local session = res.status == 200 and res:json()
      if not session then return mg.problem(401, "bad-token", "Invalid token", { headers = BAD_TOKEN }) end

      req.auth = { scheme = "bearer", subject = session.user, roles = { session.role }, claims = session }
      req:set_header("X-User-Id", session.user)
    end,
  }
end

return M
