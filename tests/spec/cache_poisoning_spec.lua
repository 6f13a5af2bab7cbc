-- The cache against its model, in simulation. `moongate test --seed=N` repeats a run; CACHE_RUNS=1000 makes it longer.

local T = require "moongate.test"

local here = debug.getinfo(1, "S").source:match "^@(.*)/"
local model = dofile(here .. "/../models/cache.lua")

local RUNS = tonumber(os.getenv "CACHE_RUNS") or 30
local ROUNDS, AT_ONCE = 60, 6

local function gateway(run)
  local function upstream(service)
    return function(r) return run:answer(service, r, r.raw_path .. (r.query and "?" .. r.query or ""), r.at) end
  end
  return T.new { seed = run.seed, upstreams = { api = upstream "api", beta = upstream "beta" }, config = model.config }
end

local function round(t, run)
  local handles = {}
  for i = 1, run.random(AT_ONCE) do
    local req = run:request()
    req.wire.client_ip = req.client_ip
    handles[i] = { req, t:start(req.wire) }
  end
  t:settle()
  for _, pair in ipairs(handles) do run:check(pair[1], pair[2].res) end
  if run.random(4) == 1 then t:advance(run.random(12)) end
end

describe("cache", function()
  it("never serves one client's answer to another", function()
    for seed = T.seed, T.seed + RUNS - 1 do
      local run = model.new(seed)
      local t = gateway(run)
      for _ = 1, ROUNDS do round(t, run) end
    end
  end)
end)
