-- Templates as Lua functions: texts with `${...}`, and trees of maps, lists and such texts.
--
-- A text that is one `${...}` and nothing else is that value, whatever it is; otherwise it is a text with the values'
-- texts in it. `$${` stands for a plain `${`.
--
--     compile.text(text, scope)        the Lua code of a text
--     compile.value(text, scope)       of a value
--     compile.path(text, scope)        of a path, whose values are encoded; it gives nil where one is missing
--     compile.expression(text, scope)  of an expression without `${}` around it
--     compile.json(tree, scope)        a tree of moongate.template.kinds: texts, and gaps with their code and names
--     compile.json_text(text, scope)   the same of a JSON text
--     compile.load(source, C)          the function that a text of Lua returns; it sees F and C
--
-- Code is on `F`, `v`, `raw`, `req` and `it`, see moongate.template.expression. Of the names in scope.spliced a
-- template takes `raw.NAME` where they stand alone: what a service has said goes on as it is. Faults are raised as a
-- table with `fault`; compile.try(fn, ...) gives nil and the text instead.

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

-- The code of a text: what F.NAME, called with the texts and the values in turn, makes of them. `wrap` may name a
-- function of F for the n-th expression, and say that it wants what a path has captured as the request has it.
function M.joined(text, scope, join, wrap)
  local parts, out = M.parse(text), {}
  if #parts == 1 then return ("%q"):format(parts[1]) end
  for i, part in ipairs(parts) do
    if type(part) == "string" then
      out[i] = ("%q"):format(part)
    else
      local name, as_captured
      if wrap then name, as_captured = wrap(part, i // 2) end
      local inner = { values = scope.values, uses = scope.uses, item = scope.item, as_captured = as_captured }
      local code = code_of(part, inner, text)
      out[i] = name and ("F.%s(%s)"):format(name, code) or code
    end
  end
  return ("%s(%s)"):format(join, table.concat(out, ", "))
end

function M.text(text, scope) return M.joined(text, scope, "F.join_text") end

-- The only expression of a text that is nothing else.
local function only(parts)
  return #parts == 3 and parts[1] == "" and parts[3] == "" and parts[2] or nil
end

function M.value(text, scope)
  local node = only(M.parse(text))
  return node and code_of(node, scope, text) or M.text(text, scope)
end

local function is_captured(node, scope)
  local of = node.of
  return (node.kind == "field" or node.kind == "index") and of.kind == "name" and of.name == "params"
    and not scope.values.params
end

function M.path(text, scope)
  return M.joined(text, scope, "F.join_path", function(node)
    if is_captured(node, scope) then return "captured", true end
    return "segment"
  end)
end

function M.expression(text, scope)
  if #text > TEXT_MAX then fail("is longer than %d bytes", TEXT_MAX) end
  local node, after = expression.parse(text)
  if not node then fail("'%s': %s", shown(text), after) end
  if after <= #text then fail("'%s': has more behind its end", shown(text)) end
  return code_of(node, scope, text)
end

local function sorted(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- The code of a table of texts, each value through F.NAME. One that never changes is made once, as C[slot].
function M.table_code(map, scope, wrap, C, slot)
  local fields, constants, changes = {}, {}, false
  for _, name in ipairs(sorted(map)) do
    local parts = M.within(name, M.parse, map[name])
    if #parts == 1 then
      constants[name], fields[#fields + 1] = parts[1], ("[%q] = %q"):format(name, parts[1])
    else
      changes = true
      fields[#fields + 1] = ("[%q] = %s(%s)"):format(name, wrap, M.within(name, M.value, map[name], scope))
    end
  end
  if changes then return "{ " .. table.concat(fields, ", ") .. " }" end
  C[slot] = constants
  return "C." .. slot
end

-- ------------------------------------------------------------------------------------------------ trees

local function quoted(value)
  local text, err = mg.json.encode(value)
  if not text then fail("%s", err) end
  return text
end

local Writer = {}
Writer.__index = Writer

local function new_writer(scope)
  return setmetatable({ texts = { "" }, gaps = {}, scope = scope, spliced = {}, looked_into = {} }, Writer)
end

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
    code = M.text(text, scope)
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

local function checked(w)
  if #w.gaps > GAPS_MAX then fail("has more than %d expressions", GAPS_MAX) end
  return w
end

-- Also `spliced` and `looked_into`: the names that go on as they are, and those whose value is needed.
function M.json(tree, scope)
  local w = new_writer(scope)
  write(w, tree)
  return checked(w)
end

-- The end of the string that begins at `at`, in a text that is JSON.
local function string_end(text, at)
  local from = at + 1
  while true do
    local stop = text:find('[\\"]', from)
    if text:sub(stop, stop) == '"' then return stop + 1 end
    from = stop + 2
  end
end

-- The same of a JSON text, whose strings may hold expressions.
function M.json_text(text, scope)
  local _, err = mg.json.decode(text)
  if err then fail("no JSON: %s", err) end
  local w, at = new_writer(scope), 1
  while true do
    local open = text:find('"', at, true)
    if not open then break end
    local after = string_end(text, open)
    local value = mg.json.decode(text:sub(open, after - 1))
    local parts = M.parse(value)
    w:add(text:sub(at, open - 1))
    if #parts > 1 and text:find("^%s*:", after) then fail("'%s': a name cannot have an expression", shown(value)) end
    if #parts == 1 then w:add(quoted(parts[1])) else w:gap(value, parts) end
    at = after
  end
  w:add(text:sub(at))
  return checked(w)
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
