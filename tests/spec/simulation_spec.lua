-- What a simulation promises: time costs nothing, and the same seed gives the same run, byte for byte.

local T = require "moongate.test"
local mg = require "moongate"

-- All that happens in a gateway in which much is under way at a time: who is asked when and in which order, what
-- clients read, what is logged, and all that is random.
local function run(seed)
  local said = {}
  local function say(...) said[#said + 1] = table.concat({ ... }, " ") end
  local t
  local function upstream(name, delay)
    return function(req)
      say(t:now(), name, req.method, req.path, req.query or "", req:header "x-request-id" or "", req:text())
      return { body = name .. req.path, delay = delay }
    end
  end
  t = T.new {
    seed = seed, service = "api",
    policies = { "request-id", { lua = [[
      local seen = mg.shared "seen"
      return {
        request = function(req)
          mg.spawn(function() mg.sleep(0.01) seen:incr("spawned", 1, 0) end)
          req.ctx.got = mg.fetch_all { a = { "one", path = "/" .. req.id }, b = { "two" }, c = { "two", path = "/c" } }
          req:set_header("X-Random", math.random(1 << 30) .. mg.crypto.hex(mg.crypto.random(4)))
        end,
        response = function(req, res)
          res:set_header("X-Count", seen:incr("n", 1, 0))
          res:transform(function(piece, eof) return piece .. (eof and mg.crypto.uuid() or "") end)
        end,
        finish = function(req, res, info)
          mg.log.info("finished", { path = req.path, bytes = info.bytes, took = info.duration,
            count = seen:get "n", spawned = seen:get "spawned" })
        end,
      }]] } },
    upstreams = { one = upstream("one", 0.1), two = upstream("two", 0.1), api = upstream("api") },
  }
  local connections = {}
  for i = 1, 8 do
    connections[i] = t:connect()
    connections[i]:send(("POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"):format(i))
  end
  for i = 1, 8 do say(i, (connections[i]:receive())) end
  for _, line in ipairs(t:log()) do say(mg.json.encode(line, { sort = true })) end
  say(t:now(), t:turns())
  t:close()
  return table.concat(said, "\n")
end

-- The paths that an upstream was asked for, in order.
local function order(transcript)
  local out = {}
  for path in transcript:gmatch "\n%S+ api POST (%S+)" do out[#out + 1] = path end
  return table.concat(out, " ")
end

describe("the same seed", function()
  it("gives the same run, byte for byte: order, times, ids, log", function()
    for seed = 1, 3 do
      local first = run(seed)
      assert.equal(8, select(2, first:gsub("HTTP/1.1 200 OK", "")))
      assert.equal(8, select(2, first:gsub('"msg":"finished"', "")))
      assert.is_true(first == run(seed), "two runs with seed " .. seed .. " differ")
    end
  end)

  it("is not the same as another", function()
    local orders, ids = {}, {}
    for seed = 1, 5 do
      local transcript = run(seed)
      orders[order(transcript)] = true
      ids[transcript:match "X%-Request%-ID: (%x+)"] = true
    end
    assert.is_not_nil(next(orders, (next(orders))), "every seed gives one order")
    local count = 0
    for _ in pairs(ids) do count = count + 1 end
    assert.equal(5, count)
  end)
end)

describe("time", function()
  local function gateway(answer)
    return T.new {
      upstreams = { api = answer },
      config = { limits = { request_time = "1h" },
        services = { api = { backends = { "10.0.0.1:80" }, timeouts = { first_byte = "1h" } } } },
    }
  end

  it("of ten minutes is no more work than a moment", function()
    local function turns(delay)
      local t = gateway { delay = delay }
      assert.status(t:request "/", 200)
      assert.equal(delay, t:now())
      return t:turns()
    end
    assert.equal(turns(0.001), turns(600))
    assert.is_true(turns(600) < 20)
  end)

  it("in which nothing happens is one step", function()
    local t = gateway {}
    t:request "/"
    t:advance(100) -- the idle connections are closed
    local before = t:turns()
    t:advance(600)
    assert.is_true(t:turns() - before <= 2)
    assert.equal(700, t:now())
  end)

  it("is as much work as happens in it", function()
    local t = T.new { policies = { { lua = [[
      mg.every(60, function() mg.log.info "tick" end)
      return { request = function() return mg.reply(204) end }]] } } }
    t:request "/"
    local before = t:turns()
    t:advance(600)
    assert.equal(10, #t:log "tick")
    assert.is_true(t:turns() - before < 50)
  end)
end)
