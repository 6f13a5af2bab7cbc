-- A Redis in memory, as specs see it through a gateway.
local T = require "moongate.test"
local mg = require "moongate"

-- A step that calls fn(redis, req) and answers what it returns as JSON.
local function answering(fn)
  return function(req)
    local results = table.pack(fn(mg.redis "main", req))
    for i = 1, results.n do
      local value = results[i]
      if value == nil then results[i] = mg.json.null end
      if type(value) == "table" and value.code then results[i] = { value.code, tostring(value), value.kind } end
    end
    results.n = nil
    return mg.reply_json(200, results)
  end
end

local function gateway(fn, redis)
  return T.new { policies = { answering(fn) }, redis = { main = redis or true } }
end

-- What the commands reply, each a list of words.
local function replies(commands)
  local t = gateway(function(redis)
    local out = {}
    for i, words in ipairs(commands) do
      local reply, err = redis:command(table.unpack(words))
      out[i] = err and err.message or reply
    end
    return out
  end)
  return t:request("/"):json()[1]
end

describe("the Redis in memory", function()
  local null = mg.json.null
  local cases = {
    ["strings"] = {
      { { "GET", "a" }, null }, { { "SET", "a", 1 }, "OK" }, { { "INCRBY", "a", 4 }, 5 }, { { "APPEND", "a", "x" }, 2 },
      { { "INCR", "a" }, "ERR value is not an integer or out of range" }, { { "MGET", "a", "b" }, { "5x", null } },
      { { "SET", "a", 2, "NX" }, null }, { { "SET", "b", 2, "NX", "GET" }, null }, { { "GETDEL", "b" }, "2" },
      { { "SET", "b", 2, "XX" }, null }, { { "DECR", "c" }, -1 }, { { "INCRBYFLOAT", "c", 0.5 }, "-0.5" },
      { { "SETNX", "c", 1 }, 0 }, { { "STRLEN", "c" }, 4 },
      { { "GETRANGE", "c", 1, 2 }, "0." }, { { "GETRANGE", "c", -2, -1 }, ".5" }, { { "GETRANGE", "d", 0, 5 }, "" },
      { { "EXISTS", "a", "b", "c" }, 2 },
      { { "DEL", "a", "b", "c" }, 2 }, { { "TYPE", "a" }, "none" },
    },
    ["hashes"] = {
      { { "HSET", "h", "a", 1, "b", 2 }, 2 }, { { "HGETALL", "h" }, { "a", "1", "b", "2" } },
      { { "HGET", "h", "c" }, null },
      { { "HINCRBY", "h", "a", 5 }, 6 }, { { "HDEL", "h", "a", "c" }, 1 }, { { "HLEN", "h" }, 1 },
      { { "HMGET", "h", "a", "b" }, { null, "2" } }, { { "INCR", "h" },
        "WRONGTYPE Operation against a key holding the wrong kind of value" },
      { { "HDEL", "h", "b" }, 1 }, { { "EXISTS", "h" }, 0 },
    },
    ["lists and sets"] = {
      { { "RPUSH", "l", 1, 2, 3 }, 3 }, { { "LPUSH", "l", 0 }, 4 }, { { "LRANGE", "l", -2, -1 }, { "2", "3" } },
      { { "LTRIM", "l", 0, 1 }, "OK" }, { { "RPOP", "l" }, "1" }, { { "LPOP", "l" }, "0" }, { { "LPOP", "l" }, null },
      { { "SADD", "s", "b", "a", "b" }, 2 }, { { "SMEMBERS", "s" }, { "a", "b" } }, { { "SISMEMBER", "s", "c" }, 0 },
      { { "SREM", "s", "a" }, 1 }, { { "SCARD", "s" }, 1 },
    },
    ["sorted sets"] = {
      { { "ZADD", "z", 3, "c", 1, "a", 2.5, "b" }, 3 }, { { "ZRANGE", "z", 0, -1 }, { "a", "b", "c" } },
      { { "ZRANGE", "z", 0, 1, "WITHSCORES" }, { "a", "1", "b", "2.5" } }, { { "ZADD", "z", "XX", "CH", 4, "a" }, 1 },
      { { "ZCOUNT", "z", "(2.5", "+inf" }, 2 }, { { "ZREMRANGEBYSCORE", "z", "-inf", 3 }, 2 }, { { "ZCARD", "z" }, 1 },
      { { "ZSCORE", "z", "a" }, "4" }, { { "ZINCRBY", "z", 1, "a" }, "5" },
      { { "ZADD", "r", 1, "a", 2, "b", 3, "c", 4, "d" }, 4 },
      { { "ZRANGEBYSCORE", "r", "(1", "+inf", "LIMIT", 1, 1 }, { "c" } },
      { { "ZRANGEBYSCORE", "r", 2, 3, "WITHSCORES" }, { "b", "2", "c", "3" } },
      { { "ZRANGEBYSCORE", "r", 1, 4, "LIMIT", 2, -1 }, { "c", "d" } },
      { { "ZREMRANGEBYRANK", "r", 0, -9 }, 0 }, { { "ZREMRANGEBYRANK", "r", 0, -3 }, 2 },
      { { "ZRANGE", "r", 0, -1 }, { "c", "d" } },
    },
    ["what it does not know"] = {
      { { "NONSENSE" }, "ERR unknown command 'NONSENSE'" },
      { { "GET" }, "ERR wrong number of arguments for 'get' command" },
    },
  }
  for name, case in pairs(cases) do
    it("has " .. name, function()
      local commands, wanted = {}, {}
      for i, pair in ipairs(case) do commands[i], wanted[i] = pair[1], pair[2] end
      assert.same(wanted, replies(commands))
    end)
  end

  it("forgets keys when their time is over", function()
    local t = gateway(function(redis) return redis:command("GET", "k"), redis:command("PTTL", "k") end)
    t:redis("main"):command("SETEX", "k", 10, "v")
    t:advance(4)
    assert.same({ "v", 6000 }, t:request("/"):json())
    t:advance(6)
    assert.same({ null, -2 }, t:request("/"):json())
  end)

  it("runs scripts", function()
    local t = T.new { redis = { main = true }, policies = { function(req)
      local script = mg.redis("main"):script [[
        local n = redis.call("INCRBY", KEYS[1], ARGV[1])
        if n > 4 then return redis.error_reply("LIMIT too much") end
        if redis.call("GET", "none") then return "never" end
        return { n, "text", 2.9, false, { ok = "fine" } }
      ]]
      local reply, err = script:run({ "k" }, { req:arg "n" })
      return mg.reply_json(200, err and { err.code, err.kind, err.message } or reply)
    end } }
    assert.same({ 3, "text", 2, null, "fine" }, t:request("/?n=3"):json())
    assert.same({ "redis", "LIMIT", "LIMIT too much" }, t:request("/?n=3"):json())
    local names = {}
    for i, words in ipairs(t:redis("main").commands) do names[i] = words[1] end
    assert.same({ "CLIENT", "PING", "EVALSHA", "EVAL", "EVALSHA" }, names)
  end)

  it("runs transactions", function()
    local t = gateway(function(redis)
      return redis:pipeline(function(p)
        p:command "MULTI"
        p:command("INCR", "n")
        p:command("INCR", "n")
        p:command "EXEC"
      end)
    end)
    assert.same({ { "OK", "QUEUED", "QUEUED", { 1, 2 } } }, t:request("/"):json())
  end)

  it("may be slow, say no, hang and go down", function()
    local t = gateway(function(redis) return redis:command("INCR", "n") end)
    local redis = t:redis "main"
    assert.same({ 1 }, t:request("/"):json())
    redis.delay = 0.1
    assert.same({ 2 }, t:request("/"):json())
    redis.delay = 0.5
    assert.same({ null, { "timeout", "no reply in time" } }, t:request("/"):json())
    redis.delay = nil
    t:advance(1)
    redis.fail = "OOM no room"
    assert.same({ null, { "redis", "OOM no room", "OOM" } }, t:request("/"):json())
    redis.fail = nil
    redis:hang()
    assert.same({ null, { "timeout", "no reply in time" } }, t:request("/"):json())
    redis:up()
    t:advance(1)
    assert.same({ 4 }, t:request("/"):json())
    redis:down()
    t:settle() -- the connection's end is seen
    assert.equal("down", t:request("/"):json()[2][1])
    redis:up()
    t:advance(10)
    assert.same({ 5 }, t:request("/"):json())
  end)

  it("may be a function", function()
    local t = gateway(function(redis) return redis:command("X", 1, "y") end, function(name, ...)
      if name == "CLIENT" or name == "PING" then return { ok = "OK" } end
      return { name, ... }
    end)
    assert.same({ { "X", "1", "y" } }, t:request("/"):json())
  end)
end)
