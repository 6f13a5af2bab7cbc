-- Answers with a page or a document that is filled in from the request. What a value may do to the text around it
-- depends on what that is, so each is escaped for the content type; where no escape holds, an expression is refused.

local compile = require "moongate.template.compile"
local kinds = require "moongate.template.kinds"
local markup = require "moongate.template.markup"
local mg, s = require "moongate", require "moongate.schema"

local M = { name = "template", version = "1.0.0", summary = "Answer with a text or JSON, filled in from the request" }

M.schema = s.record {
  body = kinds.json { help = "a text with ${...}, or a map or list for JSON" },
  file = s.string { len = { 1, 1024 }, help = "a file beside the config that has the body" },
  content_type = s.header_value { len = { 1, 256 },
    help = "JSON for a map or list, else by the file's ending or text/plain" },
  status = s.status { ge = 200, default = 200, help = "of the answer" },
  headers = s.map(kinds.text(), { keys = s.header_name(), help = "of the answer; one without a value is left out" }),
}

local TYPES = {
  json = "application/json", html = "text/html; charset=utf-8", htm = "text/html; charset=utf-8",
  xml = "application/xml", svg = "image/svg+xml", txt = "text/plain; charset=utf-8",
}

local function type_of(conf)
  if conf.content_type then return conf.content_type end
  if conf.body and conf.body.kind ~= "text" then return TYPES.json end
  return conf.file and TYPES[conf.file:match "%.(%w+)$"] or TYPES.txt
end

local function fail(format, ...) error({ fault = format:format(...) }, 0) end

local SCOPE = { values = {} }

local function scope() return { values = SCOPE.values, uses = {} } end

-- ------------------------------------------------------------------------------------------------ texts by type

local function markup_code(text)
  local parts = compile.parse(text)
  local escapes, fault = markup.escapes(parts)
  if not escapes then fail("%s", fault) end
  return compile.joined(text, scope(), "F.join_text", function(_, i) return escapes[i] end)
end

local function escaped_code(name)
  return function(text) return compile.joined(text, scope(), "F.join_text", function() return name end) end
end

local WRITERS = {
  { "^text/plain$", escaped_code "text" },
  { "^text/html$", markup_code }, { "^application/xml$", markup_code }, { "^text/xml$", markup_code },
  { "%+xml$", markup_code }, { "^application/x%-www%-form%-urlencoded$", escaped_code "escape_address" },
}

local function is_json(kind) return kind:find "[/+]json$" ~= nil end

local function text_code(text, content_type)
  local kind = content_type:lower():match "^%s*([^;%s]*)"
  for _, writer in ipairs(WRITERS) do
    if kind:find(writer[1]) then return writer[2](text) end
  end
  if #compile.parse(text) == 1 then return ("%q"):format(compile.parse(text)[1]) end
  fail("how values are made harmless in '%s' is not known: use JSON, HTML, XML, text/plain or a form", kind)
end

-- ------------------------------------------------------------------------------------------------ the answer

-- make(v, raw, req) -> a response
local function json_answer(tree, content_type, status, headers)
  local json = tree.kind == "text" and compile.json_text(tree.text, scope()) or compile.json(tree, scope())
  local C = { template = mg.json.template(json.texts), content_type = content_type, headers = headers, status = status }
  local codes = compile.gap_codes(json)
  return compile.load(("return function(v, raw, req) return C.template:reply(C.status, C.headers(req)%s) end"):format(
    codes ~= "" and ", " .. codes or ""), C)
end

local function text_answer(text, content_type, status, headers)
  local make = compile.closure(text_code(text, content_type))
  return function(_, _, req) return mg.reply(status, make(nil, nil, req), headers(req)) end
end

-- headers(req)
local function headers_of(conf, content_type)
  local all = { ["Content-Type"] = content_type }
  for name, text in pairs(conf.headers or {}) do
    if name:lower() == "content-type" then fail "headers: Content-Type is the option 'content_type'" end
    all[name] = text
  end
  local C = {}
  local code = compile.within("headers", compile.table_code, all, scope(), "F.field_value", C, "headers")
  local make = compile.closure(code, C)
  return function(req) return make(nil, nil, req) end
end

local function answer_of(conf, tree)
  local content_type = type_of(conf)
  local headers = headers_of(conf, content_type:gsub("%${", "$${"))
  if tree.kind ~= "text" and not is_json(content_type:lower():match "^%s*([^;%s]*)") then
    fail("body: a map or list is JSON, not '%s'", content_type)
  end
  local make = is_json(content_type:lower():match "^%s*([^;%s]*)") and json_answer
    or function(body, ...) return text_answer(body.text, ...) end
  return compile.within(conf.file or "body", make, tree, content_type, conf.status, headers)
end

M.schema:check(function(conf)
  if (conf.body == nil) == (conf.file == nil) then return "needs one of 'body' and 'file'" end
  if conf.file then return nil end
  local _, fault = compile.try(answer_of, conf, conf.body)
  return fault
end)

-- What is wrong is in the config's file, and not in this one.
local function read(name)
  local text, err = mg.file(name)
  if not text then error(tostring(err), 0) end
  return { kind = "text", text = text }
end

function M.new(conf)
  local make, fault = compile.try(answer_of, conf, conf.body or read(conf.file))
  if not make then error(fault, 0) end
  return { request = function(req)
    return assert(make(nil, nil, req))
  end }
end

return M
