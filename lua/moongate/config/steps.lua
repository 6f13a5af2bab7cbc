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
-- The checked list holds one entry for each: { kind = "policy" | "lua" | "function" | "use", name=, path=, ... }. An
-- entry is there even when parts of it are wrong (`broken`), so that later checks do not blame others for its absence.

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

-- What is wrong with a module.
local function module_fault(module)
  if type(module) ~= "table" then return "must return a table" end
  if module.schema ~= nil and not s.is_schema(module.schema) then
    return "its schema is none of moongate.schema; make it with s.record { ... }"
  end
  return body_fault(module.body)
end

-- Policies by name, each loaded once: find(name) -> module, or nil and what is wrong.
function M.catalogue(opts)
  local found, faults = {}, {}
  local function load_module(name)
    local module, more -- the file it came from, or why there is none
    if opts.policy and name:match(NAME) then module, more = opts.policy(name) end
    if module == nil then
      if more then return nil, ("cannot load policy '%s': %s"):format(name, more) end
      local names = opts.policy_names and opts.policy_names() or {}
      return nil, ("unknown policy '%s'%s"):format(name, suggest.hint(name, names))
    end
    local fault = module_fault(module)
    if fault then
      return nil, ("cannot load policy '%s': %s%s"):format(name, more and more .. ": " or "", fault)
    end
    return module
  end
  return function(name)
    if not found[name] and not faults[name] then found[name], faults[name] = load_module(name) end
    return found[name], faults[name]
  end
end

local ANY = s.any()

-- The place of a policy's options: below its name, wherever they stand.
local function conf_place(place, item, name)
  if type(item) == "table" then return walk.child(place, item, name) end
  return { path = walk.join(place.path, name), container = place.container, key = place.key, parent = place.parent }
end

local function check_policy(name, item, place, w, entry)
  local at = conf_place(place, item, name)
  entry.kind, entry.name, entry.place, entry.keyed = "policy", name, at, type(item) == "table"
  local module, fault = w.ctx.find_policy(name)
  if not module then
    entry.broken = true
    if type(item) == "table" then return w:fail_key(at, fault) end
    return w:fail(place, fault)
  end
  local conf = type(item) == "table" and item[name] or nil
  local schema = module.schema or ANY
  if walk.is_absent(conf) then conf = (schema.kind == "record" or schema.kind == "any") and {} or nil end
  entry.module = module
  entry.conf = w:field(schema, conf, at)
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
  local module = w.ctx.find_policy(name)
  local fields = module and module.schema and module.schema.fields
  return fields ~= nil and fields[key] ~= nil
end

