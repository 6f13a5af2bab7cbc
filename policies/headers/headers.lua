-- Sets, removes and adds header fields of the request and of the response, in this order.

local s = require "moongate.schema"
local OURS = require "moongate.own_headers"

local M = { name = "headers", version = "1.0.0", summary = "Set, add and remove request and response headers" }

local TEXT = s.expr { match = "^[^%c]*$" }
local VALUE = s.any_of { TEXT, s.number(), s.boolean() }
local VALUES = s.any_of { TEXT, s.number(), s.boolean(), s.list(VALUE, { len = { 1, 100 } }) }

local function check_edits(wanted)
  local set = {}
  for _, field in ipairs { "set", "add" } do
    for name in pairs(wanted[field] or {}) do
      if OURS[name:lower()] then return ("'%s' is written by the gateway itself"):format(name), field end
      if field == "set" then set[name:lower()] = true end
    end
  end
  for _, name in ipairs(wanted.remove or {}) do
    if OURS[name:lower()] then return ("'%s' is written by the gateway itself"):format(name), "remove" end
    if set[name:lower()] then return ("'%s' is in 'set' too"):format(name), "remove" end
  end
end

local function edits(options)
  return s.record({
    set = s.map(VALUES, { keys = s.header_name(), help = "replaces the fields of that name" }),
    add = s.map(VALUES, { keys = s.header_name(), help = "adds to the fields of that name" }),
    remove = s.list(s.header_name(), { single = true, help = "takes all fields of these names away" }),
  }, options):check(check_edits)
end

M.schema = s.record {
  request = edits { help = "what the backend and later steps see" },
  response = edits { help = "what the client and earlier steps see" },
}:check(function(conf)
  if not conf.request and not conf.response then return "needs 'request' or 'response'" end
end)

local function sorted_names(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- The fields of a map as parallel lists, one entry for each value. A template has no constant.
local function compile(map, add)
  local list = { names = {}, constants = {}, templates = {}, adds = {} }
  for _, name in ipairs(sorted_names(map or {})) do
    local values = type(map[name]) == "table" and map[name] or { map[name] }
    for i, value in ipairs(values) do
      local text, at = tostring(value), #list.names + 1
      list.names[at] = name
      list.templates[at] = text
      -- mutate: equal, without magic there is nothing to find elsewhere or otherwise
      list.constants[at] = not text:find("${", 1, true) and text
      list.adds[at] = add or i > 1
    end
  end
  return list
end

-- Nil when there is nothing to say, or when something a client sent cannot stand in a header.
local function fill(template, req, res)
  local text = req:expr(template, res)
  if text == "" or text:find("[\0-\8\10-\31\127]") then return nil end
  return text
end

local function apply(list, message, req, res)
  for i = 1, #list.names do
    local value = list.constants[i] or fill(list.templates[i], req, res)
    if not list.adds[i] then
      message:set_header(list.names[i], value)
    elseif value then
      message:add_header(list.names[i], value)
    end
  end
end

local function editor(conf)
  local set, removed, add = compile(conf.set, false), conf.remove or {}, compile(conf.add, true)
  return function(message, req, res)
    apply(set, message, req, res)
    for i = 1, #removed do message:del_header(removed[i]) end
    apply(add, message, req, res)
  end
end

function M.new(conf)
  local instance = {}
  if conf.request then
    local edit = editor(conf.request)
    function instance.request(req) edit(req, req) end
  end
  if conf.response then
    local edit = editor(conf.response)
    function instance.response(req, res) edit(res, req, res) end
  end
  return instance
end

return M
