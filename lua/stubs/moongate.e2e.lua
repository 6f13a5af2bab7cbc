---@meta moongate.e2e
-- luacheck: ignore
-- Tests of the running program, for editors. Everything that waits lets the spec's other tasks and backends run.

---@class moongate.e2e
---@field null any JSON's null
local E = {}

---@class moongate.e2e.StartOptions
---@field config table|string a table (which gets a free port and one worker), or the file's text
---@field name? string of the config's file
---@field files? table<string, string> texts beside it
---@field env? table<string, string>
---@field args? string[]
---@field tls? boolean|moongate.e2e.TlsOptions how its client connects
---@field program? string a link to it, by a name that means `run`
---@field own_program? boolean a copy of the program, which the spec may replace
---@field under? string[] a command that becomes the program which follows it

---Starts the gateway and waits until it is ready. It ends with the block of the spec.
---@param options moongate.e2e.StartOptions
---@return moongate.e2e.Gateway
function E.start(options) end

---@class moongate.e2e.RunOptions
---@field args string[] `CONFIG` stands for the config's name
---@field config? table|string
---@field name? string
---@field files? table<string, string>
---@field env? table<string, string>
---@field seconds? number

---@class moongate.e2e.RunResult
---@field status? integer
---@field stdout string
---@field stderr string

---Runs the program to its end.
---@param options moongate.e2e.RunOptions
---@return moongate.e2e.RunResult
function E.run(options) end

---@class moongate.e2e.UpstreamOptions
---@field early? boolean answers as soon as the head is there
---@field serve? fun(s: moongate.e2e.Socket, n: integer) plays a connection itself
---@field port? integer
---@field ip? string
---@field tls? boolean|moongate.e2e.TlsServerOptions `true`: with a certificate for localhost, see `ca`

---A backend on a real socket.
---@param answer? moongate.e2e.Answer|fun(req: moongate.e2e.Request): moongate.e2e.Answer?
---@param options? moongate.e2e.UpstreamOptions
---@return moongate.e2e.Upstream
function E.upstream(answer, options) end

---@class moongate.e2e.RedisOptions
---@field password? string
---@field unix? boolean its address is a socket's path
---@field tls? { cert: string, key: string, ca: string, clients?: boolean } files; its port speaks TLS
---@field replica_of? moongate.e2e.Redis
---@field monitors? moongate.e2e.Redis it is a sentinel of that master, which it calls "main"
---@field args? string[] more for its command line
---@field port? integer

---A redis-server with nothing in it. It ends with the block of the spec.
---@param options? moongate.e2e.RedisOptions
---@return moongate.e2e.Redis
function E.redis(options) end

---@class moongate.e2e.RedisClusterOptions: moongate.e2e.RedisOptions
---@field nodes? integer masters; 3
---@field replicas? integer of each; 0

---Servers that are one cluster. They end with the block of the spec.
---@param options? moongate.e2e.RedisClusterOptions
---@return moongate.e2e.RedisCluster
function E.redis_cluster(options) end

---@class moongate.e2e.AuthorityOptions
---@field name? string
---@field subject? string "/O=Example/CN=ann"
---@field key? string "P-256", another curve, "rsa" or "rsa:3072"
---@field from? number seconds from now
---@field to? number seconds from now

---An authority that issues certificates. It goes with the block of the spec.
---@param options? moongate.e2e.AuthorityOptions
---@return moongate.e2e.Authority
function E.authority(options) end

---@class moongate.e2e.CommandOptions
---@field [integer] string the program and its arguments
---@field input? string on its standard input, which then has no end
---@field env? table<string, string>
---@field seconds? number

---Runs any other program to its end.
---@param options moongate.e2e.CommandOptions
---@return moongate.e2e.RunResult
function E.command(options) end

---A signed token; see T.jwt of the kit.
---@param claims table
---@param opts? { key?: string, secret?: string, algorithm?: string, kid?: string, typ?: string }
---@return string
function E.jwt(claims, opts) end

---A port where nobody listens.
---@return integer
---@nodiscard
function E.refused() end

---A port for a program that has to be told one; nobody else gets it until the block ends.
---@return integer
---@nodiscard
function E.free_port() end

---Listens on a free port; the function is called for each connection, and must not wait.
---@param on_connection fun(s: moongate.e2e.Socket, n: integer)
---@param options? { ip?: string, port?: integer }
---@return moongate.e2e.Listener
function E.listen(on_connection, options) end

---Runs a function beside its caller.
---@param fn fun(...): ...
---@param ... any
---@return moongate.e2e.Task
function E.spawn(fn, ...) end

