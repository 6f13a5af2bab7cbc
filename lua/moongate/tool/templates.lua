-- The files of a new policy: small, complete and tested, to be changed step by step. @NAME@ stands for its name.

local M = {}

M.policy = [==[
-- Say here, in a sentence or two, what it is for.
--
-- As it stands it refuses requests without a certain header, and tells clients on the way back how long the rest took.

local mg, s = require "moongate", require "moongate.schema"

local M = {
  name = "@NAME@",
  version = "0.1.0",
  summary = "Wants a header, and tells how long the answer took",
}

-- All that the config may say. It is checked before anything runs: `moongate check`.
M.schema = s.record {
  header = s.header_name { default = "X-Tenant", help = "requests without it are refused" },
}

-- Called once for each step that names this policy, and for each worker. Prepare here what requests need.
function M.new(conf)
  return {
    -- Returns nothing (go on), a response (stop here, this is the answer), or a function for the way back.
    request = function(req)
      if not req:header(conf.header) then
        return mg.problem(400, "header-missing", "The header " .. conf.header .. " is missing")
      end
      local before = mg.monotonic()

      return function(res)
        local ms = (mg.monotonic() - before) * 1000
        res:set_header("Server-Timing", (M.name .. ";dur=%.1f"):format(ms))
      end
    end,
  }
end

return M
]==]

M.spec = [==[
-- What @NAME@ promises. Run it with: moongate test

local T = require "moongate.test"

local policy = require "@NAME@"

-- A gateway in memory: one route with this step, before a backend called `api`.
local function gateway(conf, answer)
  return T.new {
    policies = { { [policy.name] = conf or {} } },
    upstreams = { api = answer or { body = "ok" } },
  }
end

local TENANT = { headers = { ["X-Tenant"] = "acme" } }

describe("@NAME@", function()
  describe("schema", function()
    it("has defaults", function()
      assert.same({ header = "X-Tenant" }, T.validate(policy, {}))
    end)

    it("names the path of a bad field", function()
      local conf, err = T.validate(policy, { heder = "X-Tenant" })
      assert.is_nil(conf)
      assert.matches("heder: unknown field, did you mean 'header'?", err, 1, true)
    end)
  end)

  it("refuses requests without the header; the backend is not asked", function()
    local t = gateway()
    assert.problem(t:request "/", 400, "header-missing")
    assert.called("api", 0)
  end)

  it("takes the header that the config names", function()
    local t = gateway { header = "X-Shop" }
    assert.problem(t:request(TENANT), 400, "header-missing")
    assert.status(t:request { headers = { ["X-Shop"] = "acme" } }, 200)
  end)

  it("tells how long the backend took", function()
    local t = gateway(nil, { body = "ok", delay = 0.25 }) -- takes no time: the kit's clock jumps
    local res = t:request(TENANT)
    assert.status(res, 200)
    assert.header(res, "Server-Timing", policy.name .. ";dur=250.0")
  end)

  it("tells it of failures too", function()
    local res = gateway(nil, { error = "refused" }):request(TENANT)
    assert.status(res, 503)
    assert.header(res, "Server-Timing", policy.name .. ";dur=0.0")
  end)
end)
]==]

M.readme = [==[
# @NAME@

Say here what it does and when to use it. As it stands it refuses requests without a certain header with 400, and tells
clients in `Server-Timing` how long the steps behind it and the backend took.

| option | type | default | meaning |
|---|---|---|---|
| `header` | header name | `X-Tenant` | requests without it are refused |

```yaml
policies:
  - @NAME@: { header: X-Tenant }
```
]==]

return M
