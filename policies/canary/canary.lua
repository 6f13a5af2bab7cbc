-- Sends some requests to another service: those that ask for it, and a share of the others. A client stays on its side.

local keys = require "moongate.limits.key"
local mg, s = require "moongate", require "moongate.schema"
local share = require "moongate.limits.share"

local M = { name = "canary", version = "1.0.0", summary = "Sends a share of the clients to another service" }

local COOKIE = { match = "^[%w!#$%%&'*+.^_`|~-]+$", len = { 1, 128 } }

M.schema = s.record {
  service = s.service { required = true, help = "where the chosen requests go" },
  weight = share.option { default = 0, help = "the share of clients that are chosen, `10%` or 0 to 1" },
  by = keys.option "ip",
  header = s.header_name { help = "a header that decides: `always` or `never`; or only `header_value`" },
  header_value = s.string { len = { 1, 1024 }, help = "the value of `header` that means `always`" },
  cookie = s.string { match = COOKIE.match, len = COOKIE.len, help = "a cookie that decides: `always` or `never`" },
  sticky = s.duration { ge = 1, le = 86400 * 400,
    help = "keep what was decided in `cookie` for that long, whatever becomes of the weight" },
  name = s.string { match = "^[%w][%w _.-]*$", len = { 1, 64 },
    help = "steps with the same name choose the same clients" },
}:check(function(conf)
  local _, fault = share.number(conf.weight)
  if fault then return fault, "weight" end
  if conf.header_value and not conf.header then return "needs 'header'", "header_value" end
  if conf.sticky and not conf.cookie then return "needs 'cookie'", "sticky" end
end)

local SAID = { always = true, never = false }

-- A function of a key that says yes for that share of keys, and for the same ones on every gateway. Those chosen stay
-- chosen when the share grows.
local function chooser(salt, number)
  if number == 0 or number == 1 then return function() return number == 1 end end
  local below = math.floor(number * 2 ^ 32)
  return function(key) return string.unpack(">I4", mg.crypto.sha256(mg.key(salt, key), "raw")) < below end
end

function M.new(conf, env)
  local key_of = mg.client_key(conf.by)
  local choose = chooser(conf.name or env.key, share.number(conf.weight))

  -- What the request itself says; nil when it says nothing.
  local function said(req)
    local value = conf.header and req:header(conf.header)
    if value then
      if conf.header_value then
        if value == conf.header_value then return true end
      elseif SAID[value] ~= nil then
        return SAID[value]
      end
    end
    local cookie = conf.cookie and req:cookie(conf.cookie)
    return cookie and SAID[cookie]
  end

  local function remember(chosen)
    local secure = "; Path=/; HttpOnly; SameSite=Lax"
    local cookie = ("%s=%s; Max-Age=%d%s"):format(conf.cookie, chosen and "always" or "never", conf.sticky, secure)
    return function(res) res:add_header("Set-Cookie", cookie) end
  end

  return { request = function(req)
    local chosen, new = said(req), false
    if chosen == nil then chosen, new = choose(key_of(req)), conf.sticky ~= nil end
    if chosen then req.service = conf.service end
    if new then return remember(chosen) end
  end }
end

return M
