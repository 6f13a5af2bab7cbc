---@meta moongate
-- luacheck: ignore
-- What `require "moongate"` gives, for editors: types and one line for each call. lua/README.md tells the rest.
-- tests/spec/stubs_spec.lua compares this file with what the gateway has. Calls marked `async` wait; others are served
-- meanwhile.

-- Policies --------------------------------------------------------------------------------------------------

---A module that makes steps.
---@class moongate.Policy
---@field name string the file's name: lower case, digits, hyphens
---@field new? fun(conf: table, env: moongate.Env): moongate.Instance|moongate.Onion required; once for each step and worker
---@field version? string
---@field summary? string
---@field schema? moongate.Schema what `conf` may hold
---@field provides? string[]|fun(conf: table): string[]? what later steps may need
---@field after? table<string, string>|fun(conf: table): table<string, string>? what should come before this step, and why
---@field before? table<string, string>|fun(conf: table): table<string, string>? what should come behind this step, and why
---@field guard? boolean it keeps requests out: `moongate plan` tells first which routes lose it
---@field needs? string[]|fun(conf: table): string[]? what an earlier step must provide: `{ "identity" }`
---@field body? moongate.PolicyBody which bodies it reads
---@field replace? boolean true: may hide a built-in policy of the same name

---@class moongate.PolicyBody
---@field request? "stream"|"buffer"
---@field response? "stream"|"buffer"

---What `conf` has where its schema has `s.steps()`: runs these steps on the request and then `last`, else forwards it;
---returns the response that has come back through them. **Waits**.
---@alias moongate.Steps fun(req: moongate.Request, last?: fun(req: moongate.Request): moongate.Response): moongate.Response

---Where a step stands.
---@class moongate.Env
---@field path string "routes[2].policies[1]"
---@field key string "routes[users].policies[1]": a name for what it keeps, also when other routes come and go
---@field id string its name in log lines
---@field route? string
---@field service? string
---@field worker integer from 0
---@field on_error boolean whether it is a step of an `on_error` list

---@alias moongate.OnResponse fun(res: moongate.Response): moongate.Response?
---@alias moongate.Next async fun(req: moongate.Request): moongate.Response
---@alias moongate.Onion async fun(req: moongate.Request, next: moongate.Next): moongate.Response

---What `new` returns, unless it is an onion.
---@class moongate.Instance
---@field request? async fun(req: moongate.Request): (moongate.Response|moongate.OnResponse)? goes on, answers, or says what to do on the way back
---@field response? async fun(req: moongate.Request, res: moongate.Response): moongate.Response? changes `res`, or returns another
---@field finish? async fun(req: moongate.Request, res: moongate.Response, info: moongate.FinishInfo) after the last byte
---@field around? moongate.Onion
---@field close? fun() when the config is dropped

---@class moongate.FinishInfo
---@field status? integer nil when nothing was sent
---@field bytes integer that were sent
---@field duration number seconds
---@field reason? string why the exchange ended early

---What can be expected to fail returns nil and one of these; tostring(err) is a text for people.
---@class moongate.Error
---@field code string a word for programs
---@field message string
---@field status? integer of a call whose status was the failure
---@field index? integer of the value of a template that has no JSON

-- Requests and responses ------------------------------------------------------------------------------------

---@alias moongate.HeaderValue string|number|boolean
---@alias moongate.Headers table<string, moongate.HeaderValue|moongate.HeaderValue[]>
---@alias moongate.Transform async fun(piece: string, eof: boolean): string?
---@alias moongate.EventMapper async fun(event: moongate.Event): moongate.EventToSend|moongate.EventToSend[]|nil

---One that came of a stream of server-sent events.
---@class moongate.Event
---@field event string its type; "message" when it tells none
---@field data string its lines, with line feeds between them
---@field id? string the last id that was told, by this event or one before
---@field retry? integer milliseconds after which to connect again

---@class moongate.EventToSend
---@field data? any a string, or a value whose JSON it is
---@field event? string
---@field id? string|number
---@field retry? integer

---What requests and responses have in common. Names of headers do not care about case.
---@class moongate.Message
local Message = {}

---The header's value; several fields of that name are joined with ", ".
---@param name string
---@return string?
---@nodiscard
function Message:header(name) end

---The values, one for each field of that name.
---@param name string
---@return string[]
---@nodiscard
function Message:header_values(name) end

---`for name, value in req:headers() do`: all fields, in order.
---@return fun(): string?, string?
---@nodiscard
function Message:headers() end

---Puts it in place of all of that name; in requests also of those in other spellings (`X_User_Id` for `X-User-Id`),
---which backends may take for the same. A list sets several, nil removes.
---@param name string
---@param value moongate.HeaderValue|moongate.HeaderValue[]|nil
function Message:set_header(name, value) end

