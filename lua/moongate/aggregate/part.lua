-- Asks for one part of an aggregation. Waits.
--
--     part.ask(part, run) -> what stands for it in the answer, its value where expressions look into it; or nil, nil
--         and an error object
--
-- A run has `v`, `raw` and `req`, as moongate.aggregate.plan's functions want them.

local mg = require "moongate"
local texts = require "moongate.aggregate.text"

local M = {}

local null = mg.json.null

-- ------------------------------------------------------------------------------------------------ through steps

-- Fields that belong to a connection, or are written anew.
local OWN = {
  connection = true, ["content-length"] = true, expect = true, host = true, ["keep-alive"] = true,
  ["proxy-connection"] = true, te = true, ["transfer-encoding"] = true, upgrade = true,
}

-- The client's request as one for the part: what its steps see, and may change.
local function request_for(part, spec, req)
  local copy, kept, dropped = req:copy(), {}, {}
  for _, name in ipairs(part.pass or {}) do kept[name:lower()] = true end
  for name in copy:headers() do
    local lower = name:lower()
    if not kept[lower] and not OWN[lower] then dropped[#dropped + 1] = name end
  end
  for _, name in ipairs(dropped) do copy:del_header(name) end
  for name, value in pairs(spec.headers or {}) do copy:set_header(name, value) end
  local path, query = spec.path:match "^([^?]*)[?]?(.*)$"
  if spec.query then query = mg.url.query(spec.query) end
  copy.service, copy.method, copy.path = part.service, spec.method or "GET", path
  copy.query = query ~= "" and query or nil
  if spec.body then copy:set_body(spec.body) end
  return copy
end

local function headers_of(req)
  local headers = {}
  for name in req:headers() do
    if not OWN[name:lower()] then headers[name] = req:header_values(name) end
  end
  return headers
end

-- Behind the last step.
local function send(part, spec, copy)
  local options = {
    method = copy.method, path = copy.path, query = copy.query, headers = headers_of(copy),
    body = spec.body and copy:text(), retries = spec.retries, accept = "any",
  }
  if part.kept and copy.method == "GET" then return part.kept:fetch(copy.service, options, copy) end
  return mg.fetch(copy.service, options)
end

-- Its own pipeline: what the steps make of an answer counts, and they may answer themselves.
local function ask_through_steps(part, spec, req)
  local fault
  local res = part.use(request_for(part, spec, req), function(copy)
    local res, err = send(part, spec, copy)
    if res then return res end
    fault = err
    return mg.problem(err.code == "timeout" and 504 or 502, "upstream-failed")
  end)
  if not part.accepts[res.status] then
    return nil, fault or { code = "status", message = "status " .. res.status, status = res.status }
  end
  local _, err = res:text() -- into memory
  if err then return nil, err end
  return res
end

local Guard = { __close = function(guard) guard.task:cancel() end }

-- What fn(...) gives, unless it takes too long. Whatever ends the wait ends it as well.
local function in_time(seconds, fn, ...)
  local task = mg.spawn(fn, ...)
  local _ <close> = setmetatable({ task = task }, Guard)
  local res, err = task:wait(seconds)
  if task:cancel() then return nil, { code = "timeout", message = "not in time" } end
  if err and err.code == "error" then error(err, 0) end
  return res, err
end

-- ------------------------------------------------------------------------------------------------ values

local EMPTY = { [204] = true, [205] = true, [304] = true }

-- What a response is in the answer, and its value. One that nobody looks into is not looked at before it turns out
-- to be no JSON there: see M.again.
local function take(part, res)
  if not part.decoded and not part.checked then return res, nil end
  local value, err
  if part.decoded then
    value, err = res:json()
    if err then err = { code = err.code, message = "not JSON: " .. err.message } end
  else
    value, err = texts.check(res)
  end
  if err and EMPTY[res.status] then return nil, nil end
  if err then return nil, nil, err end
  if not part.decoded or value == null then value = nil end
  return res, value
end

M.take = take

-- A response whose text is no JSON as it lies there: true and what stands for it after all, or false. Content codings
-- are taken off when it is read.
function M.again(res)
  if type(res) ~= "userdata" or res == null then return false end
  if EMPTY[res.status] then return true, nil end
  if not res:header "Content-Encoding" then return false end
  return res:text() ~= nil and not res:header "Content-Encoding", res
end

local function request(part, spec, run)
  if part.use then return ask_through_steps(part, spec, run.req) end
  if part.kept then return part.kept:fetch(part.service, spec, run.req) end
  return mg.fetch(part.service, spec)
end

local function all_pages(part, spec, run)
  return part.pages:fetch(spec, function(page) return request(part, page, run) end, run.req)
end

local function ask_one(part, run)
  local spec, err = part.make(run.v, run.raw, run.req)
  if not spec then return nil, nil, err end
  local ask, res = part.pages and all_pages or request
  if spec.timeout and (part.use or part.pages) then
    res, err = in_time(spec.timeout, ask, part, spec, run)
  else
    res, err = ask(part, spec, run)
  end
  if not res then return nil, nil, err end
  return take(part, res)
end

-- ------------------------------------------------------------------------------------------------ one for each item

local function calls_for(part, run, list)
  local calls = {}
  for i, item in ipairs(list) do
    if item == null then item = nil end
    local spec, err = part.make(run.v, run.raw, run.req, item)
    if spec then
      calls[("%03d"):format(i)] = spec
    elseif not part.optional then
      return nil, err
    end
  end
  return calls
end

-- A list is not gone through again: its items are read here.
local function take_item(part, res)
  if EMPTY[res.status] then return nil, nil end
  if res:header "Content-Encoding" then
    local _, err = res:text()
    if err then return nil, nil, err end
  end
  return take(part, res)
end

local function take_each(part, list, got)
  local raw, values = {}, {}
  for i = 1, #list do
    local res, value, err = got[("%03d"):format(i)], nil, nil
    if res then res, value, err = take_item(part, res) end
    if err and not part.optional then return nil, nil, err end
    raw[i] = res == nil and null or res
    values[i] = value == nil and null or value
  end
  return mg.json.array(raw), part.decoded and mg.json.array(values) or nil
end

local function ask_each(part, run)
  local list = part.each(run.v, run.raw, run.req)
  if list == nil then list = {} end
  if type(list) ~= "table" or (#list == 0 and next(list) ~= nil) then
    return nil, nil, { code = "no_list", message = "'each' gives no list" }
  elseif #list > part.max_items then
    return nil, nil, { code = "too_many", message = ("'each' gives more than %d items"):format(part.max_items) }
  end
  local calls, err = calls_for(part, run, list)
  if not calls then return nil, nil, err end
  local got, failed
  if part.kept then
    got, failed = part.kept:fetch_all(part.service, calls, { max = part.parallel }, run.req)
  else
    got, failed = mg.fetch_all(calls, { max = part.parallel })
  end
  if not got then return nil, nil, failed end
  return take_each(part, list, got)
end

function M.ask(part, run)
  if part.each then return ask_each(part, run) end
  return ask_one(part, run)
end

return M
