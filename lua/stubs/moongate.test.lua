---@meta moongate.test
-- luacheck: ignore
-- The test kit, for editors, and what it adds to busted's `assert`. See "Testing" in lua/README.md.

---@class moongate.test
---@field seed integer of gateways that are given none
local T = {}

---@alias moongate.test.Steps (string|table|moongate.Onion)[]
---@alias moongate.test.Answers table<string, moongate.test.Answer|fun(req: moongate.test.Request): moongate.test.Answer>

---@class moongate.test.NewOptions
---@field policies? moongate.test.Steps the route's steps; functions go too
---@field upstreams? moongate.test.Answers each a service of that name
---@field redis? table<string, true|fun(name: string, ...: string): any> each a Redis in memory, or who answers for it
---@field service? string where the route forwards to; default: the only upstream
---@field config? table the rest of the config
---@field secrets? table<string, string> their texts, by the names that the config refers to
---@field match? string|table default `/*`
---@field timeout? number|string the route's
---@field path? string[] folders of policies
---@field seed? integer

---A gateway with one route.
---@param options moongate.test.NewOptions
---@return moongate.test.Gateway
---@nodiscard
function T.new(options) end

---@class moongate.test.LoadOptions
---@field upstreams? moongate.test.Answers
---@field redis? table<string, true|fun(name: string, ...: string): any>
---@field text? string in place of what is in the file
---@field seed? integer

---A gateway with a whole config.
---@param file string
---@param options? moongate.test.LoadOptions
---@return moongate.test.Gateway
---@nodiscard
function T.load(file, options) end

---What a policy's schema makes of a config: the checked table, or nil and all that is wrong.
---@param module moongate.Policy
---@param conf any
---@return any conf
---@return string? faults
---@nodiscard
function T.validate(module, conf) end

---A signed token. Without a key it is signed with a secret of the kit.
---@param claims table
---@param opts? { key?: string, secret?: string, algorithm?: string, kid?: string, typ?: string }
---@return string
function T.jwt(claims, opts) end

---Calls `fn` for every way to cut a body in two.
---@param body string
---@param fn fun(first: string, second: string, n: integer)
function T.each_split(body, fn) end

---@package
---@param headers? table
---@return string[]
function T.fields(headers) end

---What an upstream says.
---@class moongate.test.Answer
---@field status? integer default 200
---@field headers? moongate.Headers
---@field body? string
---@field json? any in place of a body
---@field chunks? string[] sent one after the other, without a length
---@field delay? number seconds before it; math.huge: never
---@field trickle? { [1]: integer, [2]: number } so many bytes at a time, and the seconds between them
---@field trailers? moongate.Headers behind a body without a length
---@field interim? table[] `{ {103, headers}, ... }`, before it
---@field raw? string exactly these bytes in place of a response, then the end
---@field close? "before-headers"|"after-headers"|"mid-body"
---@field error? "refused"|"timeout"|"reset"

---@class moongate.test.RequestOptions
---@field method? string
---@field path? string
---@field query? string|table<string, any>
---@field headers? moongate.Headers
---@field body? string
---@field json? any
---@field chunks? string[]
---@field auth? moongate.Identity|false the request's identity; false: none
---@field params? table<string|integer, string>
---@field client_ip? string
---@field listener? string
---@field host? string
---@field tls? moongate.test.TlsOptions it comes by HTTPS, and policies see this

---What is left out is as of a plain TLS connection.
---@class moongate.test.TlsOptions
---@field version? string
---@field cipher? string
---@field sni? string
---@field alpn? string
---@field resumed? boolean
---@field client_cert? moongate.test.CertificateOptions left out: the client showed none

---@class moongate.test.CertificateOptions
---@field subject? string default: `CN=` and the common name
---@field common_name? string
---@field issuer? string
---@field serial? string
---@field fingerprint? string
---@field not_before? number
---@field not_after? number
---@field sans? moongate.CertificateNames
---@field pem? string

---A gateway in memory.
---@class moongate.test.Gateway
---@field seed integer
local Gateway = {}

---Sends a request and waits for its response; the second is the request as the policies left it.
---@param what? string|moongate.test.RequestOptions
---@return moongate.test.Response res
---@return moongate.test.Request? req
function Gateway:request(what) end

---Sends a request and goes on at once.
---@param what? string|moongate.test.RequestOptions
---@return moongate.test.Handle
function Gateway:start(what) end

---Runs until nothing is under way any more.
function Gateway:settle() end

---Moves the clock, and runs what is due.
---@param seconds number
function Gateway:advance(seconds) end

---Seconds since its start.
---@return number
---@nodiscard
function Gateway:now() end

