-- Refuses requests whose body, query, headers or path parameters are not what JSON Schemas say; looks at responses too.

local mg, s = require "moongate", require "moongate.schema"
local json_schema = require "moongate.json_schema"

local M = {
  name = "validate",
  version = "1.0.0",
  summary = "Hold requests to JSON Schemas: body, query, headers, path parameters",
  -- It reads a body itself, after all that can be judged without.
  body = { request = "stream", response = "stream" },
}

local ERRORS = 20
local FORM = "application/x-www-form-urlencoded"
local PARTS = { "params", "query", "headers" }

local function is_json_type(full)
  return full == "application/json" or full == "text/json" or full:find "^[^/]+/[^/]+%+json$" ~= nil
end

M.schema = s.record {
  body = s.any { help = "schema of JSON and form bodies; or a file's name" },
  query = s.any { help = "schema of the query's arguments, an object; or a file's name" },
  headers = s.any { help = "schema of the headers, an object; or a file's name" },
  params = s.any { help = "schema of the path's parameters, an object; or a file's name" },
  response = s.any { help = "schema of the JSON bodies of 2xx responses; or a file's name" },
  on_response_error = s.enum { "log", "fail", default = "log", help = "fail: 502" },
  body_required = s.boolean { default = true, help = "POST, PUT, PATCH and the like need a body" },
  content_type = s.list(s.string { match = "^[^%s/;,]+/[^%s/;,]+$" }, {
    single = true, len = { 1, 100 }, help = "allowed types of a body; all others: 415. With `body`: JSON",
  }),
  max_size = s.size { help = "bytes of the body; above it 413" },
  status = s.status { default = 400, ge = 400, le = 499, help = "for what does not fit its schema" },
  formats = s.boolean { default = true, help = "whether `format` in schemas is checked" },
}:check(function(conf)
  local parts = { conf.body, conf.query, conf.headers, conf.params, conf.response, conf.content_type, conf.max_size }
  if next(parts) == nil then
    return "needs one of 'body', 'query', 'headers', 'params', 'response', 'content_type' and 'max_size'"
  end
  for _, name in ipairs(conf.body ~= nil and conf.content_type or {}) do
    if not is_json_type(name:lower()) and name:lower() ~= FORM then
      return ("may have types of JSON and %s alone, for `body` can judge no others"):format(FORM), "content_type"
    end
  end
end)

-- ------------------------------------------------------------------------------------------------ schemas

-- What is wrong is in the config, and not in this file.
local function refuse(format, ...) error(format:format(...), 0) end -- mutate: equal, -1 has no place either

local function read_file(option, name)
  if type(name) ~= "string" then refuse("%s.file: expected a name", option) end
  local text, err = mg.file(name)
  if not text then refuse("%s: %s", option, err) end
  local schema
  schema, err = mg.json.decode(text, { big = "float" })
  if schema == nil then refuse("%s: %s: %s", option, name, err) end
  return schema
end

-- A schema is a map or a boolean, so a text names a file; so does a map that has nothing else.
local function file_of(value)
  if type(value) == "string" then return value end
  if type(value) ~= "table" or value.file == nil or next(value, next(value)) ~= nil then return nil end
  return value.file
end

local function lower_keys(map)
  if type(map) ~= "table" then return map end
  local out = {}
  for key, value in pairs(map) do out[type(key) == "string" and key:lower() or key] = value end
  return out
end

local function lower_values(list)
  if type(list) ~= "table" then return list end
  local out = {}
  for i, value in pairs(list) do out[i] = type(value) == "string" and value:lower() or value end
  return out
end

-- Names of headers do not care about case; those of the schema's first level become what the request's do.
local function lower_names(schema)
  if type(schema) ~= "table" then return schema end
  local out = {}
  for key, value in pairs(schema) do out[key] = value end
  out.properties, out.required = lower_keys(schema.properties), lower_values(schema.required)
  return out
end

