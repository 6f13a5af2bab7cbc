-- Checks the files named on standard input, one a line, by rules.lua. Prints `file:line: what is wrong; what to do`.
-- Usage: lua5.4 tests/lint/lint.lua CHECKOUT

package.path = "tests/lint/?.lua;" .. package.path
local count = require "rules_test"
local check = require("rules").new(arg[1])

local long = 1000 -- lines; a hint, no error

for path in io.lines() do
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  for _, finding in ipairs(check(path, text)) do
    print(("%s:%d: %s"):format(path, finding.line, finding.text))
    count = count + 1
  end
  local _, lines = text:gsub("\n", "")
  if lines > long and path:find("^src/") then
    print(("%s:1: note: %d lines; would two files read better?"):format(path, lines))
  end
end
os.exit(count == 0 and 0 or 1)