---Adds it beside those that are there.
---@param name string
---@param value moongate.HeaderValue|moongate.HeaderValue[]
function Message:add_header(name, value) end

---Removes all of that name; in requests also those in other spellings (`X_User_Id` for `X-User-Id`).
---@param name string
function Message:del_header(name) end

---The whole body. Waits. Errors: too_large, request_body, reset, idle_timeout, bad_response, policy_error.
---@async
---@param limit? integer bytes; default: `limits.buffered_body_bytes`
---@return string? text
---@return moongate.Error? err
---@nodiscard
function Message:text(limit) end

---The whole body as content, whatever coding it came in; a request stays as it was sent. Waits. Errors as of `text`.
---@async
---@param limit? integer bytes; default: `limits.buffered_body_bytes`
---@return string? text
---@return moongate.Error? err
---@nodiscard
function Message:content(limit) end

---The whole body, decoded. Waits. Errors: bad_json, and those of `text`.
---@async
---@param options? moongate.JsonDecodeOptions
---@return any value
---@return moongate.Error? err
---@nodiscard
function Message:json(options) end

---`for piece in res:chunks() do`: the body in pieces. Waits; raises when the body breaks off.
---@async
---@return async fun(): string?
---@nodiscard
function Message:chunks() end

---Replaces the body.
---@param text string
---@param options? { recode?: boolean } recode: in the coding that the old one came in, if any
function Message:set_body(text, options) end

---Replaces the body by the JSON of a value.
---@param value any
function Message:set_json(value) end

---Rewrites the body while it streams; a function's last call gets "" and true.
---@param by moongate.Transform|moongate.JsonEditor an editor must stream
---@param values? string[] for an editor's slots
function Message:transform(by, values) end

---A request in the gateway. It dies with the request.
---@class moongate.Request: moongate.Message
---@field id string (settable) 1 to 128 of `A-Z a-z 0-9 . _ -`
---@field method string (settable)
---@field scheme "http"|"https" of the connection, or as trusted proxies report it
---@field version string "1.1"
---@field host string (settable) without a port; can be set with one
---@field port integer
---@field path string (settable) normalised and decoded; what is set must be percent-encoded
---@field raw_path string as the client wrote it
---@field query? string (settable) without `?`, encoded
---@field client_ip string as trusted proxies report it; "unix" on a unix socket
---@field client_port integer
---@field peer_trusted boolean whether the connection comes from one of `trusted_proxies`
---@field tls? moongate.Tls of the connection; nil when it is not encrypted, or somebody else did that
---@field route? moongate.Route
---@field params table<string|integer, string> what the route's pattern captured
---@field service? string (settable) where it is forwarded to
---@field auth? moongate.Identity (settable) who the client is
---@field ctx table free, for steps of the same request
---@field started number when it came, as mg.now() counts
---@field deadline? number (settable) when it has to be answered
local Request = {}

---A connection's TLS. Certificates are verified; what the listener does not trust never gets here.
---@class moongate.Tls
---@field version string "TLSv1.2"
---@field cipher string as IANA calls it
---@field sni? string the host that the client asked for
---@field alpn? string "http/1.1"
---@field resumed boolean whether an earlier session goes on
---@field client_cert? moongate.Certificate nil when the client showed none

---@class moongate.Certificate
---@field subject string as RFC 4514 writes it: "CN=ann,O=Example"
---@field common_name? string
---@field issuer string
---@field serial string hex
---@field fingerprint string SHA-256, hex
---@field not_before number seconds since 1970
---@field not_after number
---@field sans moongate.CertificateNames
---@field pem string

---The subject alternative names; a kind that it has none of is nil.
---@class moongate.CertificateNames
---@field dns? string[]
---@field email? string[]
---@field uri? string[]
---@field ip? string[]

---@class moongate.Route
---@field name string
---@field pattern string
---@field version? string

---Who the client is, set by the step that has verified it.
---@class moongate.Identity
---@field scheme? string
---@field subject? string
---@field claims? table<string, any>
---@field scopes? string[]
---@field roles? string[]

---The first query argument of that name, decoded.
---@param name string
---@return string?
---@nodiscard
function Request:arg(name) end

---All query arguments, decoded; a name that comes twice has a list.
---@return table<string, string|string[]>
---@nodiscard
function Request:args() end

---Replaces a query argument where the first stood, or appends it; nil removes.
---@param name string
---@param value string|number|nil
function Request:set_arg(name, value) end

---@param name string
---@return string?
---@nodiscard
function Request:cookie(name) end

---The body as application/x-www-form-urlencoded. Waits. Errors: content_type, and those of `text`.
---@async
---@return table<string, string|string[]>? fields
---@return moongate.Error? err
---@nodiscard
function Request:form() end

