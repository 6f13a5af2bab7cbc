-- `moongate test`, as the program that people run.

local E = require "moongate.e2e"
local process = require "moongate.e2e.process"

local GOOD = [[
local T = require "moongate.test"
describe("good", function()
  it("passes", function() assert.status(T.new { upstreams = { api = {} } }:request "/", 200) end)
end)
]]
local BAD = [[
local T = require "moongate.test"
describe("bad", function()
  it("fails", function() assert.status(T.new { upstreams = { api = {} } }:request "/", 404) end)
  it("is not reached", function() assert.is_true(true) end)
end)
]]

-- Runs it in a folder with these files.
local function run(files, ...)
  local folder = process.folder()
  for name, text in pairs(files) do
    local path = folder .. "/" .. name
    process.make_folder(path:match "^(.*)/")
    process.write(path, text)
  end
  local done = E.run { args = { "test", "-C", folder, ... } }
  process.remove_folder(folder)
  return done
end

describe("moongate test", function()
  it("exits with 0 when all specs pass", function()
    local done = run({ ["spec/a_spec.lua"] = GOOD }, "spec")
    assert.equal(0, done.status)
    assert.matches("1 success / 0 failures / 0 errors", done.stdout, 1, true)
    assert.equal("", done.stderr)
  end)

  it("exits with 1 when one fails, and says the seed", function()
    local done = run({ ["spec/a_spec.lua"] = BAD }, "--seed=42", "spec")
    assert.equal(1, done.status)
    assert.matches("1 success / 1 failure / 0 errors", done.stdout, 1, true)
    assert.matches("expected status 404, got", done.stdout, 1, true)
    assert.matches("seed 42", done.stdout, 1, true)
    assert.equal("seed 42 (--seed=42 gives the same order)\n", done.stderr)
  end)

  it("looks into ./spec when no path is given", function()
    assert.equal(0, run({ ["spec/a_spec.lua"] = GOOD }).status)
  end)

  it("honours .busted", function()
    local done = run {
      [".busted"] = "return { default = { ROOT = { 'here' }, pattern = '_check', output = 'TAP' } }",
      ["here/a_check.lua"] = GOOD,
    }
    assert.equal(0, done.status)
    assert.equal("ok 1 - good passes\n1..1\n", done.stdout)
  end)

  it("hands all options to busted", function()
    local done = run({ ["spec/a_spec.lua"] = BAD }, "-o", "TAP", "--filter=not reached", "spec")
    assert.equal(0, done.status)
    assert.equal("ok 1 - bad is not reached\n1..1\n", done.stdout)
    done = run({ ["spec/a_spec.lua"] = GOOD }, "--list", "spec")
    assert.matches("a_spec.lua:3: good passes", done.stdout, 1, true)
    done = run({}, "--no-such-option")
    assert.equal(1, done.status)
    assert.matches("unknown/bad flag: --no-such-option", done.stderr, 1, true)
  end)

  it("survives os.exit, as the failure of that spec", function()
    local done = run({ ["spec/a_spec.lua"] = [[
      it("leaves", function() os.exit(0) end)
      it("goes on", function() end)
    ]] }, "spec")
    assert.equal(1, done.status)
    assert.matches("1 success / 0 failures / 1 error", done.stdout, 1, true)
    assert.matches("os.exit(0) was called", done.stdout, 1, true)
  end)

  it("finds the policies of a project", function()
    local done = run({
      ["policies/hello.lua"] = [[
        local mg, s = require "moongate", require "moongate.schema"
        local M = { name = "hello", schema = s.record { to = s.string { required = true } } }
        function M.new(conf) return { request = function() return mg.reply(200, "hello " .. conf.to) end } end
        return M
      ]],
      ["spec/hello_spec.lua"] = [[
        local T = require "moongate.test"
        it("says hello", function()
          assert.equal("hello you", T.new { policies = { { hello = { to = "you" } } } }:request("/"):text())
          local ok, text = T.validate(require "hello", {})
          assert.is_nil(ok)
          assert.matches("hello.to: is required", text, 1, true)
        end)
      ]],
    }, "spec")
    assert.equal("", done.stderr)
    assert.equal(0, done.status)
  end)
end)
