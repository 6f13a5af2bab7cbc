-- Lets a request pass when all of its steps do: one alternative of any-of that has several steps. The gateway itself
-- runs it (src/gateway/group.c); this is what it takes.

local s = require "moongate.schema"

return {
  name = "all-of", version = "1.0.0", summary = "Lets requests in that all of its steps let in",
  group = "all",
  schema = s.steps { required = true, len = { 1 }, help = "who all must let the request in, in order" },
  example = [[
- any-of:
    - jwt: { keys: main }
    - all-of:
        - key-auth
        - ip-filter: { allow: 10.0.0.0/8 }]],
}