---@param seconds number
function E.sleep(seconds) end

---@return number
---@nodiscard
function E.now() end

---Calls a function until it raises nothing more and gives no `false`.
---@param fn fun(): ...
---@param seconds? number
---@return any ...
function E.eventually(fn, seconds) end

---Waits until a function gives something true; it must not wait.
---@param fn fun(): any
---@param seconds? number
---@return any
function E.until_true(fn, seconds) end

---A chunk of a chunked body.
---@param bytes string
---@return string
---@nodiscard
function E.chunk(bytes) end

---Runs functions at the same time; gives their results in order.
---@param fns (fun(i: integer): any)[]
---@return any[]
function E.together(fns) end

---The same function n times at the same time.
---@param n integer
---@param fn fun(i: integer): any
---@return any[]
function E.times(n, fn) end

---How long a function took, and its results.
---@param fn fun(): ...
---@return number seconds
---@return any ...
function E.timed(fn) end

---A limit for E.timed: more where a sanitizer slows all down.
---@param seconds number
---@return number
---@nodiscard
function E.limit(seconds) end

---@alias moongate.e2e.Headers moongate.Headers|{ [1]: string, [2]: string }[]

---@class moongate.e2e.Answer
---@field status? integer
---@field reason? string
---@field headers? moongate.e2e.Headers
---@field body? string
---@field json? any
---@field delay? number
---@field chunks? string[]
---@field trickle? { [1]: integer, [2]: number }
---@field trailers? moongate.e2e.Headers
---@field interim? table[] `{ {103, headers}, ... }`
---@field version? string
---@field close? "at-once"|"before-headers"|"after-headers"|"mid-body"|"reset"|"after"|"said"
---@field error? "reset" in place of an answer
---@field raw? string exactly these bytes, then the end
---@field hang? boolean nothing, ever
---@field handled? boolean the function has answered by itself

---@class moongate.e2e.TlsOptions
---@field sni? string
---@field ca? string a file; left out: whoever answers is right
---@field cert? string a file
---@field key? string a file
---@field password? string
---@field version? "1.0"|"1.1"|"1.2"|"1.3" only this one
---@field ciphers? string
---@field curves? string
---@field alpn? string[]

---@class moongate.e2e.TlsServerOptions
---@field cert string a file
---@field key string a file
---@field password? string
---@field ca? string a file
---@field request? "request"|"require" a certificate of the client
---@field version? "1.0"|"1.1"|"1.2"|"1.3" only this one
---@field ciphers? string
---@field alpn? string[]

---@class moongate.e2e.ConnectOptions
---@field port? integer
---@field unix? string
---@field from? string the address it comes from
---@field ip? string
---@field timeout? number
---@field first? string bytes before all else, TLS too
---@field tls? boolean|moongate.e2e.TlsOptions

---@class moongate.e2e.RequestOptions: moongate.e2e.ConnectOptions
---@field method? string
---@field path? string
---@field headers? moongate.e2e.Headers
---@field body? string
---@field chunks? string[]
---@field json? any
---@field trailers? moongate.e2e.Headers
---@field version? string
---@field raw? string a whole head in place of the others

---The running program.
---@class moongate.e2e.Gateway
---@field port? integer|false of the first listener
---@field ports (integer|false)[]
---@field addresses string[]
---@field admin? string address of the admin listener
---@field pid integer of the supervisor
---@field folder string
---@field program string its file
---@field tls? boolean|moongate.e2e.TlsOptions
local Gateway = {}

---@param options? moongate.e2e.ConnectOptions
---@return moongate.e2e.Client? client
---@return string? why
function Gateway:connect(options) end

---One request on a connection of its own.
---@param req string|moongate.e2e.RequestOptions
---@return moongate.e2e.Response
function Gateway:request(req) end

---@param path string
---@param options? moongate.e2e.RequestOptions
---@return moongate.e2e.Response
function Gateway:get(path, options) end

---One request to the admin listener. A config given as a table has one.
---@param req string|moongate.e2e.RequestOptions
---@return moongate.e2e.Response
function Gateway:ask_admin(req) end

---What the gateway has counted: `requests_count` with `success` and `error`, `latency_ms` with `average`, `p95` and
---`p99`.
---@return { requests_count: table<string, integer>, latency_ms: table<string, number> }
function Gateway:stats() end

---Sends these bytes; gives all that comes until the connection ends, and how it ended.
---@param bytes string
---@param options? moongate.e2e.ConnectOptions
---@return string answer
---@return string why
function Gateway:raw(bytes, options) end