---Fills in a template: `"${client_ip} ${header.x-name}"`.
---@param template string
---@param res? moongate.Response for `${status}` and `${res.header.x-name}`
---@return string
---@nodiscard
function Request:expr(template, res) end

---The request as it is now, with memory of its own: it outlives the client.
---@return moongate.Request
---@nodiscard
function Request:copy() end

---A response on its way back, or of mg.fetch and its kin, or made here.
---@class moongate.Response: moongate.Message
---@field status integer (settable) 200 to 599
---@field source "upstream"|"cache"|"policy"|"gateway" who made it
---@field error? moongate.ResponseError of a response that the gateway made
---@field upstream? moongate.Upstream which backend was asked
local Response = {}

---@class moongate.ResponseError
---@field code string "connect_failed", "policy_error" ...
---@field message string
---@field policy? string
---@field upstream? moongate.Upstream

---@class moongate.Upstream
---@field service string
---@field address? string of the backend
---@field attempts integer
---@field connect? number seconds until there was a connection
---@field first_byte? number seconds until the response began

---Whether its content type is one of JSON.
---@return boolean
---@nodiscard
function Response:is_json() end

---Its Cache-Control: `{ ["max-age"] = "60", ["no-store"] = true }`.
---@return table<string, string|true>
---@nodiscard
function Response:cache_control() end

---A second one with the same status, headers and body, which must be in memory.
---@return moongate.Response
---@nodiscard
function Response:copy() end

---`for event in res:events() do`: server-sent events, each as soon as it is over. Waits; raises when the stream breaks
---off, or an event is too large.
---@async
---@param limit? integer bytes of an event; default: `limits.buffered_body_bytes`
---@return async fun(): moongate.Event?
---@nodiscard
function Response:events(limit) end

---Rewrites a stream of server-sent events as it passes.
---@param fn moongate.EventMapper
---@param limit? integer bytes of an event; default: `limits.buffered_body_bytes`
---@return boolean whether it is one
function Response:map_events(fn, limit) end

-- The module ------------------------------------------------------------------------------------------------

---@class moongate
---@field json moongate.json
---@field log moongate.log
---@field crypto moongate.crypto
---@field jwt moongate.jwt
---@field ip moongate.ip
---@field url moongate.url
local mg = {}

---A response with a text, for a step to return.
---@param status integer 200 to 599
---@param body? string
---@param headers? moongate.Headers
---@return moongate.Response
---@nodiscard
function mg.reply(status, body, headers) end

---A response with JSON.
---@param status integer
---@param value any
---@param headers? moongate.Headers
---@return moongate.Response
---@nodiscard
function mg.reply_json(status, value, headers) end

---A response that tells of an error, by RFC 9457.
---@param status integer
---@param slug string a short word for programs
---@param detail? string a sentence for people
---@param more? moongate.ProblemOptions
---@return moongate.Response
---@nodiscard
function mg.problem(status, slug, detail, more) end

---@class moongate.ProblemOptions
---@field headers? moongate.Headers
---@field members? table<string, any> more members of the JSON

---A redirect.
---@param url string
---@param status? integer default 308
---@return moongate.Response
---@nodiscard
function mg.redirect(url, status) end

---A response whose body `fn` writes piece by piece; `write` waits until the client has taken it.
---@param status integer
---@param headers moongate.Headers?
---@param fn async fun(write: async fun(text: string))
---@return moongate.Response
---@nodiscard
function mg.stream(status, headers, fn) end

---A server-sent event as text, to be written.
---@param event moongate.EventToSend
---@return string
---@nodiscard
function mg.sse(event) end

---@class moongate.FetchOptions
---@field method? string default "GET"
---@field path? string begins with `/`, percent-encoded
---@field query? string|table<string, string|number|(string|number)[]>
---@field headers? moongate.Headers
---@field body? string
---@field json? any
---@field pass? string[] headers to copy from the client's request
---@field timeout? number seconds, for the whole response
---@field retries? integer at most 15; not in `race`
---@field stream? boolean return when the headers are there
---@field optional? boolean in `fetch_all`: may fail
---@field accept? "any"|string statuses that are no failure, "200-299, 404"; "any" in `fetch_all` and `race`

---A service's name or a URL, and options.
---@class moongate.Call: moongate.FetchOptions
---@field [1] string

---Calls a service, or a URL. Waits. Any status is a response.
---@async
---@param service string
---@param options? moongate.FetchOptions
---@return moongate.Response? res
---@return moongate.Error? err
---@nodiscard
function mg.fetch(service, options) end

---@class moongate.FetchAllOptions
---@field timeout? number seconds, for all of it
---@field max? integer at a time; default 8

---The error of the call that failed.
---@class moongate.FetchAllError: moongate.Error
---@field name string
---@field reason string "code: message"

