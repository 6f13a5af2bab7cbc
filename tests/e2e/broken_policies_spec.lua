-- Broken policies (tests/conformance/broken.lua) in the real program: the log, and what `moongate check` says of those
-- that cannot be loaded. And how `moongate test` tells of a policy that failed.

local E = require "moongate.e2e"
local json = require "dkjson"
local process = require "moongate.e2e.process"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local broken = dofile(here .. "/../conformance/broken.lua")

describe("a policy that", function()
  local up
  setup(function() up = E.upstream { body = "whole" } end)

  for _, case in ipairs(broken.at_run) do
    it(case[1] .. " is told so", function()
      local name, options = case[1], case[4] or {}
      local g = E.start {
        files = { [("policies/%s.lua"):format(name)] = broken.text(case) },
        config = {
          limits = options.limits, services = { api = { backends = { up.address } } },
          routes = { { name = "test", match = "/*", service = "api",
            policies = { { [name] = {}, when = options.when } } } },
        },
      }
      local client = g:connect()
      local res = client:request { method = "POST", chunks = { "a", "b" } }
      if options.status == "cut" then
        assert.is_nil(res)
      elseif options.status == 200 then
        assert.status(res, 200)
      else
        assert.problem(res, 500, "internal-error")
        assert.is_nil(res:json().detail)
      end
      local lines = g:wait_log(options.message or "policy failed")
      assert.equal(1, #lines)
      local line = json.decode(lines[1])
      assert.same({ "error", name, name, "routes[0].policies[0]", "test" },
        { line.level, line.policy, line.step, line.path, line.route })
      assert.equal(broken.said(case, ("%s/policies/%s.lua"):format(g.folder, name)), line.error:match "^[^\n]*")
    end)
  end

  -- Steps are only made when all modules could be loaded and their options are right.
  for stage, is_early in pairs { ["has a bad module"] = true, ["cannot be made"] = false } do
    it(stage .. " is told by check, with all others of that kind", function()
      local files, routes, said = {}, {}, {}
      for _, case in ipairs(broken.at_load) do
        local early = (case[3]:find "CANNOT" or case[3]:find "schema's check") ~= nil
        if early == is_early and not (case[4] or {}).not_in_check then
          local file = ("policies/%s.lua"):format(case[1])
          files[file] = broken.text(case)
          said[#said + 1] = broken.said(case, file):gsub("^routes%[0%]", ("routes[%d]"):format(#routes))
          routes[#routes + 1] = ("  - match: /%d\n    policies: [%s]\n"):format(#routes, case[1])
        end
      end
      local done = E.run { args = { "check", "CONFIG" }, name = "moongate.yaml", files = files,
        config = "routes:\n" .. table.concat(routes) }
      assert.equal(1, done.status)
      local told = done.stdout .. done.stderr
      for i, text in ipairs(said) do
        assert.matches(("moongate.yaml:%d:16: %s"):format(2 * i + 1, text), told, 1, true)
      end
      assert.matches(("moongate.yaml: %d errors"):format(#said), told, 1, true)
    end)
  end
end)

describe("moongate test", function()
  it("prints the traceback of a policy that failed where the spec had not expected it", function()
    local folder = process.folder()
    local function write(name, text)
      process.make_folder(folder .. "/" .. name:match "^(.*)/")
      process.write(folder .. "/" .. name, text)
    end
    write("policies/stock.lua", [[
local mg = require "moongate"
local M = { name = "stock" }

local function left(item)
  return item.amount - item.sold
end

function M.new()
  return { request = function(req)
    return mg.reply(200, tostring(left { amount = tonumber(req:arg "n") }))
  end }
end

return M
]])
    write("policies/stock_spec.lua", [[
local T = require "moongate.test"
it("counts what is left", function()
  local t = T.new { policies = { { stock = {}, id = "shelf" } } }
  assert.status(t:request "/?n=3", 200)
end)
]])
    local done = E.run { args = { "test", "-C", folder, "--seed=7", "-o", "plainTerminal", "policies" } }
    process.remove_folder(folder)
    assert.equal(1, done.status)
    for _, part in ipairs {
      "0 successes / 1 failure / 0 errors",
      "policies/stock_spec.lua @ 2",
      "policies/stock_spec.lua:4: expected status 200, got\n  GET /?n=3\n  500\n",
      "policy failed in step shelf (routes[0].policies[0]) of policy 'stock': policies/stock.lua:5: attempt to perform "
        .. "arithmetic on a nil value (field 'sold')\n",
      "  stack traceback:\n",
      "policies/stock.lua:5: in ", "policies/stock.lua:10: in function <policies/stock.lua:9>",
      "seed 7 (--seed=7 gives the same order)",
    } do
      assert.matches(part, done.stdout, 1, true)
    end
  end)
end)
