-- What can be done with fields that have a name and a text: headers, arguments of a query, fields of a form.

local s = require "moongate.schema"
local arguments = require "moongate.transform.arguments"
local own_headers = require "moongate.own_headers"

local M = {}

local ORDER = { "copy", "rename", "remove", "set", "default" }

-- ------------------------------------------------------------------------------------------------ schemas

local function record(name, value, help)
  return s.record({
    copy = s.map(name(), { keys = name(), help = "from: to" }),
    rename = s.map(name(), { keys = name(), help = "old: new" }),
    remove = s.list(name(), { single = true, help = "takes all of these names away" }),
    set = s.map(value, { keys = name(), help = "in place of what is there" }),
    default = s.map(value, { keys = name(), help = "where nothing is" }),
  }, { help = help })
end

local function check_headers(conf)
  for _, operation in ipairs(ORDER) do
    for key, value in pairs(conf[operation] or {}) do
      for _, name in ipairs { key, operation ~= "set" and operation ~= "default" and value or nil } do
        if type(name) == "string" and own_headers[name:lower()] then
          return ("'%s' is written by the gateway itself"):format(name), operation
        end
      end
    end
  end
end

local TEXT = s.any_of { s.expr { match = "^[^%c]*$" }, s.number(), s.boolean() }
local ANY_TEXT = s.any_of { s.expr(), s.number(), s.boolean() }
local function argument_name() return s.string { len = { 1, 256 } } end

M.headers = record(s.header_name, TEXT, "fields of the head"):check(check_headers)
M.query = record(argument_name, ANY_TEXT, "arguments of the query")
M.form = record(argument_name, ANY_TEXT, "fields of a form (application/x-www-form-urlencoded)")

-- ------------------------------------------------------------------------------------------------ compiling

local function sorted(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- { constant = text } or { template = text }.
local function value_of(value)
  local text = tostring(value)
  -- mutate: equal, without magic there is nothing to find elsewhere or otherwise
  return text:find("${", 1, true) and { template = text } or { constant = text }
end

-- A list of { operation, name, to?, value? }, of renames one { operation, map }.
function M.compile(conf)
  local steps = {}
  for _, operation in ipairs(ORDER) do
    local wanted = conf[operation]
    if operation == "rename" and wanted then
      steps[#steps + 1] = { operation = operation, map = wanted }
    elseif operation == "remove" then
      for _, name in ipairs(wanted or {}) do steps[#steps + 1] = { operation = operation, name = name } end
    else
      for _, name in ipairs(sorted(wanted or {})) do
        local step = { operation = operation, name = name }
        if operation == "copy" then step.to = wanted[name] else step.value = value_of(wanted[name]) end
        steps[#steps + 1] = step
      end
    end
  end
  return steps
end

-- fill(value): its text, or nil when there is nothing.
local function filler(req, res)
  return function(value)
    if value.constant then return value.constant end
    local text = req:expr(value.template, res)
    return text ~= "" and text or nil
  end
end

-- ------------------------------------------------------------------------------------------------ headers

local headers = {}

function headers.copy(message, step)
  local values = message:header_values(step.name)
  if #values > 0 then message:set_header(step.to, values) end
end

function headers.rename(message, step)
  local found = {}
  for old, new in pairs(step.map) do
    local values = message:header_values(old)
    if #values > 0 then found[#found + 1] = { old = old, new = new, values = values } end
  end
  for _, item in ipairs(found) do message:del_header(item.old) end
  for _, item in ipairs(found) do message:set_header(item.new, item.values) end
end

function headers.remove(message, step) message:del_header(step.name) end

-- What a client sent may be nothing that can stand in a header.
local function clean(text) return text and not text:find "[\0-\8\10-\31\127]" and text or nil end

function headers.set(message, step, fill) message:set_header(step.name, clean(fill(step.value))) end

function headers.default(message, step, fill)
  local value = not message:header(step.name) and clean(fill(step.value))
  if value then message:set_header(step.name, value) end
end

-- ------------------------------------------------------------------------------------------------ editing

function M.edit_headers(steps, message, req, res)
  local fill = filler(req, res)
  for _, step in ipairs(steps) do headers[step.operation](message, step, fill) end
end

function M.edit_query(steps, req)
  local text = arguments.edit(req.query or "", steps, filler(req))
  req.query = text ~= "" and text or nil
end

-- The text of a form's body after the edits.
function M.edit_form(steps, text, req) return arguments.edit(text, steps, filler(req)) end

return M