-- The validator of an option, or nil.
local function load(conf, option)
  local value = conf[option]
  if value == nil then return nil end
  local file = file_of(value)
  local schema = value
  if file ~= nil then schema = read_file(option, file) end
  if option == "headers" then schema = lower_names(schema) end
  local validator, why = json_schema.compile(schema, { formats = conf.formats })
  if not validator then refuse("%s: %s%s", option, file and file .. ": " or "", why) end
  return validator
end

-- ------------------------------------------------------------------------------------------------ faults

local Faults = {}
Faults.__index = Faults

local function new_faults() return setmetatable({ list = mg.json.array() }, Faults) end

-- An error that no keyword of the schema stands for.
function Faults:add(part, keyword, message)
  table.insert(self.list, { ["in"] = part, pointer = "", keyword = keyword, message = message })
end

function Faults:check(part, validator, value)
  local room = ERRORS - #self.list
  if room < 1 then return end
  for _, err in ipairs(validator:check(value, room) or {}) do
    table.insert(self.list, { ["in"] = part, pointer = err.pointer, keyword = err.keyword, message = err.message })
  end
end

function Faults:problem(status)
  if #self.list == 0 then return nil end
  return mg.problem(status, "invalid-request", "The request is not what it has to be; see errors",
    { members = { errors = self.list } })
end

-- ------------------------------------------------------------------------------------------------ fields

-- { name = { value, ... } } with single values in place of lists of one.
local function without_lists(all)
  for name, list in pairs(all) do
    if #list == 1 then all[name] = list[1] end
  end
  return all
end

local function collect(text)
  local all, err = mg.url.parse_query(text, true)
  if not all then return nil, err end
  return without_lists(all)
end

local read = {}

function read.query(req) return collect(req.query or "") end

function read.headers(req)
  local all = {}
  for name, value in req:headers() do
    name = name:lower()
    all[name] = all[name] or {}
    table.insert(all[name], value)
  end
  return without_lists(all)
end

function read.params(req)
  local all = {}
  for name, value in pairs(req.params) do all[tostring(name)] = value end
  return all
end

local function check_fields(part, validator, fields, faults)
  if fields then
    faults:check(part, validator, validator:coerce(fields))
  else
    faults:add(part, "encoding", "must be well percent-encoded, and of at most 1000 fields")
  end
end

-- ------------------------------------------------------------------------------------------------ bodies

local NO_BODY = { GET = true, HEAD = true, DELETE = true, OPTIONS = true, TRACE = true, CONNECT = true }

local function media_type(message)
  local value = message:header "Content-Type"
  return value and value:match("^[^;]*"):match("^%s*(.-)%s*$"):lower()
end

local function has_body(req)
  local length = req:header "Content-Length"
  if length then return length ~= "0" end
  return req:text(0) ~= ""
end

local function type_check(list)
  local allowed, groups = {}, {}
  for _, item in ipairs(list or {}) do
    local group = item:lower():match "^(.+)/%*$"
    if group then groups[group] = true else allowed[item:lower()] = true end
  end
  -- RFC 9110 15.5.16: Accept tells what would have been taken.
  local options = { headers = { Accept = table.concat(list or { "application/json" }, ", ") } }
  return function(req)
    local full = media_type(req) or ""
    if not list and is_json_type(full) then return nil end
    if allowed[full] or groups[full:match "^([^/,]+)/[^/,]+$" or ""] then return nil end
    return mg.problem(415, "unsupported-content-type", nil, options)
  end
end

local CODINGS = { identity = true, gzip = true, ["x-gzip"] = true, br = true, deflate = true }

-- What is in another coding cannot be judged. RFC 9110 15.5.16: Accept-Encoding tells that this is why.
local KNOWN = { headers = { ["Accept-Encoding"] = "gzip, br, deflate" } }

local function check_encoding(req)
  for coding in (req:header "Content-Encoding" or ""):gmatch "[^%s,]+" do
    if not CODINGS[coding:lower()] then return mg.problem(415, "unsupported-content-encoding", nil, KNOWN) end
  end
