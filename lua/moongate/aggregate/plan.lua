-- The config of an aggregation as functions: what each part asks for, which parts wait for which, and the answer.
--
--     plan.of(conf) -> plan; raises a table with `fault` for what is wrong (moongate.template.compile)
--
-- A plan is { parts =, answer =, failure =, independent =, ... }. Its parts stand behind those that they need. Each is
-- { name =, optional =, default =, decoded = whether expressions look into it,
--   checked = whether it has to be JSON before the answer is made, needs = { name = true }, make =, ... };
-- make(v, raw, req, it) gives the options of a call, or nil and an error object. `v` are the parts' values by name,
-- `raw` what stands for them in the answer: a response, whose text goes on as it is.

local compile = require "moongate.template.compile"
local expression = require "moongate.template.expression"
local mg = require "moongate"
local pages = require "moongate.aggregate.pages"

local M = {}

local RESERVED = { it = true, failed = true, failures = true }

local function fail(format, ...) error({ fault = format:format(...) }, 0) end

local function sorted(map)
  local names = {}
  for name in pairs(map or {}) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function check_name(name)
  if RESERVED[name] or expression.keywords[name] or expression.reserved[name] then
    fail("parts.%s: cannot be a part's name, it has a meaning in expressions", name)
  end
end

-- ------------------------------------------------------------------------------------------------ pieces of source

local JSON_TYPE = "application/json"

-- The headers, with a type for a body that is JSON.
local function headers_of(conf)
  local headers, typed = {}, conf.body == nil or conf.body.kind == "text"
  for name, text in pairs(conf.headers or {}) do
    headers[name] = text
    typed = typed or name:lower() == "content-type"
  end
  if not typed then headers["Content-Type"] = JSON_TYPE end
  return next(headers) and headers or nil
end

-- ------------------------------------------------------------------------------------------------ one part

local function check_path(path)
  if compile.parse(path)[1]:sub(1, 1) ~= "/" then fail "must begin with '/'" end
end

-- Statuses and ranges as mg.fetch takes them.
local function accepted(list)
  local out = {}
  for i, item in ipairs(list) do out[i] = tostring(item) end
  return table.concat(out, ",")
end

-- A text goes out as it is, anything else as JSON. Gives the line that makes it; names it looks into are added.
local function body_line(body, scope, C, looked_into)
  if body.kind == "text" then
    local inner = { values = scope.values, uses = looked_into, item = scope.item }
    return ("local body = %s"):format(compile.text(body.text, inner))
  end
  local json = compile.json(body, scope)
  for name in pairs(json.looked_into) do looked_into[name] = true end
  C.body = mg.json.template(json.texts)
  return ("local body, why = C.body:text(%s)\nif not body then return nil, why end"):format(compile.gap_codes(json))
end

