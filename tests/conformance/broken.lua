-- Policies that are broken, each in its way, and the exact words in which its author is told so: where, what, and what
-- to do about it.
--
-- { name, code, what is said, options }. The code stands from line 3 of the policy's file on; FILE in what is said is
-- that file. Options:
--
--     module   more fields of the module, as text
--     status   what the client gets; default 500. "cut": the response is broken off
--     message  of the log line; default "policy failed"
--     when     the step's condition
--     limits   of the config
--     not_in_check   `moongate check` does not see it

local M = {}

local DECLARED = ', body = { request = "stream", response = "stream" }'

-- ------------------------------------------------------------------------------------------------ while requests run

M.at_run = {
  { "crash-in-request", [[
function M.new()
  return { request = function(req)
    local user = req.ctx.user
    return mg.reply(200, user.name)
  end }
end]], "FILE:6: attempt to index a nil value (local 'user')" },

  { "crash-in-response", [[
function M.new()
  return { response = function(_, res) res:set_header("X-Total", res.total + 1) end }
end]], "FILE:4: attempt to perform arithmetic on a nil value (field 'total')" },

  { "crash-in-return-function", [[
function M.new()
  return { request = function()
    return function(res) error("no " .. res.status) end
  end }
end]], "FILE:5: no 200" },

  { "crash-in-onion", [[
function M.new()
  return function(req, next)
    local res = next(req)
    error("after " .. res.status)
  end
end]], "FILE:6: after 200" },

  { "crash-in-finish", [[
function M.new()
  return { finish = function(_, res) error("at the end of a " .. res.status) end }
end]], "FILE:4: at the end of a 200", { status = 200, message = "policy code failed" } },

  { "crash-in-task", [[
function M.new()
  return { request = function()
    mg.spawn(function() error "nobody waits" end)
    mg.sleep(0.001)
  end }
end]], "FILE:5: nobody waits", { status = 200, message = "policy code failed" } },

  { "crash-in-transform", [[
function M.new()
  return { response = function(_, res)
    res:transform(function(piece) return piece.text end)
    res:transform(function(piece) return piece.text.more end)
  end }
end]], "FILE:6: attempt to index a nil value (field 'text')", { module = DECLARED } },

  { "crash-in-late-transform", [[
function M.new()
  return { response = function(_, res)
    res:transform(function(piece, eof)
      if eof then error "too late for a 500" end
      return piece
    end)
  end }
end]], "FILE:6: too late for a 500", { module = DECLARED, status = "cut" } },

  { "crash-in-stream", [[
function M.new()
  return { request = function()
    return mg.stream(200, {}, function(write)
      write "first"
      mg.sleep(0.001)
      error "in the middle"
    end)
  end }
end]], "FILE:8: in the middle", { status = "cut" } },

  { "raises-a-table", [[
function M.new()
  return { request = function() error { code = "no_stock", message = "sold out" } end }
end]], "FILE:4: no_stock: sold out" },

  { "raises-other-tables", [[
function M.new()
  return { request = function() error { item = 7, left = { 0, 1 } } end }
end]], 'FILE:4: error value is {"item":7,"left":[0,1]}' },

  { "raises-nothing", [[
function M.new()
  return { request = function() error() end }
end]], "FILE:4: error value is a nil; raise a text" },

  { "asserts-a-failure", [[
function M.new()
  return { request = function() assert(mg.json.decode "{") end }
end]], "FILE:4: line 1 column 2: unexpected end of input" },

  { "reads-undeclared-request", [[
function M.new()
  return { request = function(req) req:text() end }
end]], "FILE:4: policy 'reads-undeclared-request' reads the request body without declaring it; "
    .. 'add body = { request = "buffer" } (or "stream") to its module' },

  { "reads-undeclared-response", [[
function M.new()
  return { response = function(_, res) res:transform(function(piece) return piece end) end }
end]], "FILE:4: policy 'reads-undeclared-response' reads the response body without declaring it; "
    .. 'add body = { response = "buffer" } (or "stream") to its module' },

  { "uses-the-body-up", [[
function M.new()
  return { request = function(req)
    for _ in req:chunks() do req.ctx.any = true end
  end }
end]], "FILE:5: the step has used the request's body up with chunks(), so there is none to forward; "
    .. "read it with text(), or give another with set_body()", { module = DECLARED } },

  { "calls-next-again", [[
function M.new()
  return function(req, next)
    next(req)
    return next(req)
  end
end]], "FILE:6: next: the body of the request has gone to the backend with the call before; to call next again, "
    .. 'have it in memory: call req:text() first, or say body = { request = "buffer" } in the module' },

  { "writes-a-global", [[
function M.new()
  return { request = function() count = 1 end }
end]], "FILE:4: assignment to undeclared global 'count'; declare it local" },

  { "reads-a-global", [[
function M.new()
  return { request = function() return mg.reply(200, messgae) end }
end]], "FILE:4: undeclared global 'messgae'; is it misspelt?" },

  { "waits-in-gsub", [[
function M.new()
  return { request = function(req)
    req.method:gsub("%w+", function(word) return mg.fetch("api", { path = "/" .. word }):text() end)
  end }
end]], "FILE:5: mg.fetch cannot be called inside a callback of string.gsub or table.sort, in a metamethod, or while a "
    .. "module loads; collect first, then call" },

  { "waits-in-sort", [[
function M.new()
  return { request = function()
    table.sort({ 2, 1 }, function(a, b) mg.sleep(1) return a < b end)
  end }
end]], "FILE:5: mg.sleep cannot be called inside a callback of string.gsub or table.sort, in a metamethod, or while a "
    .. "module loads; collect first, then call" },

  { "waits-in-a-metamethod", [[
function M.new()
  local lazy = setmetatable({}, { __tostring = function() mg.sleep(1) return "now" end })
  return { request = function() return mg.reply(200, tostring(lazy)) end }
end]], "FILE:4: mg.sleep cannot be called inside a callback of string.gsub or table.sort, in a metamethod, or while a "
    .. "module loads; collect first, then call" },

  { "waits-in-a-coroutine", [[
function M.new()
  return { request = function()
    local ok, fault = coroutine.resume(coroutine.create(function() mg.sleep(1) end))
    if not ok then error(fault, 0) end
  end }
end]], "FILE:5: mg.sleep cannot be called inside a coroutine of your own; use mg.spawn" },

  { "yields-by-hand", [[
function M.new()
  return { request = function() coroutine.yield() end }
end]], "FILE:4: coroutine.yield can only be called inside a coroutine of your own; to wait, call mg.sleep or the "
    .. "like" },

  { "waits-in-when", [[
function M.new()
  return { request = function() end }
end]], "when: routes[0].policies[0].when:1: mg.sleep can only be called while a request or a task runs, not while a "
    .. "module loads or in a condition; call it in the step", { when = "mg.sleep(1) or true" } },

  { "crash-in-when", [[
function M.new()
  return { request = function() end }
end]], "when: routes[0].policies[0].when:1: attempt to index a nil value (field 'auth')",
    { when = "req.auth.subject == 'ann'" } },

  { "forgets-the-response", [[
function M.new()
  return function(req, next)
    next(req)
  end
end]], "FILE:4: the step returned nothing; expected a response (return next(req))" },

  { "returns-a-table", [[
function M.new()
  return { request = function() return { status = 403 } end }
end]], "FILE:4: the step returned a table; expected nothing, a response or a function; mg.reply makes a response" },

  { "returns-a-text", [[
function M.new()
  return { response = function() return "403" end }
end]], "FILE:4: the step returned a string; expected nothing or a response; mg.reply makes one" },

  { "returns-wrong-on-way-back", [[
function M.new()
  return { request = function()
    return function() return 403 end
  end }
end]], "FILE:5: the step returned a number; expected nothing or a response; mg.reply makes one" },

  { "returns-no-piece", [[
function M.new()
  return { response = function(_, res)
    res:transform(function() return {} end)
  end }
end]], "FILE:5: the function of the transform returned a table; expected a string or nothing", { module = DECLARED } },

  { "splits-a-header", [[
function M.new()
  return { request = function(req) req:set_header("X-Name", "ann\r\nX-Role: admin") end }
end]], "FILE:4: X-Name: header value has a line break, NUL or another control character; take it out, or encode the "
    .. "value (mg.url.encode)" },

  { "splits-a-header-of-its-own", [[
function M.new()
  return { request = function() return mg.reply(200, "", { ["X-Name"] = "ann\nbob" }) end }
end]], "FILE:4: X-Name: header value has a line break, NUL or another control character; take it out, or encode the "
    .. "value (mg.url.encode)" },

  { "runs-for-ever", [[
function M.new()
  return { request = function()
    while true do
    end
  end }
end]], "FILE:5: ran longer than 30 ms without waiting; do less at a time, or raise limits.lua_run",
    { limits = { lua_run = "30ms" } } },

  { "wants-all-memory", [[
function M.new()
  return { request = function()
    local all = {}
    for i = 1, math.huge do
      all[i] = ("x"):rep(100000) .. i
    end
  end }
end]], "FILE:7: not enough memory: the limit of 16384 KiB is used up; keep less, or raise limits.lua_memory",
    { limits = { lua_memory = "16MiB", lua_run = "5s" } } },

  { "wants-all-memory-at-once", [[
function M.new()
  return { request = function() return mg.reply(200, ("x"):rep(1 << 33)) end }
end]], "FILE:4: string.rep: the result would be larger than 16777216 bytes" },

  { "leaves", [[
function M.new()
  return { request = function() os.exit(1) end }
end]], "FILE:4: 'os.exit' is not available to policies; return a response to end a request" },

  { "asks-the-environment", [[
function M.new()
  return { request = function() return mg.reply(200, os.getenv "HOME") end }
end]], "FILE:4: 'os.getenv' is not available to policies; use mg.secret, or write ${NAME} in the config" },

  { "opens-a-file", [[
function M.new()
  return { request = function() return mg.reply(200, io.open("/etc/passwd"):read "a") end }
end]], "FILE:4: 'io' is not available to policies; read a file with mg.file, in `new`" },
}

