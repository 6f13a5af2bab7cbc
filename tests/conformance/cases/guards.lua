-- What protects services: circuits that open.

local assert = require "luassert"
local expect = ...

local function failing(name, errors, check)
  return {
    name = name,
    upstreams = { users = function(req) return { status = tonumber(req:arg "s") or 200, body = "mine" } end },
    config = {
      errors = errors,
      services = { users = { circuit_breaker = { failures = 5, open_for = "10s" } } },
      routes = { { match = "/*", service = "users" } },
    },
    { "is refused at once, and says which service it is", function(g)
      -- 2xx ends a row, 4xx is neutral.
      for _, status in ipairs { 500, 500, 500, 500, 200, 500, 503, 404, 500, 502, 301, 500 } do
        expect(g:request("/?s=" .. status), status, { body = "mine" })
      end
      local res = g:request "/?s=200"
      expect(res, 503)
      assert.matches("^%d+$", res:header "Retry-After")
      check(res)
      g:log "circuit opened"
    end },
  }
end

return {
  failing("an open circuit", { format = "simple" }, function(res)
    assert.equal('{"error":"Service temporarily unavailable","service":"users"}', res:text())
    assert.equal("application/json", res:header "Content-Type")
  end),
  failing("an open circuit's problem", nil, function(res)
    expect.problem(res, 503, "circuit-open", "Service temporarily unavailable")
    assert.equal("users", res:json().service)
  end),
}
