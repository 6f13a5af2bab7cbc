-- What `moongate test --coverage` writes.

local coverage = require "moongate.test.coverage"

local function set(...)
  local out = {}
  for _, line in ipairs { ... } do out[line] = true end
  return out
end

local WHOLE = {
  path = "policies/a.lua", lines = set(1, 2, 5), counts = { [1] = 1, [2] = 7, [5] = 1, [9] = 1, [0] = 1, [-2] = 3 },
  functions = { { line = 2, name = "M.new" } },
}
local PART = {
  path = "policies/quota/quota.lua", lines = set(1, 2, 3, 6, 8, 9, 12), counts = { [1] = 1, [6] = 2, [12] = 1 },
  functions = { { line = 1, name = "f" }, { line = 3, name = "f" }, { line = 8 }, { line = 8 } },
}

describe("coverage", function()
  it("is a tracefile", function()
    assert.equal([[
TN:
SF:policies/a.lua
FN:2,M.new
FNDA:3,M.new
FNF:1
FNH:1
DA:1,1
DA:2,7
DA:5,1
LF:3
LH:3
end_of_record
]], coverage.lcov { WHOLE })
  end)

  it("names each function of a file otherwise", function()
    local text = coverage.lcov { PART }
    assert.matches("FN:1,f\nFN:3,f@3\nFN:8,function@8\nFN:8,function@8'\nFNDA:0,f\nFNDA:0,f@3\n", text, 1, true)
    assert.matches("FNF:4\nFNH:0\nDA:1,1\nDA:2,0\nDA:3,0\nDA:6,2\n", text, 1, true)
    assert.matches("LF:7\nLH:3\nend_of_record\n$", text)
  end)

  it("is a table", function()
    assert.equal([[
policy                     lines     ran       %  did not run
policies/a.lua                 3       3   100.0
policies/quota/quota.lua       7       3    42.8  2-3, 8-9
all                           10       6    60.0
]], coverage.table { WHOLE, PART })
  end)

  it("is whole only when all is", function()
    local lines, counts = {}, {}
    for i = 1, 10000 do lines[i], counts[i] = true, i > 1 and 1 or nil end
    local text = coverage.table { { path = "a", lines = lines, counts = counts, functions = {} } }
    assert.matches("99.9  1\n", text, 1, true)
    assert.matches("all +0 +0 +100.0\n$", coverage.table {})
  end)
end)
