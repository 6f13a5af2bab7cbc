local T = require "moongate.test"

local function wants(name)
  return { lua = ([[return {
    request = function(req)
      req.ctx.asked = (req.ctx.asked or "") .. "%s"
      if not req:header "%s" then return mg.problem(403, "no-%s") end
    end,
    response = function(_, res) res:add_header("X-Back", "%s") end,
    finish = function() mg.log.info "finished %s" end,
  }]]):format(name, name, name:lower(), name, name) }
end

local function gateway(steps, opts)
  return T.new { policies = { { ["all-of"] = steps, when = opts and opts.when }, wants "Z" }, upstreams = { api = {} } }
end

describe("all-of", function()
  it("lets in what all of its steps let in", function()
    local t = gateway { wants "A", { ["all-of"] = { wants "B" } } }
    local res, req = t:request { headers = { A = "1", B = "1", Z = "1" } }
    assert.status(res, 200)
    assert.equal("ABZ", req.ctx.asked)
    assert.header(res, "X-Back", "Z, B, A")
    res, req = t:request { headers = { A = "1", Z = "1" } }
    assert.problem(res, 403, "no-b")
    assert.equal("AB", req.ctx.asked)
    assert.header(res, "X-Back", "A")
    assert.called("api", 1)
    t:settle()
    assert.same({ 2, 2, 1 }, { #t:log "finished A", #t:log "finished B", #t:log "finished Z" })
  end)

  it("has one condition for all", function()
    local t = gateway({ wants "A", wants "B" }, { when = "req.method == 'PUT'" })
    assert.status(t:request { headers = { Z = "1" } }, 200)
    assert.problem(t:request { method = "PUT", headers = { Z = "1" } }, 403, "no-a")
  end)

  it("lets pass what none of its steps is meant for", function()
    local never = wants "A"
    never.when = "false"
    assert.status(gateway({ never }):request { headers = { Z = "1" } }, 200)
  end)

  it("tells of a crash as any step does", function()
    local t = gateway { { lua = "return { request = function() error 'x' end }" } }
    assert.problem(t:request { headers = { Z = "1" } }, 500, "internal-error")
    assert.equal("routes[0].policies[0].all-of[0]", t:log("policy failed")[1].path)
  end)

  it("takes steps, at least one", function()
    local module = require "all-of"
    assert.truthy(T.validate(module, { "csrf", { jwt = {} } }))
    local _, err = T.validate(module, {})
    assert.matches("all-of: must have at least 1 step", tostring(err), 1, true)
    _, err = T.validate(module, "csrf")
    assert.matches("all-of: expected list of steps, got string", tostring(err), 1, true)
  end)
end)
