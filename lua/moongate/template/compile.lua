-- Templates as Lua functions: texts with `${...}`, and trees of maps, lists and such texts.
--
-- A text that is one `${...}` and nothing else is that value, whatever it is; otherwise it is a text with the values'
-- texts in it. `$${` stands for a plain `${`.
--
--     compile.text(text, scope)        the Lua code of a text
--     compile.value(text, scope)       of a value
--     compile.path(text, scope)        of a path, whose values are encoded; it gives nil where one is missing
--     compile.expression(text, scope)  of an expression without `${}` around it
--     compile.json(tree, scope)        a tree of moongate.template.kinds: { texts =, gaps = { { code =, uses = } } }
--     compile.load(source, C)          the function that a text of Lua returns; it sees F and C
--
--     compile.json(tree, scope)        a tree of moongate.template.kinds: texts, and gaps with their code and names
-- takes `raw.NAME` where they stand alone: what a service has said goes on as it is. Faults are raised as a table with
-- `fault`; compile.try(fn, ...) gives nil and the text instead.

local expression = require "moongate.template.expression"
local functions = require "moongate.template.functions"
local mg = require "moongate"

local M = {}

local TEXT_MAX = 8192
local SHOWN_MAX = 60

local function fail(format, ...) error({ fault = format:format(...) }, 0) end

function M.try(fn, ...)
  local ok, result = pcall(fn, ...)
  if ok then return result end
  if type(result) ~= "table" or not result.fault then error(result, 0) end
  return nil, result.fault
end

-- Runs fn(...); a fault has `where` in front.
function M.within(where, fn, ...)
  local result, fault = M.try(fn, ...)
  if fault then fail("%s: %s", where, fault) end
  return result
end

-- ------------------------------------------------------------------------------------------------ texts

local function shown(text)
  return #text > SHOWN_MAX and text:sub(1, SHOWN_MAX) .. "..." or text
end

