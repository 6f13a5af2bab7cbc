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

local known = {} -- what is_secret has said

local function is_secret(key)
  local said = known[key]
  if said == nil then
    local name = key:lower()
    said = SECRET[name] or FIELDS[name] or SECRET[name:match "[_-](%a+)$" or ""] or false
    known[key] = said
  end
  return said
end

-- User and password of a URL.
local function without_userinfo(text)
  if not text:find("://", 1, true) then return text end
  return (text:gsub("(%a[%w+.-]*://)[^/?#@%s]*@", "%1" .. HIDDEN .. "@"))
end

-- A list has items alone: what counts them all finds no more than those in a row.
local function is_list(value)
  local n, count = #value, 0
  if n == 0 then return next(value) == nil end
  for _ in pairs(value) do count = count + 1 end
  return count == n
end

local function show_text(text, key, secrets)
  if is_secret(key) and not secrets[text] then return HIDDEN end
  return without_userinfo(text)
end

-- Whether it can be shown as it is. Nearly all can, and a copy costs more than this look.
local function is_plain(value, key, secrets)
  local kind = type(value)
  if kind == "string" then return show_text(value, key, secrets) == value end
  if kind ~= "table" then return kind ~= "function" and kind ~= "userdata" end
  local keys_are_numbers = #value > 0
  for k, v in pairs(value) do
    local named = type(k) == "string"
    if named == keys_are_numbers or not is_plain(v, named and k or key, secrets) then return false end
  end
  return true
end

local function copy(value, key, secrets)
  local kind = type(value)
  if kind == "string" then
    return show_text(value, key, secrets)
  elseif kind == "table" then
    local out = json.is_array(value) and json.array() or {}
    if is_list(value) then
      for i, item in ipairs(value) do out[i] = copy(item, key, secrets) end
      return out
    end
    for k, v in pairs(value) do
      out[type(k) == "string" and k or tostring(k)] = copy(v, type(k) == "string" and k or key, secrets)
    end
    return out
  elseif kind == "function" or kind == "userdata" then
    return "<" .. kind .. ">"
  end
  return value
end

local function show(value, key, secrets)
  if is_plain(value, key, secrets) then return value end
  return copy(value, key, secrets)
end

-- Where things stand in the files is none of the config, and what is made of an option is that option once more.
local PLACES = { line = true, col = true, file = true, path = true, source_line = true, mounts = true, via = true,
  native_conf = true }

local show_step

local function show_steps(steps, secrets)
  local out = {}
  for i, step in ipairs(steps) do out[i] = show_step(step, secrets) end
  return out
end

local function show_inner(pipelines, secrets)
  local out = {}
  for i, pipeline in ipairs(pipelines) do out[i] = { steps = show_steps(pipeline.steps, secrets) } end
  return out
end

function show_step(step, secrets)
  local out = {}
  for key, value in pairs(step) do
    if key == "inner" then
      out.inner = show_inner(value, secrets)
    elseif not PLACES[key] then
      out[key] = show(value, key, secrets)
    end
  end
  return out
end

local function show_route(route, secrets)
  local out = {}
  for key, value in pairs(route) do
    if key == "steps" or key == "on_error" then
      out[key] = show_steps(value, secrets)
    elseif not PLACES[key] then
      out[key] = show(value, key, secrets)
    end
  end
  return out
end

-- The table that moongate.config gives, as plain data.
function M.show(config)
  local out, secrets = {}, config.secrets
  for key, value in pairs(config) do
    if key ~= "files" and key ~= "routes" and key ~= "fallback" and key ~= "secrets" then
      out[key] = show(value, key, secrets)
    end
  end
  out.routes = {}
  for i, route in ipairs(config.routes) do out.routes[i] = show_route(route, secrets) end
  out.fallback = show_steps(config.fallback, secrets)
  out.secrets = secrets
  return out
end

return M
