-- Lets a request pass when one of several steps does. The gateway itself runs it (src/gateway/group.c); this is what it
-- takes.

local s = require "moongate.schema"

return {
  name = "any-of", version = "1.0.0", summary = "Lets requests in that one of its alternatives lets in",
  group = "any",
  schema = s.list(s.steps { single = true, len = { 1 } },
    { required = true, len = { 1, 64 },
      help = "alternatives, tried in order: a step, or a list of steps that must all let the request in" }),
  example = [=[
- any-of:
    - jwt: { keys: main, issuer: "https://login.example.com" }
    - key-auth: { from: { header: X-API-Key } }
    - [client-cert, { rbac: { roles: operator } }]]=],
}
