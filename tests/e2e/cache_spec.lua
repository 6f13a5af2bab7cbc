-- The cache with real sockets and several workers.
local E = require "moongate.e2e"

local CLIENTS = 200

local function start(answer)
  local up = E.upstream(answer)
  local g = E.start { config = { workers = 4, services = { api = { backends = { up.address } } },
    routes = { { match = "/*", service = "api", policies = { { cache = { ttl = 60 } } } } } } }
  return up, g
end

-- So many clients at once, each on a connection of its own.
local function ask_all(g, path)
  local tasks, answers = {}, {}
  for i = 1, CLIENTS do
    tasks[i] = E.spawn(function() return g:get(path) end)
  end
  for i, task in ipairs(tasks) do answers[i] = task:wait() end
  return answers
end

describe("cache", function()
  it("fetches once for all clients of all workers", function()
    local up, g = start(function(req)
      return { headers = { ["Cache-Control"] = "max-age=60" }, body = req.path .. ("x"):rep(5000), delay = 0.3 }
    end)
    local answers = ask_all(g, "/page")
    for _, res in ipairs(answers) do
      assert.status(res, 200)
      assert.equal("/page" .. ("x"):rep(5000), res:text())
    end
    assert.called(up, 1)
  end)

  it("gives each byte to all as it comes", function()
    local up, g = start(function()
      return { headers = { ["Cache-Control"] = "max-age=60" }, body = ("y"):rep(2000), trickle = { 200, 0.05 } }
    end)
    for _, res in ipairs(ask_all(g, "/slow")) do assert.equal(("y"):rep(2000), res:text()) end
    assert.called(up, 1)
  end)

  it("ends uncleanly for all who read when the origin breaks off, and keeps nothing", function()
    local whole, count = ("z"):rep(2000), 0
    local up, g = start(function()
      count = count + 1
      return { headers = { ["Cache-Control"] = "max-age=60" }, body = whole, delay = 1.5,
        close = count == 1 and "mid-body" or nil }
    end)
    local tasks = {}
    for i = 1, CLIENTS // 4 do
      tasks[i] = E.spawn(function() return pcall(g.get, g, "/broken") end)
    end
    -- Who had not begun to read yet may get what the next fetch brings; nobody gets a part as if it were the whole.
    local broken = 0
    for _, task in ipairs(tasks) do
      local ended, res = task:wait()
      if ended then
        assert.equal(whole, res:text())
      else
        assert.matches("no response to GET /broken: closed", tostring(res), 1, true)
        broken = broken + 1
      end
    end
    assert.is_true(broken > 0)
    assert.equal(whole, g:get("/broken"):text())
    assert.called(up, 2)
  end)

  it("serves bodies larger than an object may be, and does not keep them", function()
    local up, g = start(function()
      return { headers = { ["Cache-Control"] = "max-age=60" },
        chunks = { ("a"):rep(1 << 20), ("b"):rep(1 << 20), ("c"):rep(1 << 20) } }
    end)
    for _ = 1, 2 do
      local res = g:get "/large"
      assert.equal(3 << 20, #res:text())
    end
    assert.called(up, 2)
  end)
end)
