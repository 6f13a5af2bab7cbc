-- Answers for a service that is closed for a while, except to those who work on it.

local mg, s = require "moongate", require "moongate.schema"

local M = { name = "maintenance", version = "1.0.0", summary = "Answers 503 for a while, except to some" }

M.schema = s.record {
  retry_after = s.duration { default = "5m", ge = 1, help = "when clients may come back" },
  status = s.status { default = 503, ge = 400, help = "of the answer" },
  body = s.string { len = { 1, 65536 }, help = "of the answer: text, or JSON or HTML when it begins like that" },
  allow = s.list(s.cidr(), { single = true, len = { 1, 1000 }, help = "networks whose requests pass" }),
  allow_headers = s.map(s.string { len = { 1, 1024 } },
    { keys = s.header_name(), help = "requests with one of these headers, of that value, pass" }),
}

local function content_type_of(text)
  local first = text:match "^%s*(.)"
  if first == "{" or first == "[" then return "application/json" end
  return first == "<" and "text/html; charset=utf-8" or "text/plain; charset=utf-8"
end

function M.new(conf)
  local inside = conf.allow and mg.ip.matcher(conf.allow)
  local headers = {
    ["Retry-After"] = math.ceil(conf.retry_after), ["Cache-Control"] = "no-store",
    ["Content-Type"] = conf.body and content_type_of(conf.body) or nil,
  }

  local function passes(req)
    if inside and inside(req.client_ip) then return true end
    for name, value in pairs(conf.allow_headers or {}) do
      if mg.crypto.equal(req:header(name) or "", value) then return true end
    end
    return false
  end

  return { request = function(req)
    if passes(req) then return end
    if conf.body then return mg.reply(conf.status, conf.body, headers) end
    return mg.problem(conf.status, "maintenance", "The service is closed for maintenance", { headers = headers })
  end }
end

return M