---Calls services at the same time. Waits.
---@async
---@param calls table<string, moongate.Call>
---@param options? moongate.FetchAllOptions
---@return table<string, moongate.Response>? responses
---@return moongate.FetchAllError|table<string, moongate.FetchAllError>? err by name, of the optional ones that failed
---@nodiscard
function mg.fetch_all(calls, options) end

---What a request has found; it ends with the request.
---@class moongate.CacheHit
---@field age integer seconds since its origin made it
---@field ttl integer seconds for which it is fresh; negative: stale since
---@field stale boolean good for an answer, but to be refreshed
local CacheHit = {}

---The stored response, with Age and Cache-Status, and with what the request's conditions and ranges make of it.
---@return moongate.Response
---@nodiscard
function CacheHit:response() end

---What a request was looked up by: where its response belongs. It outlives the request.
---@class moongate.CacheKey

---@class moongate.CacheLookupOptions
---@field key? string what tells responses of one URL apart

---Times count where the origin does not say.
---@class moongate.CacheStoreOptions
---@field ttl? number seconds for which a 2xx response is fresh
---@field stale? number seconds after that, for which it may be given while it is refreshed
---@field tags? string[] to purge it by, beside those of Surrogate-Key and Cache-Tag

---@class moongate.CachePurgeOptions
---@field soft? boolean they stay, but are stale

---Stored responses, shared by all workers.
---@class moongate.Cache
local Cache = {}

---What may be the answer to a request, and where its response belongs. No key: do not use the cache.
---@param req moongate.Request
---@param options? moongate.CacheLookupOptions
---@return moongate.CacheHit? hit
---@return moongate.CacheKey? key
---@nodiscard
function Cache:lookup(req, options) end

---Stores a response while its body goes by; in the background it waits for the whole.
---@param key moongate.CacheKey
---@param res moongate.Response
---@param options? moongate.CacheStoreOptions
---@return boolean stored
---@return string? why it was not: "no-store", "private", "busy", "no-room" ...
function Cache:store(key, res, options) end

---Calls the function behind the client's back, unless somebody is at it, in any worker.
---@param key moongate.CacheKey
---@param fn async fun()
---@return boolean started
function Cache:refresh(key, fn) end

---Drops all responses of a key's URL, or all with a tag.
---@param key_or_tag moongate.CacheKey|string
---@param options? moongate.CachePurgeOptions
---@return integer count
function Cache:purge(key_or_tag, options) end

---A cache of the config, or one as large as `default`. In `new`.
---@param name string
---@return moongate.Cache
---@nodiscard
function mg.cache(name) end

---@class moongate.Redis
local Redis = {}

---A reply: string, integer, list, or mg.json.null for what is not there.
---@alias moongate.RedisValue string|integer|table

---An error of the server (redis) has its first word in `kind`.
---@class moongate.RedisError: moongate.Error
---@field kind? string "WRONGTYPE", "ERR" ...
---@field results? table of a pipeline: what came, errors among it

---Sends a command. Waits. Errors: redis, down, timeout, closed, busy, bad_reply, route.
---@async
---@param name string
---@param ... string|number
---@return moongate.RedisValue? reply
---@return moongate.RedisError? err
function Redis:command(name, ...) end

---@class moongate.RedisPipeline
local RedisPipeline = {}

---Adds a command.
---@param name string
---@param ... string|number
function RedisPipeline:command(name, ...) end

---Sends the commands that the function adds, in one go. Waits.
---@async
---@param fn fun(p: moongate.RedisPipeline)
---@return table? replies in order; errors of the server are among them
---@return moongate.RedisError? err
function Redis:pipeline(fn) end

---@class moongate.RedisScript
local RedisScript = {}

---A Lua script that the server runs.
---@param text string
---@return moongate.RedisScript
---@nodiscard
function Redis:script(text) end

---Runs it by its digest; a server that does not know it gets the text. Waits.
---@async
---@param keys? (string|number)[]
---@param args? (string|number)[]
---@return moongate.RedisValue? reply
---@return moongate.RedisError? err
function RedisScript:run(keys, args) end

---A Redis of the config. In `new`.
---@param name string
---@return moongate.Redis
---@nodiscard
function mg.redis(name) end

---@class moongate.RaceOptions
---@field delay? number seconds between the starts

---The first response of several calls that is no failure. Waits.
---@async
---@param calls moongate.Call[]
---@param options? moongate.RaceOptions
---@return moongate.Response? res
---@return moongate.Error? err
---@nodiscard
function mg.race(calls, options) end

---Waits.
---@async
---@param seconds number
function mg.sleep(seconds) end

---Runs `fn` beside the caller; it ends with the request at the latest.
---@param fn async fun(...): ...
---@param ... any its arguments
---@return moongate.Task
function mg.spawn(fn, ...) end

