-- Who the gateway is once it listens, and what it may do.

local E = require "moongate.e2e"
local process = require "moongate.e2e.process"

-- Policies would be looked up in the spec's folder, which only root may read.
local function config(more)
  local out = { routes = {}, default_response = { status_code = 200, body = "hello" } }
  for key, value in pairs(more or {}) do out[key] = value end
  return out
end

local function status_of(pid)
  local fields = {}
  for name, value in (process.read(("/proc/%d/status"):format(pid)) or ""):gmatch "(%w+):%s*([^\n]*)\n" do
    fields[name] = value
  end
  return fields
end

local function id(...)
  return (E.command({ "id", ... }).stdout:gsub("%s+$", ""))
end

local AS_ROOT = id "-u" == "0"

local function root_it(name, fn)
  it(name, function()
    if not AS_ROOT then return pending "only root can become somebody else" end
    fn()
  end)
end

local function ids(text)
  local out = {}
  for number in text:gmatch "%d+" do out[#out + 1] = number end
  return out
end

describe("the process that serves", function()
  it("never gets more rights", function()
    local g = E.start { config = config() }
    assert.equal("1", status_of(g:serving_pid()).NoNewPrivs)
  end)

  root_it("is another user once it listens; the supervisor is not", function()
    local nobody = id("-u", "nobody")
    local g = E.start { config = config { user = "nobody", workers = 2 } }
    assert.equal("hello", g:get("/").body)
    local status = status_of(g:serving_pid())
    assert.same({ nobody, nobody, nobody, nobody }, ids(status.Uid))
    local group = id("-g", "nobody")
    assert.same({ group, group, group, group }, ids(status.Gid))
    assert.same({ group }, ids(status.Groups))
    for _, set in ipairs { "CapPrm", "CapEff", "CapAmb" } do assert.equal(0, tonumber(status[set], 16)) end
    assert.equal("0", ids(status_of(g.pid).Uid)[1])
    for tid in E.command({ "ls", ("/proc/%d/task"):format(g:serving_pid()) }).stdout:gmatch "%d+" do
      local thread = status_of(math.tointeger(tonumber(tid)))
      assert.equal(nobody, ids(thread.Uid)[2], thread.Name)
    end
  end)

  root_it("can have a group of its own, and numbers for names", function()
    local g = E.start { config = config { user = "54321", group = "54322" } }
    local status = status_of(g:serving_pid())
    assert.equal("54321", ids(status.Uid)[1])
    assert.same({ "54322", "54322", "54322", "54322" }, ids(status.Gid))
    assert.same({ "54322" }, ids(status.Groups))
  end)

  root_it("still ends with its supervisor, and is that user again after a fall", function()
    local g = E.start { config = config { user = "nobody" } }
    process.signal(g:serving_pid(), "KILL")
    g:wait_log "the gateway process fell"
    assert.equal("hello", g:get("/").body)
    local pid = g:serving_pid()
    assert.equal(id("-u", "nobody"), ids(status_of(pid).Uid)[1])
    g:kill()
    assert.is_false(process.lives(pid))
  end)

  root_it("reads the config as that user when it is told to, and root's when it is started", function()
    local g = E.start { config = config { user = "nobody" } }
    local _, why = g:reload() -- the folder of a spec is its own
    assert.matches("Permission denied", why)
    assert.equal("hello", g:get("/").body)
    assert.equal(0, E.command({ "chmod", "755", g.folder }).status)
    assert.is_true(g:reload())
    assert.equal(0, E.command({ "chmod", "700", g.folder }).status)
    g.process:signal "USR2"
    g:wait_log "the new program serves"
    assert.equal("hello", g:get("/").body)
  end)

  root_it("does not start as somebody whom nobody knows", function()
    for _, what in ipairs { "user", "group" } do
      local text = ("%s: no-such-one\nlisten: 127.0.0.1:0\nroutes: []\n"):format(what)
      local res = E.run { args = { "run", "-c", "CONFIG" }, config = text }
      assert.equal(1, res.status)
      assert.matches(("%s: there is no %s 'no-such-one'"):format(what, what), res.stderr, 1, true)
    end
  end)
end)

describe("process 1 of a container", function()
  it("takes in orphans, and stops when it is told to", function()
    if E.command({ "unshare", "--pid", "--fork", "true" }).status ~= 0 then
      return pending "this user may not make process namespaces"
    end
    local g = E.start {
      under = { "unshare", "--pid", "--fork", "--kill-child", "sh", "-c", '(sleep 0.1 &); exec "$@"', "sh" },
      config = config(),
    }
    local supervisor = g:serving_pid()
    local function children()
      return process.read(("/proc/%d/task/%d/children"):format(supervisor, supervisor))
    end
    assert.equal("hello", g:get("/").body)
    E.eventually(function() assert.matches("^%d+ $", children()) end) -- no orphan, no zombie
    process.signal(math.tointeger(tonumber(children())), "KILL")
    g:wait_log "the gateway process fell"
    assert.equal("hello", g:get("/").body)
    process.signal(supervisor, "TERM")
    assert.equal(0, g:wait())
  end)
end)
