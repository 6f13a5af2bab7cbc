-- dev: what is saved is in force a moment later, without anybody asking for it.

local E = require "moongate.e2e"
local process = require "moongate.e2e.process"

local function policy(text)
  return ([[
    local mg = require "moongate"
    return { name = "mine", version = "1.0.0",
      new = function() return { request = function() return mg.reply(200, %q) end } end }]]):format(text)
end

-- As editors do it.
local function save(g, name, text)
  process.write(g.folder .. "/" .. name .. "~", text)
  assert(os.rename(g.folder .. "/" .. name .. "~", g.folder .. "/" .. name))
end

local function answers(g, text)
  E.eventually(function() assert.equal(text, g:get("/"):text()) end)
end

local function config(dev, more)
  local out = { dev = dev, include = { "more/*.yaml" }, routes = { { match = "/*", policies = { "mine" } } } }
  for key, value in pairs(more or {}) do out[key] = value end
  return out
end

local FILES = {
  ["policies/mine.lua"] = policy "one",
  ["more/first.yaml"] = "routes: [{ match: /first, policies: [{ respond: { body: first } }] }]",
}

describe("dev", function()
  it("takes over a policy when it is saved", function()
    local g = E.start { config = config(true), files = FILES }
    answers(g, "one")
    save(g, "policies/mine.lua", policy "two")
    answers(g, "two")
    local file = assert(io.open(g.folder .. "/policies/mine.lua", "r+")) -- it is never half of what it was before
    file:write(policy "the third")
    file:close()
    answers(g, "the third")
  end)

  it("takes over the config, included files and new ones among them", function()
    local g = E.start { config = config(true), files = FILES }
    assert.equal("first", g:get("/first"):text())
    save(g, "more/first.yaml", "routes: [{ match: /first, policies: [{ respond: { body: again } }] }]")
    E.eventually(function() assert.equal("again", g:get("/first"):text()) end)
    save(g, "more/second.yaml", "routes: [{ match: /second, policies: [{ respond: { body: second } }] }]")
    E.eventually(function() assert.equal("second", g:get("/second"):text()) end)
    g.write_config(config(true, { include = {} }))
    E.eventually(function() assert.equal("one", g:get("/second"):text()) end)
  end)

  it("says what is wrong with what was saved, and goes on when it is mended", function()
    local g = E.start { config = config(true), files = FILES }
    save(g, "policies/mine.lua", "return {")
    assert.equal(1, #g:wait_log "policies/mine.lua:1: ")
    answers(g, "one")
    save(g, "more/new.yaml", "routes: [")
    E.eventually(function() assert.equal(2, #g:log "reload failed") end)
    save(g, "policies/mine.lua", policy "two")
    E.eventually(function() assert.equal(3, #g:log "reload failed") end)
    save(g, "more/new.yaml", "routes: []")
    answers(g, "two")
  end)

  it("begins and ends with a reload", function()
    local g = E.start { config = config(false), files = FILES }
    assert.is_true(g:reload(config(true)))
    save(g, "policies/mine.lua", policy "two")
    answers(g, "two")
    g.write_config(config(false))
    E.eventually(function() assert.equal(3, #g:log "config reloaded") end)
    save(g, "policies/mine.lua", policy "three")
    assert.is_true(g:reload())
    assert.equal(4, #g:log "config reloaded")
  end)
end)
