-- The cache with real sockets and several workers.
local E = require "moongate.e2e"
local process = require "moongate.e2e.process"
local scope = require "moongate.e2e.scope"

local FRESH = { ["Cache-Control"] = "max-age=60" }

local COUNT = [[
  local counts = mg.shared "counts"
  return { request = function() counts:incr("arrived", 1, 0) end }]]

local COUNTED = [[
  local counts = mg.shared "counts"
  return function() return mg.reply(200, tostring(counts:get "arrived" or 0)) end]]

local function start(answer, options, caches)
  local up = E.upstream(answer, options)
  local g = E.start { config = { workers = 4, caches = caches, shared = { counts = "128KiB" },
    services = { api = { backends = { up.address } } },
    routes = {
      { match = "/arrived", policies = { { lua = COUNTED } } },
      { match = "/*", service = "api", policies = { { lua = COUNT }, { cache = { ttl = 60, wait = 60 } } } },
    } } }
  return up, g
end

-- ------------------------------------------------------------------------------------------------ many clients

-- So many as one curl runs at the same time, and so many of these.
local CONNECTIONS, CURLS = 250, 4
local CLIENTS = CONNECTIONS * CURLS

local Crowd = {}
Crowd.__index = Crowd

-- Clients that all want the same at once, each on a connection of its own. They are processes of their own, for
-- select(2) takes no more than 1024 sockets in one.
local function crowd(g, path)
  local self = setmetatable({ curls = {} }, Crowd)
  for i = 1, CURLS do
    local args = { "-sZN", "--parallel-immediate", "--parallel-max", tostring(CONNECTIONS),
      "--max-time", tostring(E.limit(100)),
      "-w", "%{stderr}answer: %{exitcode} %{http_code} %header{cache-status}\n" }
    for _ = 1, CONNECTIONS do args[#args + 1] = ("http://127.0.0.1:%d%s"):format(g.port, path) end
    self.curls[i] = process.start(process.folder(), "curl", args)
  end
  return scope.add(self)
end

-- How many of them have come to the cache: a connection alone says nothing, for its request may be read much later.
local function arrived(g)
  return tonumber(g:get("/arrived"):text())
end

-- All that they have got so far, one after the other.
function Crowd:got()
  local out = {}
  for i, curl in ipairs(self.curls) do out[i] = curl:stdout() end
  return table.concat(out)
end

-- Waits until all of them have so many bytes each.
function Crowd:wait_for(n)
  assert.is_truthy(E.until_true(function()
    local size = 0
    for _, curl in ipairs(self.curls) do
      local file = io.open(curl.folder .. "/stdout", "rb")
      size = size + (file and file:seek "end" or 0)
      if file then file:close() end
    end
    return size == n * CLIENTS
  end, 60), ("not all have %d bytes"):format(n))
end

-- What each of them says at its end: { code = curl's exit status, status =, cache = Cache-Status }.
function Crowd:wait()
  local out = {}
  for _, curl in ipairs(self.curls) do
    assert.is_truthy(curl:wait(60))
    -- Where it takes longer, curl tells there of its progress, too.
    for code, status, cache in curl:stderr():gmatch "answer: (%d+) (%d+) ([^\n]*)\n" do
      out[#out + 1] = { code = tonumber(code), status = tonumber(status), cache = cache }
    end
  end
  assert.equal(CLIENTS, #out)
  return out
end

function Crowd:close()
  for _, curl in ipairs(self.curls) do
    curl:kill()
    process.remove_folder(curl.folder)
  end
end

-- An origin that sends its parts one by one, when all the clients are there, and each when all of them have what came
-- before. `length` is what it promises; nil: it does not say.
local function send_parts(s, clients, parts, length)
  s:line()
  E.eventually(function() assert.is_true(clients.crowd and arrived(clients.gateway) == CLIENTS) end, 60)
  local framing = length and "Content-Length: " .. length or "Transfer-Encoding: chunked"
  s:send(("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n%s\r\n\r\n"):format(framing))
  local sent = 0
  for _, part in ipairs(parts) do
    s:send(length and part or ("%x\r\n%s\r\n"):format(#part, part))
    sent = sent + #part
    clients.crowd:wait_for(sent)
  end
end

describe("cache", function()
  it("fetches once for a thousand clients of all workers, and gives each byte to all as it comes", function()
    local parts, clients, collapsed = {}, {}, 0
    for i = 1, 5 do parts[i] = string.char(96 + i):rep(3000) end
    local up, g = start(nil, { serve = function(s)
      send_parts(s, clients, parts, 15000)
      s:until_close(60)
    end })
    clients.gateway, clients.crowd = g, crowd(g, "/page")
    for _, answer in ipairs(clients.crowd:wait()) do
      assert.same({ 0, 200 }, { answer.code, answer.status })
      if answer.cache:find("collapsed", 1, true) then collapsed = collapsed + 1 end
    end
    assert.is_true(collapsed > CLIENTS // 2, ("only %d of %d waited for the fetch"):format(collapsed, CLIENTS))
    local got = clients.crowd:got()
    for _, part in ipairs(parts) do
      local letter = part:sub(1, 1)
      assert.equal(#part * CLIENTS, select(2, got:gsub(letter, letter)))
    end
    assert.equal(table.concat(parts), g:get("/page"):text())
    assert.equal(1, up:connections())
  end)

  it("ends uncleanly for all who read when the origin breaks off, and keeps nothing", function()
    local clients = {}
    local up, g = start(nil, { serve = function(s, number)
      if number == 1 then
        send_parts(s, clients, { ("z"):rep(2000) }, 4000)
        return s:reset()
      end
      s:line()
      s:send "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nwhole"
      s:until_close(60)
    end })
    clients.gateway, clients.crowd = g, crowd(g, "/broken")
    for _, answer in ipairs(clients.crowd:wait()) do
      assert.equal(200, answer.status)
      assert.not_equal(0, answer.code)
    end
    assert.equal(("z"):rep(2000 * CLIENTS), clients.crowd:got())
    assert.equal(1, up:connections())
    assert.equal("whole", g:get("/broken"):text())
    assert.equal(2, up:connections())
  end)

  it("gives a body that turns out too large to all who read it, each byte as it comes", function()
    local parts, clients = {}, {}
    for i = 1, 5 do parts[i] = string.char(96 + i):rep(12000) end
    local up, g = start(nil, { serve = function(s, number)
      if number > 1 then return s:reset() end
      send_parts(s, clients, parts)
      s:send "0\r\n\r\n"
      s:until_close(60)
    end }, { default = { size = "4MiB", max_object = 16000 } })
    clients.gateway, clients.crowd = g, crowd(g, "/page")
    for _, answer in ipairs(clients.crowd:wait()) do assert.same({ 0, 200 }, { answer.code, answer.status }) end
    local got = clients.crowd:got()
    for _, part in ipairs(parts) do
      local letter = part:sub(1, 1)
      assert.equal(#part * CLIENTS, select(2, got:gsub(letter, letter)))
    end
    assert.equal(1, up:connections())
  end)

  it("serves bodies larger than an object may be, and does not keep them", function()
    local up, g = start { headers = FRESH, chunks = { ("a"):rep(1 << 20), ("b"):rep(1 << 20), ("c"):rep(1 << 20) } }
    for _ = 1, 2 do
      local res = g:get "/large"
      assert.equal(3 << 20, #res:text())
    end
    assert.called(up, 2)
  end)
end)

describe("mg.cache", function()
  -- The policy of tests/spec/examples, whose entries are stale after `ttl` seconds.
  local file = assert(io.open "tests/spec/examples/policies/swr-cache.lua")
  local policy = file:read "a"
  file:close()

  local function start_swr(answer, ttl)
    local up = E.upstream(answer)
    local route = { match = "/*", service = "api", policies = { { ["swr-cache"] = { ttl = ttl or 1, stale = 60 } } } }
    local g = E.start { files = { ["swr-cache.lua"] = policy }, config = { workers = 4, lua = { path = { "." } },
      services = { api = { backends = { up.address } } }, routes = { route } } }
    return up, g
  end

  -- Some clients at once, which come to several workers.
  local function ask_all(g, path)
    local tasks, answers = {}, {}
    for i = 1, 50 do
      tasks[i] = E.spawn(function() return g:get(path) end)
    end
    for i, task in ipairs(tasks) do answers[i] = task:wait() end
    return answers
  end

  it("refreshes once for all workers, also when the client has left", function()
    local count, may_refresh = 0, false
    local up, g = start_swr(function()
      count = count + 1
      local lifetime = count == 1 and 1 or 600
      if count > 1 then E.until_true(function() return may_refresh end) end
      return { headers = { ["Cache-Control"] = "max-age=" .. lifetime }, body = tostring(count) }
    end)
    g:get "/a"
    E.eventually(function() assert.is_true(tonumber(g:get("/a"):header "Age" or 0) >= 1) end)
    for _, res in ipairs(ask_all(g, "/a")) do assert.equal("1", res:text()) end
    may_refresh = true
    E.eventually(function() assert.equal("2", g:get("/a"):text()) end)
    assert.called(up, 2)
  end)

  it("stores what streams through it, whole and for all workers", function()
    local body = ("0123456789"):rep(20000)
    local up, g = start_swr(function() return { chunks = { body:sub(1, 70000), body:sub(70001) } } end, 60)
    assert.equal(body, g:get("/a"):text())
    for _, res in ipairs(ask_all(g, "/a")) do assert.equal(body, res:text()) end
    assert.called(up, 1)
  end)
end)

describe("a purge by the admin listener", function()
  local _, g
  setup(function() _, g = start { headers = FRESH, body = "x" } end)

  local function ask(path)
    local status = g:get(path, { headers = { Host = "shop.example" } }):header "Cache-Status"
    return status:find ";hit" and "HIT" or "MISS"
  end

  local function purge(query) return g:ask_admin { method = "POST", path = "/cache/purge?" .. query } end

  local function fill()
    for _, path in ipairs { "/a", "/a?x=1", "/b/1", "/b/2" } do
      ask(path)
      assert.equal("HIT", ask(path))
    end
  end

  it("drops what is stored for a URL", function()
    fill()
    assert.json(purge "key=http%3A%2F%2FShop.example%3A80%2F.%2Fa%3Fx%3D1", { purged = 1 })
    assert.same({ "HIT", "MISS", "HIT" }, { ask "/a", ask "/a?x=1", ask "/b/1" })
  end)

  it("drops what lies below one", function()
    fill()
    assert.json(purge "prefix=http://shop.example/b/", { purged = 2 })
    assert.same({ "HIT", "MISS", "MISS" }, { ask "/a", ask "/b/1", ask "/b/2" })
    assert.json(purge "prefix=https://shop.example", { purged = 0 })
  end)

  it("wants URLs", function()
    for _, query in ipairs { "key=/a", "prefix=shop.example", "key=", "key=http://a/&prefix=http://a/" } do
      assert.status(purge(query), 400)
    end
  end)
end)
