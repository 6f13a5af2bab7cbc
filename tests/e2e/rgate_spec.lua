-- A file of rgate, run by the program under that name.
local E = require "moongate.e2e"
local gateway = require "moongate.e2e.gateway"
local process = require "moongate.e2e.process"

local CONFIG = [[
listen: 127.0.0.1:1
routes:
  - { path_prefix: /api/payment, backend: payment }
  - { path_prefix: /api/down, backend: down }
backends:
  - { name: payment, match_labels: [app_name=payment], addresses: [%s, %s] }
  - { name: down, match_labels: [app_name=down], addresses: "127.0.0.1:%d" }
default_response: { body: This is not reachable, status_code: 403 }
]]

describe("rgate", function()
  local folder, one, two, g

  setup(function()
    folder = process.folder()
    assert(os.execute(("ln -s \"$(realpath '%s')\" '%s/rgate'"):format(gateway.program, folder)))
    one, two = E.upstream { body = "Flask inside Docker" }, E.upstream { body = "Flask inside Docker" }
    g = E.start {
      program = folder .. "/rgate", name = "config.yml", args = { "-p", "0" },
      config = CONFIG:format(one.address, two.address, E.refused()),
    }
  end)

  teardown(function() process.remove_folder(folder) end)

  it("listens on the port of -p", function()
    assert.not_equal(1, g.port)
    assert.equal("Flask inside Docker", g:get("/api/payment").body)
  end)

  it("draws from all addresses of a backend", function()
    for _ = 1, 64 do assert.status(g:get "/api/payment/7", 200) end
    assert.is_true(#one.seen > 0 and #two.seen > 0)
  end)

  it("answers 503 for a backend that is down, and has one answer for all else", function()
    assert.status(g:get "/api/down", 503)
    local res = g:get "/api/downX"
    assert.same({ 403, "This is not reachable" }, { res.status, res.body })
  end)

  it("has its statistics on the same port", function()
    local before = g:get("/stats"):json().requests_count
    g:get "/api/payment"
    g:get "/none"
    local after = g:get("/stats"):json()
    assert.same({ before.success + 1, before.error + 1 }, { after.requests_count.success, after.requests_count.error })
    assert.number(after.latency_ms.p99)
  end)

  it("takes no commands", function()
    local res = E.command { folder .. "/rgate", "check" }
    assert.equal(2, res.status)
    assert.matches("run: unknown argument 'check'", res.stderr, 1, true)
  end)
end)
