-- Answers from a store that all workers share, by the rules of RFC 9111. The gateway itself runs it
-- (src/gateway/cache_step.c); this is what it takes.

local s = require "moongate.schema"

local function ttl_ranges(map)
  for key in pairs(map) do
    local first, last = key:match "^(%d%d%d)%-(%d%d%d)$"
    if not first then first, last = key:match "^(%d%d%d)$", key:match "^(%d)xx$" end
    if not first and not last then return ("'%s' is no status, such as 404, 300-308 or 5xx"):format(key) end
  end
end

local purge = s.record({
  method = s.string { default = "PURGE", match = "^[A-Z][A-Z-]*$", help = "the method of such a request" },
  allow = s.list(s.cidr(), { single = true, default = {}, help = "addresses of clients that may" }),
  when = s.list(s.expr(), { single = true, default = {},
    help = "they may when one of these gives text other than 0, such as `${claims.cache_admin}`" }),
}, { help = "who may purge, by a request for the URL or with tags in fields of `tags_from`; nobody when left out" })
  :check(function(conf)
    if #conf.allow == 0 and #conf.when == 0 then return "needs 'allow' or 'when': nobody else may purge" end
    for _, method in ipairs { "GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT" } do
      if conf.method == method then return ("'%s' is not for purging"):format(method), "method" end
    end
  end)

return {
  name = "cache", version = "1.0.0", summary = "Answers from a store that all workers share (RFC 9111)",
  native = "cache", provides = { "cache" },
  after = { identity = "what is kept is given out before anybody looks at who asks" },
  schema = s.record({
    store = s.cache { default = "default", help = "a name of `caches`" },
    ttl = s.duration { le = 31536000,
      help = "how long 2xx responses are fresh whose origin does not say; a guess by Last-Modified when left out" },
    ttl_by_status = s.map(s.duration { le = 31536000 }, { default = {},
      help = "the same for other statuses: `404: 10s`, `5xx: 1s`, `300-308: 1h`; 0 keeps none" }),
    force_ttl = s.boolean { default = false, help = "these times count even where the origin names one; " ..
      "`no-store` and `private` still hold" },
    heuristic_max = s.duration { default = "1d", le = 31536000, help = "the longest guess; 0: none" },
    methods = s.list(s.enum { "GET", "HEAD" }, { single = true, len = { 1 }, default = { "GET", "HEAD" },
      help = "what is answered from the store; HEAD from a stored GET" }),
    key = s.expr { default = "", help = "what tells responses of one URL apart, such as `${auth.subject}`" },
    vary = s.list(s.header_name(), { single = true, default = {},
      help = "request fields that responses vary by, whatever their Vary says" }),
    stale_while_revalidate = s.duration { le = 31536000,
      help = "answer so long with what is stale, and refresh it meanwhile; where the origin does not say" },
    stale_if_error = s.duration { le = 31536000, help = "the same while the origin fails" },
    bypass = s.list(s.expr(), { single = true, default = {},
      help = "the request passes when one of these gives text other than 0, such as `${cookie.session}`" }),
    tags_from = s.list(s.header_name(), { single = true, default = { "Surrogate-Key", "Cache-Tag" },
      help = "response fields with tags to purge by" }),
    purge = purge,
    targeted = s.list(s.header_name(), { default = { "CDN-Cache-Control" },
      help = "fields that count in place of Cache-Control, the first that is there (RFC 9213)" }),
    client_control = s.boolean { default = true,
      help = "clients may ask for fresher or staler answers by Cache-Control" },
    share_authorized = s.boolean { default = false,
      help = "answers to requests with Authorization are for all; else only where the origin says so" },
    strict_cookies = s.boolean { default = false, help = "keep a Set-Cookie only with `public` or `s-maxage`" },
    wait = s.duration { default = "5s", le = 3600,
      help = "how long requests wait for another one's fetch of the same thing; 0: each fetches for itself" },
    unshared = s.duration { default = "10s", le = 3600,
      help = "how long nobody waits for what turned out not to be for sharing" },
    keep = s.duration { default = "1h", le = 31536000,
      help = "how long stale responses stay, for a validation or for while the origin cannot be reached" },
    status_header = s.boolean { default = true, help = "send Cache-Status (RFC 9211)" },
    legacy_headers = s.boolean { default = false, help = "send X-Cache: HIT or MISS" },
  }):check(function(conf)
    local fault = ttl_ranges(conf.ttl_by_status)
    if fault then return fault, "ttl_by_status" end
  end),
  example = [=[
- cache: { ttl: 60s, stale_while_revalidate: 30s, stale_if_error: 1h }]=],
}
