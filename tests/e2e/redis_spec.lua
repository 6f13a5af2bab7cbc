-- mg.redis against a real redis-server.
local E = require "moongate.e2e"

-- A gateway with a route for each text of `steps`, { [path] = Lua }, and one Redis. Its commands have all the time that
-- a busy machine may need.
local function start(steps, redis)
  redis.timeout, redis.connect_timeout = redis.timeout or "30s", redis.connect_timeout or "30s"
  local routes = {}
  for path, text in pairs(steps) do routes[#routes + 1] = { match = path, policies = { { lua = text } } } end
  local config = { routes = routes, redis = { main = redis } }
  if redis.password then config.secrets = { redis = { env = "REDIS_PASSWORD" } } end
  return E.start { config = config, env = { REDIS_PASSWORD = "open sesame" } }
end

-- A step that runs this code with `r`, the Redis, and answers what it returns as JSON.
local function answering(code)
  return ([[
    local r = mg.redis "main"
    return { request = function(req)
      local function run() %s end
      local results = table.pack(run())
      for i = 1, results.n do
        if results[i] == nil then results[i] = mg.json.null end
        if type(results[i]) == "table" and results[i].code then
          results[i] = { code = results[i].code, message = results[i].message, kind = results[i].kind }
        end
      end
      results.n = nil
      return mg.reply_json(200, results)
    end }]]):format(code)
end

describe("a command", function()
  it("has its reply as a Lua value", function()
    local redis = E.redis()
    local g = start({
      ["/set"] = answering [[return r:command("SET", "key", "value")]],
      ["/get"] = answering [[return r:command("GET", "key")]],
      ["/none"] = answering [[return r:command("GET", "none")]],
      ["/incr"] = answering [[return r:command("INCRBY", "n", 3.0)]],
      ["/list"] = answering [[return r:command("MGET", "key", "none", "n")]],
      ["/error"] = answering [[return r:command("INCR", "key")]],
    }, { address = redis.address })
    assert.same({ "OK" }, g:get("/set"):json())
    assert.same({ "value" }, g:get("/get"):json())
    assert.same({ E.null }, g:get("/none"):json())
    assert.same({ 3 }, g:get("/incr"):json())
    assert.same({ { "value", E.null, "3" } }, g:get("/list"):json())
    assert.same({ E.null, { code = "redis", kind = "ERR", message = "ERR value is not an integer or out of range" } },
      g:get("/error"):json())
    assert.equal("value", redis:command("GET", "key"))
  end)
end)

describe("a pipeline", function()
  local redis, g
  setup(function()
    redis = E.redis()
    g = start({
      ["/pipeline"] = answering [[return r:pipeline(function(p)
        p:command("SET", "a", 1)
        p:command("LPUSH", "a", 2)
        p:command("INCR", "a")
      end)]],
      ["/transaction"] = answering [[return r:pipeline(function(p)
        p:command("MULTI")
        for i = 1, 100 do p:command("RPUSH", "list", i) end
        p:command("EXEC")
      end)]],
      ["/open"] = answering [[return pcall(r.pipeline, r, function(p) p:command("MULTI") end)]],
      ["/alone"] = answering [[return pcall(r.command, r, "multi")]],
      ["/client"] = answering [[return pcall(r.command, r, "Client", "REPLY", "OFF")]],
      ["/subscribe"] = answering [[return pcall(r.command, r, "SUBSCRIBE", "x")]],
    }, { address = redis.address })
  end)

  it("has the replies in order, errors among them", function()
    local results = g:get("/pipeline"):json()[1]
    assert.equal("OK", results[1])
    assert.equal("redis", results[2].code)
    assert.equal("WRONGTYPE", results[2].kind)
    assert.equal(2, results[3])
  end)

  it("may be a transaction, which stays together beside others", function()
    local answers = E.times(20, function() return g:get("/transaction"):json()[1] end)
    local lengths = {}
    for _, replies in ipairs(answers) do
      assert.equal(102, #replies)
      local done = replies[102]
      for i = 2, 100 do assert.equal(done[i - 1] + 1, done[i]) end
      lengths[#lengths + 1] = done[100]
    end
    table.sort(lengths)
    for i, n in ipairs(lengths) do assert.equal(100 * i, n) end
  end)

  it("is refused what a shared connection cannot do", function()
    for _, path in ipairs { "/open", "/alone", "/client", "/subscribe" } do
      assert.is_false(g:get(path):json()[1], path)
    end
    assert.matches("shared with other requests", g:get("/subscribe"):json()[2])
  end)
end)

describe("a script", function()
  it("is known by its digest, and sent again to a server that has forgotten it", function()
    local redis = E.redis()
    local g = start({ ["/"] = [[
      local script = mg.redis("main"):script "return { KEYS[1], ARGV[1], redis.call('INCR', KEYS[1]) }"
      return { request = function() return mg.reply_json(200, script:run({ "count" }, { "arg" })) end }]],
    }, { address = redis.address })
    assert.same({ "count", "arg", 1 }, g:get("/"):json())
    assert.same({ "count", "arg", 2 }, g:get("/"):json())
    redis:command("SCRIPT", "FLUSH")
    assert.same({ "count", "arg", 3 }, g:get("/"):json())
    assert.matches("cmdstat_eval:calls=2,", redis:command("INFO", "commandstats"))
  end)
end)

describe("a connection", function()
  local function echo(redis, more)
    more = more or {}
    more.address = redis.address
    return start({ ["/"] = answering [[return r:command("ECHO", "here")]] }, more)
  end

  it("goes to a unix socket", function()
    assert.same({ "here" }, echo(E.redis { unix = true }):get("/"):json())
  end)

  it("says the password, of a user of an ACL too, and chooses the database", function()
    local redis = E.redis { password = "open sesame" }
    assert.same({ "here" }, echo(redis, { password = "redis" }):get("/"):json())
    redis:command("ACL", "SETUSER", "gate", "on", ">open sesame", "+@all", "~*")
    assert.same({ "here" }, echo(redis, { password = "redis", username = "gate", database = 3 }):get("/"):json())
    assert.matches("name=moongate.-db=3.-user=gate", redis:command("CLIENT", "LIST"))
  end)

  it("that is not let in is told in the log, and commands fail at once", function()
    local g = echo(E.redis { password = "another" }, { password = "redis" })
    local answer = g:get("/"):json()
    assert.equal("down", answer[2].code)
    assert.matches("WRONGPASS", answer[2].message)
    assert.is_true(#g:log "redis is down" > 0)
  end)

  it("speaks TLS, and looks at the certificate", function()
    local ca = E.authority()
    local leaf = ca:issue { names = { "127.0.0.1" } }
    local redis = E.redis { tls = { cert = leaf.cert, key = leaf.key, ca = ca.cert } }
    assert.same({ "here" }, echo(redis, { tls = { ca = ca.cert } }):get("/"):json())
    local other = E.authority()
    local answer = echo(redis, { tls = { ca = other.cert } }):get("/"):json()
    assert.equal("down", answer[2].code)
  end)
end)

describe("a Redis in trouble", function()
  local redis
  before_each(function() redis = E.redis() end)

  local function counting(more)
    more = more or {}
    more.address = redis.address
    return start({ ["/"] = answering [[return r:command("INCR", "n")]] }, more)
  end

  -- Far less than the time-out of commands here, and far more than what takes no time at all.
  local AT_ONCE = 10

  it("that is killed fails commands at once, and is used again when it is back", function()
    local g = counting()
    assert.equal(1, g:get("/"):json()[1])
    redis:kill()
    assert.is_true(g:get("/"):json()[2].code == "closed" or g:get("/"):json()[2].code == "down")
    local seconds, answer = E.timed(function() return g:get("/"):json() end)
    assert.equal("down", answer[2].code)
    assert.is_true(seconds < E.limit(AT_ONCE), seconds)
    redis:start()
    E.eventually(function() assert.equal("number", type(g:get("/"):json()[1])) end)
  end)

  it("that hangs costs one time-out, then nothing, and is used again when it goes on", function()
    local g = counting { timeout = "300ms" }
    E.eventually(function() assert.equal("number", type(g:get("/"):json()[1])) end)
    redis:pause()
    local codes = {}
    for _, answer in ipairs(E.times(10, function() return g:get("/"):json() end)) do codes[answer[2].code] = true end
    assert.is_true(codes.timeout)
    codes.timeout, codes.down = nil, nil -- for who came when that was over
    assert.same({}, codes)
    for _ = 1, 10 do assert.equal("down", g:get("/"):json()[2].code) end -- without waiting for a time-out
    redis:resume()
    E.eventually(function() assert.equal("number", type(g:get("/"):json()[1])) end)
  end)

  it("that is killed under load answers nobody late, and nobody wrongly", function()
    local g = counting()
    assert.equal(1, g:get("/"):json()[1])
    local stop, bad = false, {}
    local clients = {}
    for i = 1, 8 do
      clients[i] = E.spawn(function()
        while not stop do
          local seconds, res = E.timed(function() return g:get("/") end)
          local answer = res:json()
          local code = type(answer[2]) == "table" and answer[2].code
          if seconds > E.limit(AT_ONCE) then bad[#bad + 1] = ("%.3f s"):format(seconds) end
          if not math.tointeger(answer[1]) and code ~= "down" and code ~= "closed" then
            bad[#bad + 1] = tostring(code)
          end
        end
      end)
    end
    for _ = 1, 3 do
      local before = redis:command("GET", "n")
      E.eventually(function() assert.is_true(tonumber(redis:command("GET", "n")) > tonumber(before) + 20) end)
      redis:kill()
      redis:start()
      redis:command("SET", "n", 0)
      E.eventually(function() assert.is_true(tonumber(redis:command("GET", "n")) > 20) end)
    end
    stop = true
    for _, client in ipairs(clients) do client:wait() end
    assert.same({}, bad)
  end)
end)

describe("a request that ends before its reply", function()
  it("leaves the replies of others in step", function()
    local redis = E.redis()
    local g = start({
      ["/late"] = [[
        local r = mg.redis "main"
        return { request = function(req)
          local task = mg.spawn(r.command, r, "GET", "mine")
          task:cancel()
          return mg.reply(200, r:command("GET", "yours"))
        end }]],
      ["/echo/{n}"] = [[
        local r = mg.redis "main"
        return { request = function(req) return mg.reply(200, r:command("ECHO", req.params.n)) end }]],
    }, { address = redis.address })
    redis:command("SET", "mine", "mine")
    redis:command("SET", "yours", "yours")
    local texts = E.times(40, function(i)
      if i % 2 == 0 then return g:get("/late").body end
      return g:get("/echo/" .. i).body
    end)
    for i, text in ipairs(texts) do assert.equal(i % 2 == 0 and "yours" or tostring(i), text) end
  end)
end)

describe("sentinels", function()
  it("say where the master is, and where it is after a fail-over", function()
    local first = E.redis()
    local second = E.redis { replica_of = first, args = { "--repl-diskless-sync-delay", "0" } }
    E.eventually(function() assert.matches("master_link_status:up", second:command("INFO", "replication")) end)
    local sentinel = E.redis { monitors = first }
    E.eventually(function()
      assert.matches("num%-slaves.-1,", table.concat(sentinel:command("SENTINEL", "MASTER", "main"), ",") .. ",")
    end)
    local nobody = "127.0.0.1:" .. E.refused()
    local g = start({ ["/"] = answering [[return r:command("INCR", "n")]] },
      { sentinels = { nobody, sentinel.address }, master = "main" })
    assert.same({ 1 }, g:get("/"):json())
    assert.equal("1", first:command("GET", "n"))
    first:kill()
    sentinel:give_up()
    E.eventually(function() assert.equal("number", type(g:get("/"):json()[1])) end)
    assert.is_true(tonumber(second:command("GET", "n")) >= 1)
    assert.is_true(#g:log "redis is down" > 0)
  end)
end)

describe("a cluster", function()
  local c, g, seeds
  setup(function()
    c = E.redis_cluster { nodes = 3 }
    seeds = { "127.0.0.1:" .. E.refused(), table.unpack(c.addresses) }
    g = start({
      ["/incr/{key}"] = [[
        local r = mg.redis "main"
        return { request = function(req)
          local n, err = r:command("INCR", req.params.key)
          return mg.reply_json(200, { n = n, code = err and err.code, message = err and err.message })
        end }]],
      ["/script/{key}"] = [[
        local script = mg.redis("main"):script "return redis.call('INCRBY', KEYS[1], ARGV[1])"
        return { request = function(req)
          local n, err = script:run({ req.params.key }, { 2 })
          return mg.reply_json(200, { n = n, code = err and err.code, message = err and err.message })
        end }]],
      ["/pipeline"] = answering [[return r:pipeline(function(p)
        for i = 1, 60 do p:command("SET", "p" .. i, i) end
        for i = 1, 60 do p:command("GET", "p" .. i) end
      end)]],
      ["/transaction"] = answering [[return r:pipeline(function(p)
        p:command("MULTI")
        p:command("INCR", "{t}1")
        p:command("INCR", "{t}2")
        p:command("EXEC")
      end)]],
      ["/cross"] = answering [[return r:command("MGET", "a", "b")]],
      ["/cross-transaction"] = answering [[return r:pipeline(function(p)
        p:command("MULTI")
        p:command("INCR", "a")
        p:command("INCR", "b")
        p:command("EXEC")
      end)]],
      ["/echo"] = answering [[return r:command("ECHO", "here")]],
    }, { cluster = seeds })
  end)

  -- Commands for `key` by several clients until stop(), which gives how many there were; each must do what it says.
  local function load(path)
    local on, done, bad, tasks = true, 0, {}, {}
    for i = 1, 4 do
      tasks[i] = E.spawn(function()
        local client = g:connect()
        while on do
          local answer = client:request(path):json()
          if answer.n then done = done + 1 else bad[#bad + 1] = tostring(answer.code) .. ": " .. answer.message end
        end
      end)
    end
    return function()
      on = false
      for _, task in ipairs(tasks) do task:wait() end
      assert.same({}, bad)
      return done
    end, function(n)
      local before = done
      assert.is_truthy(E.until_true(function() return done >= before + n or #bad > 0 end, 60))
    end
  end

  it("has each key on the server of its slot", function()
    for i = 1, 30 do assert.equal(1, g:get("/incr/k" .. i):json().n) end
    for i = 1, 30 do assert.equal("1", c:command("GET", "k" .. i)) end
    for _, node in ipairs(c.nodes) do assert.is_true(node:command "DBSIZE" > 0) end
    assert.equal(2, g:get("/script/s1"):json().n)
    assert.same({ "here" }, g:get("/echo"):json())
  end)

  it("takes pipelines apart, and answers in order", function()
    local results = g:get("/pipeline"):json()[1]
    for i = 1, 60 do assert.equal(tostring(i), results[60 + i]) end
    assert.same({ 1, 1 }, g:get("/transaction"):json()[1][4])
  end)

  it("says what cannot be done before it is sent", function()
    for _, path in ipairs { "/cross", "/cross-transaction" } do
      local answer = g:get(path):json()
      assert.equal("route", answer[2].code)
      assert.matches("more than one slot", answer[2].message)
    end
    for _, node in ipairs(c.nodes) do assert.not_matches("cmdstat_mget", node:command("INFO", "commandstats")) end
  end)

  it("moves a slot under load, and no command fails", function()
    for _, path in ipairs { "/incr/moving", "/script/scripted" } do
      local key, by = path:match "([^/]+)$", path:find "script" and 2 or 1
      local slot = c:slot(key)
      local stop, wait = load(path)
      wait(50)
      local from = c:owner(slot)
      for _, node in ipairs(c.nodes) do
        if node ~= from then c:move(slot, node, function() wait(50) end) end
      end
      wait(50)
      local done = stop()
      assert.equal(tostring(done * by), c:command("GET", key))
    end
  end)
end)

describe("a master of a cluster", function()
  it("that dies costs its slots alone, until a replica has them", function()
    local c = E.redis_cluster { nodes = 3, replicas = 1 }
    local g = start({ ["/{key}"] = [[
      local r = mg.redis "main"
      return { request = function(req)
        local n, err = r:command("INCR", req.params.key)
        return mg.reply_json(200, { n = n, code = err and err.code })
      end }]] }, { cluster = c.addresses })
    local keys, lost = {}, c.nodes[2]
    for i = 1, 20 do
      keys[i] = { name = "k" .. i, owner = c:owner(c:slot("k" .. i)) }
      assert.equal(1, g:get("/k" .. i):json().n)
    end
    assert.equal(1, lost:command("WAIT", 1, 0))
    lost:kill()
    for _, key in ipairs(keys) do
      local seconds, answer = E.timed(function() return g:get("/" .. key.name):json() end)
      assert.is_true(seconds < E.limit(10), seconds) -- a third of a time-out
      if key.owner ~= lost then assert.equal(2, answer.n) end
    end
    E.eventually(function()
      for _, key in ipairs(keys) do assert.is_truthy(g:get("/" .. key.name):json().n) end
    end)
    assert.is_true(#g:log "redis is down" > 0)
  end)
end)

describe("a reload", function()
  it("keeps the connections of a Redis that stays as it is", function()
    local redis = E.redis()
    local steps = { ["/"] = answering [[return r:command("ECHO", "here")]] }
    local function here(database)
      return { address = redis.address, timeout = "30s", connect_timeout = "30s", database = database }
    end
    local g = start(steps, here())
    local function clients()
      local ids = {}
      for id in redis:command("CLIENT", "LIST"):gmatch "id=(%d+)[^\n]-name=moongate" do ids[#ids + 1] = id end
      return ids
    end
    assert.same({ "here" }, g:get("/"):json())
    local before = clients()
    assert.equal(1, #before)
    g:reload { routes = { { match = "/*", policies = { { lua = steps["/"] } } } },
      redis = { main = here() } }
    assert.same({ "here" }, g:get("/other"):json())
    assert.same(before, clients())
    g:reload { routes = { { match = "/*", policies = { { lua = steps["/"] } } } },
      redis = { main = here(1) } }
    assert.same({ "here" }, g:get("/other"):json())
    E.eventually(function() assert.not_same(before, clients()) end)
    E.eventually(function() assert.equal(1, #clients()) end)
  end)
end)
