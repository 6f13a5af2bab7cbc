-- Expressions on data, as `${...}` of templates has them: names, `a.b`, `a[1]`, Lua's operators, and calls.
--
--     expression.parse(text, at?) -> node, after | nil, what is wrong
--     expression.code(node, scope) -> Lua code | nil, what is wrong
--
-- They are written like Lua and mean less: what is not there is nil, and nothing that is done with nil, null or a value
-- of another kind raises. So `inventory.quantity > 0` is false where there is no inventory. `parse` is pure; `code`
-- says what an expression is in Lua, on `F` (moongate.template.functions), `v` (values by name) and `req`. It is
-- compiled once, and then costs what Lua costs.
--
-- A scope is { values = { [name] = true }, uses = {}, item = whether there is an `it` }; `uses` gets the names in use.

local functions = require "moongate.template.functions"
local suggest = require "moongate.config.suggest"

local M = {}

local DEPTH_MAX, CHAIN_MAX = 50, 50 -- Lua itself reads no more than 200 levels

-- ------------------------------------------------------------------------------------------------ tokens

-- Names behind a dot may have hyphens where headers and the like are named.
local LOOSE = { header = true, cookie = true, arg = true, params = true, claims = true }
local KEYWORDS = {
  ["and"] = true, ["or"] = true, ["not"] = true, ["nil"] = true, null = true, ["true"] = true, ["false"] = true,
}
local RESERVED = {}
for word in ([[break do else elseif end for function goto if in local repeat return then until while]])
  :gmatch "%a+" do RESERVED[word] = true end

M.keywords, M.reserved = KEYWORDS, RESERVED

local ESCAPED = { n = "\n", t = "\t", r = "\r", ["\\"] = "\\", ['"'] = '"', ["'"] = "'" }