end

local function too_large(max)
  return mg.problem(413, "content-too-large", max and ("the body may have at most %d bytes"):format(max))
end

-- The body's text, or nil and the answer. What is judged is what it decodes to; what goes on is what was sent.
local function read_body(req, max, judged)
  local length = req:header "Content-Length"
  if max and length and tonumber(length) > max then return nil, too_large(max) end
  local text, err = (judged and req.content or req.text)(req, max)
  if text then return text end
  if err.code == "too_large" then return nil, too_large(max) end
  return nil, mg.problem(400, "bad-request", "The body is incomplete")
end

-- Where it is no JSON: never what is there instead.
local function place_of(err)
  local place = tostring(err):match "^line %d+ column %d+"
  return place and "must be JSON; it is not at " .. place or "must be JSON"
end

local function check_text(req, validator, text, faults)
  if media_type(req) == FORM then return check_fields("body", validator, collect(text), faults) end
  local value, err = mg.json.decode(text, { big = "float" })
  if value == nil then return faults:add("body", "json", place_of(err)) end
  faults:check("body", validator, value)
end

-- A function of (req, faults) that gives an answer at once, or notes faults.
local function body_check(conf, validator)
  local max, required = conf.max_size, validator and conf.body_required
  local check_type = (validator or conf.content_type) and type_check(conf.content_type)
  return function(req, faults)
    if not has_body(req) then
      if required and not NO_BODY[req.method] then faults:add("body", "required", "must be there") end
      return nil
    end
    local refusal = check_type and check_type(req) or validator and check_encoding(req)
    if refusal or #faults.list > 0 then return refusal end
    if not validator then
      -- One of a known length streams on; without, only reading tells.
      local length = max and req:header "Content-Length"
      if not max or (length and tonumber(length) <= max) then return nil end
    end
    local text
    text, refusal = read_body(req, max, validator ~= nil)
    if text and validator then check_text(req, validator, text, faults) end
    return refusal
  end
end

-- ------------------------------------------------------------------------------------------------ responses

local function response_faults(validator, res)
  local faults = new_faults()
  local text, err = res:text()
  if not text then
    faults:add("response", "body", tostring(err))
  elseif not res:is_json() then
    faults:add("response", "content_type", "must be JSON")
  else
    local value
    value, err = mg.json.decode(text, { big = "float" })
    if value == nil then
      faults:add("response", "json", place_of(err))
    else
      faults:check("response", validator, value)
    end
  end
  return faults.list
end

local function response_check(validator, fails)
  return function(req, res)
    local without = req.method == "HEAD" or res.status == 204 or res.status == 205
    if without or res.source ~= "upstream" or res.status > 299 then return nil end
    local list = response_faults(validator, res)
    if #list == 0 then return nil end
    mg.log.warn("response does not fit its schema",
      { errors = #list, pointer = list[1].pointer, keyword = list[1].keyword, fault = list[1].message })
    if fails then return mg.problem(502, "invalid-response", "The backend's answer is not what it has to be") end
  end
end

-- ------------------------------------------------------------------------------------------------ the step

function M.new(conf)
  local validators = {}
  for _, part in ipairs(PARTS) do validators[part] = load(conf, part) end
  local body, response = load(conf, "body"), load(conf, "response")
  local check_body = (body or conf.content_type or conf.max_size) and body_check(conf, body)

  local function request(req)
    local faults = new_faults()
    for i = 1, #PARTS do
      local part = PARTS[i]
      if validators[part] then check_fields(part, validators[part], read[part](req), faults) end
    end
    local refusal = check_body and check_body(req, faults)
    return refusal or faults:problem(conf.status)
  end

  return {
    request = (check_body or next(validators)) and request or nil,
    response = response and response_check(response, conf.on_response_error == "fail"),
  }
end

return M
