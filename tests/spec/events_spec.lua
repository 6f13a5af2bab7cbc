-- Server-sent events: res:events, res:map_events, mg.sse.

local T = require "moongate.test"
local mg = require "moongate"

local SSE = { ["Content-Type"] = "text/event-stream; charset=utf-8" }

local STREAM = "\u{FEFF}: hello\r\n\r\nid: 1\ndata: one\n\nevent: add\r\ndata: a\r\ndata: b\r\n\r\n"
  .. "retry: 500\rdata: {\"n\":1}\r\rid: 9\n\ndata: last\n\ndata: not over"
local EVENTS = {
  { event = "message", data = "one", id = "1" }, { event = "add", data = "a\nb", id = "1" },
  { event = "message", data = '{"n":1}', id = "1", retry = 500 }, { event = "message", data = "last", id = "9" },
}

-- A gateway whose only step looks at the response of `api`.
local function with(step, answer)
  return T.new { policies = { function(req, next) return step(next(req), req) end }, upstreams = { api = answer } }
end

-- What res:events gives of an answer.
local function read(answer, limit)
  local events = {}
  local res = with(function(res)
    for event in res:events(limit) do events[#events + 1] = event end
    return mg.reply(200)
  end, answer):request "/"
  return events, res
end

local function mapped(answer, fn, limit)
  answer.headers = answer.headers or SSE
  local will
  local res = with(function(res)
    will = res:map_events(fn, limit)
    return res
  end, answer):request "/"
  return res, will
end

describe("res:events", function()
  it("gives the events of a stream, however it is cut", function()
    T.each_split(STREAM, function(first, second)
      assert.same(EVENTS, (read { headers = SSE, chunks = { first, second } }))
    end)
  end)

  it("gives each as soon as it is over", function()
    local at = {}
    local t = with(function(res)
      for event in res:events() do at[#at + 1] = { event.data, math.floor(require "moongate".monotonic() + 0.5) } end
      return mg.reply(200)
    end, { headers = SSE, body = "data: 1\n\ndata: 2\n\ndata: 3\n\n", trickle = { 9, 1 } })
    assert.status(t:request "/", 200)
    assert.same({ { "1", at[1][2] }, { "2", at[1][2] + 1 }, { "3", at[1][2] + 2 } }, at)
  end)

  it("gives those of what mg.fetch gets, and may wait in between", function()
    local t = T.new { policies = { function()
      local res = assert(mg.fetch("api", { stream = true }))
      return mg.stream(200, SSE, function(write)
        for event in res:events() do
          mg.sleep(1)
          write(mg.sse { event = "copy", data = event.data:upper(), id = event.id })
        end
      end)
    end }, upstreams = { api = { headers = SSE, chunks = { "id: 1\ndata: a\n\n", "data: b\n\n" } } } }
    assert.equal("event: copy\nid: 1\ndata: A\n\nevent: copy\nid: 1\ndata: B\n\n", t:request("/"):text())
    assert.near(2, t:now(), 0.001)
  end)

  it("gives those of a compressed stream", function()
    local t = T.new { policies = { function(req, next)
      local out = {}
      for event in next(req):events() do out[#out + 1] = event.data end
      return mg.reply(200, table.concat(out, ","))
    end, { compress = { min_size = 0 } } }, upstreams = { api = { headers = SSE, body = "data: 1\n\ndata: 2\n\n" } } }
    assert.equal("1,2", t:request({ headers = { ["Accept-Encoding"] = "gzip" } }):text())
  end)

  it("takes no event that is larger than its limit", function()
    local fits = ("x"):rep(50)
    assert.same({ { event = "message", data = fits } }, (read({ body = "data: " .. fits .. "\n\n" }, 60)))
    local _, res = read({ body = "data: " .. ("x"):rep(100) .. "\n\n" }, 60)
    assert.problem(res, 500)
    _, res = read { body = "data: " .. ("x"):rep(2 << 20) }
    assert.problem(res, 500)
  end)

  it("raises when the stream breaks off", function()
    local events, res = read { headers = SSE, body = "data: 1\n\ndata: 2\n\n", close = "mid-body" }
    assert.is_true(#events < 2)
    assert.problem(res, 500)
  end)

  it("is for responses that live", function()
    local old, iterator
    local faults = {}
    local t = with(function(res)
      if old then
        faults[1], faults[2] = select(2, pcall(old.events, old)), select(2, pcall(iterator))
      end
      old, iterator = res, res:events()
      return mg.reply(200)
    end, { body = "data: 1\n\n" })
    t:request "/"
    t:settle()
    t:request "/"
    assert.matches("response has ended", faults[1], 1, true)
    assert.matches("response has ended", faults[2], 1, true)
    read({ body = "" }, 1)
    local _, res = read({ body = "" }, 0)
    assert.problem(res, 500)
  end)
end)

describe("res:map_events", function()
  it("writes what the function makes of each event, however the stream is cut", function()
    T.each_split(STREAM, function(first, second)
      local res, will = mapped({ chunks = { first, second } }, function(event)
        if event.event == "add" then return nil end
        event.data = "<" .. event.data .. ">"
        return event
      end)
      assert.is_true(will)
      assert.equal(": hello\nid: 1\ndata: <one>\n\nid: 1\nretry: 500\ndata: <{\"n\":1}>\n\nid: 9\n\n"
        .. "id: 9\ndata: <last>\n\n", res:text())
    end)
  end)

  it("writes several events for one", function()
    local res = mapped({ body = "data: a,b\n\ndata: c\n\n" }, function(event)
      local out = {}
      for part in event.data:gmatch "[^,]+" do out[#out + 1] = { data = part } end
      return out
    end)
    assert.equal("data: a\n\ndata: b\n\ndata: c\n\n", res:text())
  end)

  it("may wait, and keeps the order", function()
    local res = mapped({ body = "data: 1\n\ndata: 2\n\ndata: 3\n\n" }, function(event)
      mg.sleep(4 - tonumber(event.data))
      return { data = event.data }
    end)
    assert.equal("data: 1\n\ndata: 2\n\ndata: 3\n\n", res:text())
  end)

  it("sends on at once, comments too", function()
    local t = with(function(res)
      res:map_events(function(event) return event end)
      return res
    end, { headers = SSE, body = ": 1\ndata: 2\n\n: 3\n", trickle = { 4, 1 } })
    local client = t:connect()
    local got = client:send "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    local function comes(text, at)
      while not got:find(text, 1, true) and t:now() < 10 do got = got .. client:receive(0.1) end
      assert.near(at, t:now(), 0.3)
    end
    comes(": 1\n", 0)
    comes("data: 2\n\n", 3)
    comes(": 3\n", 4)
  end)

  it("leaves other responses as they are", function()
    local res, will = mapped({ headers = { ["Content-Type"] = "text/plain" }, body = "data: 1\n\n" }, error)
    assert.is_false(will)
    assert.equal("data: 1\n\n", res:text())
    assert.header(res, "Content-Length", "9")
  end)

  it("leaves a response without a content type as it is", function()
    local will
    local res = with(function(res)
      will = res:map_events(error)
      return res
    end, { body = "data: 1\n\n" }):request "/"
    assert.is_false(will)
    assert.equal("data: 1\n\n", res:text())
  end)

  it("has no length, and no strong tag", function()
    local res = mapped({ headers = { ["Content-Type"] = "text/event-stream", ETag = '"1"' }, body = "data: 1\n\n" },
      function(event) return event end)
    assert.is_nil(res:header "Content-Length")
    assert.is_nil(res:header "ETag")
  end)

  for what, fn in pairs {
    ["returned a number"] = function() return 7 end,
    ["the list has a number"] = function() return { 7 } end,
    ["unknown field 'name' of an event"] = function() return { name = "x" } end,
    ["field 'event' of an event has a line break"] = function() return { event = "a\nb" } end,
    ["field 'id' of an event has a line break"] = function() return { id = "a\rb" } end,
    ["field 'id' of an event: expected string, got table"] = function() return { id = {} } end,
    ["field 'retry' of an event"] = function() return { retry = -1 } end,
    ["field 'data' of an event: cannot encode a function"] = function() return { data = print } end,
  } do
    it("tells what is no event: " .. what, function()
      local res = mapped({ body = "data: 1\n\n" }, fn)
      assert.problem(res, 500)
    end)
  end

  it("takes no event that is larger than its limit", function()
    assert.problem(mapped({ body = "data: " .. ("x"):rep(100) .. "\n\n" }, error, 60), 500)
  end)

  it("needs the same memory for a stream of any length", function()
    local n, heaps = 0, {}
    local function api()
      return { headers = SSE, chunks = (function()
        local all = {}
        for i = 1, 2000 do all[i] = "data: " .. i .. " " .. ("x"):rep(500) .. "\n\n" end
        return all
      end)() }
    end
    local t = with(function(res)
      res:map_events(function(event)
        n = n + 1
        if n % 500 == 0 then
          collectgarbage()
          heaps[#heaps + 1] = collectgarbage "count"
        end
        return { data = event.data:sub(1, 4), event = "short", id = n }
      end)
      return res
    end, api)
    local res = t:request "/"
    assert.equal(2000, select(2, res:text():gsub("event: short\n", "")))
    assert.is_true(heaps[4] < heaps[1] * 1.5)
  end)
end)

describe("mg.sse", function()
  local function written(event)
    local text
    T.new { policies = { function()
      text = mg.sse(event)
      return mg.reply(200)
    end } }:request "/"
    return text
  end

  it("writes an event", function()
    assert.equal("data: a\n\n", written { data = "a" })
    assert.equal("event: add\nid: 7\nretry: 1000\ndata: a\ndata: b\n\n",
      written { event = "add", id = 7, retry = 1000, data = "a\r\nb" })
    assert.equal('data: {"n":[1,2]}\n\n', written { data = { n = { 1, 2 } } })
    assert.equal("data: 7\n\n", written { data = 7 })
    assert.equal("data: null\n\n", written { data = mg.json.null })
    assert.equal("retry: 0\n\n", written { retry = 0 })
    assert.equal("data:\n\n", written { data = "" })
  end)

  it("writes what res:events reads again", function()
    for _, event in ipairs(EVENTS) do
      assert.same({ event }, (read { headers = SSE, body = written(event) }))
    end
    local odd = { event = "a: b", data = "\n\n x\n:y\n", id = " 1", retry = 5 }
    assert.same({ odd }, (read { headers = SSE, body = written(odd) }))
  end)
end)
