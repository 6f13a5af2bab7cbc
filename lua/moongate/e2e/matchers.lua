-- What specs say about responses. A failure shows the response.
--
--     assert.status(res, 200)                       assert.json(res, { id = 7 })
--     assert.header(res, "Via", "1.1 moongate")     assert.problem(res, 403, "missing-claim")
--     assert.header(res, "Via")    it is there      assert.called(up, 2)     so many requests came to that backend
--     assert.no_header(res, "Via")

local luassert = require "luassert"
local namespaces = require "luassert.namespaces"
local util = require "luassert.util"
local pretty = require "pl.pretty"

local function show(res)
  local lines = { ("%d %s"):format(res.status, res.reason or "") }
  for _, field in ipairs(res.headers) do lines[#lines + 1] = ("%s: %s"):format(field[1], field[2]) end
  return table.concat(lines, "\n") .. "\n\n" .. (res.body or ""):sub(1, 2000)
end

-- check(...) gives true, or false and what is wrong. A matcher of this name that another kit brought stays in use for
-- that kit's own things.
local function add(name, what, check)
  local before = namespaces.assertion and namespaces.assertion[name]
  luassert:register("assertion", name, function(state, arguments, level)
    local thing = arguments[1]
    if before and not (type(thing) == "table" and what(thing)) then return before.callback(state, arguments, level) end
    local ok, fault = false, "expected a response, got " .. tostring(thing)
    if type(thing) == "table" then ok, fault = check(table.unpack(arguments, 1, arguments.n)) end
    if not ok then
      arguments.nofmt = {}
      for i = 1, arguments.n do arguments.nofmt[i] = true end
      state.failure_message = fault
    end
    return ok
  end, "moongate.e2e." .. name, "moongate.e2e." .. name)
end

local function is_message(thing) return type(thing.headers) == "table" and thing.status ~= nil end
local function is_upstream(thing) return type(thing.seen) == "table" end

add("status", is_message, function(res, status)
  if res.status == status then return true end
  return false, ("expected status %d, got\n%s"):format(status, show(res))
end)

add("header", is_message, function(res, name, value)
  local got = res:header(name)
  if got ~= nil and (value == nil or got == tostring(value)) then return true end
  return false, ("expected header %s%s, got %s in\n%s"):format(
    name, value ~= nil and (" '%s'"):format(value) or "", got and ("'%s'"):format(got) or "none", show(res))
end)

add("no_header", is_message, function(res, name)
  local got = res:header(name)
  if got == nil then return true end
  return false, ("expected no header %s, got '%s' in\n%s"):format(name, got, show(res))
end)

add("json", is_message, function(res, expected)
  local got, fault = res:json()
  if fault then return false, ("expected JSON: %s in\n%s"):format(fault, show(res)) end
  if util.deepcompare(got, expected, true) then return true end
  return false, ("expected JSON %s, got\n%s"):format(pretty.write(expected), show(res))
end)

-- RFC 9457, with our members: a short word and the request's id.
add("problem", is_message, function(res, status, slug)
  local body = res:json()
  local fault
  if res.status ~= status then
    fault = ("expected status %d"):format(status)
  elseif res:header("content-type") ~= "application/problem+json" or type(body) ~= "table" then
    fault = "expected application/problem+json"
  elseif body.status ~= status or not body.title or not body.type then
    fault = "expected type, title and the same status in the body"
  elseif slug and body.error ~= slug then
    fault = ("expected the problem '%s'"):format(slug)
  elseif type(body.request_id) ~= "string" or #body.request_id < 8 then
    fault = "expected a request_id"
  end
  return not fault, fault and ("%s, got\n%s"):format(fault, show(res))
end)

add("called", is_upstream, function(up, n)
  if #up.seen == n then return true end
  local lines = {}
  for i, req in ipairs(up.seen) do lines[i] = ("  %s %s"):format(req.method, req.target) end
  return false, ("expected %d requests, got %d\n%s"):format(n, #up.seen, table.concat(lines, "\n"))
end)