-- The one name among several keys; the others get their errors. Also whether options stood beside the name.
local function pick_name(names, item, place, w)
  local policies, slipped = {}, false
  for _, name in ipairs(names) do
    if name == "lua" or w.ctx.find_policy(name) then policies[#policies + 1] = name end
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
  if not w.ctx.pipelines[item.use] then
    entry.broken = true
    w:fail(at, ("unknown pipeline '%s'%s"):format(item.use, suggest.hint(item.use, w.ctx.pipelines)))
  end
end

local function check_record(item, place, w, entry)
  for key, schema in pairs(OWN_KEYS) do
    entry[key] = w:field(schema, item[key], walk.child(place, item, key), item)
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

M.list = s.define("steps", {
  wants = { list = true },
  describe = function() return "list of steps" end,
  check = function(schema, value, place, w)
    if not w:is_list(value) then return w:fail_expected(schema, value, place) end
    local out = {}
    for i, item in ipairs(value) do out[i] = check_step(item, walk.child(place, value, i), w) end
    return out
  end,
})

-- ------------------------------------------------------------------------------------------------ flat lists

local MAX_STEPS = 1000 -- of one route; pipelines that use each other double quickly

-- Reports each `use` that closes a circle. `pipelines` maps names to entries. True when there was none.
function M.check_cycles(pipelines)
  local done, stack, ok = {}, {}, true
  local function visit(name)
    if done[name] then return end
    stack[#stack + 1] = name
    stack[name] = #stack
    for _, entry in ipairs(pipelines[name] or {}) do
      if entry.kind == "use" and stack[entry.name] then
        ok = false
        local circle = table.concat(stack, " -> ", stack[entry.name]) .. " -> " .. entry.name
        entry.walk:fail(entry.place, ("pipelines use each other in a circle: %s"):format(circle))
      elseif entry.kind == "use" and not entry.broken then
        visit(entry.name)
      end
    end
    stack[name] = nil
    stack[#stack] = nil
    done[name] = true
  end
  for _, name in ipairs(walk.sorted_keys(pipelines)) do visit(name) end
  return ok
end

-- Appends the enabled steps of `entries` to `out`, pipelines in place. False, with an error, when there are too many.
local function splice(entries, pipelines, out)
  for _, entry in ipairs(entries or {}) do
    if entry.kind == "use" and not entry.broken then
      if not splice(pipelines[entry.name], pipelines, out) then return false end
    elseif entry.enabled ~= false then
      out[#out + 1] = entry
    end
    if #out > MAX_STEPS then
      if not out.too_many then entry.walk:fail(entry.place, ("more than %d steps in one route"):format(MAX_STEPS)) end
      out.too_many = true
      return false
    end
  end
  return true
end

-- The steps of several lists, one after the other, without `use`. Only after check_cycles.
function M.flatten(lists, pipelines)
  local out = {}
  for _, entries in ipairs(lists) do
    if not splice(entries, pipelines, out) then break end
  end
  return out
end

local function has(list, word)
  for _, item in ipairs(list or {}) do
    if item == word then return true end
  end
  return false
end

local function provider_after(steps, from, what)
  for i = from, #steps do
    local module = steps[i].module
    if module and has(module.provides, what) then return steps[i] end
  end
  return nil
end

-- Where another step stands, seen from a step of `route`: without the route's own path.
local function relative(path, route)
  return path:sub(1, #route + 1) == route .. "." and path:sub(#route + 2) or path
end

local function need_fault(steps, i, what, route)
  local later = provider_after(steps, i + 1, what)
  if not later then return ('needs "%s"; no step provides it'):format(what) end
  return ('needs "%s"; the step that provides it (%s, %s) comes later'):format(
    what, later.name, relative(later.path, route))
end

-- Checks that what each step needs is provided before it. A shared step is blamed once, with the first route it fails
-- in; `blamed` remembers. `route_name` nil: the steps of requests that no route takes.
function M.check_needs(steps, route, route_name, blamed)
  local provided = {}
  for i, step in ipairs(steps) do
    if step.broken then return end -- it might have provided anything
    for _, what in ipairs(step.module and step.module.needs or {}) do
      local own = relative(step.path, route) ~= step.path
      if not provided[what] and not blamed[step] then
        blamed[step] = true
        local message = need_fault(steps, i, what, route)
        if not own and route_name then message = ("%s (in route '%s')"):format(message, route_name) end
        if step.keyed then step.walk:fail_key(step.place, message) else step.walk:fail(step.place, message) end
      end
    end
    for _, what in ipairs(step.module and step.module.provides or {}) do provided[what] = true end
  end
end

-- Steps as they leave the loader: plain data. `path` of a step in an included file's route changes with its route.
function M.export(steps, from, to)
  local out = {}
  for i, step in ipairs(steps) do
    local path = step.path
    if path:sub(1, #from + 1) == from .. "." then path = to .. path:sub(#from + 1) end
    local at = step.keyed and step.walk:locate_key(step.place) or step.walk:locate(step.place)
    out[i] = {
      name = step.name, kind = step.kind, conf = step.conf, func = step.func, source = step.source,
      path = path, id = step.id or step.name, when = step.when, on_error = step.on_error,
      file = step.walk.ctx.file, line = at and at >> 20, col = at and at & 0xFFFFF, source_line = step.line,
      body = step.module and step.module.body,
    }
  end
  return out
end

return M
