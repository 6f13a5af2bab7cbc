-- Asks the backend for something else than the client asked for: another path, query or method.

local compile = require "moongate.template.compile"
local kinds = require "moongate.template.kinds"
local mg, s = require "moongate", require "moongate.schema"

local M = { name = "rewrite", version = "1.0.0", summary = "Ask the backend for another path, query or method" }

M.schema = s.record {
  path = kinds.text { help = "in place of the path, such as /v2/users/${params.id}; values are encoded" },
  query = s.any_of { kinds.text(), s.map(kinds.text()),
    help = "in place of the query: a text, or arguments by name; one without a value is left out" },
  method = s.method { help = "in place of the method" },
}

local function scope() return { values = {}, uses = {} } end

local function path_of(text)
  local parts = compile.parse(text)
  if parts[1]:sub(1, 1) ~= "/" then error({ fault = "must begin with '/'" }, 0) end
  for i = 1, #parts, 2 do
    local bad = parts[i]:match "[^%w%-._~!$&'()*+,;=:@/%%]"
    if bad then error({ fault = ("has '%s' in it, which no path has"):format(bad) }, 0) end
  end
  return compile.closure(compile.path(text, scope()))
end

local function query_of(query)
  if type(query) == "table" then
    local C = {}
    local code = compile.table_code(query, scope(), "F.argument", C, "fields")
    local make = compile.closure(code, C)
    return function(...) return mg.url.query(make(...)) end
  end
  for i, part in ipairs(compile.parse(query)) do
    local bad = i % 2 == 1 and part:find "[%c%s#\128-\255]"
    if bad then error({ fault = "must be percent-encoded; or give a map" }, 0) end
  end
  return compile.closure(compile.joined(query, scope(), "F.join_text", function() return "escape_address" end))
end

local function plan_of(conf)
  return {
    path = conf.path and compile.within("path", path_of, conf.path),
    query = conf.query and compile.within("query", query_of, conf.query),
  }
end

M.schema:check(function(conf)
  if not (conf.path or conf.query or conf.method) then return "needs 'path', 'query' or 'method'" end
  local _, fault = compile.try(plan_of, conf)
  return fault
end)

function M.new(conf)
  local plan, method = plan_of(conf), conf.method
  local function no_value() return mg.problem(400, "bad-request", "The request lacks what its path is made of") end

  return { request = function(req)
    local path, query
    if plan.path then
      path = plan.path(nil, nil, req)
      if not path then return no_value() end
    end
    if plan.query then query = plan.query(nil, nil, req) end
    -- All is read before anything is written.
    if path then req.path = path end
    if query then req.query = query ~= "" and query or nil end
    if method then req.method = method end
  end }
end

return M