---The lines of the log that match a Lua pattern; an error among them is an expected one.
---@param pattern string
---@return string[]
function Gateway:log(pattern) end

---Waits for such lines.
---@param pattern string
---@param seconds? number
---@return string[]
function Gateway:wait_log(pattern, seconds) end

---Has the gateway read its config again (SIGHUP); in force when this returns. Nil and the log line when the gateway
---keeps the config before it.
---@param config? table|string takes the place of the file
---@return true?
---@return string? why
function Gateway:reload(config) end

---Begins to stop it.
function Gateway:terminate() end

---Stops it; gives its exit status.
---@param seconds? number
---@return integer
function Gateway:stop(seconds) end

---Waits for its end; gives its exit status.
---@param seconds? number
---@return integer
function Gateway:wait(seconds) end

---Ends it the hard way.
function Gateway:kill() end

---The processes that serve, below the supervisor: the one that was started last is the last.
---@return integer[] pids
---@nodiscard
function Gateway:serving_pids() end

---The last of them.
---@return integer? pid
---@nodiscard
function Gateway:serving_pid() end

---@return boolean
---@nodiscard
function Gateway:is_running() end

---@package
function Gateway:close() end

---@package
function Gateway:on_failure() end

---A connection to the gateway.
---@class moongate.e2e.Client
---@field socket moongate.e2e.Socket
---@field host string
---@field tls? moongate.e2e.TlsState
local Client = {}

---Sends a request and reads the response.
---@param req string|moongate.e2e.RequestOptions
---@return moongate.e2e.Response? res
---@return string? why
---@return moongate.e2e.Response? part
function Client:request(req) end

---@param req moongate.e2e.RequestOptions
function Client:send_request(req) end

---Reads one response to a request with this method.
---@param method? string
---@return moongate.e2e.Response? res
---@return string? why
---@return moongate.e2e.Response? part
function Client:response(method) end

---@param bytes string
---@return true? sent
---@return string? why
function Client:send(bytes) end

---@param n? integer
---@return string? bytes
---@return string? why
---@return string? part
function Client:receive(n) end

---@return string? line
---@return string? why
---@return string? part
function Client:line() end

---@param seconds? number
---@return string bytes
---@return string why
function Client:until_close(seconds) end

---@return boolean
---@nodiscard
function Client:is_open() end

function Client:half_close() end

---Ends our direction, of TLS without a goodbye.
function Client:truncate() end

---Bytes, past TLS.
---@param bytes string
function Client:raw_send(bytes) end

function Client:reset() end

function Client:close() end

---@class moongate.e2e.Certificate
---@field subject string
---@field name? string the common name
---@field names string[] DNS names, then addresses
---@field serial string
---@field fingerprint string
---@field pem string

---@class moongate.e2e.TlsState
---@field version string
---@field cipher string OpenSSL's name
---@field protocol? string of ALPN
---@field sni? string
---@field certificate? moongate.e2e.Certificate the peer's

---@class moongate.e2e.Leaf: moongate.e2e.Certificate
---@field cert string a file: it, and the authorities between it and the root
---@field key string a file
---@field alone string a file: it alone

---@class moongate.e2e.LeafOptions: moongate.e2e.AuthorityOptions
---@field names? string[] hosts and addresses
---@field emails? string[]
---@field uris? string[]
---@field password? string of the key's file
---@field usage? string "clientAuth"

---@class moongate.e2e.Authority
---@field cert string a file
---@field folder string
---@field issued integer
---@field lists integer
---@field chain string
---@field alone? string
local Authority = {}

---A certificate and its key.
---@param options? moongate.e2e.LeafOptions
---@return moongate.e2e.Leaf
function Authority:issue(options) end

---@param leaf moongate.e2e.Leaf|moongate.e2e.Authority
function Authority:revoke(leaf) end

---A file with the list of those that were revoked so far.
---@param options? { from?: number, to?: number } seconds from now
---@return string
function Authority:crl(options) end

---An authority that this one vouches for.
---@param options? moongate.e2e.AuthorityOptions
---@return moongate.e2e.Authority
function Authority:authority(options) end

---@package
function Authority:close() end

---@class moongate.e2e.RedisCluster
---@field nodes moongate.e2e.Redis[] masters first, then their replicas
---@field addresses string[] of the masters
local RedisCluster = {}

---The slot of a key.
---@param key string
---@return integer
function RedisCluster:slot(key) end

---The master that has a slot.
---@param slot integer
---@return moongate.e2e.Redis
function RedisCluster:owner(slot) end

