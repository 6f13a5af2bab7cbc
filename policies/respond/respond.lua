-- Answers by itself: with a fixed body, JSON or a template. Or, with `status: keep`, gives a response that comes back
-- another body, which is what error pages are.

local mg, s = require "moongate", require "moongate.schema"

local M = { name = "respond", version = "1.0.0", summary = "Answer with a fixed body, JSON or a template" }

local EXPR = s.expr()

M.schema = s.record {
  status = s.any_of {
    s.status { ge = 200 }, s.enum { "keep" },
    help = "200 when left out; keep in `on_error` and when `template` holds {status}",
  },
  body = s.expr { help = "a text; it may hold ${...}" },
  json = s.any { help = "any value; texts in it may hold ${...}" },
  template = s.string { len = { 1, 1024 }, help = "a file beside the config; {status} in its name is filled in" },
  headers = s.map(s.expr { match = "^[^%c]*$" }, { keys = s.header_name(), help = "of the answer" }),
  delay = s.duration { default = 0, help = "before the answer" },
}:check(function(conf)
  local body, json, template = conf.body ~= nil, conf.json ~= nil, conf.template ~= nil
  if (body and json) or (body and template) or (json and template) then
    return "may have one of 'body', 'json' and 'template'"
  end
  if conf.status == "keep" and not (body or json or template) then
    return "needs 'body', 'json' or 'template' with it", "status"
  end
end)

-- ------------------------------------------------------------------------------------------------ texts

local HTML = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

-- Values come from clients: in JSON, HTML and XML they must not end the text that they stand in.
local function escape_html(text) return (text:gsub("[&<>\"']", HTML)) end

local function escape_json(text)
  local quoted = mg.json.encode(text) or mg.json.encode((text:gsub("[\128-\255]", "?")))
  return quoted:sub(2, -2)
end

local function escape_for(content_type)
  local kind = content_type:lower()
  if kind:find "json" then return escape_json end
  if kind:find "html" or kind:find "xml" then return escape_html end
  return function(text) return text end
end

-- Only filled from one call of a text's function to its end, and nothing in between waits: so one is enough for all.
local pieces = {}

-- A function of (req, res) that gives the text with its expressions filled in; constant where there are none.
local function compile(text, escape)
  if not text:find("${", 1, true) then -- mutate: equal, it only saves work
    return function() return text end -- mutate: equal, it only saves work
  end
  local parts, is_expr, at = {}, {}, 1 -- mutate: equal, for sub 0 is 1
  for before, expr, after in text:gmatch("()(%${[^{}]*})()") do
    parts[#parts + 1] = text:sub(at, before - 1)
    parts[#parts + 1] = expr
    is_expr[#parts] = true
    at = after
  end
  parts[#parts + 1] = text:sub(at)
  return function(req, res)
    -- mutate: equal, there is no part 0
    for i = 1, #parts do pieces[i] = is_expr[i] and escape(req:expr(parts[i], res)) or parts[i] end
    return table.concat(pieces, "", 1, #parts)
  end
end

-- What is wrong is in the config, and not in this file.
local function refuse(format, ...) error(format:format(...), 0) end -- mutate: equal, -1 has no place either

local function checked(text, what)
  local ok, errors = EXPR:validate(text)
  if not ok then refuse("%s: %s", what, errors[1].message) end
  return text
end

-- ------------------------------------------------------------------------------------------------ bodies

local TYPES = {
  json = "application/json", html = "text/html; charset=utf-8", htm = "text/html; charset=utf-8",
  xml = "application/xml", txt = "text/plain; charset=utf-8",
}

local function content_type_of(conf)
  for name, value in pairs(conf.headers or {}) do
    if name:lower() == "content-type" then return value end
  end
  if conf.json ~= nil then return TYPES.json end
  return conf.template and TYPES[conf.template:match("%.(%w+)$")] or TYPES.txt
end

-- The templates of all statuses that have one.
local function load_templates(name, escape)
  local bodies, found = {}, false
  for status = 200, 599 do
    local file = name:gsub("{status}", tostring(status))
    local text, err = mg.file(file)
    if text then
      bodies[status], found = compile(checked(text, file), escape), true
    elseif err.code ~= "not_found" then
      refuse("%s", err)
    end
  end
  if not found then refuse("there is no file '%s' for any status", name) end
  return bodies
end

local function load_template(name, status, escape)
  -- mutate: equal, one file under all statuses does the same
  if status == "keep" and name:find "{status}" then return nil, load_templates(name, escape) end
  local file = name:gsub("{status}", tostring(status))
  local text, err = mg.file(file)
  if not text then refuse("%s", err) end
  return compile(checked(text, file), escape)
end

-- One function for all statuses, or a table of them by status.
local function load_body(conf, status, escape)
  if conf.template then return load_template(conf.template, status, escape) end
  if conf.json == nil then return conf.body and compile(conf.body, escape) end
  local text, err = mg.json.encode(conf.json, { sort = true })
  if not text then refuse("json: %s", err) end
  return compile(checked(text, "json"), escape)
end

-- ------------------------------------------------------------------------------------------------ headers

local function set_headers(list, req, res)
  for i = 1, #list do
    local header = list[i]
    local value = header.constant or req:expr(header.template, res)
    -- What a client sent may be unfit for a header.
    if not value:find("[\0-\8\10-\31\127]") then res:set_header(header.name, value) end
  end
end

local function compile_headers(conf)
  local list = {}
  for name, template in pairs(conf.headers or {}) do
    local constant = not template:find("${", 1, true) and template -- mutate: equal, it only saves work
    if name:lower() ~= "content-type" or not constant then -- mutate: equal, it would be set once more
      list[#list + 1] = { name = name, template = template, constant = constant }
    end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

-- An error page keeps the error's status, unless it says otherwise.
local function default_status(conf, env)
  local by_status = conf.template and conf.template:find "{status}"
  return (by_status or env.on_error) and "keep" or 200
end

function M.new(conf, env)
  local status = conf.status or default_status(conf, env)
  local content_type = content_type_of(conf)
  local any, by_status = load_body(conf, status, escape_for(content_type))
  local headers, delay = compile_headers(conf), conf.delay
  -- One with expressions is among the headers.
  local constant_type = not content_type:find "%${" and content_type or nil
  local typed = any and { ["Content-Type"] = constant_type } or nil

  if status == "keep" then
    return { response = function(req, res)
      local body = any or by_status[res.status]
      if not body then return end
      if delay > 0 then mg.sleep(delay) end -- mutate: equal, 0 s are none
      res:set_body(body(req, res))
      res:set_header("Content-Type", constant_type)
      set_headers(headers, req, res)
    end }
  end
  return { request = function(req)
    if delay > 0 then mg.sleep(delay) end -- mutate: equal, 0 s are none
    local res = mg.reply(status, any and any(req), typed)
    set_headers(headers, req, res)
    return res
  end }
end

return M
