-- One limit for all workers, over real connections, through reloads.

local E = require "moongate.e2e"

local WORKERS, CLIENTS = 4, 16

local function config(up, conf)
  return {
    workers = WORKERS,
    services = { api = { backends = { up.address } } },
    routes = { { match = "/*", service = "api", policies = { { ["rate-limit"] = conf } } } },
  }
end

-- n requests, over many connections, as the kernel spreads those over the workers. Counts the answers by status.
local function ask(g, n)
  local tasks, count = {}, {}
  for i = 1, CLIENTS do
    tasks[i] = E.spawn(function()
      for _ = 1, n // CLIENTS do
        local status = g:get("/").status
        count[status] = (count[status] or 0) + 1
      end
    end)
  end
  for _, task in ipairs(tasks) do task:wait() end
  return count
end

describe("a limit of all workers", function()
  local up
  setup(function() up = E.upstream { body = "ok" } end)

  for _, algorithm in ipairs { "fixed-window", "sliding-window", "token-bucket", "leaky-bucket" } do
    it("is exact: " .. algorithm, function()
      local conf = { limit = 100, window = "1d", algorithm = algorithm }
      if algorithm:find "bucket" then conf.burst = 100 end
      local g = E.start { config = config(up, conf) }
      assert.same({ [200] = 100, [429] = 60 }, ask(g, 160))
    end)
  end

  it("counts on through a reload, and with another limit from then on", function()
    local g = E.start { config = config(up, { limit = 100, window = "1d" }) }
    assert.same({ [200] = 48 }, ask(g, 48))
    g:reload(config(up, { limit = 64, window = "1d" }))
    assert.same({ [200] = 16, [429] = 16 }, ask(g, 32))
  end)
end)
