-- Compresses responses for clients that take them so. C runs it (src/gateway/compress.c); this is what it takes.

local s = require "moongate.schema"

return {
  name = "compress", version = "1.0.0", summary = "Compresses responses with brotli or gzip",
  native = "compress",
  after = { cache = "each answer of the cache is compressed anew; behind it, what is kept is compressed once" },
  before = { ["edited body"] = "on the way back it comes first, and its coding is taken off again" },
  schema = s.record {
    types = s.list(s.string { match = "^%*?[%w!#$&^_.+/-]+%*?$", len = { 1, 127 } }, {
      single = true, len = { 1, 100 },
      default = { "text/*", "application/json", "*+json", "application/xml", "*+xml", "application/javascript",
        "application/x-ndjson", "application/wasm" },
      help = "content types that are compressed; text/* for all of a kind, *+json for a suffix",
    }),
    min_size = s.size { default = "1KiB", help = "responses that are shorter go as they are" },
    level = s.integer { default = 4, ge = 1, le = 9,
      help = "from quick (1) to small (9); brotli stops at its 5, which streams can afford" },
    codings = s.list(s.enum { "br", "gzip", "deflate" }, {
      single = true, len = { 1, 3 }, default = { "br", "gzip" },
      help = "what to offer; the first one wins where a client likes several alike",
    }),
  }:check(function(conf)
    for _, kind in ipairs(conf.types) do
      if kind:match "^%*.*%*$" then return ("'%s': one '*' will do, in front or at the end"):format(kind), "types" end
    end
  end),
  example = [=[
- compress: { types: [text/*, application/json], min_size: 2KiB }]=],
}
