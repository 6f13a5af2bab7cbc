-- Secrets that are for some policies alone: mg.secret gives them to these, and to nobody else, whenever it is asked.

local T = require "moongate.test"

local SECRET = "0123456789abcdef0123456789abcdef"

-- A step that asks when it is made, or for each request.
local function asks(when)
  if when == "new" then return 'local v = mg.secret "s" return { request = function() return mg.reply(200, v) end }' end
  return 'return { request = function() return mg.reply(200, mg.secret "s") end }'
end

-- It asks in a task of its own.
local function in_task(code)
  return ([[return { request = function()
    local task = mg.spawn(function() %s end)
    return mg.reply(200, task:wait())
  end }]]):format(code)
end

describe("a secret with policies", function()
  local path

  local function gateway(policies, steps, config)
    config = config or {}
    config.secrets = { s = { file = path, policies = policies } }
    return T.new { policies = steps, upstreams = { api = {} }, config = config }
  end

  local function refused(policies, steps)
    local ok, why = pcall(gateway, policies, steps)
    assert.is_false(ok)
    assert.matches("this policy may not have the secret 's'", why, 1, true)
  end

  setup(function()
    path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(SECRET)
    file:close()
  end)

  teardown(function() os.remove(path) end)

  for _, when in ipairs { "new", "request" } do
    it("is given to these, in " .. when, function()
      assert.equal(SECRET, (gateway(nil, { { lua = asks(when) } }):request "/"):text())
      assert.equal(SECRET, (gateway({ "csrf", "lua" }, { { lua = asks(when) } }):request "/"):text())
      assert.equal(SECRET, (gateway("mine", { { lua = asks(when), id = "mine" } }):request "/"):text())
    end)
  end

  it("is not given to others when they are made", function()
    refused({ "csrf" }, { { lua = asks "new" } })
    refused({}, { { lua = asks "new" } })
    refused({ "mine" }, { { lua = asks "new", id = "mine" }, { lua = asks "new" } })
    refused({ "lua" }, { { csrf = { token = { secret = "s", session = "sid" } } } })
  end)

  it("is not given to others that ask later", function()
    for message, code in pairs { ["policy failed"] = asks "request",
      ["policy code failed"] = in_task 'return mg.secret "s"' } do
      local t = gateway({ "csrf" }, { { lua = code } })
      assert.not_equal(SECRET, t:request("/"):text())
      assert.matches("this policy may not have the secret 's'", t:log(message)[1].error, 1, true)
    end
    assert.equal(SECRET, (gateway({ "lua" }, { { lua = in_task 'return mg.secret "s"' } }):request "/"):text())
  end)

  it("is there for what the config itself does with it", function()
    local t = gateway({}, { { jwt = { keys = "main" } } }, { keys = { main = { secret = "s", algorithms = "HS256" } } })
    local token = T.jwt({ sub = "ann" }, { key = SECRET })
    assert.status(t:request { headers = { Authorization = "Bearer " .. token } }, 200)
  end)
end)
