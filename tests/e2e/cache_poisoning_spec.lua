-- The cache against its model, with sockets and several workers. CACHE_SEED=N repeats the requests of a run;
-- CACHE_RUNS=100 makes it longer.

local E = require "moongate.e2e"

local here = debug.getinfo(1, "S").source:match "^@(.*)/"
local model = dofile(here .. "/../models/cache.lua")

local SEED = tonumber(os.getenv "CACHE_SEED") or math.random(999999)
local RUNS = tonumber(os.getenv "CACHE_RUNS") or 2
local ROUNDS, AT_ONCE = 20, 10

local function start(run)
  local function upstream(service)
    return E.upstream(function(r)
      local answer = run:answer(service, r, r.target, math.floor(E.now()))
      answer.delay = answer.delay and answer.delay / 100
      return answer
    end)
  end
  local config = { workers = 4, services = {} }
  for key, value in pairs(model.config) do config[key] = value end
  for _, service in ipairs { "api", "beta" } do
    config.services[service] = { backends = { upstream(service).address } }
  end
  return E.start { config = config }
end

-- A response that ends too early is shown as far as it came.
local function ask(g, req)
  local client = assert(g:connect { from = req.client_ip })
  local res, why, part = client:request(req.wire)
  client:close()
  if res then return res end
  part = assert(part, why)
  part.broken = why
  return part
end

describe("cache", function()
  it("never serves one client's answer to another", function()
    for seed = SEED, SEED + RUNS - 1 do
      local run = model.new(seed)
      local g = start(run)
      for _ = 1, ROUNDS do
        E.times(run.random(AT_ONCE), function()
          local req = run:request()
          run:check(req, ask(g, req))
        end)
      end
      g:stop()
    end
  end)
end)
