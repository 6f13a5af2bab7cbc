-- What parts have said, kept for a while in a dictionary that all workers share. Waits.
--
--     store.new(ttl, accepts) -> s          from the `new` of a policy; `accepts` is a set of statuses
--     s:fetch(service, spec, req)           as mg.fetch
--     s:fetch_all(service, calls, opts, req)    as mg.fetch_all, all of them to this service
--
-- An entry lies under all that the service sees of the request: with a header that is passed on, each of its values has
-- an entry of its own. So nobody gets what was said to somebody else.

local mg = require "moongate"
local texts = require "moongate.aggregate.text"

local M = {}

local Store = {}
Store.__index = Store

function M.new(ttl, accepts)
  return setmetatable({ ttl = ttl, accepts = accepts, dict = mg.shared "aggregate" }, Store)
end

-- ------------------------------------------------------------------------------------------------ entries

-- Nil where the request has no name: a header that is no text, say.
local function key_of(service, spec, req)
  local passed = mg.json.array()
  for i, name in ipairs(spec.pass or {}) do passed[i] = { name:lower(), req:header_values(name) } end
  local text = mg.json.encode({ service, spec.path, spec.query or false, spec.headers or false, spec.accept or false,
    passed }, { sort = true })
  return text and mg.crypto.sha256(text)
end

function Store:find(key)
  local entry = key and self.dict:get(key)
  if not entry then return nil end
  local status, content_type, text = entry:match "^(%d+) ([^\n]*)\n(.*)$"
  return mg.reply(tonumber(status), text, { ["Content-Type"] = content_type })
end

-- A service may forbid it, and what it says to one client alone it says with a cookie or in private.
local function may_keep(res)
  local control = res:cache_control()
  if control["no-store"] or control["no-cache"] or control.private or res:header "Set-Cookie" then return false end
  return texts.check(res) ~= nil
end

function Store:keep(key, res)
  if not key or not self.accepts[res.status] or not may_keep(res) then return end
  local content_type = res:header "Content-Type" or "application/json"
  -- A dictionary that is too small for it does without.
  self.dict:set(key, ("%d %s\n%s"):format(res.status, content_type, res:text()), self.ttl)
end

-- ------------------------------------------------------------------------------------------------ calls

function Store:fetch(service, spec, req)
  local key = key_of(service, spec, req)
  local found = self:find(key)
  if found then return found end
  local res, err = mg.fetch(service, spec)
  if res then self:keep(key, res) end
  return res, err
end

function Store:fetch_all(service, calls, opts, req)
  local found, missing, keys = {}, {}, {}
  for name, spec in pairs(calls) do
    keys[name] = key_of(service, spec, req)
    found[name] = self:find(keys[name])
    if not found[name] then missing[name] = spec end
  end
  if not next(missing) then return found end
  local got, failed = mg.fetch_all(missing, opts)
  if not got then return nil, failed end
  for name, res in pairs(got) do
    self:keep(keys[name], res)
    found[name] = res
  end
  return found, failed
end

return M
