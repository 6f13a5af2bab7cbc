-- Changes requests and responses by rules: headers, query, forms and JSON bodies.

local s = require "moongate.schema"
local body = require "moongate.transform.body"
local fields = require "moongate.transform.fields"
local tree = require "moongate.transform.tree"

local M = {
  name = "transform",
  version = "1.0.0",
  summary = "Rename, move, set, remove and cast what is in headers, queries, forms and JSON bodies",
  body = { request = "stream", response = "stream" },
  provides = function(conf) return conf.response and { "edited body" } end,
}

-- ------------------------------------------------------------------------------------------------ schema

local PATH = s.string { len = { 1, 1024 } }
local MAP_LEVELS = 4

local function operations(level)
  local all = {
    copy = s.map(PATH, { keys = PATH, help = "from: to" }),
    move = s.map(PATH, { keys = PATH, help = "from: to" }),
    rename = s.map(PATH, { keys = PATH, help = "old: new; stays in its object" }),
    remove = s.list(PATH, { single = true, help = "takes these fields away" }),
    keep = s.list(PATH, { single = true, len = { 1 }, help = "takes away all fields but these" }),
    set = s.map(s.any(), { keys = PATH, help = "in place of what is there; texts may hold ${...} and ${body.PATH}" }),
    default = s.map(s.any(), { keys = PATH, help = "where nothing is" }),
    cast = s.map(s.enum { "number", "integer", "string", "boolean" }, { keys = PATH, help = "to another type" }),
  }
  if level < MAP_LEVELS then
    local below = operations(level + 1)
    below.to = s.string { len = { 1, 1024 }, help = "the new name of the list or object" }
    all.map = s.map(s.record(below), { keys = PATH, help = "the same for each item of a list: items[]" })
  end
  return all
end

local EXPR = s.expr()

local function is_template(value) return type(value) == "string" and value:find("${", 1, true) ~= nil end

-- What is wrong with the ${...} of the values, but for ${body...}.
local function template_fault(ops)
  for _, operation in ipairs { "set", "default" } do
    for _, value in pairs(ops[operation] or {}) do
      if is_template(value) then
        local ok, errors = EXPR:validate((value:gsub("%${body%.[^{}]+}", "")))
        if not ok then return errors[1].message, operation end
      end
    end
  end
  for _, below in pairs(ops.map or {}) do
    local fault = template_fault(below)
    if fault then return fault, "map" end
  end
end

-- The operations on JSON: those of the rule itself, or of its `body`.
local function body_operations(rule) return rule.body or rule end

local function check_rule(rule)
  if rule.body and tree.has_operations(rule) then return "holds operations, and so does the rule beside it", "body" end
  if rule.when then
    local ok, err = load("local req, res = ...; return " .. rule.when, "=when", "t")
    if not ok then return "Lua: " .. tostring(err):gsub("^when:%d+: ", ""), "when" end
  end
  local ops = body_operations(rule)
  local fault, operation = template_fault(ops)
  if not fault then
    local built
    built, fault, operation = tree.build(ops)
    if built then return nil end
  end
  return fault, rule.body and "body" or operation
end

local function all_operations()
  local all = operations(1)
  all.case = s.enum { "snake", "camel", "kebab", help = "of all names in the body" }
  return all
end

local function rules(side)
  local all = all_operations()
  all.body = s.record(all_operations(), { help = "the operations on the body, for those who like them apart" })
  all.when = s.string { help = "a Lua expression on `req`" .. (side == "response" and " and `res`" or "") }
  all.headers = fields.headers
  if side == "request" then
    all.query, all.form = fields.query, fields.form
  end
  return s.list(s.record(all):check(check_rule), { single = true, len = { 1, 100 },
    help = "a rule, or several in turn" })
end

M.schema = s.record {
  request = rules "request",
  response = rules "response",
}:check(function(conf)
  if not conf.request and not conf.response then return "needs 'request' or 'response'" end
end)

-- ------------------------------------------------------------------------------------------------ rules

-- The condition of a rule as a function of (req, res), or nil.
local function condition(text) return text and assert(load("local req, res = ...; return " .. text, "=when", "t")) end

-- Functions of (req, res) -> problem or nil, in this order.
local function compile_rule(rule)
  local steps = {}
  local function add(f) steps[#steps + 1] = f end
  if rule.headers then
    local compiled = fields.compile(rule.headers)
    add(function(req, res) fields.edit_headers(compiled, res or req, req, res) end)
  end
  if rule.query then
    local compiled = fields.compile(rule.query)
    add(function(req) fields.edit_query(compiled, req) end)
  end
  if rule.form then
    local compiled = fields.compile(rule.form)
    add(body.form(function(text, req) return fields.edit_form(compiled, text, req) end))
  end
  local ops = body_operations(rule)
  if tree.has_operations(ops) then add(body.json(ops)) end
  return { when = condition(rule.when), steps = steps }
end

local function compile(list)
  local out = {}
  for i, rule in ipairs(list) do out[i] = compile_rule(rule) end
  return out
end

local function run(compiled, req, res)
  for i = 1, #compiled do
    local rule = compiled[i]
    if not rule.when or rule.when(req, res) then
      for j = 1, #rule.steps do
        local problem = rule.steps[j](req, res)
        if problem then return problem end
      end
    end
  end
end

local function edits_bodies(list)
  for _, rule in ipairs(list or {}) do
    if tree.has_operations(body_operations(rule)) then return true end
  end
  return false
end

function M.new(conf)
  local request, response = conf.request and compile(conf.request), conf.response and compile(conf.response)
  local instance = {}
  -- A part of a document is none, and shows what a rule takes away.
  local whole = edits_bodies(conf.response)
  if request or whole then
    function instance.request(req)
      if whole then
        req:del_header "Range"
        req:del_header "If-Range"
      end
      return request and run(request, req)
    end
  end
  if response then
    function instance.response(req, res)
      -- What the gateway says of itself is not the service's.
      if res.source == "gateway" then return nil end
      if whole then res:del_header "Accept-Ranges" end
      return run(response, req, res)
    end
  end
  return instance
end

return M
