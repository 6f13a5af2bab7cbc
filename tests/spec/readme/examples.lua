-- Runs the examples of a README in the test kit.
--
-- A Lua block becomes a step, by the kind that its note names:
--
--     module     a policy's file; its options are `conf` of gateway
--     part       a part of one; without a `new` it answers with its options
--     step       what a policy's `new` returns, as in `- lua: |`
--     phases     fields of that table: request = function(req) ... end
--     request    what such a function does; also `response`, `onion` (it has req and next) and `new`
--     spec       a spec of its own
--
-- A YAML block is a whole config, or a part of one, or a list of steps; it has to pass the check and needs no note.
--
-- A line of Lua that ends in `--> text` is an expression, a local or an assignment, and its values have to be that
-- text: tables as sorted JSON, `…` for anything. Each such line must be reached.
--
-- The note's code runs in the spec. It has what specs have, and
--
--     t              a gateway with the block, and an upstream `api` that says "ok"
--     gateway(opts)  another one: options as for T.new, or T.load for YAML
--     step           the block as an item of `policies`, beside others
--
-- Without code the block must answer `/` with 200.

local T = require "moongate.test"
local core = require "moongate.core"

local M = {}

-- ------------------------------------------------------------------------------------------------ values

-- In the step: writes the values that a line gave into the log. One line, so that the block keeps its numbers.
local SEE = [[
local function see(line, ...)
  local out, mg = table.pack(...), require "moongate"
  for i = 1, out.n do
    if type(out[i]) == "table" and getmetatable(out[i]) ~= false then
      out[i] = mg.json.encode(out[i], { sort = true })
    end
    out[i] = tostring(out[i])
  end
  mg.log.info("-->", { line = line, value = table.concat(out, ", ") })
end ]]
SEE = SEE:gsub("\n%s*", " ")

local function watched(code, line)
  local names = code:match "^%s*local%s+([%w_, ]-)%s*=" or code:match "^%s*([%w_.]+)%s*=[^=]"
  if names then return ("%s see(%d, %s)"):format(code, line, names) end
  return ("see(%d, %s)"):format(line, code)
end

-- The block's text with its marks made calls, and { [line] = what is expected }.
local function watch(block)
  local lines, expected = {}, {}
  for i, line in ipairs(block) do
    local code, value = line:match "^(.-)%s*%-%->%s*(.-)%s*$"
    local number = block.line + i - 1
    lines[i] = code and watched(code, number) or line
    expected[number] = value
  end
  return table.concat(lines, "\n"), expected
end

local function fits(expected, value)
  if expected == value then return true end
  return value:find("^" .. expected:gsub("%p", "%%%0"):gsub("…", ".*") .. "$") ~= nil
end

