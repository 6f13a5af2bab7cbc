-- The checked config as it may be shown: plain data without secrets, for /config and its hash.
--
-- What is named in `secrets` is in no config. Here go texts that were written where a secret's name could stand, and
-- values of options and header fields that are secret by their name.

local json = require "moongate".json

local M = {}

local HIDDEN = "***"

-- Options whose value is a secret unless it is the name of one.
local SECRET = { password = true, secret = true, token = true, passphrase = true, credential = true, api_key = true }
local FIELDS = { authorization = true, ["proxy-authorization"] = true, cookie = true, ["set-cookie"] = true,
  ["x-api-key"] = true }

local function is_secret(key)
  local name = key:lower()
  return SECRET[name] or FIELDS[name] or SECRET[name:match "[_-](%a+)$" or ""]
end

-- User and password of a URL.
local function without_userinfo(text)
  return (text:gsub("(%a[%w+.-]*://)[^/?#@%s]*@", "%1" .. HIDDEN .. "@"))
end

local function show(value, key, state)
  local kind = type(value)
  if kind == "string" then
    if is_secret(key) and not state.secrets[value] then return HIDDEN end
    return without_userinfo(value)
  elseif kind == "table" then
    local out, count = json.is_array(value) and json.array() or {}, 0
    for _ in pairs(value) do count = count + 1 end
    local is_list = count == #value
    for k, v in pairs(value) do
      out[is_list and k or tostring(k)] = show(v, type(k) == "string" and k or key, state)
    end
    return out
  elseif kind == "function" or kind == "userdata" then
    return "<" .. kind .. ">"
  end
  return value
end

-- Where things stand in the files is none of the config, and what is made of an option is that option once more.
local PLACES = { line = true, col = true, file = true, path = true, source_line = true, mounts = true, via = true,
  native_conf = true }

local function without_places(steps)
  local out = {}
  for i, step in ipairs(steps or {}) do
    out[i] = {}
    for key, value in pairs(step) do
      if not PLACES[key] then out[i][key] = value end
    end
    if step.inner then
      out[i].inner = {} -- of its own: what is shown is still to be built
      for n, inner in ipairs(step.inner) do out[i].inner[n] = { steps = without_places(inner.steps) } end
    end
  end
  return out
end

local function plain_route(route)
  local out = {}
  for key, value in pairs(route) do
    if not PLACES[key] then out[key] = value end
  end
  out.steps, out.on_error = without_places(route.steps), without_places(route.on_error)
  return out
end

-- The table that moongate.config gives, as plain data.
function M.show(config)
  local plain = {}
  for key, value in pairs(config) do plain[key] = value end
  plain.files = nil
  plain.fallback = without_places(config.fallback)
  plain.routes = {}
  for i, route in ipairs(config.routes) do plain.routes[i] = plain_route(route) end
  local secrets = plain.secrets
  plain.secrets = nil
  local out = show(plain, "", { secrets = secrets })
  out.secrets = secrets
  return out
end

return M
