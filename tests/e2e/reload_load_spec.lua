-- Reloads one after the other under load: nothing fails, nothing is kept.
--
-- The suite does it with little; MOONGATE_RELOADS, MOONGATE_RATE (requests a second) and MOONGATE_TUNNELS ask for more,
-- and then it also prints what was measured:
--
--     MOONGATE_RELOADS=100 MOONGATE_RATE=5000 MOONGATE_TUNNELS=1000 build/moongate test tests/e2e/reload_load_spec.lua

local E = require "moongate.e2e"
local load = require "load.programs"
local loop = require "moongate.e2e.loop"
local process = require "moongate.e2e.process"

local RELOADS = tonumber(os.getenv "MOONGATE_RELOADS") or 30
local RATE = tonumber(os.getenv "MOONGATE_RATE") or 400
local TUNNELS = tonumber(os.getenv "MOONGATE_TUNNELS") or 60
local TOLD = os.getenv "MOONGATE_RELOADS" or os.getenv "MOONGATE_RATE" or os.getenv "MOONGATE_TUNNELS"
local WORKERS = 2

local BODY = ("x"):rep(2000)
-- Of what the allocator keeps for the next time.
local SLACK_KB = 24 * 1024

local function config(backend, tunnels, generation)
  return {
    workers = WORKERS,
    shared = { counts = "128KiB" },
    services = {
      api = { backends = { backend }, keepalive = { idle = "1s" } },
      tunnels = { backends = { tunnels } },
    },
    routes = {
      { match = "/tunnel", service = "tunnels" },
      { match = "/*", service = "api", policies = {
        { ["rate-limit"] = { limit = 1000000000, window = "1h" } },
        { lua = ([[
          local counts = mg.shared "counts"
          return { response = function(_, res)
            counts:incr("requests", 1, 0)
            res:set_header("X-Generation", "%d")
          end }]]):format(generation) },
      } },
    },
  }
end

local function start_backend()
  return E.start { config = { routes = { { match = "/*", policies = {
    { lua = ("return function() return mg.reply(200, %q) end"):format(BODY) },
  } } } } }
end

-- ------------------------------------------------------------------------------------------------ what it holds

local function rss_kb(g)
  return tonumber(process.read(("/proc/%d/status"):format(g:serving_pid())):match "VmRSS:%s*(%d+)")
end

local function generations(g)
  return g:ask_admin("/config"):json().generations
end

-- Waits until exchanges and idle connections have ended and the workers have told so; `most`: so many descriptors.
local function holds(g, most)
  return E.eventually(function()
    local all, open = generations(g), process.descriptors(g:serving_pid())
    assert.equal(1, #all)
    assert.equal(0, all[1].exchanges)
    assert.is_true(all[1].lua_bytes > 0)
    assert.is_true(open <= most, "descriptors: " .. open)
    return { rss_kb = rss_kb(g), descriptors = open, lua_kb = all[1].lua_bytes // 1024 }
  end, 20)
end

-- ------------------------------------------------------------------------------------------------ reloads

-- Each generation serves for a while.
local function wait_for_requests(g, count)
  local enough = g:stats().requests_count.success + count
  E.eventually(function() assert.is_true(g:stats().requests_count.success >= enough) end, 30)
end

-- Each answer tells that the config is in force, so from then on everybody gets the new one. Gives how long they took.
local function reload_often(g, config_of)
  local took = {}
  for i = 1, RELOADS do
    g.write_config(config_of(i))
    wait_for_requests(g, RATE // 10)
    local began = E.now()
    local res = g:ask_admin { method = "POST", path = "/reload" }
    took[i] = (E.now() - began) * 1000
    assert.status(res, 200)
    assert.header(g:get "/", "X-Generation", tostring(i))
  end
  return took
end

local function tell(took, requests, tunnels, before, after)
  table.sort(took)
  local function at(share) return took[math.max(1, math.ceil(#took * share))] end
  io.stdout:write(("\n%d reloads: %.1f ms at least, %.1f half, %.1f of 90 in 100, %.1f of 99, %.1f at most\n")
    :format(#took, took[1], at(0.5), at(0.9), at(0.99), took[#took]))
  io.stdout:write(("%d requests (%d/s), %d failed; %d tunnels open, %d opened, used %d times, %d failed\n")
    :format(requests.requests, requests.rate, requests.failed, TUNNELS, tunnels.requests, tunnels.used, tunnels.failed))
  for _, name in ipairs { "rss_kb", "descriptors", "lua_kb" } do
    io.stdout:write(("%s: %d before, %d after\n"):format(name, before[name], after[name]))
  end
end

describe("reloads under load", function()
  it("fail no request, close no WebSocket, and leave nothing behind", function()
    local backend, tunnels = start_backend(), load.tunnels { count = TUNNELS, rate = TUNNELS }
    local address = "127.0.0.1:" .. backend.port
    local function config_of(i) return config(address, tunnels.address, i) end
    local g = E.start { config = config_of(0) }
    g:get "/"
    local before = holds(g, math.huge)
    tunnels:open(g.port)
    local requests = load.requests(g.port, { connections = 32, rate = RATE, new = RATE // 20 })

    local took = reload_often(g, config_of)
    local oldest = generations(g)[1]
    assert.is_true(oldest.generation < RELOADS, "a tunnel holds the generation that it began with")
    local asked, used = requests:stop(), tunnels:stop()
    assert.equal("", asked.faults)
    assert.equal("", used.faults)
    assert.is_true(asked.requests > 100)
    assert.is_true(used.requests >= TUNNELS)

    local after = holds(g, before.descriptors)
    if TOLD then tell(took, asked, used, before, after) end
    -- Garbage is let grow to twice what lives, and goes on growing while it is collected.
    assert.is_true(after.lua_kb <= 4 * before.lua_kb, "Lua: " .. after.lua_kb .. " KB")
    if loop.patience == 1 then -- sanitizers keep what is freed
      assert.is_true(after.rss_kb <= before.rss_kb + SLACK_KB, "memory: " .. after.rss_kb .. " KB")
    end
  end)
end)
