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

  it("grants no more than the limit in any window that slides over the load", function()
    local limit, window = 20, 0.5
    local g = E.start { config = config(up, { limit = limit, window = "500ms", algorithm = "sliding-window" }) }
    local grants, tasks, from = {}, {}, E.now()
    -- One opens a window, and the load comes shortly before that ends: where windows only follow each other, twice the
    -- limit would pass at the edge.
    assert.status(g:get "/", 200)
    E.until_true(function() return E.now() > from + 0.8 * window end)
    for i = 1, CLIENTS do
      tasks[i] = E.spawn(function()
        local client = g:connect()
        while E.now() < from + 4 * window or #grants <= 2 * limit do
          local asked = E.now()
          if client:request("/").status == 200 then grants[#grants + 1] = { asked = asked, told = E.now() } end
        end
      end)
    end
    for _, task in ipairs(tasks) do task:wait() end -- for the window slides on
    -- When a request was granted is not seen: after it was asked, and before that was told. So many more than the limit
    -- as were both asked and told within one window are too many.
    for _, first in ipairs(grants) do
      local inside = 0
      for _, grant in ipairs(grants) do
        if grant.asked >= first.asked and grant.told < first.asked + window then inside = inside + 1 end
      end
      assert.is_true(inside <= limit, inside .. " in one window")
    end
  end)

  it("counts on through a reload, and with another limit from then on", function()
    local g = E.start { config = config(up, { limit = 100, window = "1d" }) }
    assert.same({ [200] = 48 }, ask(g, 48))
    g:reload(config(up, { limit = 64, window = "1d" }))
    assert.same({ [200] = 16, [429] = 16 }, ask(g, 32))
  end)

  it("counts on when the reload puts another route before its own", function()
    local g = E.start { config = config(up, { limit = 100, window = "1d" }) }
    assert.same({ [200] = 48 }, ask(g, 48))
    local after = config(up, { limit = 100, window = "1d" })
    local other = { { ["rate-limit"] = { limit = 1 } } }
    table.insert(after.routes, 1, { match = "/other", service = "api", policies = other })
    assert.is_true(g:reload(after))
    assert.same({ [200] = 52, [429] = 12 }, ask(g, 64))
    assert.status(g:get "/other", 200)
  end)
end)
