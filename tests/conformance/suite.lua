-- The cases of tests/conformance/cases/, and how one is run. They say what the gateway does, wherever it runs:
-- tests/spec/conformance_spec.lua runs them in simulation, tests/e2e/conformance_spec.lua against the real program, and
-- compares what was said.
--
-- A file gives a list of groups: { name =, config =, upstreams =, { "what it does", function(g) ... end }, ... }. The
-- cases of a group share one gateway (see driver.lua).

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"

local driver = dofile(here .. "/driver.lua")
local expect = dofile(here .. "/expect.lua")

local M = { start = driver.start, groups = {} }

local FILES = {
  "routing", "messages", "forwarding", "connections", "malformed", "limits", "failures", "guards", "errors", "policies",
  "steps", "calls",
}

for _, name in ipairs(FILES) do
  local groups = assert(loadfile(("%s/cases/%s.lua"):format(here, name)))(expect)
  for _, group in ipairs(groups) do
    group.name = ("%s: %s"):format(name, group.name)
    M.groups[#M.groups + 1] = group
  end
end

function M.run(g, case)
  g:begin()
  case[2](g)
end

-- The first line in which two transcripts differ, with what stands before it; nil when they are the same.
function M.difference(simulated, real)
  local a, b, common = {}, {}, {}
  for line in (simulated .. "\n"):gmatch "(.-)\n" do a[#a + 1] = line end
  for line in (real .. "\n"):gmatch "(.-)\n" do b[#b + 1] = line end
  local at = 1
  while a[at] == b[at] do
    if a[at] == nil then return nil end
    common[at] = "  " .. a[at]
    at = at + 1
  end
  return ("%s\nin simulation:\n  %s\nreally:\n  %s"):format(
    table.concat(common, "\n", math.max(1, at - 12)), tostring(a[at]), tostring(b[at]))
end

return M
