-- `moongate test` with its own options, as people run it.

local E = require "moongate.e2e"
local gateway = require "moongate.e2e.gateway"
local loop = require "moongate.e2e.loop"
local process = require "moongate.e2e.process"

-- A policy, and a spec that looks at half of it.
local QUOTA = [[
local mg = require "moongate"
local M = { name = "ratio" }

local function refuse()
  return mg.problem(429, "too-many")
end

function M.new()
  local count = 0
  return { request = function()
    count = count + 1
    if count > 2 then
      return refuse()
    end
  end }
end

return M
]]
local HALF = [[
local T = require "moongate.test"
it("lets one pass", function()
  local t = T.new { policies = { "ratio" }, upstreams = { api = { body = "ok" } } }
  assert.status(t:request "/", 200)
end)
]]
local WHOLE = HALF .. [[
it("refuses the third", function()
  local t = T.new { policies = { "ratio" }, upstreams = { api = { body = "ok" } } }
  t:request "/"
  assert.status(t:request "/", 200)
  assert.problem(t:request "/", 429, "too-many")
end)
]]

local folders = {}

local function folder_with(files)
  local folder = process.folder()
  folders[#folders + 1] = folder
  for name, text in pairs(files) do
    local path = folder .. "/" .. name
    process.make_folder(path:match "^(.*)/")
    process.write(path, text)
  end
  return folder
end

local function run(folder, ...)
  return E.run { args = { "test", "-C", folder, ... }, seconds = 60 }
end

-- The lines of a text that begin so.
local function lines_with(text, start)
  local out = {}
  for line in text:gmatch "[^\n]+" do
    if line:sub(1, #start) == start then out[#out + 1] = line end
  end
  return out
end

describe("moongate test", function()
  after_each(function()
    for _, folder in ipairs(folders) do process.remove_folder(folder) end
    folders = {}
  end)

  it("tells of its own options after busted's", function()
    local done = E.run { args = { "test", "--help" } }
    local busted = done.stderr:find("--shuffle", 1, true)
    for _, option in ipairs { "-c, --coverage[=FILE]", "--mutate FILE", "--watch" } do
      assert.is_true((done.stderr:find(option, busted, true) or 0) > busted)
    end
  end)

  it("refuses what is no such option", function()
    local done = E.run { args = { "test", "--mutate" } }
    assert.equal(2, done.status)
    assert.equal("moongate test: --mutate needs a file's name\n", done.stderr)
  end)

  describe("--coverage", function()
    it("counts the lines of policies, and shows which did not run", function()
      local folder = folder_with { ["policies/ratio.lua"] = QUOTA, ["spec/ratio_spec.lua"] = HALF }
      local done = run(folder, "--coverage", "spec")
      assert.equal("", done.stderr)
      assert.equal(0, done.status)
      assert.matches("1 success / 0 failures", done.stdout, 1, true)
      assert.matches("policies/ratio.lua      13      11    84.6  5, 13\n", done.stdout, 1, true)
      assert.equal([[
TN:
SF:policies/ratio.lua
FN:4,refuse
FN:8,M.new
FN:10,request
FNDA:0,refuse
FNDA:1,M.new
FNDA:1,request
FNF:3
FNH:2
DA:1,2
DA:2,2
DA:5,0
DA:6,2
DA:8,2
DA:9,1
DA:10,1
DA:11,1
DA:12,1
DA:13,0
DA:15,2
DA:16,2
DA:18,2
LF:13
LH:11
end_of_record
]], process.read(folder .. "/lcov.info"))
    end)

    it("shows policies in the paths that have no spec, and built-in ones that ran", function()
      local folder = folder_with {
        ["policies/a.lua"] = "return {\n  name = 'a'\n}\n", ["policies/helper/other.lua"] = "return 1\n",
        ["policies/b_spec.lua"] = HALF:gsub('"ratio"', '{ respond = { body = "x" } }'),
      }
      local done = run(folder, "--coverage=out.info", "policies")
      assert.equal("", done.stderr)
      assert.equal(0, done.status)
      assert.same({ "SF:policies/a.lua", "SF:policies/respond/respond.lua" },
        lines_with(process.read(folder .. "/out.info"), "SF:"))
      assert.matches("policies/a.lua +3 +0 +0.0  1%-3\n", done.stdout)
    end)

    it("is what .busted asks for, and busted's -c", function()
      local files = { ["policies/ratio.lua"] = QUOTA, ["spec/ratio_spec.lua"] = HALF }
      local folder = folder_with(files)
      assert.matches("policies/ratio.lua", run(folder, "-c").stdout, 1, true)
      files[".busted"] = "return { default = { coverage = true } }"
      folder = folder_with(files)
      assert.matches("policies/ratio.lua", run(folder).stdout, 1, true)
      assert.matches("SF:policies/ratio.lua", process.read(folder .. "/lcov.info"), 1, true)
      assert.not_matches("policies/ratio.lua", run(folder, "--no-coverage").stdout, 1, true)
    end)

    it("leaves the limit on run time alone, which leaves it alone", function()
      local folder = folder_with {
        ["policies/loop.lua"] = [[
          return { name = "loop", new = function() return { request = function(req)
            local n = 0
            while req.path == "/loop" do n = n + 1 end
            local late = n
          end } end }
        ]],
        ["spec/loop_spec.lua"] = [[
          local T = require "moongate.test"
          it("ends", function()
            local t = T.new {
              policies = { "loop" }, upstreams = { api = {} }, config = { limits = { lua_run = "100ms" } },
            }
            assert.status(t:request "/loop", 500)
            assert.matches("ran longer than", t:log("policy failed")[1].error)
            assert.status(t:request "/", 200)
          end)
        ]],
      }
      local done = run(folder, "--coverage", "spec")
      assert.equal("", done.stderr)
      assert.equal(0, done.status)
      assert.matches("policies/loop.lua +5 +5 +100.0\n", done.stdout)
    end)

    it("is shown also when a spec fails, and keeps its status", function()
      local folder = folder_with {
        ["policies/ratio.lua"] = QUOTA, ["spec/ratio_spec.lua"] = HALF:gsub("200", "404"),
      }
      local done = run(folder, "--coverage")
      assert.equal(1, done.status)
      assert.matches("policies/ratio.lua", done.stdout, 1, true)
    end)

    it("says when it cannot be written", function()
      local folder = folder_with { ["policies/ratio.lua"] = QUOTA, ["spec/ratio_spec.lua"] = HALF }
      local done = run(folder, "--coverage=none/out.info")
      assert.equal(1, done.status)
      assert.matches("moongate test: cannot write the tracefile: none/out.info", done.stderr, 1, true)
    end)
  end)

  describe("--mutate", function()
    local function project(policy, spec, more)
      local files = { ["policies/ratio.lua"] = policy, ["policies/ratio_spec.lua"] = spec }
      for name, text in pairs(more or {}) do files[name] = text end
      return folder_with(files)
    end

    local function mutate(folder, ...)
      return run(folder, "--mutate", "policies/ratio.lua", ...)
    end

    it("shows what the specs beside the file do not see", function()
      local folder = project(QUOTA, HALF)
      local done = mutate(folder)
      assert.equal("", done.stderr)
      assert.equal(1, done.status)
      assert.same({
        "policies/ratio.lua:12:8: count > 2 -> false", "policies/ratio.lua:12:14: > -> >=",
        "policies/ratio.lua:12:16: 2 -> 3", "policies/ratio.lua:12:16: 2 -> 1",
      }, lines_with(done.stdout, "policies/ratio.lua:12:"))
      assert.same({ "24 mutants, 7 killed, 17 survived, 0 timed out" }, lines_with(done.stdout, "24 mutants"))
      assert.equal(QUOTA, process.read(folder .. "/policies/ratio.lua"))
    end)

    it("is content when each mutant is killed", function()
      local done = mutate(project(QUOTA, WHOLE))
      assert.equal("", done.stderr)
      assert.equal("24 mutants, 24 killed, 0 survived, 0 timed out\n", done.stdout)
      assert.equal(0, done.status)
    end)

    it("runs the specs that are named in place of those beside", function()
      local done = mutate(project(QUOTA, "error 'not this one'", { ["spec/ratio_spec.lua"] = WHOLE }), "spec")
      assert.equal("24 mutants, 24 killed, 0 survived, 0 timed out\n", done.stdout)
      assert.equal(0, done.status)
    end)

    it("breaks what a spec requires, too", function()
      local spec = [[
        local T = require "moongate.test"
        it("has a default", function() assert.equal(7, T.validate(require "ratio", {}).limit) end)
      ]]
      local policy = [[
        local s = require "moongate.schema"
        return { name = "ratio", schema = s.record { limit = s.integer { default = 7 } } }
      ]]
      local done = mutate(project(policy, spec))
      assert.same({}, lines_with(done.stdout, "policies/ratio.lua:2:78"))
      assert.matches("policies/ratio.lua:2:25: \"ratio\" -> \"\"\n", done.stdout, 1, true)
      assert.matches(", 1 survived, 0 timed out\n", done.stdout, 1, true)
    end)

    it("breaks built-in policies", function()
      local spec = HALF:gsub('"ratio"', '{ ["ip-filter"] = { allow = "10.0.0.0/8" } }'):gsub("200", "403")
      local folder = folder_with { ["spec/a_spec.lua"] = spec }
      local done = run(folder, "--mutate", "policies/ip-filter/ip-filter.lua", "spec")
      assert.equal("", done.stderr)
      assert.equal(1, done.status)
      assert.matches("policies/ip%-filter/ip%-filter.lua:%d+:%d+: and %-> or\n", done.stdout)
      assert.matches("%d+ mutants, [1-9]%d* killed, [1-9]%d* survived, 0 timed out\n", done.stdout)
    end)

    it("ends what runs for ever", function()
      local policy = [[
        while false do end
        return { name = "ratio", new = function() return { request = function() end } end }
      ]]
      local done = mutate(project(policy, HALF))
      assert.equal("4 mutants, 3 killed, 0 survived, 1 timed out\n", done.stdout)
      assert.equal(0, done.status)
    end)

    it("accepts survivors with a reason, and says where none is needed", function()
      local policy = QUOTA:gsub('"too%-many"%)', '"too-many") -- mutate: equal, nobody asks')
        :gsub("  local count", "  -- mutate: equal, the first  \n  local count")
        :gsub("count = count %+ 1", "%0 -- mutate: no"):gsub("return M\n", "return M -- mutate: equal, never\n")
      local done = mutate(project(policy, HALF))
      assert.equal(1, done.status)
      assert.matches("18 mutants, 7 killed, 11 survived, 0 timed out\n6 accepted:\n", done.stdout, 1, true)
      assert.matches('  policies/ratio.lua:5:26: "too-many" -> "" (nobody asks)\n', done.stdout, 1, true)
      assert.matches("  policies/ratio.lua:10:17: 0 -> 1 (the first)\n", done.stdout, 1, true)
      assert.matches("policies/ratio.lua:19: nothing survives here; its `mutate: equal` can go\n", done.stdout, 1, true)
    end)

    describe("refuses to begin", function()
      local function refuses(text, folder, ...)
        local done = mutate(folder, ...)
        assert.equal(2, done.status)
        assert.matches("moongate test: " .. text .. "\n$", done.stderr)
      end

      it("where specs fail already", function()
        local folder = project(QUOTA, "it('fails', function() error 'so it is' end)")
        refuses("the specs fail before anything is broken in policies/ratio.lua", folder)
        assert.matches("so it is", mutate(folder).stderr, 1, true)
      end)

      it("where no spec loads the file", function()
        refuses("the specs pass, but none of them loads policies/ratio.lua", project(QUOTA, "it('x', function() end)"))
      end)

      it("where there are no specs, no file, or no Lua", function()
        refuses("there are no specs beside policies/ratio.lua; name those to run",
          folder_with { ["policies/ratio.lua"] = QUOTA })
        refuses("cannot read the file to break: policies/ratio.lua: No such file or directory",
          folder_with { ["policies/ratio_spec.lua"] = HALF })
        refuses("policies/ratio.lua: line 1: .*", project("x = ", HALF))
      end)
    end)
  end)

  describe("--watch", function()
    local watcher

    local function watch(folder, ...)
      watcher = process.start(folder, gateway.program, { "test", "-C", folder, "--watch", ... })
    end

    after_each(function()
      if watcher then watcher:kill() end
      watcher = nil
    end)

    -- Waits until it has run so many times.
    local function wait_for_run(n)
      assert.is_true(loop.until_true(function()
        return #lines_with(watcher:stdout(), "watching ") == n
      end, 60))
    end

    -- At once: a run must not see half of it.
    local function save(path, text)
      local folder = process.folder()
      process.write(folder .. "/file", text)
      assert(os.rename(folder .. "/file", path))
      process.remove_folder(folder)
    end

    it("runs again when a policy changes, and ends with the last status", function()
      local folder = folder_with { ["policies/ratio.lua"] = QUOTA, ["spec/ratio_spec.lua"] = WHOLE, ["a.txt"] = "" }
      watch(folder)
      wait_for_run(1)
      assert.matches("2 successes / 0 failures", watcher:stdout(), 1, true)
      save(folder .. "/a.txt", "nobody cares")
      save(folder .. "/policies/ratio.lua", (QUOTA:gsub("> 2", "> 3")))
      wait_for_run(2)
      assert.matches("\npolicies/ratio.lua has changed\n", watcher:stdout(), 1, true)
      assert.not_matches("a.txt", watcher:stdout(), 1, true)
      assert.matches("1 success / 1 failure", watcher:stdout(), 1, true)
      watcher:signal "INT"
      assert.equal(1, watcher:wait())
      assert.matches("watching .; Ctrl-C ends\n", watcher:stdout(), 1, true)
    end)

    it("sees new files and lost ones below the paths", function()
      local folder = folder_with {
        ["policies/ratio.lua"] = QUOTA, ["policies/ratio_spec.lua"] = HALF, ["other/x.lua"] = "",
      }
      watch(folder, "policies/ratio_spec.lua")
      wait_for_run(1)
      save(folder .. "/other/x.lua", "return 1")
      save(folder .. "/policies/routes.yaml", "")
      wait_for_run(2)
      os.remove(folder .. "/policies/routes.yaml")
      wait_for_run(3)
      assert.equal(2, #lines_with(watcher:stdout(), "policies/routes.yaml has changed"))
      watcher:signal "INT"
      assert.equal(0, watcher:wait())
    end)

    it("can be ended in the middle of a run, which ends too", function()
      local folder = folder_with {
        ["spec/a_spec.lua"] = ([[
          it("stays", function()
            local file = io.open("%s/pid", "w")
            file:write(io.open("/proc/self/stat"):read "n")
            file:close()
            while true do end
          end)
        ]]):format(process.folder()),
      }
      local at = process.read(folder .. "/spec/a_spec.lua"):match 'open%("([^"]+)"'
      folders[#folders + 1] = at:match "^(.*)/"
      watch(folder)
      local pid = loop.until_true(function() return tonumber(process.read(at) or "") end)
      watcher:signal "INT"
      assert.equal(130, watcher:wait())
      assert.is_true(loop.until_true(function() return not io.open("/proc/" .. math.tointeger(pid) .. "/stat") end))
    end)
  end)
end)