-- Texts and nodes of expressions in turn, a text at both ends.
function M.parse(text)
  if #text > TEXT_MAX then fail("is longer than %d bytes", TEXT_MAX) end
  local parts, literal, at = {}, {}, 1
  while true do
    local open = text:find("${", at, true)
    if not open then break end
    if text:sub(open - 1, open - 1) == "$" and open > at then
      literal[#literal + 1] = text:sub(at, open - 2) .. "${"
      at = open + 2
    else
      literal[#literal + 1] = text:sub(at, open - 1)
      local node, after = expression.parse(text, open + 2)
      if not node then fail("'%s': %s", shown(text:sub(open)), after) end
      if text:sub(after, after) ~= "}" then fail("'%s': expected '}' behind the expression", shown(text:sub(open))) end
      parts[#parts + 1] = table.concat(literal)
      parts[#parts + 1] = node
      literal, at = {}, after + 1
    end
  end
  literal[#literal + 1] = text:sub(at)
  parts[#parts + 1] = table.concat(literal)
  return parts
end

local function code_of(node, scope, text)
  local code, fault = expression.code(node, scope)
  if not code then fail("'%s': %s", shown(text), fault) end
  return code
end

-- The parts as arguments in turn: texts quoted, values as their code.
local function arguments(parts, scope, text)
  local out = {}
  for i, part in ipairs(parts) do
    out[i] = type(part) == "string" and ("%q"):format(part) or code_of(part, scope, text)
  end
  return table.concat(out, ", ")
end

function M.text(text, scope)
  local parts = M.parse(text)
  if #parts == 1 then return ("%q"):format(parts[1]) end
  return ("F.join_text(%s)"):format(arguments(parts, scope, text))
end

-- The only expression of a text that is nothing else.
local function only(parts)
  return #parts == 3 and parts[1] == "" and parts[3] == "" and parts[2] or nil
end

function M.value(text, scope)
  local node = only(M.parse(text))
  return node and code_of(node, scope, text) or M.text(text, scope)
end

function M.path(text, scope)
  local parts = M.parse(text)
  if #parts == 1 then return ("%q"):format(parts[1]) end
  return ("F.join_path(%s)"):format(arguments(parts, scope, text))
end

-- `escape` is the code of a function.
function M.escaped(text, scope, escape)
  local parts = M.parse(text)
  if #parts == 1 then return ("%q"):format(parts[1]) end
  return ("F.join_escaped(%s, %s)"):format(escape, arguments(parts, scope, text))
end

function M.expression(text, scope)
  if #text > TEXT_MAX then fail("is longer than %d bytes", TEXT_MAX) end
  local node, after = expression.parse(text)
  if not node then fail("'%s': %s", shown(text), after) end
  if after <= #text then fail("'%s': has more behind its end", shown(text)) end
  return code_of(node, scope, text)
end

-- ------------------------------------------------------------------------------------------------ trees

local function quoted(value)
  local text, err = mg.json.encode(value)
  if not text then fail("%s", err) end
  return text
end

local Writer = {}
Writer.__index = Writer

function Writer:add(text) self.texts[#self.texts] = self.texts[#self.texts] .. text end

function Writer:gap(text, parts)
  local scope = { values = self.scope.values, uses = {}, item = self.scope.item }
  local node = only(parts)
  local code
  if node and node.kind == "name" and (self.scope.spliced or {})[node.name] then
    code, scope.uses[node.name] = "raw." .. node.name, true
    self.spliced[node.name] = true
  elseif node then
    code = code_of(node, scope, text)
  else
    code = ("F.join_text(%s)"):format(arguments(parts, scope, text))
  end
  for name in pairs(scope.uses) do
    self.scope.uses[name] = true
    if code ~= "raw." .. name then self.looked_into[name] = true end
  end
  self.gaps[#self.gaps + 1] = { code = code, uses = scope.uses, name = code:match "^raw%.(.*)$" }
  self.texts[#self.texts + 1] = ""
end

local WRITE = {}

local function write(w, tree, key)
  if key then return M.within(key, WRITE[tree.kind], w, tree) end
  return WRITE[tree.kind](w, tree)
end

function WRITE.value(w, tree)
  if tree.value == nil then return w:add "null" end
  w:add(quoted(tree.value))
end

function WRITE.text(w, tree)
  local parts = M.parse(tree.text)
  if #parts == 1 then return w:add(quoted(parts[1])) end
  w:gap(tree.text, parts)
end

function WRITE.map(w, tree)
  w:add "{"
  for i, key in ipairs(tree.keys) do
    w:add((i > 1 and "," or "") .. quoted(key) .. ":")
    write(w, tree.items[i], key)
  end
  w:add "}"
end

function WRITE.list(w, tree)
  w:add "["
  for i, item in ipairs(tree.items) do
    if i > 1 then w:add "," end
    write(w, item, ("[%d]"):format(i - 1))
  end
  w:add "]"
end

local GAPS_MAX = 200

-- Also `spliced` and `looked_into`: the names that go on as they are, and those whose value is needed.
function M.json(tree, scope)
  local w = setmetatable({ texts = { "" }, gaps = {}, scope = scope, spliced = {}, looked_into = {} }, Writer)
  write(w, tree)
  if #w.gaps > GAPS_MAX then fail("has more than %d expressions", GAPS_MAX) end
  return { texts = w.texts, gaps = w.gaps, spliced = w.spliced, looked_into = w.looked_into }
end

-- The code of all gaps, as a list of values.
function M.gap_codes(json)
  local out = {}
  for i, gap in ipairs(json.gaps) do out[i] = gap.code end
  return table.concat(out, ", ")
end

-- ------------------------------------------------------------------------------------------------ loading

function M.load(source, C)
  local chunk, fault = load("local F, C = ...; " .. source, "=template", "t")
  if not chunk then fail("is too long for Lua: %s", fault) end
  return chunk(functions, C)
end

-- function(v, raw, req, it) that gives the value of one code.
function M.closure(code, C) return M.load("return function(v, raw, req, it) return " .. code .. " end", C) end

return M