---Runs `fn` so that it outlives the request. Errors: too_many_tasks.
---@param fn async fun(...): ...
---@param ... any its arguments
---@return moongate.Task? task
---@return moongate.Error? err
function mg.background(fn, ...) end

---Calls `fn` later; ends with the request that called it.
---@param seconds number
---@param fn async fun(...): ...
---@param ... any its arguments
---@return moongate.Task
function mg.after(seconds, fn, ...) end

---@class moongate.EveryOptions
---@field jitter? number seconds that are added at most
---@field one_worker? boolean only in the first worker

---Calls `fn` again and again; from `new`, for the life of the config.
---@param seconds number
---@param fn async fun()
---@param options? moongate.EveryOptions
---@return moongate.Task
function mg.every(seconds, fn, options) end

---Seconds since 1970.
---@return number
---@nodiscard
function mg.now() end

---Seconds that only go forward.
---@return number
---@nodiscard
function mg.monotonic() end

---Opens a dictionary that all workers share. In `new`.
---@param name string
---@return moongate.SharedDict
---@nodiscard
function mg.shared(name) end

---Joins values to one string, so that different lists never give the same.
---@param ... string|number|boolean|nil
---@return string
---@nodiscard
function mg.key(...) end

---Makes what tells clients apart where they are counted. In `new`.
---@param by string|string[] "ip", "subject", "consumer", "route", an expression, or a list of these
---@return fun(req: moongate.Request): string
---@nodiscard
function mg.client_key(by) end

---The value of a secret of the config.
---@param name string
---@return string
---@nodiscard
function mg.secret(name) end

---@class moongate.Consumer
---@field name string
---@field keys? string[] names of secrets
---@field password? string name of a secret
---@field secret? string name of a secret
---@field roles string[]
---@field groups string[]

---The consumers of the config, as a new list. In `new`.
---@return moongate.Consumer[]
---@nodiscard
function mg.consumers() end

---A file in the config's folder or below, at most 1 MiB. In `new`. Errors: not_found, bad_file.
---@param name string
---@return string? text
---@return moongate.Error? err
---@nodiscard
function mg.file(name) end

-- Tasks -----------------------------------------------------------------------------------------------------

---@class moongate.Task
local Task = {}

---What its function returned. Waits. Errors: timeout (it goes on), cancelled, error.
---@async
---@param seconds? number
---@return any ...
function Task:wait(seconds) end

---Ends it where it waits; its `<close>` variables are closed.
---@return boolean running whether it was
function Task:cancel() end

-- Shared dictionaries ---------------------------------------------------------------------------------------

---@alias moongate.SharedValue string|number|boolean

---A dictionary of all workers. Every call is one atomic step; none waits.
---@class moongate.SharedDict
local SharedDict = {}

---@param key string at most 4,096 bytes
---@return moongate.SharedValue? value
---@return moongate.Error? err
---@nodiscard
function SharedDict:get(key) end

---@param key string
---@param value moongate.SharedValue
---@param ttl? number seconds
---@return true? done
---@return moongate.Error? err
function SharedDict:set(key, value, ttl) end

---Sets what is not there. Errors: exists.
---@param key string
---@param value moongate.SharedValue
---@param ttl? number
---@return true? done
---@return moongate.Error? err
function SharedDict:add(key, value, ttl) end

---Sets what is there. Errors: absent.
---@param key string
---@param value moongate.SharedValue
---@param ttl? number
---@return true? done
---@return moongate.Error? err
function SharedDict:replace(key, value, ttl) end

---@param key string
---@return boolean? there whether it was
---@return moongate.Error? err
function SharedDict:delete(key) end

---Seconds that are left, or math.huge. Errors: absent.
---@param key string
---@return number? seconds
---@return moongate.Error? err
---@nodiscard
function SharedDict:ttl(key) end

---Gives it another time to live, or none. Errors: absent.
---@param key string
---@param ttl? number
---@return true? done
---@return moongate.Error? err
function SharedDict:expire(key, ttl) end

---Adds to a number; gives the sum. Errors: absent (and `init` is nil), type, overflow.
---@param key string
---@param by? number default 1
---@param init? number what a new key begins with
---@param ttl? number for a new key
---@return number? sum
---@return moongate.Error? err
function SharedDict:incr(key, by, init, ttl) end

---Sets `new` where `old` is; nil stands for "not there". Errors: differs.
---@param key string
---@param old moongate.SharedValue?
---@param new moongate.SharedValue?
---@return true? done
---@return moongate.Error? err
function SharedDict:cas(key, old, new) end

---@class moongate.Grant
---@field ok boolean whether it was granted
---@field remaining integer units that are left
---@field reset number seconds until it is as new
---@field retry_after number seconds until the same would be granted

