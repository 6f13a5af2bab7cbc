-- What specs say about responses. A failure shows the response, and what the policies complained of.
--
--     assert.status(res, 200)                       assert.json(res, { id = 7 })
--     assert.header(res, "Via", "1.1 moongate")     assert.problem(res, 403, "missing-claim")
--     assert.header(res, "Via")    it is there      assert.untouched(res)    nobody read the response's body
--     assert.called("api", 2)      so many requests came to that upstream of the gateway made last
--     assert.called(t, "api", 2)   ... of this gateway

local gateway = require "moongate.test.gateway"
local luassert = require "luassert"
require "luassert.spy" -- it has a matcher `called` of its own, which is to be there first
local message = require "moongate.test.message"
local mg = require "moongate"
local namespaces = require "luassert.namespaces"
local say = require "say"

local M = { latest = nil } -- the gateway made last

local TEXT = "moongate.test" -- key of the text that is nothing but what a matcher says

say:set(TEXT, "%s")

-- ------------------------------------------------------------------------------------------------ showing

local BODY_SHOWN = 2000

local function show(res)
  local lines = {}
  if res._line then lines[1] = res._line end
  lines[#lines + 1] = res.status and tostring(res.status) or "no response"
  for name, value in res:headers() do lines[#lines + 1] = ("%s: %s"):format(name, value) end
  if res.body ~= "" then
    lines[#lines + 1] = ""
    lines[#lines + 1] = res.body:sub(1, BODY_SHOWN) .. (#res.body > BODY_SHOWN and " ..." or "")
  end
  if res.broken then lines[#lines + 1] = ("(broken: %s)"):format(res.broken) end
  local complaints = gateway.complaints(res)
  if complaints ~= "" then lines[#lines + 1] = "\n" .. complaints end
  if res._gateway then
    lines[#lines + 1] = ("\nseed %d (--seed=%d gives the same order)"):format(res._gateway.seed, res._gateway.seed)
  end
  return "  " .. table.concat(lines, "\n"):gsub("\n", "\n  ")
end

local function literal(value)
  if value == mg.json.null then return "null" end
  local text = mg.json.encode(value, { sort = true })
  return text or tostring(value)
end

-- ------------------------------------------------------------------------------------------------ registering

-- check(...) gives true, or false and what is wrong. A matcher of this name that was there before (luassert's own, or
-- another kit's) stays in use for what is not ours.
local function add(name, is_ours, check)
  local before = namespaces.assertion and namespaces.assertion[name]
  luassert:register("assertion", name, function(state, arguments, level)
    local thing = arguments[1]
    local own = namespaces.assertion[name]
    if before and (rawget(state, "payload") or not is_ours(thing)) then
      own.positive_message, own.negative_message = before.positive_message, before.negative_message
      return before.callback(state, arguments, level)
    end
    own.positive_message, own.negative_message = TEXT, TEXT
    local ok, fault = false, ("expected a response, got %s"):format(tostring(thing))
    if is_ours(thing) then ok, fault = check(table.unpack(arguments, 1, arguments.n)) end
    if ok then fault = ("expected the contrary of %s\n%s"):format(name, message.is(thing) and show(thing) or "") end
    arguments[1] = fault
    arguments.nofmt = { true }
    return ok
  end, TEXT, TEXT)
end

add("status", message.is, function(res, status)
  if res.status == status then return true end
  return false, ("expected status %s, got\n%s"):format(tostring(status), show(res))
end)

add("header", message.is, function(res, name, value)
  local got = res:header(name)
  if got ~= nil and (value == nil or got == tostring(value)) then return true end
  return false, ("expected header %s%s, got %s in\n%s"):format(
    name, value ~= nil and (" %q"):format(tostring(value)) or "", got and ("%q"):format(got) or "none", show(res))
end)

-- Where two values first differ: path, expected, got; nil when they are the same. Integers and floats of one value are.
local function difference(expected, got, path)
  if type(expected) ~= "table" or type(got) ~= "table" then
    if expected == got then return nil end
    return path, expected, got
  end
  local keys, seen = {}, {}
  for _, t in ipairs { expected, got } do
    for key in pairs(t) do
      if not seen[key] then
        seen[key] = true
        keys[#keys + 1] = key
      end
    end
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do
    local at = type(key) == "number" and ("%s[%d]"):format(path, key - 1)
      or path .. (path ~= "" and "." or "") .. tostring(key)
    local where, want, have = difference(expected[key], got[key], at)
    if where then return where, want, have end
  end
  return nil
end

add("json", message.is, function(res, expected)
  local got, fault = res:json()
  if fault then return false, ("expected JSON: %s in\n%s"):format(tostring(fault), show(res)) end
  local where, want, have = difference(expected, got, "")
  if not where then return true end
  return false, ("expected JSON %s\nat '%s': expected %s, got %s in\n%s"):format(
    literal(expected), where, literal(want), literal(have), show(res))
end)

-- RFC 9457, with our members: a short word and the request's id.
add("problem", message.is, function(res, status, slug)
  local body, fault = res:json(), nil
  if res.status ~= status then
    fault = ("expected status %s"):format(tostring(status))
  elseif res:header "content-type" ~= "application/problem+json" or type(body) ~= "table" then
    fault = "expected application/problem+json"
  elseif body.status ~= status or not body.title or not body.type then
    fault = "expected type, title and the same status in the body"
  elseif slug and body.error ~= slug then
    fault = ("expected the problem '%s', not '%s'"):format(slug, tostring(body.error))
  end
  return not fault, fault and ("%s, got\n%s"):format(fault, show(res))
end)

add("untouched", message.is, function(res)
  if not res.touched then return true end
  return false, "expected a response whose body nobody has read or replaced, got\n" .. show(res)
end)

local function is_upstream(thing)
  return type(thing) == "string" or getmetatable(thing) == gateway.type
end

add("called", is_upstream, function(t, service, n)
  if type(t) == "string" then t, service, n = M.latest, t, service end
  if not t then return false, "no gateway was made yet" end
  local count, _, all = t:seen(service)
  if n == nil and count > 0 or count == n then return true end
  local lines = {}
  for i, req in ipairs(all) do lines[i] = ("\n  %s %s"):format(req.method, req.raw_path) end
  return false, ("expected %s requests at '%s', got %d%s"):format(
    n and tostring(n) or "some", service, count, table.concat(lines))
end)

return M
