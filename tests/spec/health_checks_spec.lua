-- Active health checks: what brings a backend down and up again, and how it is asked.
local T = require "moongate.test"
local mg = require "moongate"

describe("health checks", function()
  local well, asked, answer -- by Host: false is ill; requests for /health; instead of the usual answer

  before_each(function() well, asked, answer = {}, {}, nil end)

  local function play(req)
    local host = req:header "Host"
    if req.path ~= "/health" then return { body = host } end
    asked[#asked + 1] = req
    if answer then return answer(req) end
    return { status = well[host] == false and 500 or 204 }
  end

  local function gateway(health, more)
    health = health or {}
    health.path = health.path or "/health"
    local api = { backends = { "10.0.0.1:80", "10.0.0.2:80" }, host = "backend", health = health }
    for key, value in pairs(more or {}) do api[key] = value end
    return T.new { service = "api", upstreams = { api = play }, config = { services = { api = api } } }
  end

  -- Who answers the next requests.
  local function answering(t)
    local out = {}
    for _ = 1, 6 do out[t:request("/"):text()] = true end
    return out
  end

  it("keep requests from a backend that is ill, after three bad answers in a row, until two good ones", function()
    local t = gateway()
    well["10.0.0.1:80"] = false
    t:advance(9.9)
    assert.same({ ["10.0.0.1:80"] = true, ["10.0.0.2:80"] = true }, answering(t))
    t:advance(0.7)
    assert.same({ ["10.0.0.2:80"] = true }, answering(t))
    assert.equal("10.0.0.1:80", t:log("backend is down")[1].backend)
    assert.equal("status 500", t:log("backend is down")[1].error)
    well = {}
    t:advance(5)
    assert.same({ ["10.0.0.2:80"] = true }, answering(t))
    t:advance(5)
    assert.same({ ["10.0.0.1:80"] = true, ["10.0.0.2:80"] = true }, answering(t))
    assert.equal(1, #t:log "backend is up again")
  end)

  it("do not mind single failures", function()
    local t = gateway()
    for i = 1, 30 do
      well["10.0.0.1:80"] = i % 3 == 0
      t:advance(5)
    end
    assert.equal(0, #t:log "backend is down")
  end)

  it("come as often as they should, and not at the same moment", function()
    local t = gateway { every = "10s" }
    t:advance(99)
    assert.equal(20, #asked)
    assert.equal("moongate", asked[1]:header "User-Agent")
  end)

  it("say what the config says", function()
    local t = gateway { path = "/health?deep=1", host = "inner.test", headers = { ["X-Probe"] = "1" } }
    t:advance(1)
    assert.same({ "inner.test", "1", "deep=1" },
      { asked[1]:header "Host", asked[1]:header "X-Probe", asked[1].query })
  end)

  for what, case in pairs {
    ["a status that is expected"] = { { expect = { 418, "500-503" } }, { status = 502 }, true },
    ["a status that is not"] = { { expect = { 418, "500-503" } }, { status = 200 }, false },
    ["a redirect"] = { {}, { status = 302, headers = { Location = "/ok" } }, false },
    ["the text"] = { { body = "ready" }, { body = "I am ready to serve" }, true },
    ["another text"] = { { body = "ready" }, { body = "starting" }, false },
    ["no whole answer"] = { {}, { close = "mid-body", body = "half of it" }, false },
    ["an endless answer"] = { {}, { body = ("x"):rep(70000) }, false },
  } do
    it("judge " .. what, function()
      answer = function() return case[2] end
      case[1].unhealthy = 1
      local t = gateway(case[1])
      t:advance(5)
      assert.equal(case[3] and 0 or 2, #t:log "backend is down")
    end)
  end

  it("have a time limit", function()
    answer = function() mg.sleep(3) return { status = 200 } end
    local t = gateway { unhealthy = 1, timeout = "1s" }
    t:advance(2)
    assert.equal("no whole answer in time", t:log("backend is down")[1].error)
  end)

  it("of TCP are content with a connection", function()
    local t = T.new { service = "api", upstreams = { api = play, gone = { error = "refused" } }, config = { services = {
      api = { backends = { "10.0.0.1:80" }, health = { type = "tcp", unhealthy = 1 } },
      gone = { backends = { "10.0.0.9:80" }, health = { type = "tcp", unhealthy = 1 } },
    } } }
    t:advance(1)
    assert.equal(0, #asked)
    assert.equal(1, #t:log "backend is down")
    assert.equal("connection-refused", t:log("backend is down")[1].error)
  end)
end)
