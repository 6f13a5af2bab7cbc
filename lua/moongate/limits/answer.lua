-- What clients are told of limits: the fields of draft-ietf-httpapi-ratelimit-headers-11, and the answer to one that is
-- over its limit.

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

-- One item of RateLimit.
function M.field(name, remaining, seconds)
  return ("%s;r=%d;t=%d"):format(quoted(name), remaining, math.ceil(seconds))
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

-- The answer of one that is over a limit: { status =, message =, names = { of limits } }; with a message that is the
-- whole body. `retry_after` is in seconds.
function M.refused(options, retry_after)
  local seconds = math.max(1, math.ceil(retry_after))
  local headers = { ["Retry-After"] = seconds }
  if options.message then
    headers["Content-Type"] = M.content_type_of(options.message)
    return mg.reply(options.status, options.message, headers)
  end
  local res = mg.problem(options.status, PROBLEMS .. "quota-exceeded", nil,
    { headers = headers, members = { ["violated-policies"] = mg.json.array(options.names) } })
  if res:header "Content-Type" == "application/json" then -- `errors: { format: simple }`
    res:set_body(('{"error":"Too Many Requests","message":"Rate limit exceeded","retryAfter":%d}'):format(seconds))
  end
  return res
end

-- The answer of a gateway that cannot take more now, whoever asks; 503 unless `status` says otherwise.
function M.overloaded(detail, retry_after, status)
  return mg.problem(status or 503, PROBLEMS .. "temporary-reduced-capacity", detail,
    { headers = { ["Retry-After"] = math.max(1, math.ceil(retry_after or 1)) } })
end

return M
