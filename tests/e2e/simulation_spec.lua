-- A seed that `moongate test` was told gives the same run again in another process.

local E = require "moongate.e2e"
local process = require "moongate.e2e.process"

local SPEC = [[
local T = require "moongate.test"
local mg = require "moongate"
it("runs", function()
  local out = assert(io.open("transcript", "w"))
  local function upstream(name)
    return function(req)
      out:write(name, " ", req.path, " ", req:header "x-id" or "", "\n")
      return { json = { name = name, path = req.path, list = { 1, 2 } }, delay = 0.1 }
    end
  end
  local t = T.new {
    service = "api", upstreams = { api = upstream "api", one = upstream "one", two = upstream "two" },
    policies = { { lua = [=[
      return { request = function(req)
        local got = mg.fetch_all {
          a = { "one" }, b = { "two", query = { x = 1, y = 2, z = 3 } }, c = { "two", path = "/c" },
        }
        req:set_header("X-Id", req.id .. mg.crypto.uuid())
        mg.log.info("fetched", { a = got.a.status, b = got.b.status, c = got.c.status, path = req.path })
      end }]=] } },
  }
  local calls = {}
  for i = 1, 8 do calls[i] = t:start("/" .. i) end
  t:settle()
  for i = 1, 8 do out:write(calls[i].res:text(), " ", calls[i].at, "\n") end
  for _, line in ipairs(t:log()) do out:write(mg.json.encode(line, { sort = true }), "\n") end
  out:close()
end)
]]

local function run(seed)
  local folder = process.folder()
  process.make_folder(folder .. "/spec")
  process.write(folder .. "/spec/a_spec.lua", SPEC)
  local done = E.run { args = { "test", "-C", folder, "--seed=" .. seed, "spec" } }
  local transcript = process.read(folder .. "/transcript")
  process.remove_folder(folder)
  assert.equal(0, done.status, done.stdout .. done.stderr)
  return transcript
end

describe("a seed", function()
  it("gives the same run in every process, byte for byte, and another one another", function()
    local first = run(11)
    assert.equal(8, select(2, first:gsub('"msg":"fetched"', "")))
    for _ = 1, 3 do assert.is_true(first == run(11), "two runs differ") end
    assert.is_false(first == run(12))
  end)
end)
