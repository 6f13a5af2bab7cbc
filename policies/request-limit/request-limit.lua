-- Refuses requests that are larger than, or other than, what a route is made for.

local mg, s = require "moongate", require "moongate.schema"

local M = {
  name = "request-limit",
  version = "1.0.0",
  summary = "Limit methods, content types, header fields and body size",
  body = { request = "stream" }, -- only bodies without a declared length are read
}

M.schema = s.record {
  body = s.size { help = "bytes; above it 413" },
  headers = s.integer { gt = 0, help = "number of fields; above it 431" },
  header_bytes = s.size { help = "names and values together; above it 431" },
  methods = s.list(s.method(), { single = true, len = { 1, 100 }, help = "all others: 405; GET allows HEAD" }),
  content_types = s.list(s.string { match = "^[^%s/;,]+/[^%s/;,]+$" }, {
    single = true, len = { 1, 100 }, help = "application/json, image/*; all others: 415",
  }),
}:check(function(conf)
  if next(conf) == nil then return "needs at least one limit" end
end)

-- ------------------------------------------------------------------------------------------------ methods

local function method_check(list)
  local allowed, names = {}, {}
  local function add(method)
    if allowed[method] then return end
    allowed[method] = true
    names[#names + 1] = method
  end
  for _, method in ipairs(list) do
    add(method)
    if method == "GET" then add "HEAD" end -- RFC 9110 9.1: whoever supports GET supports HEAD
  end
  local options = { headers = { Allow = table.concat(names, ", ") } }
  return function(req)
    if not allowed[req.method] then return mg.problem(405, "method-not-allowed", nil, options) end
  end
end

-- ------------------------------------------------------------------------------------------------ headers

local function header_check(max_fields, max_bytes)
  return function(req)
    local fields, bytes = 0, 0
    for name, value in req:headers() do
      fields, bytes = fields + 1, bytes + #name + #value
    end
    if fields > max_fields then return mg.problem(431, "too-many-headers") end
    if bytes > max_bytes then return mg.problem(431, "headers-too-large") end
  end
end

-- ------------------------------------------------------------------------------------------------ content types

local function type_check(list)
  local exact, groups = {}, {}
  for _, item in ipairs(list) do
    local group = item:lower():match "^(.+)/%*$"
    if group then groups[group] = true else exact[item:lower()] = true end
  end
  -- RFC 9110 15.5.16: Accept tells what would have been taken.
  local options = { headers = { Accept = table.concat(list, ", ") } }
  local refused = function() return mg.problem(415, "unsupported-content-type", nil, options) end

  return function(req)
    local content_type = req:header "Content-Type"
    if content_type then
      local full = content_type:match("^[^;]*"):match("^%s*(.-)%s*$"):lower()
      if exact[full] or groups[full:match "^([^/,]+)/[^/,]+$" or ""] then return end
      return refused()
    end
    local length = req:header "Content-Length"
    if length then
      if length ~= "0" then return refused() end
    -- No length, but there are bytes: of no type.
    elseif req:text(0) ~= "" then -- mutate: equal, one byte is no empty text either
      return refused()
    end
  end
end

-- ------------------------------------------------------------------------------------------------ body

local function body_check(max)
  local detail = ("the body may have at most %d bytes"):format(max)
  return function(req)
    local length = req:header "Content-Length"
    if length then
      if tonumber(length) > max then return mg.problem(413, "content-too-large", detail) end
      return
    end
    -- Without a length only reading tells. What was read goes on to the backend, now with a length.
    if not req:text(max) then return mg.problem(413, "content-too-large", detail) end
  end
end

function M.new(conf)
  local checks = {}
  if conf.methods then checks[#checks + 1] = method_check(conf.methods) end
  if conf.headers or conf.header_bytes then -- mutate: equal, without limits it refuses nothing
    checks[#checks + 1] = header_check(conf.headers or math.huge, conf.header_bytes or math.huge)
  end
  if conf.content_types then checks[#checks + 1] = type_check(conf.content_types) end
  if conf.body then checks[#checks + 1] = body_check(conf.body) end

  return { request = function(req)
    for i = 1, #checks do
      local refusal = checks[i](req)
      if refusal then return refusal end
    end
  end }
end

return M
