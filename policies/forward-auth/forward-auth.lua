-- Asks another service whether a request may pass.

local mg, s = require "moongate", require "moongate.schema"
local headers = require "moongate.auth.header"

local M = { name = "forward-auth", version = "1.0.0", summary = "Ask an authorizer whether a request may pass",
  guard = true }

local MANY = { 0, 100 } -- mutate: equal, no list has fewer

M.schema = s.record {
  service = s.service { help = "that decides; or 'url'" },
  path = s.string { match = "^/[^%s#]*$", help = "of the service that is asked; default: /" },
  url = s.url { help = "that decides, in place of 'service' and 'path'" },
  method = s.method { default = "GET", help = "of the question; the request's own is in X-Forwarded-Method" },
  headers = s.list(s.header_name(), { single = true, len = MANY, default = { "Authorization", "Cookie" },
    help = "of the request, that the authorizer gets" }),
  response_headers = s.list(s.header_name(), { single = true, len = MANY, default = {},
    help = "of a yes, that the backend gets; what the client sent of them is removed" }),
  client_headers = s.list(s.header_name(), { single = true, len = MANY,
    default = { "Cache-Control", "Content-Type", "Location", "Retry-After", "Set-Cookie", "WWW-Authenticate" },
    help = "of a no, that the client gets" }),
  max_body = s.size { default = "64KiB", le = 1 << 20, help = "of a no; a larger one is left out" },
  timeout = s.duration { default = "5s", gt = 0, le = 300, help = "for the answer" },
  on_error = s.enum { "deny", "allow", default = "deny", help = "without an answer: 503, or go on" },
  cache = s.duration { default = 0, le = 3600, help = "how long a yes holds for requests that look the same" },
}:check(function(conf)
  if (conf.service == nil) == (conf.url == nil) then return "needs one of 'service' and 'url'" end
  if conf.url and conf.path then return "goes with 'service'; a URL has its own", "path" end
  for _, field in ipairs { "headers", "response_headers", "client_headers" } do
    for _, name in ipairs(conf[field]) do
      if headers.is_reserved(name) then return ("'%s' is written by the gateway itself"):format(name), field end
      if field == "headers" and name:lower():find "^x%-forwarded%-" then
        return ("'%s' is written by the gateway itself"):format(name), field
      end
    end
  end
end)

-- ------------------------------------------------------------------------------------------------ the question

-- Everything that the authorizer gets to see, as headers. None of it is the client's own X-Forwarded-*.
local function question(req, pass)
  local fields = {
    ["X-Forwarded-Method"] = req.method, ["X-Forwarded-Proto"] = req.scheme, ["X-Forwarded-For"] = req.client_ip,
    ["X-Forwarded-Host"] = req:header "Host",
    ["X-Forwarded-Uri"] = req.raw_path .. (req.query and "?" .. req.query or ""),
  }
  for i = 1, #pass do
    fields[pass[i]] = req:header_values(pass[i])
  end
  return fields
end

-- The same as one short text. Who is asked, and for what, is in it: `prefix` tells steps apart.
local function key_of(prefix, fields, pass)
  local parts = {
    prefix, fields["X-Forwarded-Method"], fields["X-Forwarded-Proto"], fields["X-Forwarded-For"],
    fields["X-Forwarded-Host"] or "", fields["X-Forwarded-Uri"],
  }
  for i = 1, #pass do parts[#parts + 1] = mg.key(table.unpack(fields[pass[i]])) end
  return mg.crypto.sha256(mg.key(table.unpack(parts)))
end

-- ------------------------------------------------------------------------------------------------ the answer

local function pick(res, names)
  local picked = {}
  for i = 1, #names do
    picked[names[i]] = res:header_values(names[i])
  end
  return picked
end

local function give(req, fields)
  for name, values in pairs(fields) do req:set_header(name, values) end
end

-- The authorizer's no, as the client gets it.
local function refusal(res, conf)
  local body = res:text(conf.max_body)
  return mg.reply(res.status, body ~= "" and body or nil, pick(res, conf.client_headers))
end

local function failed(conf, reason)
  mg.log.error("the authorizer gives no answer", { reason = reason, on_error = conf.on_error })
  if conf.on_error == "allow" then return nil end
  return mg.problem(503, "authorizer-unavailable", "Nobody can tell whether the request is allowed")
end

-- A yes in the dictionary is the fields for the backend.
local function open_cache(conf)
  if conf.cache == 0 then return nil end
  local dictionary = mg.shared "forward-auth"
  local cache = {}

  function cache.find(key)
    local text = dictionary:get(key)
    return text and mg.json.decode(text)
  end

  function cache.keep(key, res, fields)
    if res:cache_control()["no-store"] then return end
    local text = mg.json.encode(fields) -- nil for what is not UTF-8
    if text then dictionary:set(key, text, conf.cache) end
  end

  return cache
end

function M.new(conf)
  local target, pass, told = conf.service or conf.url, conf.headers, conf.response_headers
  local cache = open_cache(conf)
  local names = mg.key(table.unpack(pass)) .. mg.key(table.unpack(told))
  local prefix = mg.key(target, conf.path, conf.method, names)

  local function ask(fields)
    local options = { method = conf.method, path = conf.path, headers = fields, timeout = conf.timeout }
    local res, err = mg.fetch(target, options)
    if not res then return nil, tostring(err) end
    if res.status >= 500 then return nil, "status " .. res.status end
    return res
  end

  return { request = function(req)
    local fields = question(req, pass)
    for i = 1, #told do req:del_header(told[i]) end
    local key = cache and key_of(prefix, fields, pass)
    local known = key and cache.find(key)
    if known then return give(req, known) end
    local res, reason = ask(fields)
    if not res then return failed(conf, reason) end
    if res.status > 299 then return refusal(res, conf) end
    local given = pick(res, told)
    if key then cache.keep(key, res, given) end
    give(req, given)
  end }
end

return M
