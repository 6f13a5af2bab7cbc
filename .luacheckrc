-- luacheck for all Lua here; `make lint` runs it.
std = "lua54"
max_line_length = 120
codes = true
cache = false
exclude_files = { "build/**" }

-- A name that begins with `_` may go unused; so may a method's `self`.
self = false
ignore = { "21./_.*", "231/_.*" }

-- Specs: busted's names, and the matchers that the test kit adds to `assert`.
files["**/*_spec.lua"] = { std = "+busted" }