---How often its loop went round to look for what is ready.
---@return integer
---@nodiscard
function Gateway:turns() end

---The identity of the requests that follow; nil: none.
---@param identity moongate.Identity?
function Gateway:auth(identity) end

---What an upstream got.
---@param name string
---@return integer count
---@return moongate.test.Request? last
---@return moongate.test.Request[] all
---@nodiscard
function Gateway:seen(name) end

---A Redis that is played.
---@param name string
---@return moongate.test.Redis
---@nodiscard
function Gateway:redis(name) end

---The log's lines; with a text only those that have it.
---@param text? string
---@return table[]
---@nodiscard
function Gateway:log(text) end

---Sends exactly these bytes on a connection of their own; gives all that comes back.
---@param bytes string
---@return string said
---@return "open"|"closed"|"reset" state
function Gateway:raw(bytes) end

---@class moongate.test.Redis
---@field commands string[][] that came
---@field delay? number seconds before each answer
---@field fail? string an error in place of each answer
local Redis = {}

---Runs a command at once; an error reply is raised.
---@param ... string|number
---@return any
function Redis:command(...) end

---Connections end and are refused.
function Redis:down() end

---Connections stay and are not answered.
function Redis:hang() end

function Redis:up() end

---@class moongate.test.ConnectOptions
---@field client_ip? string
---@field listener? string

---@param options? moongate.test.ConnectOptions
---@return moongate.test.Connection
---@nodiscard
function Gateway:connect(options) end

---Ends it now.
function Gateway:close() end

---A request under way.
---@class moongate.test.Handle
---@field res? moongate.test.Response nil until it is done
---@field req? moongate.test.Request
---@field at? number seconds since the gateway's start
local Handle = {}

---Runs until it is done.
---@return moongate.test.Response res
---@return moongate.test.Request? req
function Handle:wait() end

---A connection on which the spec says exactly what it wants.
---@class moongate.test.Connection
---@field state "open"|"closed"|"reset"
local Connection = {}

---Sends; gives what came back without waiting.
---@param bytes string
---@return string said
---@return "open"|"closed"|"reset" state
function Connection:send(bytes) end

---What came since; waits until nothing is under way, or for so many seconds.
---@param seconds? number
---@return string said
---@return "open"|"closed"|"reset" state
function Connection:receive(seconds) end

---Says that no more will come.
---@return string said
---@return "open"|"closed"|"reset" state
function Connection:finish() end

function Connection:close() end

---Closes it with a TCP reset.
function Connection:reset() end

---@class moongate.test.Message
---@field body string
---@field fields string[] names and values of the headers, by turns
---@field at? number seconds since the gateway's start
local Message = {}

---@param name string
---@return string?
---@nodiscard
function Message:header(name) end

---@param name string
---@return string[]
---@nodiscard
function Message:header_values(name) end

---@return fun(): string?, string?
---@nodiscard
function Message:headers() end

---@return string
---@nodiscard
function Message:text() end

---@return any value
---@return moongate.Error? err
---@nodiscard
function Message:json() end

---@param name string
---@return string?
---@nodiscard
function Message:arg(name) end

---@param name string
---@return string?
---@nodiscard
function Message:trailer(name) end

---@return boolean
---@nodiscard
function Message:is_json() end

---@class moongate.test.Response: moongate.test.Message
---@field status integer
---@field broken? string why it is not whole
---@field touched? boolean whether a policy read or replaced the body

---@class moongate.test.Request: moongate.test.Message
---@field method string
---@field path string
---@field raw_path string
---@field query? string
---@field chunked? boolean at an upstream: the body came without its length
---@field id? string
---@field route? string
---@field service? string
---@field client_ip? string
---@field params? table<string|integer, string>
---@field auth? moongate.Identity
---@field ctx? table

---@class luassert.internal
local internal = {}

---@param res moongate.test.Response|moongate.e2e.Response
---@param status integer
function internal.status(res, status) end

---@param res moongate.test.Response|moongate.e2e.Response
---@param name string
---@param value? string|number
function internal.header(res, name, value) end

---@param res moongate.test.Response|moongate.e2e.Response
---@param value any
function internal.json(res, value) end

---A problem by RFC 9457.
---@param res moongate.test.Response|moongate.e2e.Response
---@param status integer
---@param slug? string
function internal.problem(res, status, slug) end

---Nobody read or replaced the response's body.
---@param res moongate.test.Response
function internal.untouched(res) end

---So many requests came to an upstream.
---@param upstream string|moongate.test.Gateway|moongate.e2e.Upstream
---@param name_or_count? string|integer
---@param count? integer
function internal.called(upstream, name_or_count, count) end

return T
