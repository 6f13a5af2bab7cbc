-- Limits in a real Redis: several gateways count together, and what becomes of clients while it is down.

local E = require "moongate.e2e"

-- Commands have all the time that a busy machine may need; specs of a Redis that hangs say less.
local function config(address, conf, up, redis)
  conf.store = conf.store or "main"
  redis = redis or {}
  redis.address = address
  redis.timeout, redis.connect_timeout = redis.timeout or "30s", "30s"
  return {
    redis = { main = redis }, workers = 2,
    services = { api = { backends = { up.address } } },
    routes = { { match = "/*", service = "api", policies = { { ["rate-limit"] = conf } } } },
  }
end

local function two_gateways(...)
  return { E.start { config = config(...) }, E.start { config = config(...) } }
end

-- Sends n requests over several connections and counts the answers by status. Each has to have proper headers.
local function ask(g, n, count)
  count = count or {}
  for _ = 1, n do
    local res = g:get "/"
    count[res.status] = (count[res.status] or 0) + 1
    if res.status == 429 then assert.matches("^[1-9]%d*$", res:header "Retry-After") end
    local field = res:header "RateLimit" -- there is none when nobody has counted
    if field or res.status == 429 then assert.equal("", (field:gsub('"[%w-]+";r=%d+;t=%d+,? ?', ""))) end
  end
  return count
end

