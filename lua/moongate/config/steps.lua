-- Lists of steps as they are written: `policies` of the file and of routes, pipelines, `on_error`.
--
-- Written forms of a step:
--
--     cors                                   a policy without options
--     { cors: {...}, when:, id:, on_error:, enabled: }
--     { use: NAME }                          the steps of a pipeline, at this place
--     { lua: TEXT, when:, ... }              text that returns what a policy's `new` returns
--     function(req, next) ... end            in a .lua config; also as { lua = function ... end }
--
-- The checked list holds one entry for each: { kind = "policy" | "native" | "lua" | "function" | "use", name=, path=,
-- ... }. An entry is there even when parts of it are wrong (`broken`), so that later checks do not blame others for its
-- absence. moongate.config.pipelines makes of it what a route runs.
--
-- A policy's options may hold steps: `s.steps` in its schema. Their lists stand in the checked conf, and once more in
-- the entry's `lists`. A policy whose module says `native` is run by C (src/script/natives.h); so is a group (`group`;
-- src/gateway/group.h), which only holds other steps.

local s = require "moongate.schema"
local suggest = require "moongate.config.suggest"
local walk = require "moongate.config.walk"

local M = {}

local OWN_KEYS = {
  when = s.string { help = "a Lua expression on `req`; the step runs where it is true" },
  id = s.string { len = { 1, 128 }, help = "its name in traces and metrics; default: the policy's" },
  on_error = s.enum { "fail", "continue", default = "fail" },
  enabled = s.boolean { default = true },
}

-- ------------------------------------------------------------------------------------------------ Lua texts

-- The line of the file where the text at a place begins: one below the `|` of a block.
local function first_line(place, w)
  local at = w:locate(place)
  if not at or not w.ctx.text then return nil end
  local line, n = at >> 20, 1
  for text in (w.ctx.text .. "\n"):gmatch("(.-)\r?\n") do
    if n == line then
      local block = text:match("^[|>]", utf8.offset(text, at & 0xFFFFF))
      return block and line + 1 or line, block == "|"
    end
    n = n + 1
  end
  return line
end

-- Compiles without running. `prefix` is what the text needs in front to be a chunk, on its first line.
local function check_lua(text, prefix, place, w)
  local chunk, fault = load(prefix .. text, "=lua", "t")
  if chunk then return true end
  local line, message = fault:match("^lua:(%d+): (.*)$")
  message = "Lua: " .. (message or fault)
  local first, literal = first_line(place, w)
  if line and literal then
    w:fail_at(place, message, (first + math.tointeger(line) - 1) << 20 | 1)
  else
    w:fail(place, message)
  end
  return false
end

-- ------------------------------------------------------------------------------------------------ policies

local NAME = "^[%l%d][%l%d-]*$"
local GROUPS = { any = true, all = true }

local SIDES, READS = { request = true, response = true }, { stream = true, buffer = true }

-- What is wrong with a module's `body`, which says how it reads them.
local function body_fault(body)
  if body == nil then return nil end
  if type(body) ~= "table" then return ("its body must be a table, not a %s"):format(type(body)) end
  for side, reads in pairs(body) do
    if not SIDES[side] then return ("its body has no '%s', only 'request' and 'response'"):format(tostring(side)) end
    if not READS[reads] then return ('its body.%s must be "stream" or "buffer"'):format(side) end
  end
  return nil
end

-- What is wrong with `needs` or `provides`: words, or a function of the conf that gives them.
local function words_fault(words, field)
  if words == nil or type(words) == "function" then return nil end
  if type(words) ~= "table" then
    return ("its %s must be a list of strings or a function, not a %s"):format(field, type(words))
  end
  for _, word in pairs(words) do
    if type(word) ~= "string" then return ("its %s has a %s among its strings"):format(field, type(word)) end
  end
  return nil
end

-- What is wrong with `after` or `before`: reasons by word, or a function of the conf that gives them.
local function reasons_fault(reasons, field)
  if reasons == nil or type(reasons) == "function" then return nil end
  if type(reasons) ~= "table" then
    return ("its %s must be a table of reasons or a function, not a %s"):format(field, type(reasons))
  end
  for word, reason in pairs(reasons) do
    if type(word) ~= "string" or type(reason) ~= "string" then
      return ('its %s must have a reason for each word: { identity = "..." }'):format(field)
    end
  end
  return nil
end

-- What is wrong with a module.
local function module_fault(module)
  if type(module) ~= "table" then return "must return a table" end
  if module.schema ~= nil and not s.is_schema(module.schema) then
    return "its schema is none of moongate.schema; make it with s.record { ... }"
  end
  if module.group ~= nil and not GROUPS[module.group] then return 'its group must be "any" or "all"' end
  local native = type(module.native)
  if native ~= "nil" and native ~= "string" and native ~= "function" then
    return "its native must be a string or a function"
  end
  if module.guard ~= nil and type(module.guard) ~= "boolean" then return "its guard must be true or false" end
  return body_fault(module.body) or words_fault(module.needs, "needs") or words_fault(module.provides, "provides")
    or reasons_fault(module.after, "after") or reasons_fault(module.before, "before")
