-- End-to-end tests: the real program, real sockets, backends that the spec plays. For specs under busted.
--
--     local E = require "moongate.e2e"
--
--     local up = E.upstream { json = { ok = true } }            -- see moongate.e2e.upstream
--     local g = E.start { config = {                            -- see moongate.e2e.gateway
--       services = { api = { backends = { up.address } } },
--       routes = { { match = "/*", service = "api" } },
--     } }
--     assert.status(g:get("/"), 200)                            -- see moongate.e2e.matchers
--     assert.called(up, 1)
--
-- All that a block opens is closed at its end (moongate.e2e.scope); a gateway that fell, or logged an error which the
-- spec did not look for with g:log(), fails the spec. Waiting is done by one scheduler (moongate.e2e.loop), so clients
-- and backends run at the same time; E.spawn(fn) adds one more thing to be done beside the spec's body.

local authority = require "moongate.e2e.authority"
local command = require "moongate.e2e.command"
local gateway = require "moongate.e2e.gateway"
local http = require "moongate.e2e.http"
local jwt = require "moongate.test.jwt"
local loop = require "moongate.e2e.loop"
local redis = require "moongate.e2e.redis"
local redis_cluster = require "moongate.e2e.redis_cluster"
local socket = require "moongate.e2e.socket"
local upstream = require "moongate.e2e.upstream"

require "moongate.e2e.matchers"

local E = {
  start = gateway.start,         -- the gateway, running
  run = gateway.run,             -- the program, run to its end
  upstream = upstream.start,     -- a backend
  redis = redis.start,           -- a redis-server
  redis_cluster = redis_cluster.start, -- several that are a cluster
  authority = authority.new,     -- one that issues certificates
  command = command,             -- any other program, run to its end
  jwt = jwt.sign,                -- a signed token
  refused = socket.refused,      -- a port where nobody listens
  free_port = socket.free_port,  -- a port for a program that has to be told one
  listen = socket.listen,
  spawn = loop.spawn,            -- a task; task:wait()
  sleep = loop.sleep,
  now = loop.now,
  eventually = loop.eventually,  -- calls a function until it raises nothing more and gives no `false`
  until_true = loop.until_true,
  chunk = http.chunk,
  null = http.null,
}

-- Runs the functions at the same time; gives their results in order.
function E.together(fns)
  local running, results = {}, {}
  for i, fn in ipairs(fns) do running[i] = loop.spawn(fn, i) end
  for i, task in ipairs(running) do results[i] = task:wait() end
  return results
end

-- n times the same, at the same time.
function E.times(n, fn)
  local fns = {}
  for i = 1, n do fns[i] = fn end
  return E.together(fns)
end

-- How long fn() took, and its results. Compare with a limit only through E.limit.
function E.timed(fn)
  local from = loop.now()
  local results = table.pack(fn())
  return loop.now() - from, table.unpack(results, 1, results.n)
end

-- A limit for E.timed: more where a sanitizer slows all down.
function E.limit(seconds)
  return seconds * loop.patience
end

return E
