local T = require "moongate.test"

local function gateway(conf, upstream)
  return T.new {
    policies = { { concurrency = conf } }, upstreams = { api = upstream or { body = "ok", delay = 1 } },
  }
end

-- How many of n requests at a time pass; and when the last one had its answer.
local function at_once(t, n, what)
  local handles, passed, last = {}, 0, 0
  for i = 1, n do handles[i] = t:start(what or "/") end
  t:settle()
  for _, handle in ipairs(handles) do
    if handle.res.status == 200 then passed, last = passed + 1, math.max(last, handle.at) end
  end
  return passed, last, handles
end

describe("concurrency", function()
  describe("schema", function()
    local function fails(conf, what)
      local ok, err = T.validate(require "concurrency", conf)
      assert.is_nil(ok)
      assert.matches(what, tostring(err), 1, true)
    end

    it("has defaults", function()
      assert.same({ max = 3, by = "ip", queue = 0, timeout = 1, status = 503 },
        T.validate(require "concurrency", { max = 3 }))
    end)

    it("names the path of a bad field", function()
      fails({}, "concurrency.max: is required")
      fails({ max = 0 }, "concurrency.max")
      fails({ max = 1, queu = 1 }, "concurrency.queu: unknown field, did you mean 'queue'?")
    end)
  end)

  it("lets as many in as it says, and more when these are over", function()
    local t = gateway { max = 3 }
    assert.equal(3, (at_once(t, 5)))
    assert.equal(3, (at_once(t, 5)))
  end)

  it("refuses with 503, and says when to come back", function()
    local t = gateway { max = 1 }
    local _, _, handles = at_once(t, 2)
    local res = handles[1].res.status == 200 and handles[2].res or handles[1].res
    assert.problem(res, 503, "temporary-reduced-capacity")
    assert.header(res, "Retry-After", "1")
    t = gateway { max = 1, status = 429 }
    _, _, handles = at_once(t, 2)
    assert.is_true(handles[1].res.status == 429 or handles[2].res.status == 429)
  end)

  it("counts clients apart", function()
    local t = gateway { max = 1 }
    local one, other = t:start { client_ip = "192.0.2.8" }, t:start { client_ip = "192.0.2.9" }
    t:settle()
    assert.status(one.res, 200)
    assert.status(other.res, 200)
  end)

  it("lets wait who comes too early, in turn", function()
    local t = gateway { max = 1, queue = 2, timeout = "10s" }
    local passed, last = at_once(t, 5)
    assert.equal(3, passed)
    assert.near(3, last, 0.1)
  end)

  it("lets them go in the order in which they came", function()
    local t = gateway({ max = 1, queue = 3, timeout = "10s" }, { body = "ok", delay = 0.1 })
    local handles = {}
    for i = 1, 4 do
      handles[i] = t:start "/"
      t:advance(0.001)
    end
    t:settle()
    for i = 2, 4 do assert.near(0.1, handles[i].at - handles[i - 1].at, 0.01) end
  end)

  it("counts steps with the same name together", function()
    local t = T.load("x.yaml", { upstreams = { api = { body = "ok", delay = 1 } }, text = [[
      services: { api: { backends: ["a:80"] } }
      routes:
        - { match: /a, service: api, policies: [{ concurrency: { max: 2, name: all } }] }
        - { match: /b, service: api, policies: [{ concurrency: { max: 2, name: all } }] }
    ]] })
    local handles = { t:start "/a", t:start "/b", t:start "/a", t:start "/b" }
    t:settle()
    local count = 0
    for _, handle in ipairs(handles) do count = count + (handle.res.status == 200 and 1 or 0) end
    assert.equal(2, count)
  end)

  it("counts clients together of whom its expression says the same", function()
    local t = gateway { max = 1, by = { "${header.x-team}", "route" } }
    local handles = {}
    for i, team in ipairs { "red", "red", "blue" } do handles[i] = t:start { headers = { ["X-Team"] = team } } end
    t:settle()
    local counts = { [200] = 0, [503] = 0 }
    for _, handle in ipairs(handles) do counts[handle.res.status] = counts[handle.res.status] + 1 end
    assert.same({ [200] = 2, [503] = 1 }, counts)
  end)

  it("lets nobody wait longer than that", function()
    local t = gateway { max = 1, queue = 5, timeout = "1500ms" }
    assert.equal(2, (at_once(t, 6)))
    assert.equal(1, (at_once(gateway { max = 1, queue = 5, timeout = 0 }, 6)))
  end)

  it("gives places back whatever becomes of a request", function()
    local upstreams = { { error = "refused" }, { error = "reset" }, { status = 500 }, { close = "mid-body" } }
    for _, upstream in ipairs(upstreams) do
      local t = gateway({ max = 1 }, upstream)
      local first = t:start "/"
      t:settle()
      local second = t:start "/"
      t:settle()
      assert.equal(first.res and first.res.status, second.res and second.res.status)
      assert.equal(0, #t:log "too many requests at a time")
    end
  end)

  it("gives places back of copies of requests, and when the step before asks for what lies behind twice", function()
    local t = T.new { policies = { function(req, next)
      next(req:copy())
      return next(req:copy())
    end, { concurrency = { max = 2 } } }, upstreams = { api = { body = "ok" } } }
    for _ = 1, 3 do assert.status(t:request "/", 200) end
  end)

  it("gives places back when the time of requests is over, also while they wait", function()
    local t = T.new { policies = { { concurrency = { max = 1, queue = 1, timeout = "20s" } } },
      timeout = "1s", upstreams = { api = { body = "ok", delay = 100 } } }
    for _ = 1, 3 do
      local handles = { t:start "/", t:start "/" }
      t:advance(2)
      for _, handle in ipairs(handles) do assert.status(handle.res, 504) end
    end
    assert.equal(0, #t:log "too many requests at a time")
  end)

  it("gives places back when clients leave, also while they wait", function()
    local t = gateway({ max = 1, queue = 1, timeout = "30s" }, { body = "ok", delay = 5 })
    local head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    for _ = 1, 3 do
      local first, second = t:connect(), t:connect()
      first:send(head, 0)
      second:send(head, 0)
      t:advance(0.1)
      first:close()
      second:close()
      t:advance(0.1)
    end
    assert.equal(0, #t:log "too many requests at a time")
    t:advance(60)
    assert.equal(2, (at_once(t, 3)))
  end)
end)
