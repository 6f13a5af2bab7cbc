-- What the gateway does, in simulation. tests/e2e/conformance_spec.lua demands the same of the real program.

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local suite = dofile(here .. "/../conformance/suite.lua")

for _, group in ipairs(suite.groups) do
  describe(group.name .. ":", function()
    local g
    setup(function() g = suite.start("simulation", group) end)
    teardown(function() g:close() end)

    for _, case in ipairs(group) do
      it(case[1], function() suite.run(g, case) end)
    end
  end)
end
