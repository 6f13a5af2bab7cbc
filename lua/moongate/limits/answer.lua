-- What clients are told of limits, as far as it is known beforehand, and the answer of a gateway that cannot take more.
-- What is told of one request is in src/gateway/rate_limit_answer.c.

local mg = require "moongate"

local M = {}

local PROBLEMS = "https://iana.org/assignments/http-problem-types#"

local function quoted(text)
  return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

-- The value of RateLimit-Policy: what each limit grants, { name =, quota =, window = } (seconds).
function M.policy_field(limits)
  local items = {}
  for i, limit in ipairs(limits) do
    items[i] = ("%s;q=%d;w=%d"):format(quoted(limit.name), math.floor(limit.quota), math.ceil(limit.window))
  end
  return table.concat(items, ", ")
end

-- Of a text that is a whole body.
function M.content_type_of(text)
  local first = text:match "^%s*(.)"
  if first == "{" or first == "[" then return "application/json" end
  return first == "<" and "text/html; charset=utf-8" or "text/plain; charset=utf-8"
end

-- What a refusal's problem says of the limits of those names, as members of its object.
function M.violated(names)
  return (',"violated-policies":%s'):format(mg.json.encode(mg.json.array(names)))
end

-- The answer of a gateway that cannot take more now, whoever asks.
function M.overloaded(detail)
  return mg.problem(503, PROBLEMS .. "temporary-reduced-capacity", detail, { headers = { ["Retry-After"] = 1 } })
end

return M
