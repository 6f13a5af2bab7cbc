-- Broken policies (tests/conformance/broken.lua) in simulation: what their authors read in the log, in the failure of a
-- matcher, and when they are loaded.

local T = require "moongate.test"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local broken = dofile(here .. "/../conformance/broken.lua")
local process = require "moongate.e2e.process"

local folder

setup(function() folder = process.folder() end)
teardown(function() process.remove_folder(folder) end)

local function gateway(case)
  local name, options = case[1], case[4] or {}
  process.write(("%s/%s.lua"):format(folder, name), broken.text(case))
  return T.new {
    policies = { { [name] = {}, when = options.when } }, path = { folder }, config = { limits = options.limits },
    upstreams = { api = { body = "whole" } },
  }
end

local function said(case)
  return broken.said(case, ("%s/%s.lua"):format(folder, case[1]), true)
end

-- The line of the log, which has all that is needed to find the place.
local function failure(t, case)
  local options = case[4] or {}
  local lines = t:log(options.message or "policy failed")
  assert.equal(1, #lines)
  local line = lines[1]
  assert.same({ "error", case[1], case[1], "routes[0].policies[0]", "test" },
    { line.level, line.policy, line.step, line.path, line.route })
  assert.matches("^%x+$", line.request_id)
  return line
end

describe("a policy that", function()
  for _, case in ipairs(broken.at_run) do
    it(case[1] .. " is told so", function()
      local t, options = gateway(case), case[4] or {}
      local res = t:request { method = "POST", chunks = { "a", "b" } }
      if options.status == "cut" then
        assert.is_string(res.broken)
      else
        assert.status(res, options.status or 500)
      end
      t:settle()
      local line = failure(t, case)
      assert.equal(said(case), line.error:match "^[^\n]*")
      -- The spec that did not expect it reads the same.
      local ok, fault = pcall(assert.status, res, 418)
      assert.is_false(ok)
      assert.matches(("%s in step %s (routes[0].policies[0]): %s"):format(
        options.message or "policy failed", case[1], said(case)), fault.message, 1, true)
    end)
  end

  for _, case in ipairs(broken.at_load) do
    it(case[1] .. " is refused", function()
      local ok, fault = pcall(gateway, case)
      assert.is_false(ok)
      assert.equal("T.new: " .. said(case), fault:match "T%.new: [^\n]*")
    end)
  end
end)

describe("a metamethod that Lua itself calls", function()
  it("may wait", function()
    local t = T.new { policies = { { lua = [[
      local lazy = setmetatable({}, { __index = function(_, key) mg.sleep(1) return key end })
      return { request = function() return mg.reply(200, lazy.now) end }]] } } }
    assert.equal("now", t:request("/"):text())
    assert.equal(1, t:now())
  end)
end)

describe("the failure of a matcher", function()
  it("shows the traceback of the policy, and whose step it was", function()
    local t = T.new { policies = { { lua = [[
      local function deep(n) if n == 0 then error "at the bottom" end return (deep(n - 1)) end
      return { request = function() deep(2) end }]], id = "culprit" } } }
    local ok, fault = pcall(assert.status, t:request "/", 200)
    assert.is_false(ok)
    for _, part in ipairs {
      "expected status 200, got", "GET /", '"error":"internal-error"',
      "policy failed in step culprit (routes[0].policies[0]) of policy 'lua': T.new:1: at the bottom",
      "stack traceback:", "in upvalue 'deep'", "T.new:2: in function <T.new:2>",
    } do
      assert.matches(part, fault.message, 1, true)
    end
  end)
end)

describe("a step that keeps a function for the way back", function()
  it("leaves nothing when the client goes before", function()
    local t = T.new {
      policies = { { lua = "return { request = function() return function() end end }" } },
      upstreams = { api = { delay = 10 } },
    }
    local registry = debug.getregistry()
    local function functions()
      collectgarbage()
      local count = 0
      for _, value in pairs(registry) do count = count + (type(value) == "function" and 1 or 0) end
      return count
    end
    local function leave()
      local client = t:connect()
      client:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
      client:reset()
    end
    leave()
    local before = functions()
    for _ = 1, 50 do leave() end
    assert.equal(before, functions())
  end)
end)

describe("an onion that calls next again for a body that streamed", function()
  local TEXT = [[return function(req, next)
    next(req)
    return next(req)
  end]]

  it("gives what came first, when it says on_error: continue", function()
    local t = T.new { policies = { { lua = TEXT, on_error = "continue" } }, upstreams = { api = { body = "first" } } }
    local res = t:request { chunks = { "a", "b" } }
    assert.status(res, 200)
    assert.equal("first", res:text())
    assert.equal(1, #t:log "policy failed")
    assert.called("api", 1)
  end)

  it("does not take the blame of one that is further out", function()
    local t = T.new {
      policies = { { lua = TEXT, id = "outer" }, { lua = "return function(req, next) return next(req) end" } },
      upstreams = { api = { body = "first" } },
    }
    assert.status(t:request { chunks = { "a", "b" } }, 500)
    local lines = t:log "policy failed"
    assert.equal(1, #lines)
    assert.equal("outer", lines[1].step)
  end)
end)

describe("finish", function()
  it("gets no response when the client went before there was one", function()
    local t = T.new {
      policies = { { lua = [[return { finish = function(req, res, info)
        mg.log.info("finished", { path = req.path, res = tostring(res), status = tostring(info.status),
          bytes = info.bytes, reason = info.reason })
      end }]] } },
      upstreams = { api = { delay = 5 } },
    }
    local client = t:connect()
    client:send "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
    t:advance(1)
    client:reset()
    local line = t:log "finished"[1]
    assert.same({ "/slow", "nil", "nil", 0, "client-reset", "2026-01-01T00:00:01.000Z" },
      { line.path, line.res, line.status, line.bytes, line.reason, line.time })
  end)
end)
