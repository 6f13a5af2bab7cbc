-- Bodies that break: before the headers have left the client still gets an error, afterwards never a clean end.

local T = require "moongate.test"

local function transformed(fn)
  return T.new {
    policies = { function(req, next)
      local res = next(req)
      res:transform(fn)
      return res
    end },
    upstreams = { api = { chunks = { "one", "two" } } },
  }
end

describe("a transform that raises", function()
  it("at once is a 500, for nothing has left", function()
    local t = transformed(function() error "no" end)
    assert.status(t:request "/", 500)
  end)

  it("later cuts the response off", function()
    local calls = 0
    local t = transformed(function(chunk)
      calls = calls + 1
      if calls > 1 then error "no" end
      return chunk
    end)
    local res = t:request "/"
    assert.is_truthy(res.broken)
  end)
end)