-- ------------------------------------------------------------------------------------------------ while a config loads

-- Faults of the module; those of its step, which are found when it is made, begin with the policy's own path.
local function loads(fault) return "routes[0].policies[0]CANNOT: " .. fault end
local function builds(fault) return "routes[0].policies[0].POLICY: " .. fault end

M.at_load = {
  { "crash-in-new", [[
function M.new(conf)
  return { limit = conf.limits.requests }
end]], builds "FILE:4: attempt to index a nil value (field 'limits')" },

  { "raises-a-table-in-new", [[
function M.new()
  error { code = "no_key", message = "there is no key" }
end]], builds "FILE:4: no_key: there is no key" },

  { "waits-in-new", [[
function M.new()
  mg.sleep(1)
end]], builds("FILE:4: mg.sleep can only be called while a request or a task runs, not while a module loads or in a "
    .. "condition; call it in the step") },

  { "fetches-in-new", [[
function M.new()
  mg.fetch "api"
end]], builds "FILE:4: mg.fetch can only be called while a request or a task runs; call it in the step" },

  { "gives-nothing", [[
function M.new()
end]], builds "FILE:3: 'new' must return a table or a function, not a nil" },

  { "gives-a-misspelt-name", [[
function M.new()
  return { requests = function() end }
end]], builds("FILE:3: 'new' returned a table without request, response, finish or around; it has 'requests'") },

  { "gives-no-function", [[
function M.new()
  return { request = true }
end]], builds "FILE:3: 'request' must be a function, not a boolean" },

  { "gives-too-much", [[
function M.new()
  return { request = print, around = print }
end]], builds "FILE:3: 'around' stands for 'request' and 'response'; give either" },

  { "has-no-new", [[
function M.make() end]], builds "FILE: the module has no function 'new'; add function M.new(conf, env) ... end" },

  { "wants-a-file", [[
function M.new()
  return mg.reply(200, assert(mg.file "page.html"))
end]], builds "FILE:4: cannot read 'page.html': no such file" },

  { "wants-a-secret", [[
function M.new()
  return mg.secret "webhook"
end]], builds "FILE:4: unknown secret 'webhook'", { not_in_check = true } }, -- which reads no secrets

  { "crash-at-top", [[
local limit = M.limits.requests
function M.new() return limit end]], loads "FILE:3: attempt to index a nil value (field 'limits')" },

  { "raises-a-table-at-top", [[
error { code = "too_old" }]], loads "FILE:3: too_old" },

  { "waits-at-top", [[
mg.sleep(1)]], loads("FILE:3: mg.sleep can only be called while a request or a task runs, not while a module loads or "
    .. "in a condition; call it in the step") },

  { "ticks-at-top", [[
mg.every(1, print)]], loads "FILE:3: mg.every cannot be called while a module loads; call it in `new` or in the step" },

  { "writes-a-global-at-top", [[
count = 0]], loads "FILE:3: assignment to undeclared global 'count'; declare it local" },

  { "is-no-lua", [[
function M.new( return end]], loads "FILE:3: <name> or '...' expected near 'return'" },

  { "is-no-module", [[
do return 7 end]], loads "FILE: must return a table, returned number" },

  { "is-called-otherwise", [[
M.name = "another"]], loads "FILE: is called 'another', its file 'is-called-otherwise'" },

  { "requires-a-missing-module", [[
local lost = require "lost-and-found"
function M.new() return lost end]],
    loads("FILE:3: module 'lost-and-found' not found: put it beside the policies, or install it for Lua 5.4; "
      .. "there is") },

  { "declares-a-wrong-body", [[
M.body = { request = "all" }]], loads 'FILE: its body.request must be "stream" or "buffer"' },

  { "declares-another-body", [[
M.body = { requests = "buffer" }]], loads "FILE: its body has no 'requests', only 'request' and 'response'" },

  { "claims-to-be-native", [[
M.native = "xslt"]], builds "the gateway has no policy 'xslt' of its own", { not_in_check = true } }, -- told alone

  { "has-a-number-for-native", [[
M.native = 1]], loads "FILE: its native must be a string or a function" },

  { "has-a-plain-schema", [[
M.schema = { limit = 1 }]],
    loads "FILE: its schema is none of moongate.schema; make it with s.record { ... }" },

  { "has-a-wrong-option", [[
M.schema = s.record { limit = s.integer { minimum = 1 } }]],
    loads("FILE:3: s.integer: unknown option 'minimum'; known are 'default', 'ge', 'gt', 'help', 'le', 'lt', 'one_of', "
      .. "'required'") },

  { "has-a-wrong-default", [[
M.schema = s.record { limit = s.integer { default = "ten" } }]],
    loads 'FILE:3: s.integer: bad default: expected integer, got string "ten"' },

  { "has-a-wrong-kind", [[
M.schema = s.record { limit = s.interger() }]],
    loads "FILE:3: moongate.schema has no 'interger', did you mean 'integer'?" },

  { "has-a-wrong-field", [[
M.schema = s.record { limit = "integer" }]], loads "FILE:3: s.record: field 'limit' is no schema" },

  { "has-a-broken-check", [[
M.schema = s.record { limit = s.integer() }:check(function(conf)
  if conf.limit < 1 then return "must be positive", "limit" end
end)]], builds "the schema's check failed: FILE:4: attempt to compare nil with number" },

  { "has-a-check-that-gives-no-text", [[
M.schema = s.record {}:check(function() return false end)]],
    builds "the schema's check gave a boolean; expected nil, or a text that says what is wrong" },
}

-- ------------------------------------------------------------------------------------------------ use

function M.text(case)
  local name, code, more = case[1], case[2], (case[4] or {}).module or ""
  return ([[
local mg, s = require "moongate", require "moongate.schema"
local M = { name = "%s"%s, uses = { mg, s } }
%s
return M
]]):format(name, more, code)
end

-- What is said of a case whose policy is that file. In the report of a config a module that cannot be loaded is told
-- under its step; `below` says that the step is a map with the policy's name.
function M.said(case, file, below)
  local name, said = case[1], case[3]
  local cannot = ("%s: cannot load policy '%s'"):format(below and "." .. name or "", name)
  return (said:gsub("CANNOT", (cannot:gsub("%%", "%%%%"))):gsub("POLICY", name):gsub("FILE", file))
end

return M