-- make(v, raw, req, it). What it looks into comes into `looked_into`, what it uses into scope.uses.
local function make_function(conf, scope, looked_into, tolerant)
  local inner = { values = scope.values, uses = looked_into, item = scope.item }
  local C = { service = conf.service, accept = accepted(conf.accept), optional = tolerant or nil }
  C.no_value = { code = "no_value", message = ("there is no value for the path '%s'"):format(conf.path) }
  compile.within("path", check_path, conf.path)
  local path = compile.within("path", compile.path, conf.path, inner)
  local lines, fields = { ("local path = %s\nif not path then return nil, C.no_value end"):format(path) }, {}
  for _, name in ipairs { "accept", "timeout", "retries", "pass", "method", "optional" } do
    if name ~= "accept" and name ~= "optional" then C[name] = conf[name] end
    if name == "method" then C.method = conf.method or conf.body and "POST" or nil end
    if C[name] ~= nil then fields[#fields + 1] = ("%s = C.%s"):format(name, name) end
  end
  if conf.body then
    lines[#lines + 1] = compile.within("body", body_line, conf.body, scope, C, looked_into)
    fields[#fields + 1] = "body = body"
  end
  local headers = headers_of(conf)
  for name, map in pairs { query = conf.query or false, headers = headers or false } do
    local wrap = name == "query" and "F.argument" or "F.field_value"
    local code = map and compile.within(name, compile.table_code, map, inner, wrap, C, name)
    if code then fields[#fields + 1] = ("%s = %s"):format(name, code) end
  end
  local call = ("return { C.service, path = path, %s }"):format(table.concat(fields, ", "))
  return compile.load(("return function(v, raw, req, it)\n%s\n%s end"):format(table.concat(lines, "\n"), call), C)
end

-- The same as a set of statuses, for answers that came through steps.
local function accepted_set(list)
  local out = {}
  for _, item in ipairs(list) do
    local first, last = tostring(item):match "^(%d+)%-?(%d*)$"
    for status = tonumber(first), tonumber(last) or tonumber(first) do out[status] = true end
  end
  return out
end

local function condition(conf, name, inner)
  return conf[name] and compile.within(name, compile.expression, conf[name], inner)
end

local function part_of(name, conf, all, mode)
  local others, needs, looked_into = {}, {}, {}
  for other in pairs(all) do others[other] = other ~= name or nil end
  for _, other in ipairs(conf.needs or {}) do
    if not others[other] then fail("needs: there is no other part '%s'", other) end
    needs[other] = true
  end
  local tolerant = mode == "partial" or mode == "first-failure" and (conf.optional or conf.default ~= nil)
  local plain = { values = others, uses = looked_into }
  local when, each = condition(conf, "when", plain), condition(conf, "each", plain)
  local scope = { values = others, spliced = others, uses = needs, item = each ~= nil }
  local part = {
    name = name, optional = tolerant, default = conf.default, needs = needs, looks_into = looked_into,
    make = make_function(conf, scope, looked_into, tolerant), use = conf.use, pass = conf.pass, service = conf.service,
    when = when and compile.closure(when), each = each and compile.closure(each), accepts = accepted_set(conf.accept),
    parallel = conf.parallel, max_items = conf.max_items, ttl = conf.cache,
    pages = conf.pages and pages.new(conf.pages),
  }
  for other in pairs(looked_into) do needs[other] = true end
  return part
end

-- ------------------------------------------------------------------------------------------------ all parts

-- Behind what they need; what is left waits for itself.
local function in_order(parts)
  local out, done = {}, {}
  local function ready(part)
    for name in pairs(part.needs) do
      if not done[name] then return false end
    end
    return true
  end
  while #out < #parts do
    local before = #out
    for _, part in ipairs(parts) do
      if not done[part.name] and ready(part) then
        out[#out + 1], done[part.name] = part, true
      end
    end
    if #out == before then
      local waiting = {}
      for _, part in ipairs(parts) do
        if not done[part.name] then waiting[#waiting + 1] = part.name end
      end
      fail("parts: %s need each other", table.concat(waiting, ", "))
    end
  end
  return out
end

local function is_independent(parts)
  for _, part in ipairs(parts) do
    if next(part.needs) or part.when or part.each or part.use or part.ttl or part.pages then return false end
  end
  return true
end

-- ------------------------------------------------------------------------------------------------ answers

-- Every part under its name.
local function default_body(names)
  local tree = { kind = "map", keys = {}, items = {} }
  for i, name in ipairs(names) do
    tree.keys[i], tree.items[i] = name, { kind = "text", text = "${" .. name .. "}" }
  end
  return tree
end

-- The failures in a field of the answer, unless they stand somewhere in it.
local function with_failures(tree, field)
  if tree.kind ~= "map" then return tree end
  for _, key in ipairs(tree.keys) do
    if key == field then return tree end
  end
  local out = { kind = "map", keys = { table.unpack(tree.keys) }, items = { table.unpack(tree.items) } }
  table.insert(out.keys, field)
  table.insert(out.items, { kind = "text", text = "${failures}" })
  return out
end

-- { make(v, raw, req, status) -> response or nil, error; texts =, gaps = }
local function answer_of(conf, scope)
  local json = compile.within("body", compile.json, conf.body, scope)
  local C = { template = mg.json.template(json.texts) }
  local inner = { values = scope.values, uses = json.looked_into }
  local headers = conf.headers
    and compile.within("headers", compile.table_code, conf.headers, inner, "F.field_value", C, "headers") or "nil"
  local codes = compile.gap_codes(json)
  local source = ("return function(v, raw, req, status) return C.template:reply(status, %s%s) end"):format(
    headers, codes ~= "" and ", " .. codes or "")
  return {
    make = compile.load(source, C), texts = json.texts, gaps = json.gaps, looked_into = json.looked_into,
    headers = compile.load(("return function(v, raw, req) return %s end"):format(headers), C),
  }
end

-- What a stream needs as well: the gaps one by one.
local function add_gaps(answer)
  answer.value = mg.json.template { "", "" }
  for _, gap in ipairs(answer.gaps) do gap.value = compile.closure(gap.code) end
end

local function copy(set)
  local out = {}
  for name in pairs(set) do out[name] = true end
  return out
end

-- What is answered when a part that is needed has failed; nil: a problem.
local function failure_of(conf, values)
  local rule = conf.on_failure
  if not rule then return { log = "a part of an answer failed" } end
  local all = copy(values)
  all.failed, all.failures = true, true
  local scope = { values = all, uses = {} }
  local out = rule.body and compile.within("on_failure", answer_of, rule, scope) or {}
  out.log = rule.log
  out.status = rule.status and compile.within("on_failure.status", function()
    return compile.closure(compile.value(rule.status, scope))
  end)
  out.looked_into = scope.uses
  return out
end

local function all_names(conf)
  local names, set = sorted(conf.parts), {}
  for _, name in ipairs(names) do
    check_name(name)
    set[name] = true
  end
  return names, set
end

function M.of(conf)
  local names, values = all_names(conf)
  local parts = {}
  for i, name in ipairs(names) do
    parts[i] = compile.within("parts." .. name, part_of, name, conf.parts[name], values, conf.mode)
  end
  parts = in_order(parts)

  local scope = { values = copy(values), spliced = values, uses = {} }
  scope.values.failures = true
  local body = conf.body or default_body(names)
  if conf.mode == "partial" then body = with_failures(body, conf.partial.field) end
  local answer = answer_of({ body = body, headers = conf.headers }, scope)
  local failure = failure_of(conf, values)
  if conf.stream then add_gaps(answer) end

  local decoded = copy(answer.looked_into)
  for name in pairs(failure.looked_into or {}) do decoded[name] = true end
  for _, part in ipairs(parts) do
    for name in pairs(part.looks_into) do decoded[name] = true end
  end
  for _, part in ipairs(parts) do
    part.decoded = decoded[part.name] or false
    part.checked = conf.stream and not part.decoded
  end
  answer.tells_failures = scope.uses.failures or answer.looked_into.failures or false
  return {
    parts = parts, answer = answer, failure = failure, independent = is_independent(parts) and not conf.stream,
    at_once = { timeout = conf.timeout, max = #parts },
    timeout = conf.timeout, mode = conf.mode, status = conf.status,
    partial_status = conf.partial and conf.partial.status, stream = conf.stream,
  }
end

return M
