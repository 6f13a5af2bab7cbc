-- Which lines `moongate test --coverage` counts.

local lines_of = require "moongate.test.lines"

local function lines(text)
  local set, functions = lines_of(assert(load(text, "=text")), text)
  local list = {}
  for line in pairs(set) do list[#list + 1] = line end
  table.sort(list)
  return list, functions
end

describe("lines", function()
  it("are those that have code", function()
    assert.same({ 2, 4, 7 }, (lines "-- nothing\nlocal a = 1\n\nif a then\n  -- nothing\nend\nreturn a"))
  end)

  it("are also those of functions that never ran, however deep", function()
    assert.same({ 2, 3, 6, 8, 9, 10, 11 }, (lines [[
      -- nothing
      function M.f(...)
        x()
        local g = function()
          return function(x)
            x()
            -- nothing
          end
        end
        return g
      end]]))
  end)

  it("do not include the return at the end of a function, but what else is there", function()
    -- Where a function ends Lua makes it, in the code around it.
    assert.same({ 2, 4 }, (lines "return function()\n  g()\n\nend"))
    assert.same({ 2, 3 }, (lines "local f = function()\n  g()\nend"))
    assert.same({ 1 }, (lines "local f = function() return 1 end"))
    assert.same({ 1 }, (lines "f()\n\n\n"))
  end)

  it("are right where they lie far apart, and where there are many", function()
    local far = "a()" .. ("\n"):rep(1000) .. "b()" .. ("\n"):rep(200) .. "c()"
    assert.same({ 1, 1001, 1201 }, (lines(far)))
    local many, wanted = {}, {}
    for i = 1, 1000 do many[i], wanted[i] = ("x%d(%d, 'y%d', %d.5)"):format(i % 7, i, i, i), i end
    assert.same(wanted, (lines(table.concat(many, "\n"))))
  end)

  it("are those where a hook is called", function()
    local path = "policies/respond/respond.lua"
    local file = assert(io.open(path))
    local text = file:read "a"
    file:close()
    local known = lines_of(assert(load(text)), text)
    for line in pairs(debug.getinfo(assert(load(text)), "L").activelines) do
      local last = select(2, text:gsub("\n", ""))
      if not known[line] then assert.equal(last, line) end -- the return at its end
    end
  end)
end)

describe("functions", function()
  local function names(text)
    local _, functions = lines(text)
    local out = {}
    for i, func in ipairs(functions) do out[i] = func.line .. " " .. (func.name or "?") end
    return out
  end

  it("have the names that the text gives them", function()
    assert.same({
      "1 f", "2 M.new", "3 M.x:y", "4 g", "5 M.a.b", "6 key", "7 ?", "8 ?", "9 ?", "9 inner",
    }, names [[
local function f() end
function M.new() end
function M.x:y() end
local g = function() end
M.a.b = function() end
t = { key = function() end }
call(function() end)
t["x"] = function() end
return function() local inner = function() end end
]])
  end)

  it("are none where there are none", function()
    assert.same({}, names "return 1")
  end)
end)