---A command for one key, on the master that has it.
---@param name string
---@param key string
---@param ... string|number
---@return any
function RedisCluster:command(name, key, ...) end

---Moves a slot with its keys; `between` is called while it is on its way, "before" its keys move and "after".
---@param slot integer
---@param to moongate.e2e.Redis
---@param between? fun(when: string, from: moongate.e2e.Redis)
function RedisCluster:move(slot, to, between) end

---@class moongate.e2e.Redis
---@field address string
---@field port integer
---@field path string of its unix socket
local Redis = {}

---A reply; an error reply is raised.
---@param ... string|number
---@return any
function Redis:command(...) end

---Ends it as a crash does.
function Redis:kill() end

---Starts it again, empty.
function Redis:start() end

---Stops it for a while: connections stay, and nothing is answered.
function Redis:pause() end

function Redis:resume() end

---@package
function Redis:close() end

---@class moongate.e2e.Socket
---@field timeout number seconds that a call waits at most
---@field tls? moongate.e2e.TlsState
local Socket = {}

---@param bytes string
---@return true? sent
---@return string? why
function Socket:send(bytes) end

---Exactly n bytes, or whatever there is.
---@param n? integer
---@return string? bytes
---@return string? why
---@return string? part
function Socket:receive(n) end

---A line without its CRLF.
---@return string? line
---@return string? why
---@return string? part
function Socket:line() end

---All bytes until the other side closes, and how it ended.
---@param seconds? number
---@return string bytes
---@return string why
function Socket:until_close(seconds) end

---@return boolean
---@nodiscard
function Socket:is_open() end

---Ends our direction.
function Socket:half_close() end

---Ends our direction, of TLS without a goodbye.
function Socket:truncate() end

---Bytes, past TLS.
---@param bytes string
function Socket:raw_send(bytes) end

---Closes with a TCP reset.
function Socket:reset() end

function Socket:close() end

---@class moongate.e2e.Listener
---@field ip string
---@field port integer
---@field accepted integer
---@field connections moongate.e2e.Socket[]
local Listener = {}

---Stops listening; connections stay.
function Listener:stop() end

function Listener:close() end

---@class moongate.e2e.Task
local Task = {}

---What the function returned; raises what it raised.
---@param seconds? number
---@return any ...
function Task:wait(seconds) end

---Ends it where it waits.
function Task:cancel() end

---@class moongate.e2e.Upstream
---@field port integer
---@field address string "127.0.0.1:port"
---@field url string
---@field seen moongate.e2e.Request[] in the order in which they came
---@field answer? any what it says; may be set
---@field refused string[] why TLS handshakes failed
---@field ca? string the authority's file, with `tls = true`
local Upstream = {}

---How many connections there were so far.
---@return integer
---@nodiscard
function Upstream:connections() end

---How many are open now.
---@return integer
---@nodiscard
function Upstream:open_connections() end

---Forgets what was seen.
function Upstream:reset() end

---Closes all connections.
function Upstream:drop_connections() end

---Listens no more: connecting is refused from now on.
function Upstream:stop() end

---@package
function Upstream:close() end

---@class moongate.e2e.Message
---@field headers { [1]: string, [2]: string }[]
---@field version string
---@field body? string
---@field trailers? { [1]: string, [2]: string }[]
---@field framing? "none"|"length"|"chunked"|"close"
---@field chunk_sizes? integer[]
local Message = {}

---@param name string
---@return string?
---@nodiscard
function Message:header(name) end

---@param name string
---@return string[]
---@nodiscard
function Message:header_values(name) end

---@param name string
---@return string?
---@nodiscard
function Message:trailer(name) end

---@return string
---@nodiscard
function Message:text() end

---@return any value
---@return string? fault
---@nodiscard
function Message:json() end

---@param name string
---@return string?
---@nodiscard
function Message:arg(name) end

---@class moongate.e2e.Response: moongate.e2e.Message
---@field status integer
---@field reason string
---@field interim moongate.e2e.Response[] the 1xx before it

---@class moongate.e2e.Request: moongate.e2e.Message
---@field method string
---@field target string
---@field path string
---@field query string
---@field connection integer number of the connection it came by
---@field socket moongate.e2e.Socket
---@field read_body fun(self: moongate.e2e.Request): string
---@field complete? boolean whether the body came whole
---@field broken? string why it did not

---@class luassert.internal
local internal = {}

---@param res moongate.e2e.Response
---@param name string
function internal.no_header(res, name) end

return E
