-- moongate.tool.condition: what a `when` says to a request of which only the head is known.
local condition = require "moongate.tool.condition"

local REQUEST = {
  method = "GET", path = "/a", auth = "never read", params = { id = "7" },
  header = function(self, name) return self.method .. " " .. name end,
  expr = function(_, text) return text end,
  text = function() error "never read" end,
}

local function ask(text, mg)
  return condition.ask(load("local req, res, mg = ...; return " .. text), REQUEST, mg or {})
end

describe("a condition", function()
  it("holds or not, by what the head says", function()
    assert.is_true((ask 'req.method == "GET"'))
    assert.is_false((ask 'req.method == "PUT"'))
    assert.is_false((ask "nil"))
    assert.is_true((ask 'req:header "x" == "GET x"'))
    assert.is_true((ask 'req.params.id == "7"'))
    assert.is_true((ask 'req:expr "${path}" ~= ""'))
  end)

  it("tells what it has looked at, once each", function()
    local _, reads = ask 'req.method == "GET" and req:header "x" and req.method and req.path == "/b"'
    assert.same({ "req.method", "req:header", "req.path" }, reads)
  end)

  it("cannot be told where it looks at what steps and backends say", function()
    for text, why in pairs {
      ["req.auth.subject"] = "req.auth is set by steps, which have not run",
      ["req.ctx.x"] = "req.ctx is set by steps, which have not run",
      ["req:text()"] = "req:text reads the body, which is not known",
      ["req.id"] = "req.id is not known before the request comes",
      ['req:expr "${claims.role}"'] = "${claims} is set by steps, which have not run",
      ["res.status == 200"] = "there is no response yet",
      ["mg.now() > 1"] = "mg.now may say something else each time",
    } do
      local holds, _, because = ask(text)
      assert.same({ "nil", why }, { tostring(holds), because })
    end
  end)

  it("looks behind `and` only where that counts", function()
    assert.is_false((ask 'req.method == "PUT" and req.auth.role == "x"'))
    assert.is_true((ask 'req.method == "GET" or res.status == 1'))
  end)

  it("may use what always says the same", function()
    assert.is_true((ask("mg.json == 1", { json = 1 })))
  end)

  it("tells that it fails", function()
    local holds, _, why = ask "req.path.x.y"
    assert.is_nil(holds)
    assert.matches("^it fails: ", why)
  end)
end)
