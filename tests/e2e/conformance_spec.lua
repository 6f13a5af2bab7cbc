-- The cases of tests/conformance/ against the real program; and what was said is what is said in simulation, line by
-- line: responses, what the upstreams got, the log.

require "moongate.e2e"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local suite = dofile(here .. "/../conformance/suite.lua")

for _, group in ipairs(suite.groups) do
  describe(group.name .. ":", function()
    local real, simulation
    setup(function()
      real = suite.start("real", group)
      simulation = suite.start("simulation", group)
    end)
    teardown(function() simulation:close() end)

    for _, case in ipairs(group) do
      it(case[1], function()
        suite.run(real, case)
        suite.run(simulation, case)
        local simulated, log_lines = simulation:transcript()
        local difference = suite.difference(simulated, real:transcript(log_lines))
        assert.is_nil(difference, difference)
      end)
    end
  end)
end