end

-- Policies by name, each loaded once: find(name) -> module, or nil and what is wrong. on_own(name) is told of those
-- that do not come with the gateway.
function M.catalogue(opts, on_own)
  local found, faults = {}, {}
  local function load_module(name)
    local module, more, built_in -- `more` is the file it came from, or why there is none
    if opts.policy and name:match(NAME) then module, more, built_in = opts.policy(name) end
    if module == nil then
      if more then return nil, ("cannot load policy '%s': %s"):format(name, more) end
      local names = opts.policy_names and opts.policy_names() or {}
      return nil, ("unknown policy '%s'%s"):format(name, suggest.hint(name, names))
    end
    local fault = module_fault(module)
    if fault then
      return nil, ("cannot load policy '%s': %s%s"):format(name, more and more .. ": " or "", fault)
    end
    if not built_in then on_own(name) end
    return module
  end
  return function(name)
    if not found[name] and not faults[name] then found[name], faults[name] = load_module(name) end
    return found[name], faults[name]
  end
end

local ANY = s.any()
local UNKNOWN = {} -- stands for the module of any policy where a schema is checked without a config around it

local function find_policy(name, w)
  if not w.ctx.find_policy then return UNKNOWN end
  return w.ctx.find_policy(name)
end

-- The lists of steps in a checked conf, in a fixed order.
local function add_lists(out, conf)
  if getmetatable(conf) == M.List then
    out[#out + 1] = conf
    return
  end
  if type(conf) ~= "table" then return end
  for _, item in ipairs(conf) do add_lists(out, item) end
  for _, key in ipairs(walk.sorted_keys(conf)) do
    if math.type(key) ~= "integer" then add_lists(out, conf[key]) end
  end
end

-- What the module says in one of these fields, for this conf.
local function words_of(entry, field, w, fault_of)
  local words = entry.module[field]
  if type(words) ~= "function" then return words or {} end
  local ok, found = pcall(words, entry.conf)
  local fault = not ok and tostring(found) or fault_of(found, "result")
  if not fault and type(found) == "table" then return found end
  if ok and found == nil then return {} end
  w:fail(entry.place, ("the policy's '%s' failed: %s"):format(field, fault or "it gave a function"))
  return {}
end

-- The place of a policy's options: below its name, wherever they stand.
local function conf_place(place, item, name)
  if type(item) == "table" then return walk.child(place, item, name) end
  return { path = walk.join(place.path, name), container = place.container, key = place.key, parent = place.parent }
end

-- The name of what runs it in C, or nil. A conf with faults is nil, and runs nowhere.
local function native_of(module, conf)
  if type(module.native) ~= "function" then return module.native end
  return conf and module.native(conf)
end

local function check_policy(name, item, place, w, entry)
  local at = conf_place(place, item, name)
  entry.kind, entry.name, entry.place, entry.keyed = "policy", name, at, type(item) == "table"
  local module, fault = find_policy(name, w)
  if not module then
    entry.broken = true
    if type(item) == "table" then return w:fail_key(at, fault) end
    return w:fail(place, fault)
  end
  local conf = type(item) == "table" and item[name] or nil
  local schema = module.schema or ANY
  if walk.is_absent(conf) then conf = (schema.kind == "record" or schema.kind == "any") and {} or nil end
  local faults = #w.errors
  entry.module, entry.guard = module, module.guard
  entry.conf = w:field(schema, conf, at)
  entry.lists = {}
  add_lists(entry.lists, entry.conf)
  entry.native = native_of(module, entry.conf) or module.group
  if entry.native then entry.kind = "native" end
  if module.group then entry.group, entry.broken = module.group, entry.conf == nil end
  if #w.errors > faults then return end
  entry.needs, entry.provides = words_of(entry, "needs", w, words_fault), words_of(entry, "provides", w, words_fault)
  entry.after, entry.before = words_of(entry, "after", w, reasons_fault), words_of(entry, "before", w, reasons_fault)
end

local function check_inline(item, place, w, entry)
  local at, source = walk.child(place, item, "lua"), item.lua
  entry.name, entry.place, entry.keyed = "lua", at, true
  if type(source) == "function" then
    entry.kind, entry.func = "function", source
  elseif type(source) == "string" then
    entry.kind, entry.source, entry.line = "lua", source, first_line(at, w)
    check_lua(source, "", at, w)
  else
    entry.broken = true
    w:fail(at, ("expected string (Lua text), got %s"):format(w:got(source, at)), source)
  end
end

-- ------------------------------------------------------------------------------------------------ one step

local function names_of(item)
  local names = {}
  for _, key in ipairs(walk.sorted_keys(item)) do
    if not OWN_KEYS[key] then names[#names + 1] = tostring(key) end
  end
  return names
end

-- Options that stand beside their policy's name instead of below it: the commonest slip in YAML.
local function belongs_below(key, name, w)
  local module = find_policy(name, w)
  local fields = module and module.schema and module.schema.fields
  return fields ~= nil and fields[key] ~= nil
end

-- The one name among several keys; the others get their errors. Also whether options stood beside the name.
local function pick_name(names, item, place, w)
  local policies, slipped = {}, false
  for _, name in ipairs(names) do
    if name == "lua" or find_policy(name, w) then policies[#policies + 1] = name end
  end
  if #policies > 1 then
    w:fail(place, ("a step is one policy, this names '%s'"):format(table.concat(policies, "' and '")), item)
    return nil
  end
  local name = policies[1] or names[1]
  for _, key in ipairs(names) do
    if key ~= name then
      local below = belongs_below(key, name, w)
      slipped = slipped or below
      w:fail_key(walk.child(place, item, key),
        below and ("unknown field of a step; indent it more to make it an option of '%s'"):format(name)
        or walk.unknown_field(key, OWN_KEYS))
    end
  end
  return name, slipped
end

local function check_use(item, place, w, entry)
  entry.kind = "use"
  for _, key in ipairs(walk.sorted_keys(item)) do
    if key ~= "use" then w:fail_key(walk.child(place, item, tostring(key)), "unknown field beside 'use'") end
  end
  local at = walk.child(place, item, "use")
  if type(item.use) ~= "string" then
    entry.broken = true
    return w:fail(at, ("expected pipeline name, got %s"):format(w:got(item.use, at)), item.use)
  end
  entry.name, entry.place = item.use, at
  local known = w.ctx.pipelines
  if known and not known[item.use] then
    entry.broken = true
    w:fail(at, ("unknown pipeline '%s'%s"):format(item.use, suggest.hint(item.use, known)))
  end
end

local function check_record(item, place, w, entry)
  for key, schema in pairs(OWN_KEYS) do
    if not walk.is_left_out(schema, item[key]) then
      entry[key] = w:field(schema, item[key], walk.child(place, item, key), item)
    end
  end
  if entry.when then check_lua(entry.when, "return ", walk.child(place, item, "when"), w) end
  local names = names_of(item)
  if #names == 0 then
    entry.broken = true
    return w:fail(place, "expected a policy's name as key", item)
  end
  local name, slipped = names[1], false
  if #names > 1 then name, slipped = pick_name(names, item, place, w) end
  if not name or slipped then
    entry.broken = true
  elseif name == "lua" then
    check_inline(item, place, w, entry)
  else
    check_policy(name, item, place, w, entry)
  end
  if entry.group and item.on_error ~= nil then
    w:fail_key(walk.child(place, item, "on_error"), "stands with the steps in the group; a group itself does not fail")
  end
end

local function check_step(item, place, w)
  local entry = { path = place.path, place = place, walk = w, on_error = "fail", enabled = true }
  local sort = w:sort_of(item)
  if sort == "string" then
    check_policy(item, item, place, w, entry)
  elseif sort == "function" then
    entry.kind, entry.name, entry.func = "function", "lua", item
  elseif sort == "map" and item.use ~= nil then
    check_use(item, place, w, entry)
  elseif sort == "map" then
    check_record(item, place, w, entry)
  else
    entry.broken = true
    w:fail(place, ("expected step, got %s"):format(w:got(item, place)), item)
  end
  return entry
end

-- ------------------------------------------------------------------------------------------------ the kind

M.MAX_NESTING = 16 -- steps in steps

-- The metatable of checked lists, by which they are found in a conf.
M.List = { __name = "moongate.Steps" }

local function check_items(schema, value, place, w)
  if w:is_list(value) then
    local out = {}
    for i, item in ipairs(value) do out[i] = check_step(item, walk.child(place, value, i), w) end
    return out, #value
  end
  local fits = schema.single and type(value) ~= "number" and type(value) ~= "boolean"
  if not fits then return w:fail_expected(schema, value, place) end
  return { check_step(value, place, w) }, 1
end

local function check_list(schema, value, place, w)
  local out, count = check_items(schema, value, place, w)
  if not out then return nil end
  local fault = walk.length_fault(schema, count, "step", "steps")
  if fault then return w:fail(place, fault, value) end
  return setmetatable(out, M.List)
end

-- A key that is a step by itself: `mirror: {...}` of a route is the step `{ mirror: {...} }`. A list of this one.
function M.of_key(place, w)
  local entry = { path = place.path, place = place, walk = w, on_error = "continue", enabled = true }
  check_policy(place.key, place.container, place.parent, w, entry)
  return setmetatable({ entry }, M.List)
end

walk.define("steps", {
  wants = function(schema, sort)
    return sort == "list" or schema.single == true and (sort == "map" or sort == "string" or sort == "function")
  end,
  describe = function(schema) return schema.single and "step or list of steps" or "list of steps" end,
  check = function(schema, value, place, w)
    if (w.nesting or 0) > M.MAX_NESTING then
      return w:fail(place, ("steps in steps, more than %d levels deep"):format(M.MAX_NESTING), value)
    end
    w.nesting = (w.nesting or 0) + 1
    local out = check_list(schema, value, place, w)
    w.nesting = w.nesting - 1
    return out
  end,
})

return M