---A token bucket.
---@param key string
---@param rate number tokens a second
---@param burst number tokens when full
---@param cost? number default 1
---@return moongate.Grant? grant
---@return moongate.Error? err
---@nodiscard
function SharedDict:take(key, rate, burst, cost) end

---A fixed window that begins with the key's first call.
---@param key string
---@param limit number
---@param seconds number
---@param cost? number default 1
---@return moongate.Grant? grant
---@return moongate.Error? err
---@nodiscard
function SharedDict:window(key, limit, seconds, cost) end

---A sliding window: never more in any stretch of that time. What was taken comes back up to 1/15 of it late.
---@param key string
---@param limit number
---@param seconds number
---@param cost? number default 1
---@return moongate.Grant? grant
---@return moongate.Error? err
---@nodiscard
function SharedDict:sliding(key, limit, seconds, cost) end

---@class moongate.LeakyGrant : moongate.Grant
---@field delay number seconds after which the request may go on

---A leaky bucket: `burst` at once, up to `queue` more with a delay.
---@param key string
---@param rate number units a second
---@param burst number
---@param queue? number default 0
---@param cost? number default 1
---@return moongate.LeakyGrant? grant
---@return moongate.Error? err
---@nodiscard
function SharedDict:leaky(key, rate, burst, queue, cost) end

---@class moongate.LimiterRule
---@field algorithm "fixed-window"|"sliding-window"|"token-bucket"|"leaky-bucket"
---@field limit number units in a window
---@field window? number seconds, default 1
---@field burst? number of buckets; default `limit`
---@field queue? number of the leaky bucket; default 0
---@field name? string in the RateLimit field
---@field prefix? string in front of its keys

---Makes a limiter of 1 to 16 rules. In `new`.
---@param rules moongate.LimiterRule[]
---@return moongate.Limiter
---@nodiscard
function SharedDict:limiter(rules) end

---@class moongate.AdaptiveRule
---@field min? number default 1
---@field max? number default 1000
---@field initial? number default 20
---@field tolerance? number what latency may be, in times of the usual one; default 2

---Makes a limiter of concurrency that finds its limit. In `new`.
---@param rule moongate.AdaptiveRule
---@return moongate.AdaptiveLimiter
---@nodiscard
function SharedDict:adaptive(rule) end

---How many hold it at a time; whoever was granted must release.
---@param key string
---@param max integer
---@return moongate.Grant? grant
---@return moongate.Error? err
---@nodiscard
function SharedDict:acquire(key, max) end

---@param key string
---@return true? done
---@return moongate.Error? err
function SharedDict:release(key) end

---@class moongate.Limiter
local Limiter = {}

---Takes from all keys or from none. `field` is the value of RateLimit; what follows `which` is about that rule.
---@param cost? number default 1
---@param ... string a key for each rule
---@return boolean? ok
---@return string|moongate.Error|nil field
---@return number retry_after
---@return number delay
---@return integer which
---@return integer remaining
---@return number reset
---@nodiscard
function Limiter:take(cost, ...) end

---What `take` returns, without taking anything.
---@param ... string a key for each rule
---@return boolean? ok
---@return string|moongate.Error|nil field
---@return number retry_after
---@return number delay
---@return integer which
---@return integer remaining
---@return number reset
---@nodiscard
function Limiter:look(...) end

---@class moongate.AdaptiveLimiter
local AdaptiveLimiter = {}

---Whoever is granted must release, once.
---@param key string
---@return boolean? ok
---@return integer|moongate.Error held with this one
---@return integer limit
---@nodiscard
function AdaptiveLimiter:acquire(key) end

---@param key string
---@param seconds? number how long it took; nil: it says nothing about the backend
---@param failed? boolean
---@return true? done
---@return moongate.Error? err
function AdaptiveLimiter:release(key, seconds, failed) end

-- json ------------------------------------------------------------------------------------------------------

---@class moongate.json
---@field null userdata what `null` becomes, and what becomes `null`
local json = {}

---@class moongate.JsonDecodeOptions
---@field big? "error"|"float" integers that do not fit
---@field depth? integer default 128

---Errors: bad_json, with line and column.
---@param text string
---@param options? moongate.JsonDecodeOptions
---@return any value
---@return moongate.Error? err
---@nodiscard
function json.decode(text, options) end

---@class moongate.JsonEncodeOptions
---@field sort? boolean fields by their names
---@field pretty? boolean a line for each item
---@field depth? integer

---Errors: bad_value, with the path.
---@param value any
---@param options? moongate.JsonEncodeOptions
---@return string? text
---@return moongate.Error? err
---@nodiscard
function json.encode(value, options) end

---Marks a table (or a new one) as an array: an empty one becomes `[]`.
---@generic T: table
---@param list? T
---@return T
function json.array(list) end

---Whether it carries the mark.
---@param value any
---@return boolean
---@nodiscard
function json.is_array(value) end

