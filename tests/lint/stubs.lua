-- The editors' stubs (lua/stubs) against what they stand for. Pure: text and descriptions in, findings out.
--
--     stubs.read(text, classes?) -> file, findings
--         reads a stub file: { classes =, module = the class of what it returns }. A class is { name =, parents =,
--         call = whether it can be called, members = { [name] = member } }, a member { kind = "function" | "field",
--         optional =, settable =, package =, class = its type's }. `classes` are those of files read before.
--     stubs.describe(value) -> what a module, or an object's class, really has
--     stubs.sample(t) -> the same of a plain table that a call has given
--     stubs.compare(classes, name, live) -> findings: what only one side has
--     stubs.members(classes, name) -> the members of a class and its parents

local M = {}

-- Reading ---------------------------------------------------------------------------------------------------

local ACCESS = { package = true, private = true, protected = true, public = true }

-- "name? type and a text" or "package name type"
local function read_field(line)
  local access, rest = line:match "^(%a+)%s+(%S.*)$"
  if not ACCESS[access] then access, rest = nil, line end
  local name, optional, type_and_text = rest:match "^([%a_][%w_]*)(%??)%s+(.*)$"
  if not name then return nil end -- [1], [integer]: of tables with items
  return name, {
    kind = "field", optional = optional == "?", package = access == "package" or access == "private",
    settable = type_and_text:find("(settable)", 1, true) ~= nil, class = type_and_text:match "^([%a_][%w_.]*)%f[%s%z]",
  }
end

-- What stands above a declaration: its tags.
local function new_block()
  return { params = {}, fields = {} }
end

local TAGS = {
  class = function(block, rest)
    block.class = rest:match "^([%w_.]+)"
    block.parents = {}
    for parent in (rest:match "^[%w_.]+%s*:(.*)$" or ""):gmatch "[%w_.]+" do table.insert(block.parents, parent) end
  end,
  field = function(block, rest) table.insert(block.fields, rest) end,
  overload = function(block) block.call = true end,
  package = function(block) block.package = true end,
  private = function(block) block.package = true end,
  param = function(block, rest) table.insert(block.params, rest:match "^([%w_]+)" or rest:match "^%.%.%.") end,
}

local function take_class(classes, block, fail)
  local class = classes[block.class] or { name = block.class, parents = {}, members = {} }
  classes[block.class] = class
  class.call = class.call or block.call
  table.move(block.parents, 1, #block.parents, #class.parents + 1, class.parents)
  for _, field in ipairs(block.fields) do
    local name, member = read_field(field)
    if name and class.members[name] then fail(("%s.%s is declared twice"):format(class.name, name)) end
    if name then class.members[name] = member end
  end
  return class
end

local function same_list(a, b)
  return table.concat(a, ", ") == table.concat(b, ", ")
end

local function take_function(class, name, params, block, fail)
  local names = {}
  for param in params:gmatch "[^,%s]+" do names[#names + 1] = param end
  if not same_list(names, block.params) then
    fail(("%s.%s(%s): its @param lines say (%s)"):format(
      class.name, name, table.concat(names, ", "), table.concat(block.params, ", ")))
  end
  if class.members[name] then fail(("%s.%s is declared twice"):format(class.name, name)) end
  class.members[name] = { kind = "function", package = block.package }
end

function M.read(text, classes)
  local file = { classes = classes or {} }
  local findings, holders, block, number = {}, {}, new_block(), 0
  local function fail(what) findings[#findings + 1] = ("line %d: %s"):format(number, what) end
  for line in (text .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    local tag, rest = line:match "^%-%-%-@(%a+)%s*(.*)$"
    if tag then
      if TAGS[tag] then TAGS[tag](block, rest) end
    elseif not line:find "^%-%-%-" then
      local class = block.class and take_class(file.classes, block, fail)
      local holder, name, params = line:match "^function ([%w_]+)[.:]([%w_]+)%((.-)%) end$"
      local declared, returned = line:match "^local ([%w_]+) = {}$", line:match "^return ([%w_]+)$"
      if holder and not holders[holder] then
        fail(("'%s' is of no class"):format(holder))
      elseif holder then
        take_function(holders[holder], name, params, block, fail)
      elseif declared then
        holders[declared] = class
      elseif returned then
        file.module = holders[returned] and holders[returned].name
      elseif line ~= "" and not line:find "^%-%-" then
        fail(("'%s' is nothing that a stub has"):format(line))
      end
      block = new_block()
    end
  end
  return file, findings
end

-- Describing ------------------------------------------------------------------------------------------------

local function can_be_called(value)
  local meta = debug.getmetatable(value)
  return type(value) == "function" or (meta ~= nil and rawget(meta, "__call") ~= nil)
end

local function describe_table(t)
  local live = { members = {}, call = can_be_called(t) }
  for name, value in pairs(t) do
    if type(name) == "string" and not name:find "^_" then
      local kind = type(value) == "function" and "function" or "field"
      live.members[name] = { kind = kind, live = type(value) == "table" and M.describe(value) or nil }
    end
  end
  return live
end

-- The table in which C keeps the methods and the numbers of the fields of a handle: see mg_handle_register in
-- src/script/context.c.
local function members_of(index)
  local _, members = debug.getupvalue(index, 1)
  return assert(type(members) == "table" and members, "its __index has no table of members")
end

-- Tables are modules, or objects whose class is their metatable's __index. Of userdata too; fields of handles are tried
-- to find out which can be set.
function M.describe(value)
  local meta = debug.getmetatable(value)
  local index = meta and rawget(meta, "__index")
  if type(value) == "table" and type(index) ~= "table" then return describe_table(value) end
  if type(index) == "table" then
    local live = describe_table(index)
    live.call, live.object = can_be_called(value), type(value) == "table" and value or nil
    return live
  end
  local live = { members = {}, call = can_be_called(value) }
  for name, member in pairs(members_of(index)) do
    live.members[name] = { kind = type(member) == "function" and "function" or "field" }
    if type(member) ~= "function" then
      local ok, fault = pcall(function() value[name] = function() end end)
      live.members[name].settable = ok or not tostring(fault):find("cannot be set", 1, true)
    end
  end
  return live
end

-- What plain tables have, and no more: samples of what calls return.
function M.sample(t)
  local live = { members = {}, sample = true }
  for name in pairs(t) do live.members[name] = { kind = "field" } end
  return live
end

-- Comparing -------------------------------------------------------------------------------------------------

-- All members of a class, with those of its parents.
function M.members(classes, name)
  local class = classes[name]
  if not class then return nil end
  local members = {}
  for _, parent in ipairs(class.parents) do
    for key, member in pairs(M.members(classes, parent) or {}) do members[key] = member end
  end
  for key, member in pairs(class.members) do members[key] = member end
  return members
end

local function sorted(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- What is wrong with a member that both sides have; nil when nothing is.
local function fault_of(stub, live)
  if stub.kind ~= live.kind then return ("is a %s, in the stubs a %s"):format(live.kind, stub.kind) end
  if live.settable == nil or live.settable == stub.settable then return nil end
  return live.settable and "can be set; the stubs lack '(settable)'" or "cannot be set, as the stubs say"
end

-- May a member of the stubs be missing? Optional ones of samples; fields of objects that this object has, or may have.
local function is_excused(live, key, member)
  if live.sample then return member.optional end
  return live.object ~= nil and member.kind == "field" and (member.optional or live.object[key] ~= nil)
end

-- `path`: what the thing is called in the findings.
function M.compare(classes, name, live, path)
  path = path or name
  local findings, members = {}, M.members(classes, name)
  if not members then return { ("%s: the stubs have no class '%s'"):format(path, name) } end
  local function found(key, what) findings[#findings + 1] = ("%s%s %s"):format(path, key and "." .. key or "", what) end
  for _, key in ipairs(sorted(live.members)) do
    local stub, member = members[key], live.members[key]
    local fault = not stub and "is not in the stubs" or fault_of(stub, member)
    if fault then
      found(key, fault)
    elseif member.live then
      local inner = M.compare(classes, stub.class, member.live, path .. "." .. key)
      table.move(inner, 1, #inner, #findings + 1, findings)
    end
  end
  for _, key in ipairs(sorted(members)) do
    if not live.members[key] and not is_excused(live, key, members[key]) then found(key, "is in the stubs alone") end
  end
  if live.call ~= nil and live.call ~= (classes[name].call == true) then
    found(nil, live.call and "can be called; the stubs lack its @overload" or "cannot be called, as the stubs say")
  end
  return findings
end

return M