-- Raises where the lines gave something else than is written, or nothing.
local function compare(expected, gateways)
  local faults, reached = {}, {}
  for _, gateway in ipairs(gateways) do
    for _, entry in ipairs(gateway:log '"-->"') do
      reached[entry.line] = true
      local want = expected[entry.line]
      if not fits(want, entry.value) then
        faults[#faults + 1] = ("line %d: --> %s\n  is: %s"):format(entry.line, want, entry.value)
      end
    end
  end
  for line in pairs(expected) do
    if not reached[line] then faults[#faults + 1] = ("line %d: was not reached"):format(line) end
  end
  if #faults > 0 then error(table.concat(faults, "\n"), 0) end
end

-- ------------------------------------------------------------------------------------------------ YAML

-- What is missing to make a whole config of a part of one.
local function whole_config(text)
  if text:find "^%-" then
    text = "routes:\n- match: /*\n  service: api\n  policies:\n    " .. text:gsub("\n", "\n    ")
  end
  text = "\n" .. text .. "\n"
  if not text:find "\nroutes:" then text = text .. "routes: [{ match: /*, service: api }]\n" end
  if not text:find "\nservices:" then
    local names, services = {}, {}
    for name in text:gmatch "%f[%w]service: ([%w-]+)" do names[name] = true end
    for name in text:gmatch 'req%.service = "([%w-]+)"' do names[name] = true end
    for name in pairs(names) do services[#services + 1] = ('%s: { backends: ["10.0.0.1:80"] }'):format(name) end
    text = text .. ("services: { %s }\n"):format(table.concat(services, ", "))
  end
  return text
end

local function yaml_gateway(block, folder, opts)
  local text, file = whole_config(block.text), folder .. "/moongate.yaml"
  local checked, faults = core.check(text, file)
  if not checked then error(faults, 0) end
  local upstreams = {}
  for name in pairs(checked.services) do upstreams[name] = { body = "ok" } end
  for name, answer in pairs(opts and opts.upstreams or {}) do upstreams[name] = answer end
  return T.load(file, { text = text, upstreams = upstreams })
end

-- ------------------------------------------------------------------------------------------------ Lua

local WRAPS = {
  step = { "", "" },
  phases = { "return { ", " }" },
  request = { "return { request = function(req) ", " end }" },
  response = { "return { response = function(req, res) ", " end }" },
  onion = { "return function(req, next) ", " end" },
  new = { "", " return { request = function() return mg.reply(200) end }" },
}

local PART_HEAD = [[local mg, s = require "moongate", require "moongate.schema" local M = { name = "%s" } ]]
local PART_TAIL = [[
M.new = M.new or function(conf) return { request = function() return mg.reply_json(200, conf) end } end
return M
]]

local function is_file(block)
  local kind = block.note and block.note.kind
  return kind == "module" or kind == "part"
end

local function module_name(block)
  if block.note.kind == "part" then return ("line-%d"):format(block.line) end
  return block.text:match 'name = "([%w-]+)"' or error("the module has no name", 0)
end

local function step_of(block, text)
  local kind = block.note.kind
  if is_file(block) then return module_name(block) end
  local wrap = WRAPS[kind] or error(("there is no kind of test '%s'"):format(kind), 0)
  return { lua = ("\n"):rep(block.line - 1) .. SEE .. wrap[1] .. text .. "\n" .. wrap[2] }
end

-- The text as a step in a config, beside which `mg.file` reads.
local function in_config(text)
  return "- lua: |\n    " .. text:gsub("\n", "\n    ")
end

-- Writes the modules among the blocks into folder/policies, where policies and configs find them.
function M.write_modules(blocks, folder)
  for _, block in ipairs(blocks) do
    if is_file(block) then
      local name, text = module_name(block), watch(block)
      local file = assert(io.open(("%s/policies/%s.lua"):format(folder, name), "w"))
      if block.note.kind == "part" then text = PART_HEAD:format(name) .. text .. "\n" .. PART_TAIL end
      file:write(SEE, text)
      file:close()
    end
  end
end

local function lua_gateway(block, step, folder, opts)
  if block.note.kind == "new" then return yaml_gateway({ text = in_config(step.lua) }, folder, opts) end
  local all = { policies = { step }, upstreams = { api = { body = "ok" } }, path = { folder .. "/policies" } }
  for key, value in pairs(opts or {}) do all[key] = value end
  if all.conf then all.policies = { { [step] = all.conf } } end
  all.conf = nil
  return T.new(all)
end

-- ------------------------------------------------------------------------------------------------ running

local function run_code(note, file, env)
  local code = note and note.code:find "%S" and note.code or 'assert.status(t:request "/", 200)'
  local chunk = assert(load(("\n"):rep((note and note.line or 1) - 1) .. code, "@" .. file, "t", env))
  chunk()
end

local function run_lua(block, file, folder, globals)
  local text, expected = watch(block)
  local step, made = step_of(block, text), {}
  local env = { step = step }
  function env.gateway(opts)
    made[#made + 1] = lua_gateway(block, step, folder, opts)
    return made[#made]
  end
  run_code(block.note, file, setmetatable(env, { __index = function(_, key)
    if key ~= "t" then return globals[key] end
    env.t = env.gateway()
    return env.t
  end }))
  compare(expected, made)
end

local function run_yaml(block, file, folder, globals)
  local function gateway(opts) return yaml_gateway(block, folder, opts) end
  local env = { gateway = gateway, t = gateway() }
  if block.note then run_code(block.note, file, setmetatable(env, { __index = globals })) end
end

-- Runs a block of a file; raises when it does not do what it says. `folder` has the policies, `globals` are the spec's.
function M.run(block, file, folder, globals)
  local run = block.lang == "yaml" and run_yaml or run_lua
  return run(block, file, folder, globals)
end

-- The block as a spec, to be called where specs are described.
function M.spec(block, folder, globals)
  local text = ("\n"):rep(block.line - 1) .. block.text
  return assert(load(text, ("@%s/policies/readme_spec.lua"):format(folder), "t", globals))
end

-- ------------------------------------------------------------------------------------------------ what is left

local TESTED = { lua = true, yaml = true, json = true }

-- Lines of blocks that nobody runs and that no note excuses.
function M.untested(blocks)
  local out = {}
  for _, block in ipairs(blocks) do
    local note = block.note
    local runs = TESTED[block.lang] and (block.lang ~= "lua" or note)
    if not runs and not (note and note.reason) then
      out[#out + 1] = ("line %d: nobody runs it, and no note says why"):format(block.line)
    end
  end
  return out
end

-- All Lua that runs, without comments.
function M.code(blocks)
  local out = {}
  for _, block in ipairs(blocks) do
    if block.lang == "lua" and block.note and block.note.kind then
      for _, line in ipairs(block) do out[#out + 1] = (line:gsub("%-%-.*$", "")) end
    end
  end
  return table.concat(out, "\n")
end

return M
