-- Cross-origin requests, as the Fetch standard has them: answers preflights, and tells browsers on every other response
-- who may read it.

local mg, s = require "moongate", require "moongate.schema"

local M = { name = "cors", version = "1.0.0", summary = "Cross-origin requests by the Fetch standard" }

M.schema = s.record {
  origins = s.list(s.string { len = { 1, 256 } }, {
    default = { "*" }, single = true, len = { 1, 1000 },
    help = "who may ask: https://app.example.com, https://*.example.com, null, or * for everybody",
  }),
  methods = s.list(s.method(), {
    default = { "GET", "HEAD", "PUT", "PATCH", "POST", "DELETE" }, single = true, help = "that may be used",
  }),
  headers = s.list(s.header_name(), { single = true, help = "that may be sent; left out: those that are asked for" }),
  expose = s.list(s.header_name(), { single = true, help = "that scripts may read" }),
  credentials = s.boolean { default = false, help = "cookies and client certificates" },
  max_age = s.duration { help = "how long a preflight's answer may be kept" },
}:check(function(conf)
  for _, origin in ipairs(conf.origins) do
    local any = origin == "*"
    if any and conf.credentials then
      return "with 'credentials' every origin must be named: '*' would let any site act for the user", "origins"
    end
    -- RFC 6454 6.1: an origin has no path, and no slash at its end.
    if not any and origin ~= "null" and not origin:find "^%a[%w+.-]*://[^/?#@%s]+$" then
      return ("'%s' is no origin (https://app.example.com)"):format(origin), "origins"
    end
    if select(2, origin:gsub("%*", "")) > 1 then return ("'%s' has more than one '*'"):format(origin), "origins" end
  end
end)

-- Browsers write scheme and host in lower case. A `*` stands for one or more labels or a part of one.
local function compile_origins(origins)
  local exact, patterns, any = {}, {}, false
  for _, origin in ipairs(origins) do
    local lower = origin:lower()
    if lower == "*" then
      any = true
    elseif lower:find("*", 1, true) then -- mutate: equal, one without a star works as a pattern too
      patterns[#patterns + 1] = "^" .. lower:gsub("[%p]", "%%%0"):gsub("%%%*", "[%%w.-]+") .. "$"
    else
      exact[lower] = true
    end
  end
  return any, exact, patterns
end

local function matches(patterns, origin)
  for i = 1, #patterns do
    if origin:find(patterns[i]) then return true end
  end
  return false -- mutate: equal, nil is as good
end

-- A function that gives what Access-Control-Allow-Origin says to a request, or nil.
local function allower(conf)
  local any, exact, patterns = compile_origins(conf.origins)
  if any then
    return function() return "*" end, false
  end
  return function(origin)
    if origin and (exact[origin] or matches(patterns, origin)) then return origin end
    return nil
  end, true
end

-- Adds a name to Vary, unless it is there.
local function vary(res, name)
  local now = res:header "Vary"
  if not now then return res:set_header("Vary", name) end
  local list = "," .. now:lower():gsub("[ \t]", "") .. ","
  -- mutate: equal, a name that is there already has no magic
  if not list:find("," .. name:lower() .. ",", 1, true) and list ~= ",*," then res:add_header("Vary", name) end
end

local function has_star(list)
  for _, item in ipairs(list or {}) do
    if item == "*" then return true end
  end
  return false -- mutate: equal, nil is as good
end

local function preflight_answer(conf, allow, by_origin)
  local methods = table.concat(conf.methods, ",")
  local headers = conf.headers and not has_star(conf.headers) and table.concat(conf.headers, ",")
  local echo_method = has_star(conf.methods) and conf.credentials -- `*` is only a method's name then
  local max_age = conf.max_age and ("%d"):format(conf.max_age // 1)

  local function grant(req, res, origin)
    res:set_header("Access-Control-Allow-Origin", origin)
    if conf.credentials then res:set_header("Access-Control-Allow-Credentials", "true") end
    local asked_method = req:header "Access-Control-Request-Method"
    res:set_header("Access-Control-Allow-Methods", echo_method and asked_method or methods)
    local asked = headers or req:header "Access-Control-Request-Headers"
    if asked and asked ~= "" then res:set_header("Access-Control-Allow-Headers", asked) end
    res:set_header("Access-Control-Max-Age", max_age) -- nil: says nothing
  end

  return function(req)
    local res = mg.reply(204)
    local origin = allow(req:header "Origin")
    if origin then grant(req, res, origin) end
    if by_origin then vary(res, "Origin") end
    if echo_method then vary(res, "Access-Control-Request-Method") end
    if not headers then vary(res, "Access-Control-Request-Headers") end
    return res
  end
end

function M.new(conf)
  local allow, by_origin = allower(conf)
  local answer_preflight = preflight_answer(conf, allow, by_origin)
  local expose = conf.expose and #conf.expose > 0 and table.concat(conf.expose, ",") or nil
  local credentials = conf.credentials and "true" or nil

  return {
    request = function(req)
      if req.method == "OPTIONS" and req:header "Access-Control-Request-Method" then return answer_preflight(req) end
    end,
    -- Nil takes a field away: what the backend says of origins does not count beside this step.
    response = function(req, res)
      local origin = allow(req:header "Origin")
      res:set_header("Access-Control-Allow-Origin", origin)
      res:set_header("Access-Control-Allow-Credentials", origin and credentials)
      res:set_header("Access-Control-Expose-Headers", origin and expose)
      if by_origin then vary(res, "Origin") end
    end,
  }
end

return M