-- A connection for each, as few workers must not see all requests.
local function ask_at_once(gateways, n)
  local tasks, count = {}, {}
  for i = 1, 8 do
    tasks[i] = E.spawn(function() ask(gateways[i % #gateways + 1], n // 8, count) end)
  end
  for _, task in ipairs(tasks) do task:wait() end
  return count
end

describe("limits in Redis", function()
  local up, redis
  setup(function()
    up = E.upstream { body = "ok" }
    redis = E.redis()
  end)

  before_each(function() redis:command "FLUSHALL" end)

  for _, algorithm in ipairs { "fixed-window", "sliding-window", "token-bucket", "leaky-bucket" } do
    it("are those of all gateways together: " .. algorithm, function()
      local conf = { limit = 100, window = "1h", algorithm = algorithm, name = "general" }
      if algorithm:find "bucket" then conf.burst = 100 end
      local gateways = two_gateways(redis.address, conf, up)
      local took, count = E.timed(function() return ask_at_once(gateways, 160) end)
      local refill = algorithm:find "bucket" and math.ceil(took / 36) or 0 -- one each 36 seconds
      assert.is_true(count[200] >= 100 and count[200] <= 100 + refill)
      assert.equal(160, count[200] + count[429])
      assert.is_true(redis:command("PTTL", "general:127.0.0.1") > 0)
    end)
  end

  it("are kept under the limit's name and the client, for as long as the window", function()
    local g = E.start { config = config(redis.address, { limit = 100, window = "60s", name = "general" }, up) }
    local took, ttl = E.timed(function()
      ask(g, 3)
      return redis:command("PTTL", "general:127.0.0.1")
    end)
    assert.equal("3", redis:command("GET", "general:127.0.0.1"))
    assert.is_true(ttl >= 60000 - 1000 * took - 1 and ttl <= 60000, ttl)
  end)

  it("are taken all or none", function()
    local g = E.start { config = config(redis.address, { limits = {
      { name = "few", limit = 2, window = "1h" },
      { name = "many", limit = 10, window = "1h", algorithm = "token-bucket" },
      { name = "slide", limit = 5, window = "1h", algorithm = "sliding-window" },
    } }, up) }
    for i = 1, 4 do
      local res = g:get "/"
      assert.status(res, i <= 2 and 200 or 429)
      local many, slide = res:header("RateLimit"):match '"many";r=(%d+).*"slide";r=(%d+)'
      assert.same({ 10 - math.min(i, 2), 5 - math.min(i, 2) }, { tonumber(many), tonumber(slide) })
    end
    assert.equal("2", redis:command("GET", "few:{127.0.0.1}"))
  end)

  it("may be taken in batches, and never too many", function()
    local conf = { limit = 100, window = "1h", name = "general", batch = 10 }
    local gateways = two_gateways(redis.address, conf, up)
    local count = ask_at_once(gateways, 160)
    assert.is_true(count[200] <= 100 and count[200] > 100 - 2 * 10)
    assert.equal(160, count[200] + count[429])
  end)

  local DOWN = {
    allow = function(count) assert.same({ [200] = 30 }, count) end,
    deny = function(count) assert.same({ [503] = 30 }, count) end,
    ["local"] = function(count) assert.same({ [200] = 10, [429] = 20 }, count) end,
  }
  for when_down, check in pairs(DOWN) do
    it("while it is down, and when it is back: when_down " .. when_down, function()
      local own = E.redis()
      local conf = { limit = 10, window = "1h", name = "general", when_down = when_down }
      local g = E.start { config = config(own.address, conf, up) }
      assert.same({ [200] = 2 }, ask(g, 2))
      own:kill()
      check(ask(g, 30))
      own:start()
      E.eventually(function()
        return g:get("/").status ~= 503 and own:command("EXISTS", "general:127.0.0.1") == 1
      end)
    end)
  end

  it("keep nobody waiting longer than the time-out while it hangs", function()
    local own = E.redis()
    local conf = { limit = 10, window = "1h", when_down = "local" }
    local g = E.start { config = config(own.address, conf, up, { timeout = "300ms" }) }
    ask(g, 1)
    own:pause()
    for _ = 1, 12 do ask(g, 1) end -- it hangs as long as that takes
    own:resume()
    E.eventually(function()
      ask(g, 1)
      return tonumber(own:command("GET", "routes[/*].policies[0]:127.0.0.1")) > 2
    end)
  end)

  -- Requests of several clients until stop(), which gives their answers by status. None may take longer than `seconds`,
  -- and headers have to be right whatever happens.
  local function under_load(g, seconds)
    local on, count, slowest, tasks = true, {}, 0, {}
    for i = 1, 4 do
      tasks[i] = E.spawn(function()
        while on do
          local began = E.now()
          ask(g, 1, count)
          slowest = math.max(slowest, E.now() - began)
        end
      end)
    end
    return function()
      on = false
      for _, task in ipairs(tasks) do task:wait() end
      assert.is_true(slowest < E.limit(seconds), slowest .. " s")
      return count
    end, function(n)
      local function sum()
        local all = 0
        for _, c in pairs(count) do all = all + c end
        return all
      end
      local target = sum() + n
      assert.is_truthy(E.until_true(function() return sum() >= target end, 60))
    end
  end

  local FAILED_OVER = {
    allow = function(count) assert.is_nil(count[503]) end,
    deny = function(count) assert.is_true(count[503] > 0) end,
    ["local"] = function(count) assert.is_nil(count[503]) end,
  }
  for when_down, check in pairs(FAILED_OVER) do
    it("are counted on by the next master that sentinels name: when_down " .. when_down, function()
      local first = E.redis()
      local second = E.redis { replica_of = first, args = { "--repl-diskless-sync-delay", "0" } }
      E.eventually(function() assert.matches("master_link_status:up", second:command("INFO", "replication")) end)
      local sentinel = E.redis { monitors = first }
      E.eventually(function()
        assert.matches("num%-slaves.-1,", table.concat(sentinel:command("SENTINEL", "MASTER", "main"), ",") .. ",")
      end)
      local conf = config(nil, { limit = 100000, window = "1h", name = "general", when_down = when_down }, up,
        { sentinels = { sentinel.address }, master = "main" })
      local g = E.start { config = conf }
      local stop, wait = under_load(g, 10) -- a master that has died is no reason to wait, for time-outs least of all
      wait(50)
      E.eventually(function() assert.is_true(tonumber(second:command("GET", "general:127.0.0.1")) > 20) end)
      first:kill()
      sentinel:give_up()
      wait(50)
      E.eventually(function() assert.equal("master", second:command("ROLE")[1]) end, 30)
      local before = tonumber(second:command("GET", "general:127.0.0.1"))
      E.eventually(function()
        assert.is_true(tonumber(second:command("GET", "general:127.0.0.1")) > before + 20)
      end, 30)
      check(stop())
    end)
  end

  it("are exact while their slot moves in a cluster", function()
    local cluster = E.redis_cluster { nodes = 3 }
    local one = { limit = 100000, window = "1h", name = "general", when_down = "deny" }
    local two = { limits = { { name = "few", limit = 100000 }, { name = "many", limit = 200000 } }, when_down = "deny" }
    for key, limits in pairs { ["general:127.0.0.1"] = one, ["few:{127.0.0.1}"] = two } do
      local g = E.start { config = config(nil, limits, up, { cluster = cluster.addresses }) }
      local stop, wait = under_load(g, 10)
      wait(50)
      local slot = cluster:slot(key)
      for _, node in ipairs(cluster.nodes) do
        if node ~= cluster:owner(slot) then cluster:move(slot, node, function() wait(50) end) end
      end
      wait(50)
      local count = stop()
      assert.same({ [200] = count[200] }, count)
      assert.equal(tostring(count[200]), cluster:command("GET", key))
    end
  end)

  it("of a client that would tear its keys apart are counted as well", function()
    local cluster = E.redis_cluster { nodes = 3 }
    local g = E.start { config = config(nil, { by = "${header.x-client}", when_down = "deny", limits = {
      { name = "few", limit = 2, window = "1h" }, { name = "many", limit = 10, window = "1h" } } }, up,
      { cluster = cluster.addresses }) }
    for _, client in ipairs { "}", "{}", "}a{", "ann" } do
      local statuses = {}
      for i = 1, 3 do statuses[i] = g:request { path = "/", headers = { ["X-Client"] = client } }.status end
      assert.same({ 200, 200, 429 }, statuses)
    end
  end)

  it("of examples/rate-limit-redis: a payment takes from both", function()
    local file = assert(io.open "examples/rate-limit-redis/moongate.yaml")
    local text = file:read "a"
    file:close()
    -- With all the time that a busy machine may need.
    text = text:gsub("window: 60s", "window: 1h"):gsub("timeout: 200ms", "timeout: 30s, connect_timeout: 30s")
      .. "admin: { address: 127.0.0.1:0 }\n"
    local function start()
      return E.start { config = text, env = { REDIS = redis.address, PORT = "0", SHOP_PORT = E.free_port() } }
    end
    local gateways, count = { start(), start() }, {}
    for i = 1, 110 do
      local res = gateways[i % 2 + 1]:get(i <= 30 and "/api/payments/1" or "/orders")
      local kind = (i <= 30 and "payment" or "order") .. res.status
      count[kind] = (count[kind] or 0) + 1
      if res.status == 429 then
        assert.equal(('{"error":"Too Many Requests","message":"Rate limit exceeded","retryAfter":%s}'):format(
          res:header "Retry-After"), res.body)
        assert.equal("0", res:header "X-RateLimit-Remaining")
        assert.matches("GMT%+0000 %(Coordinated Universal Time%)$", res:header "X-RateLimit-Reset")
      end
    end
    -- The ten payments that were one too many have taken from the general limit, which is asked first.
    assert.same({ payment200 = 20, payment429 = 10, order200 = 70, order429 = 10 }, count)
    assert.equal("20", redis:command("GET", "payment:127.0.0.1"))
    assert.equal("100", redis:command("GET", "general:127.0.0.1"))
  end)

  it("of examples/rate-limit-redis: run.sh ends all that it started", function()
    -- With gateways that do nothing, and tell who they are.
    local ran = E.command { "bash", "-c", [[
      folder=$(mktemp -d); export folder REDIS=127.0.0.1:$PORT MOONGATE=$folder/moongate
      printf '#!/bin/sh\necho $$ >>$folder/pids; exec sleep 60\n' >$MOONGATE; chmod +x $MOONGATE
      examples/rate-limit-redis/run.sh & pid=$!
      until redis-cli -p $PORT ping && [ "$(wc -l <$folder/pids)" = 2 ]; do sleep 0.02; done
      kill $pid; wait $pid
      redis-cli -p $PORT ping || for gateway in $(cat $folder/pids); do kill -0 $gateway || echo ended; done
      rm -r $folder]], env = { PORT = E.free_port() }, seconds = 50 }
    assert.matches("ended\nended\n$", ran.stdout, 1, ran.stderr)
  end)
end)
