-- JavaScript expressions on a request, as the Lua expressions that `when` takes.
--
--     translate 'req.method === "GET" && req.query.debug'
--         -> req.method == "GET" and (req:arg("debug") or "") ~= ""
--
-- Names of the request, literals, && || !, (in)equality, and startsWith, endsWith, includes of a text. What else there
-- is in JavaScript has no counterpart.

local js = require "moongate.config.dialect.js"

local M = {}

local URL = '(req.raw_path .. (req.query and "?" .. req.query or ""))'

-- Members of req that are texts.
local TEXTS = {
  method = "req.method", path = "req.path", ip = "req.client_ip", protocol = "req.scheme",
  host = "req.host", hostname = "req.host", url = URL, originalUrl = URL,
}

local Translator = {}
Translator.__index = Translator

local function fail(message, token)
  error({ message = message, token = token }, 0)
end

function Translator:peek() return self.tokens[self.i] end

function Translator:take()
  self.i = self.i + 1
  return self.tokens[self.i - 1]
end

function Translator:accept(value)
  local token = self:peek()
  if token.kind == "string" or token.value ~= value then return false end
  self.i = self.i + 1
  return true
end

function Translator:expect(value)
  if not self:accept(value) then fail(("expected '%s'"):format(value), self:peek()) end
end

local function quote(text)
  return (("%q"):format(text):gsub("\\\n", "\\n"))
end

-- The name in `.name`, `["name"]` or `("name")`.
function Translator:member()
  if self:accept "." then
    local token = self:take()
    if token.kind == "name" then return token.value end
    fail("expected a name", token)
  end
  local close = self:accept "[" and "]" or self:accept "(" and ")"
  if not close then fail("expected the name of a member", self:peek()) end
  local token = self:take()
  if token.kind ~= "string" then fail("expected a string", token) end
  self:expect(close)
  return token.value
end

-- What follows `req`: a Lua expression for a text or nil, or { truth = } for what is true or false by itself.
function Translator:request()
  local token = self.tokens[self.i + 1]
  local name = self:member()
  if TEXTS[name] then return TEXTS[name] end
  if name == "headers" or name == "header" or name == "get" then
    return ("req:header(%s)"):format(quote(self:member():lower()))
  end
  if name == "query" then return ("req:arg(%s)"):format(quote(self:member())) end
  if name == "params" then return ("req.params[%s]"):format(quote(self:member())) end
  if name == "secure" then return { truth = 'req.scheme == "https"' } end
  if name == "user" or name == "consumer" then return { truth = "req.auth ~= nil" } end
  fail(("'req.%s' has no counterpart"):format(name), token)
end

local TESTS = {
  startsWith = function(text, part) return ("(%s or \"\"):sub(1, %d) == %s"):format(text, #part, quote(part)) end,
  endsWith = function(text, part)
    if part == "" then return "true" end
    return ("(%s or \"\"):sub(-%d) == %s"):format(text, #part, quote(part))
  end,
  includes = function(text, part) return ("(%s or \"\"):find(%s, 1, true) ~= nil"):format(text, quote(part)) end,
}

-- A test of a text, as `.startsWith("/a")`.
function Translator:test(text)
  local token = self.tokens[self.i + 1]
  if not self:accept "." then return text end
  local name = self:take().value
  if not TESTS[name] then fail(("'%s' has no counterpart"):format(name), token) end
  return { truth = TESTS[name](text, self:member()) }
end

local CONSTANTS = { ["true"] = { truth = "true" }, ["false"] = { truth = "false" }, null = "nil", undefined = "nil" }

function Translator:primary()
  local token = self:take()
  if token.kind == "string" then return quote(token.value) end
  if token.kind == "number" then return tostring(token.value) end
  if token.value == "(" then
    local inner = self:any()
    self:expect ")"
    return type(inner) == "table" and { truth = "(" .. inner.truth .. ")" } or inner
  end
  if CONSTANTS[token.value] then return CONSTANTS[token.value] end
  if token.value == "consumer" then return { truth = "req.auth ~= nil" } end
  if token.value ~= "req" then fail(("'%s' has no counterpart"):format(token.value), token) end
  local value = self:request()
  return type(value) == "string" and self:test(value) or value
end

-- As a condition: a text that is there and not empty.
local function truth(value)
  if type(value) == "table" then return value.truth end
  return ('(%s or "") ~= ""'):format(value)
end

function Translator:unary()
  if self:accept "!" then return { truth = ("not (%s)"):format(truth(self:unary())) } end
  return self:primary()
end

local EQUALITY = { ["=="] = "==", ["==="] = "==", ["!="] = "~=", ["!=="] = "~=" }

local function operand(value)
  return type(value) == "table" and ("(%s)"):format(value.truth) or value
end

function Translator:comparison()
  local left = self:unary()
  local token = self:peek()
  local sign = token.kind == "mark" and EQUALITY[token.value]
  if not sign then return left end
  self:take()
  return { truth = ("%s %s %s"):format(operand(left), sign, operand(self:unary())) }
end

function Translator:both()
  local left = self:comparison()
  while self:accept "&&" do left = { truth = ("%s and %s"):format(truth(left), truth(self:comparison())) } end
  return left
end

function Translator:any()
  local left = self:both()
  while self:accept "||" do left = { truth = ("%s or %s"):format(truth(left), truth(self:both())) } end
  return left
end

local function run(text, fn)
  local tokens, message = js.tokens(text)
  if not tokens then return nil, message end
  local self = setmetatable({ tokens = tokens, i = 1 }, Translator)
  local ok, value = pcall(function()
    local found = fn(self)
    if self:peek().kind ~= "end" then fail(("'%s' has no counterpart"):format(self:peek().value), self:peek()) end
    return found
  end)
  if ok then return value end
  if type(value) ~= "table" then error(value, 0) end
  return nil, value.message
end

-- A Lua expression, or nil and why there is none.
function M.translate(text)
  return run(text, function(self) return truth(self:any()) end)
end

-- Names of the request in ${...} of native expressions.
local NAMES = {
  ["req.ip"] = "client_ip", ["req.method"] = "method", ["req.path"] = "path", ["req.host"] = "host",
  ["req.hostname"] = "host", ["req.protocol"] = "scheme", ["consumer.id"] = "auth.subject",
  ["consumer.username"] = "auth.subject", ["req.user.id"] = "auth.subject", ["req.consumer.id"] = "auth.subject",
}

local function native_name(inner)
  if NAMES[inner] then return NAMES[inner] end
  local group, name = inner:match "^req%.(%a+)%.([%w_-]+)$"
  if not group then group, name = inner:match "^req%.(%a+)%[['\"]([%w_-]+)['\"]%]$" end
  local to = group and ({ headers = "header", query = "arg", params = "params" })[group]
  return to and ("%s.%s"):format(to, name)
end

-- A text with ${req.ip} and the like in it, as a native one; or nil and why there is none.
function M.template(text)
  local fault
  local out = text:gsub("%${([^{}]*)}", function(inner)
    if inner:match "^[A-Z_]" then return nil end -- the environment's
    local name = native_name(inner:match "^%s*(.-)%s*$")
    if not name then fault = fault or ("'${%s}' has no counterpart"):format(inner) end
    return name and "${" .. name .. "}"
  end)
  if fault then return nil, fault end
  return out
end

return M