---An editor of JSON text, which copies what its tree does not name as it was written. Make it in `new`; a wrong tree
---raises.
---@param tree moongate.EditTree
---@return moongate.JsonEditor
---@nodiscard
function json.editor(tree) end

---@class moongate.EditNode
---@field fields? table<string, moongate.EditNode> of an object
---@field items? moongate.EditNode of each item of a list
---@field name? string its new name
---@field drop? boolean it goes
---@field only? boolean of an object: fields without a node go
---@field set? any in place of the value, or where there is none
---@field fill? (string|integer)[] the same with texts and slots
---@field absent? boolean `set` or `fill` only where there is none
---@field cast? "number"|"integer"|"string"|"boolean"
---@field look? moongate.EditNode captures from an object before it is written
---@field capture? integer in `look`: the slot that gets the value

---@class moongate.EditTree: moongate.EditNode
---@field case? "snake"|"camel"|"kebab" of all names that no node writes

---Edits a text: `editor(text, values)`. Errors: bad_json.
---@class moongate.JsonEditor
---@overload fun(text: string, values?: string[]): string?, moongate.Error?
local JsonEditor = {}

---Whether `message:transform` may take it: nothing in its tree looks ahead.
---@return boolean
---@nodiscard
function JsonEditor:streams() end

---Texts between which values go; made in `new`.
---@class moongate.JsonTemplate
local JsonTemplate = {}

---A response with these values, or an error (bad_value) with `index`.
---@param status integer
---@param headers? moongate.Headers
---@param ... any
---@return moongate.Response? res
---@return moongate.Error? err
---@nodiscard
function JsonTemplate:reply(status, headers, ...) end

---The text with these values.
---@param ... any
---@return string? text
---@return moongate.Error? err
---@nodiscard
function JsonTemplate:text(...) end

---Raises when the texts are no JSON with values between them.
---@param texts string[]
---@return moongate.JsonTemplate
---@nodiscard
function json.template(texts) end

-- log -------------------------------------------------------------------------------------------------------

---@alias moongate.LogFields table<string, any>

---Writes a line; step, route and request stand in it already.
---@class moongate.log
local log = {}

---@param message string
---@param fields? moongate.LogFields
function log.debug(message, fields) end

---@param message string
---@param fields? moongate.LogFields
function log.info(message, fields) end

---@param message string
---@param fields? moongate.LogFields
function log.warn(message, fields) end

---@param message string
---@param fields? moongate.LogFields
function log.error(message, fields) end

-- jwt -------------------------------------------------------------------------------------------------------

---@class moongate.JwtRules
---@field keys string|string[] names of the config's `keys`
---@field algorithms? string|string[]
---@field issuer? string|string[]
---@field audience? string|string[]
---@field subject? string|string[]
---@field typ? string|string[]
---@field required? string|string[]
---@field profile? "plain"|"access-token"
---@field leeway? integer seconds, at most 60
---@field max_age? integer seconds since `iat`
---@field max_bytes? integer
---@field no_expiry? boolean `exp` may be missing

---Rules for tokens, checked once.
---@class moongate.JwtVerifier
local verifier = {}

---The claims, and if asked for the header, of a token that is good; else nil and why not. May wait for newer keys of an
---issuer.
---@param token string
---@param with_header? boolean
---@return table? claims
---@return table|moongate.Error? header_or_error
---@nodiscard
function verifier:verify(token, with_header) end

---JSON Web Tokens (RFC 7519).
---@class moongate.jwt
local jwt = {}

---@param rules moongate.JwtRules
---@return moongate.JwtVerifier
---@nodiscard
function jwt.verifier(rules) end

---Claims and header in one call; a verifier made in `new` is cheaper.
---@param token string
---@param rules moongate.JwtRules
---@return table? claims
---@return table|moongate.Error header_or_error
---@nodiscard
function jwt.verify(token, rules) end

---@param claims table
---`key` is a secret, or a private key as PEM (RSA, or EC on P-256, P-384, P-521). The algorithm is what the key is for
---when none is named: HS256, RS256, or that of the curve.
---@param options { key: string, algorithm?: string, kid?: string, typ?: string }
---@return string token
---@nodiscard
function jwt.sign(claims, options) end

-- crypto ----------------------------------------------------------------------------------------------------

---@alias moongate.DigestForm "hex"|"raw"

---@class moongate.crypto
---@field base64 moongate.Coding
---@field base64url moongate.Coding
---@field hex moongate.Coding
local crypto = {}

---Bytes as text; `mg.crypto.hex(data)` encodes.
---@class moongate.Coding
---@overload fun(data: string): string
local Coding = {}

---@param data string
---@return string
---@nodiscard
function Coding.encode(data) end

