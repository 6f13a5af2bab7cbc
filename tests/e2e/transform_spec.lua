-- The policy transform on real sockets: what a simulation cannot show of it.
local E = require "moongate.e2e"

local function start(up, options)
  return E.start { config = {
    services = { api = { backends = { up.address } } },
    routes = { { match = "/*", service = "api", policies = { { transform = options } } } },
  } }
end

local function resident(g)
  local file = assert(io.open(("/proc/%d/status"):format(g:serving_pid())))
  local kib = file:read("a"):match "VmRSS:%s*(%d+)"
  file:close()
  return tonumber(kib)
end

describe("transform", function()
  it("forwards a POST with its new body", function()
    local up = E.upstream { json = { userName = "ann" } }
    local g = start(up, {
      request = { query = { rename = { user_id = "userId" } }, rename = { user_name = "userName" } },
      response = { when = 'req:header "x-api-version" == "v1"', rename = { userName = "user_name" } },
    })
    local res = g:request { method = "POST", path = "/api/orders?user_id=7", body = '{"user_name":"ann","n":1.00}',
      headers = { ["Content-Type"] = "application/json", ["X-Api-Version"] = "v1" } }
    assert.status(res, 200)
    assert.equal('{"user_name":"ann"}', res:text())
    assert.header(res, "Content-Length", "19")
    local seen = up.seen[1]
    assert.equal("/api/orders?userId=7", seen.target)
    assert.equal('{"userName":"ann","n":1.00}', seen.body)
    assert.equal("27", seen:header "Content-Length")
  end)

  it("takes no more memory for a long list than for a short one", function()
    local item = '{"product_id":12345,"qty":3,"note":"some words","dims":{"qty":1}},'
    local piece, pieces = item:rep(1000), 500
    local up = E.upstream(nil, { serve = function(s)
      repeat
        local line = s:line()
        if not line then return end
      until line == ""
      s:send "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n"
      local chunk = ("%x\r\n%s\r\n"):format(#piece, piece)
      for _ = 1, pieces do
        if not s:send(chunk) then return end
      end
      s:send "3\r\n{}]\r\n0\r\n\r\n"
    end })
    local g = start(up, { response = { map = { ["[]"] = { rename = { product_id = "productId" },
      set = { qty = 4 } } } } })
    local want = '{"productId":12345,"qty":4,"note":"some words","dims":{"qty":1}},'
    local client = g:connect { timeout = 60 }
    client:send "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    repeat until client:line() == ""
    local before, most, left = resident(g), 0, pieces * 1000 * #want
    while left > 0 do
      left = left - #assert(client:receive(math.min(left, 1 << 20)))
      most = math.max(most, resident(g))
    end
    if E.limit(1) == 1 then assert.is_true(most - before < 4096, ("grew by %d KiB"):format(most - before)) end
  end)
end)
