-- Takes content codings off requests and responses. C runs it (src/gateway/compress.c); this is what it takes.

local s = require "moongate.schema"

return {
  name = "decompress", version = "1.0.0",
  summary = "Decompresses requests for the backend, and responses for clients that need it",
  native = "decompress",
  schema = s.record {
    request = s.boolean { default = true, help = "decompress bodies of requests" },
    response = s.boolean { default = true, help = "decompress responses that the client would not take as they are" },
    always = s.boolean { default = false, help = "decompress responses for clients that would take them, too" },
    max_request = s.size { help = "a request may not become larger (413); default: limits.body_bytes" },
    max_response = s.size { help = "a response that becomes larger breaks off; default: no limit" },
    max_ratio = s.integer { default = 200, ge = 2, le = 100000,
      help = "how many times larger than its code a body may become, beyond its first MiB" },
  }:check(function(conf)
    if not conf.request and not conf.response then return "has nothing to do: 'request' and 'response' are off" end
    if conf.always and not conf.response then return "'always' is about responses, which are off", "always" end
  end),
  example = [=[
- decompress: { max_request: 10MiB }]=],
}