---Errors: bad_encoding.
---@param text string
---@return string? data
---@return moongate.Error? err
---@nodiscard
function Coding.decode(text) end

---@param data string
---@param form? moongate.DigestForm default "hex"
---@return string
---@nodiscard
function crypto.sha1(data, form) end

---@param data string
---@param form? moongate.DigestForm
---@return string
---@nodiscard
function crypto.sha256(data, form) end

---@param data string
---@param form? moongate.DigestForm
---@return string
---@nodiscard
function crypto.sha512(data, form) end

---@param key string
---@param data string
---@param form? moongate.DigestForm
---@return string
---@nodiscard
function crypto.hmac_sha256(key, data, form) end

---@param key string
---@param data string
---@param form? moongate.DigestForm
---@return string
---@nodiscard
function crypto.hmac_sha512(key, data, form) end

---Bytes that nobody can guess.
---@param n integer at most 65,536
---@return string
---@nodiscard
function crypto.random(n) end

---A version 4 UUID.
---@return string
---@nodiscard
function crypto.uuid() end

---@class moongate.PasswordOptions
---@field algorithm? "scrypt"|"pbkdf2-sha256" default "scrypt"
---@field ln? integer scrypt: the base 2 logarithm of its rounds, default 13
---@field r? integer scrypt, default 8
---@field p? integer scrypt, default 1
---@field iterations? integer pbkdf2-sha256, default 100,000

---A password's hash under a new salt. Takes 20 ms and more of the worker.
---@param password string
---@param options? moongate.PasswordOptions
---@return string
---@nodiscard
function crypto.password_hash(password, options) end

---What checking it costs, without doing that: "scrypt ln=13,r=8,p=1", "pbkdf2-sha256 i=100000". Errors: bad_hash.
---@param hash string
---@return string? cost
---@return moongate.Error? err
---@nodiscard
function crypto.password_cost(hash) end

---Whether it is the password of that hash. Takes 20 ms and more of the worker. Errors: bad_hash.
---@param hash string
---@param password string
---@return boolean? same
---@return moongate.Error? err
---@nodiscard
function crypto.password_verify(hash, password) end

---Compares in the same time whatever differs.
---@param a string
---@param b string
---@return boolean
---@nodiscard
function crypto.equal(a, b) end

-- ip --------------------------------------------------------------------------------------------------------

---@class moongate.ip
local ip = {}

---The address as RFC 5952 writes it, and 4 or 6. Errors: bad_address.
---@param text string
---@return string? address
---@return integer|moongate.Error family
---@nodiscard
function ip.parse(text) end

---Networks, to be asked: `inside(text)`. Make it in `new`; a bad network raises.
---@param networks string[]
---@return moongate.IpMatcher
---@nodiscard
function ip.matcher(networks) end

---@class moongate.IpMatcher
---@overload fun(text: string): boolean
local IpMatcher = {}

---The same as calling it.
---@param text string
---@return boolean
---@nodiscard
function IpMatcher:has(text) end

-- regex -----------------------------------------------------------------------------------------------------

---A regular expression (Perl's syntax), to be asked whether it is in a text: `regex(text)`. Make it in `new`; a bad one
---raises.
---@param pattern string
---@param flags? "i"|"u"|"iu" i: letters of either case; u: characters are UTF-8
---@return moongate.Regex
---@nodiscard
function mg.regex(pattern, flags) end

---@class moongate.Regex
---@overload fun(text: string): boolean?, moongate.Error?
local Regex = {}

---The same as calling it. Errors: too_hard, too_long; take these for a refusal.
---@param text string
---@return boolean?
---@return moongate.Error? err
---@nodiscard
function Regex:test(text) end

-- url -------------------------------------------------------------------------------------------------------

---`mg.url("/users/{id}?lang={lang}", params)` fills in a template; raises where the result would name something else.
---@class moongate.url
---@overload fun(template: string, params?: table<string|integer, string|number>): string
local url = {}

---@class moongate.Url
---@field scheme "http"|"https"
---@field host string
---@field port integer
---@field path string
---@field query? string

---@param text string
---@return string
---@nodiscard
function url.encode(text) end

---Errors: bad_escape.
---@param text string
---@return string? text
---@return moongate.Error? err
---@nodiscard
function url.decode(text) end

---Errors: bad_url.
---@param text string
---@return moongate.Url? parts
---@return moongate.Error? err
---@nodiscard
function url.parse(text) end

---"a=1&b=2", names in order; a list repeats its name.
---@param fields table<string, moongate.HeaderValue|moongate.HeaderValue[]>
---@return string
---@nodiscard
function url.query(fields) end

---The first value of each name; with `all` lists of them. Errors: bad_query.
---@param text string
---@param all? boolean
---@return table<string, any>? fields
---@return moongate.Error? err
---@nodiscard
function url.parse_query(text, all) end

return mg