local function read_string(text, at)
  local quote, out, from = text:sub(at, at), {}, at + 1
  while true do
    local stop = text:find("[\\" .. quote .. "]", from)
    if not stop then return nil, "a text has no end" end
    out[#out + 1] = text:sub(from, stop - 1)
    if text:sub(stop, stop) == quote then return table.concat(out), stop + 1 end
    local plain = ESCAPED[text:sub(stop + 1, stop + 1)]
    if not plain then return nil, ("'\\%s' is no escape"):format(text:sub(stop + 1, stop + 1)) end
    out[#out + 1], from = plain, stop + 2
  end
end

-- The token at `at`: kind, value, the byte behind. Kinds are name, number, string, op, end; or nil and what is wrong.
local function next_token(text, at)
  at = text:match("^%s*()", at)
  local char = text:sub(at, at)
  if char == "" then return "end", "", at end
  local name, after = text:match("^([%a_][%w_]*)()", at)
  if name then return "name", name, after end
  if char:find "%d" then
    local digits, stop = text:match("^(%d+%.?%d*[eE]?[+-]?%d*)()", at)
    if not tonumber(digits) then digits, stop = text:match("^(%d+%.?%d*)()", at) end
    if digits:find "%.$" then digits, stop = text:match("^(%d+)()", at) end -- 1..2 joins two numbers
    return "number", tonumber(digits), stop
  end
  if char == '"' or char == "'" then
    local value, stop = read_string(text, at)
    if not value then return nil, stop end
    return "string", value, stop
  end
  local op = text:match("^%.%.", at) or text:match("^[=~<>]=", at) or text:match("^//", at)
    or text:match("^[-+*/%%<>#().,={}%[%]]", at)
  if op then return "op", op, at + #op end
  if text:find("^!=", at) then return nil, "'!=' is written '~='" end
  if text:find("^&&", at) then return nil, "'&&' is written 'and'" end
  if text:find("^||", at) then return nil, "'||' is written 'or'" end
  return nil, ("'%s' has no meaning here"):format(char)
end

-- ------------------------------------------------------------------------------------------------ parsing

-- The left and the right binding of operators, as in Lua.
local BINARY = {
  ["or"] = { 1, 2 }, ["and"] = { 3, 4 },
  ["<"] = { 5, 6 }, [">"] = { 5, 6 }, ["<="] = { 5, 6 }, [">="] = { 5, 6 }, ["=="] = { 5, 6 }, ["~="] = { 5, 6 },
  [".."] = { 8, 7 }, ["+"] = { 9, 10 }, ["-"] = { 9, 10 },
  ["*"] = { 11, 12 }, ["/"] = { 11, 12 }, ["//"] = { 11, 12 }, ["%"] = { 11, 12 },
}
local UNARY = 13

local Parser = {}
Parser.__index = Parser

local function fail(format, ...) error({ fault = format:format(...) }, 0) end

function Parser:advance()
  local kind, value, after = next_token(self.text, self.after)
  if not kind then fail("%s", value) end
  self.kind, self.value, self.at, self.after = kind, value, self.after, after
end

function Parser:is(op) return self.kind == "op" and self.value == op end

local function shown(p)
  if p.kind == "end" then return "the end" end
  return "'" .. tostring(p.value) .. "'"
end

function Parser:expect(op)
  if not self:is(op) then fail("expected '%s', got %s", op, shown(self)) end
  self:advance()
end

function Parser:field_name(loose)
  local name, after = self.text:match(loose and "^%s*([%w_][%w_-]*)()" or "^%s*([%a_][%w_]*)()", self.after)
  if not name then fail("a '.' needs a name behind it") end
  self.after = after
  self:advance()
  return name
end

function Parser:arguments()
  local args = {}
  if self:is ")" then return args end
  repeat
    args[#args + 1] = self:expression(0)
    local more = self:is ","
    if more then self:advance() end
  until not more
  return args
end

-- { name = value, ["a b"] = value }
function Parser:map()
  local node = { kind = "map", keys = {}, values = {} }
  while not self:is "}" do
    local key = self.value
    if self:is "[" then
      self:advance()
      key = self.value
      if self.kind ~= "string" then fail "expected a text between '[' and ']'" end
      self:advance()
      if not self:is "]" then fail("expected ']', got %s", shown(self)) end
    elseif self.kind ~= "name" then
      fail("expected 'name = value', got %s; a list is written list(a, b)", shown(self))
    end
    self:advance()
    if not self:is "=" then fail "a map has 'name = value' in it; a list is written list(a, b)" end
    self:advance()
    node.keys[#node.keys + 1] = key
    node.values[#node.values + 1] = self:expression(0)
    if not self:is "," then break end
    self:advance()
  end
  self:expect "}"
  return node
end

function Parser:call(name)
  self:advance()
  local args = self:arguments()
  self:expect ")"
  return { kind = "call", name = name, args = args }
end

function Parser:name()
  local name = self.value
  if RESERVED[name] then fail("'%s' has no place in an expression", name) end
  self:advance()
  if name == "nil" or name == "null" then return { kind = "constant" } end
  if name == "true" or name == "false" then return { kind = "constant", value = name == "true" } end
  if self:is "(" then return self:call(name) end
  return { kind = "name", name = name }
end

function Parser:primary()
  local value = self.value
  if self.kind == "name" and value ~= "and" and value ~= "or" then return self:name() end
  if self.kind == "number" or self.kind == "string" then
    self:advance()
    return { kind = "constant", value = value }
  end
  if self:is "{" then
    self:advance()
    return self:map()
  end
  if not self:is "(" then fail("expected a value, got %s", shown(self)) end
  self:advance()
  local node = self:expression(0)
  self:expect ")"
  return { kind = "group", of = node }
end

-- A primary, with what is taken from it.
function Parser:suffixed()
  local node, length = self:primary(), 0
  while true do
    length = length + 1
    if length > CHAIN_MAX then fail "is too long" end
    if self:is "." then
      node = { kind = "field", of = node, name = self:field_name(node.kind == "name" and LOOSE[node.name]) }
    elseif self:is "[" then
      self:advance()
      node = { kind = "index", of = node, key = self:expression(0) }
      self:expect "]"
    else
      return node
    end
  end
end

function Parser:operand()
  local op = self.value
  if (self.kind == "name" and op == "not") or self:is "-" or self:is "#" then
    self:advance()
    return { kind = "unary", op = op, of = self:expression(UNARY) }
  end
  return self:suffixed()
end

function Parser:expression(least)
  self.depth = self.depth + 1
  if self.depth > DEPTH_MAX then fail "is nested too deeply" end
  local left, length = self:operand(), 0
  while self.kind == "op" or self.kind == "name" do
    local binding = BINARY[self.value]
    if not binding or binding[1] < least then break end
    local op = self.value
    length = length + 1
    if length > CHAIN_MAX then fail "is too long" end
    self:advance()
    left = { kind = "binary", op = op, left = left, right = self:expression(binding[2]) }
  end
  self.depth = self.depth - 1
  return left
end

-- Reads one from `at` on. Gives it, and where the token behind it begins; or nil and what is wrong.
function M.parse(text, at)
  local p = setmetatable({ text = text, after = at or 1, depth = 0 }, Parser)
  local ok, node = pcall(function()
    p:advance()
    return p:expression(0)
  end)
  if ok then return node, text:match("^%s*()", p.at) end
  if type(node) ~= "table" then error(node, 0) end
  return nil, node.fault
end

-- ------------------------------------------------------------------------------------------------ code

-- Of the request, as moongate.config.kinds lists them for texts everywhere.
local FIELDS = {}
for name in ([[id method scheme host port path raw_path query version client_ip client_port service]]):gmatch "%S+" do
  FIELDS[name] = "req." .. name
end
FIELDS.route = 'F.get(req.route, "name")'

local TABLES = { params = "req.params", auth = "req.auth", ctx = "req.ctx", claims = 'F.get(req.auth, "claims")' }
local METHODS = { header = "req:header", arg = "req:arg", cookie = "req:cookie" }

local BINARY_CODE = {
  ["or"] = "(%s or %s)", ["and"] = "(%s and %s)", ["=="] = "(%s == %s)", ["~="] = "(%s ~= %s)",
  ["<"] = "F.less(%s, %s)", ["<="] = "F.less_or_same(%s, %s)", [".."] = "F.text(%s, %s)",
  ["+"] = "F.add(%s, %s)", ["-"] = "F.subtract(%s, %s)", ["*"] = "F.multiply(%s, %s)", ["/"] = "F.divide(%s, %s)",
  ["//"] = "F.divide_whole(%s, %s)", ["%"] = "F.remainder(%s, %s)",
}
local TURNED = { [">"] = "<", [">="] = "<=" }
local UNARY_CODE = { ["not"] = "(not %s)", ["-"] = "F.subtract(0, %s)", ["#"] = "F.count(%s)" }

local function known_names(scope)
  local names = {}
  for name in pairs(scope.values) do names[#names + 1] = name end
  for _, set in ipairs { FIELDS, TABLES, METHODS } do
    for name in pairs(set) do names[#names + 1] = name end
  end
  return names
end

local emit

local EMIT = {}

function EMIT.constant(node) return node.value == nil and "nil" or ("%q"):format(node.value) end

function EMIT.group(node, scope) return emit(node.of, scope) end

function EMIT.name(node, scope)
  local name = node.name
  if scope.values[name] then
    scope.uses[name] = true
    return "v." .. name
  end
  if name == "it" then
    if not scope.item then fail "there is an 'it' only where items are looked at: in map(list, ...) and the like" end
    return "it"
  end
  if METHODS[name] then fail("'%s' needs a name behind a dot", name) end
  local code = FIELDS[name] or TABLES[name]
  if not code then fail("unknown name '%s'%s", name, suggest.hint(name, known_names(scope))) end
  return code
end

-- What a route's pattern has captured is decoded, but for two characters.
local function captured(of, code, scope)
  if of.kind ~= "name" or of.name ~= "params" or scope.values.params or scope.as_captured then return code end
  return ("F.param(%s)"):format(code)
end

function EMIT.field(node, scope)
  local of = node.of
  if of.kind == "name" and not scope.values[of.name] then
    if METHODS[of.name] then return ("%s(%q)"):format(METHODS[of.name], node.name) end
  end
  return captured(of, ("F.get(%s, %q)"):format(emit(of, scope), node.name), scope)
end

function EMIT.index(node, scope)
  local of = node.of
  if of.kind == "name" and METHODS[of.name] and not scope.values[of.name] then
    return ("%s(F.text(%s))"):format(METHODS[of.name], emit(node.key, scope))
  end
  return captured(of, ("F.get(%s, %s)"):format(emit(of, scope), emit(node.key, scope)), scope)
end

function EMIT.unary(node, scope) return UNARY_CODE[node.op]:format(emit(node.of, scope)) end

function EMIT.binary(node, scope)
  local left, right, op = emit(node.left, scope), emit(node.right, scope), node.op
  if TURNED[op] then left, right, op = right, left, TURNED[op] end
  return BINARY_CODE[op]:format(left, right)
end

function EMIT.map(node, scope)
  local fields = {}
  for i, key in ipairs(node.keys) do fields[i] = ("[%q] = %s"):format(key, emit(node.values[i], scope)) end
  return "{ " .. table.concat(fields, ", ") .. " }"
end

local function argument(node, spec, i, scope)
  if not (spec.each and i >= spec.each) then return emit(node, scope) end
  local inner = { values = scope.values, uses = scope.uses, item = true }
  return ("function(it) return %s end"):format(emit(node, inner))
end

function EMIT.call(node, scope)
  local spec = functions.specs[node.name]
  if not spec then fail("unknown function '%s'%s", node.name, suggest.hint(node.name, functions.specs)) end
  local n = #node.args
  if n < spec[1] or n > spec[2] then fail("%s: is written %s", node.name, spec.usage) end
  local args = {}
  for i, arg in ipairs(node.args) do args[i] = argument(arg, spec, i, scope) end
  return ("F.%s(%s)"):format(node.name, table.concat(args, ", "))
end

function emit(node, scope) return EMIT[node.kind](node, scope) end

function M.code(node, scope)
  local ok, code = pcall(emit, node, scope)
  if ok then return code end
  if type(code) ~= "table" then error(code, 0) end
  return nil, code.fault
end

return M
