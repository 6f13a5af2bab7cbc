-- The test kit in a Lua that is not ours: stock busted finds it where `make install` puts it.

local E = require "moongate.e2e"
local process = require "moongate.e2e.process"

local stage = os.getenv "MG_STAGE" or "" -- what was installed, by make
local CORE = stage .. "/usr/local/lib/lua/5.4/moongate/core.so"

local SPEC = [[
local T = require "moongate.test"
describe("hello", function()
  it("greets", function()
    assert.equal("hello you", T.new { policies = { { hello = { to = "you" } } } }:request("/"):text())
  end)
  it("wants somebody to greet", function()
    local conf, text = T.validate(require "hello", {})
    assert.is_nil(conf)
    assert.matches("hello.to: is required", text, 1, true)
  end)
end)
]]
local POLICY = [[
local mg, s = require "moongate", require "moongate.schema"
local M = { name = "hello", schema = s.record { to = s.string { required = true } } }
function M.new(conf) return { request = function() return mg.reply(200, "hello " .. conf.to) end } end
return M
]]

-- Runs a program to its end in a folder with these files: { status, stdout, stderr }. `FOLDER` among its arguments is
-- that folder.
local function run(files, program, ...)
  if stage == "" then pending "there is no core.so in this variant" end
  local folder, args = process.folder(), {}
  for name, text in pairs(files) do
    process.make_folder((folder .. "/" .. name):match "^(.*)/")
    process.write(folder .. "/" .. name, text)
  end
  for i, arg in ipairs { ... } do args[i] = arg:gsub("FOLDER", folder) end
  local p = process.start(folder, program, args)
  local done = { status = p:wait(60), stdout = p:stdout(), stderr = p:stderr() }
  p:kill()
  process.remove_folder(folder)
  return done
end

local function busted(files, ...)
  return run(files, "tests/run/stock.sh", stage, "busted", "-o", "TAP", "-C", "FOLDER", ...)
end

local function lua(code)
  return run({}, "tests/run/stock.sh", stage, "lua", "-e", code)
end

describe("stock busted", function()
  it("runs the specs of a project", function()
    local done = busted({ ["spec/hello_spec.lua"] = SPEC, ["policies/hello.lua"] = POLICY })
    assert.equal("", done.stderr)
    assert.equal("ok 1 - hello greets\nok 2 - hello wants somebody to greet\n1..2\n", done.stdout)
    assert.equal(0, done.status)
  end)

  it("runs a spec that lies beside its policy", function()
    local files = {}
    for name, path in pairs { ["token-bucket_spec.lua"] = "", ["token-bucket.lua"] = "policies/" } do
      files[name] = assert(process.read("tests/spec/examples/" .. path .. name))
    end
    local done = busted(files, "token-bucket_spec.lua")
    assert.equal("", done.stderr)
    assert.matches("^ok 1 [^\n]*\nok 2 [^\n]*\n1..2\n$", done.stdout)
    assert.equal(0, done.status)
  end)

  it("knows the built-in policies", function()
    local done = busted({ ["a_spec.lua"] = [[
      local T = require "moongate.test"
      it("has cors", function() assert.is_table(T.validate(require "cors", {})) end)
    ]] }, "a_spec.lua")
    assert.equal("ok 1 - has cors\n1..1\n", done.stdout)
  end)

  it("says the seed once when specs fail, and takes it", function()
    local fails = [[
      local T = require "moongate.test"
      it("fails", function() assert.status(T.new { upstreams = { api = {} } }:request "/", 404) end)
    ]]
    local done = busted({ ["a_spec.lua"] = fails, ["b_spec.lua"] = fails }, "--seed=42", "a_spec.lua", "b_spec.lua")
    assert.equal("seed 42 (--seed=42 gives the same order)\n", done.stderr)
    assert.matches("not ok 2", done.stdout, 1, true)
    assert.equal(1, done.status)
  end)
end)

describe("core.so", function()
  for _, name in ipairs { "moongate", "moongate.core", "moongate.schema", "moongate.config", "moongate.test.answer" } do
    it("is found, whatever is required first: " .. name, function()
      local done = lua(("print(type(require %q), require 'moongate'.json.encode { 1 })"):format(name))
      assert.equal("", done.stderr)
      assert.equal("table\t[1]\n", done.stdout)
      assert.equal(0, done.status)
    end)
  end

  it("prefers its own Lua files to what else is installed", function()
    local done = lua [[
      require "moongate.core"
      print(select(2, require "moongate.test.answer"))
    ]]
    assert.equal("lua/moongate/test/answer.lua\n", done.stdout)
  end)

  it("ends with the state, gateways open and requests under way", function()
    local done = lua [[
      local T = require "moongate.test"
      local function slow(_, next)
        require "moongate".sleep(5)
        return next()
      end
      t = T.new { policies = { slow }, upstreams = { api = { delay = 100 } } }
      t:start "/"
      t:advance(1)
      handle = t:start "/"
      os.exit(0, true)
    ]]
    assert.equal("", done.stderr)
    assert.equal(0, done.status)
  end)

  it("shows its entry and nothing else", function()
    local done = run({}, "nm", "-D", "--defined-only", CORE)
    assert.matches("^%x+ T luaopen_moongate_core\n$", done.stdout)
  end)

  it("stays out of the gateway", function()
    if stage == "" then pending "there is no core.so in this variant" end
    local done = E.run {
      args = { "check", "CONFIG" }, config = "routes: [{ match: /, policies: [own] }]",
      files = { ["policies/own.lua"] = 'require "moongate.core"' },
      env = { LUA_CPATH = stage .. "/usr/local/lib/lua/5.4/?.so" },
    }
    assert.equal(1, done.status)
    assert.matches("module 'moongate.core' not found", done.stdout, 1, true)
  end)
end)
