-- `moongate ndjson`: messages on standard input, replies on standard output.
local E = require "moongate.e2e"
local gateway = require "moongate.e2e.gateway"
local json = require "moongate".json
local process = require "moongate.e2e.process"

-- The output of a run over this input, line by line.
local function run(input, args)
  local folder = process.folder()
  process.write(folder .. "/in", input)
  local res = E.command { "sh", "-c", 'in=$1; shift; exec "$0" ndjson "$@" <"$in"', gateway.program, folder .. "/in",
    table.unpack(args or {}) }
  process.remove_folder(folder)
  assert.same({ 0, "" }, { res.status, res.stderr })
  local lines = {}
  for line in res.stdout:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  return lines
end

local function request(id, path, more)
  local message = { type = "api_request", msg_id = id, method = "GET", path = path }
  for key, value in pairs(more or {}) do message[key] = value end
  return json.encode(message, { sort = true }) .. "\n"
end

local INIT = json.encode { type = "init", msg_id = "i", routes = {
  { path_pattern = "/api/users/*", service = "users-service", version = "v1",
    backends = { "users-1:8080", "users-2:8080", "users-3:8080" } },
  { path_pattern = "/api/v2/users/*", service = "users-service", version = "v2",
    backends = { "users-v2-1:8080", "users-v2-2:8080" } },
  { path_pattern = "/api/orders/*", service = "orders-service", backends = { "orders-1:8080", "orders-2" } },
} } .. "\n"

describe("ndjson", function()
  it("routes to the service of the route", function()
    assert.same({
      '{"src": "gateway", "dest": "client", "body": {"type": "init_ok", "in_reply_to": 1}}',
      '{"src": "gateway", "dest": "client", "body": {"type": "api_response", "in_reply_to": 2, "status": 200, '
        .. '"service": "users-service", "backend": "users-1", "body": "{\\"id\\": 123, \\"name\\": \\"Alice\\"}"}}',
    }, run('{"src":"client","dest":"gateway","body":{"type":"init","msg_id":1,"routes":[{"path_pattern":'
      .. '"/api/users/*","service":"users-service","backends":["users-1","users-2"]}]}}\n'
      .. '{"src":"client","dest":"gateway","body":{"type":"api_request","msg_id":2,"method":"GET",'
      .. '"path":"/api/users/123"}}\n'))
  end)

  it("knows versions without routes, in messages over several lines", function()
    assert.same({
      '{"src": "gateway", "dest": "client", "body": {"type": "api_response", "in_reply_to": 1, "status": 200, '
        .. '"service": "users-service", "version": "v2"}}',
    }, run [[
{
  "src": "client",
  "dest": "gateway",
  "body": {
    "type": "api_request",
    "msg_id": 1,
    "method": "GET",
    "path": "/api/v2/users/123"
  }
}
]])
  end)

  it("takes backends in turn, the first one first, by version", function()
    local backends = {}
    local input = INIT
    for i = 1, 4 do input = input .. request(i, "/api/users/" .. i) .. request(i, "/api/v2/users/" .. i) end
    for i, line in ipairs(run(input .. request(9, "/api/orders/7"))) do
      local reply = json.decode(line)
      backends[i] = reply.backend or reply.type
    end
    assert.same({ "init_ok", "users-1", "users-v2-1", "users-2", "users-v2-2", "users-3", "users-v2-1", "users-1",
      "users-v2-2", "orders-1" }, backends)
  end)

  it("passes on what backends say", function()
    local lines = run(INIT .. request(1, "/api/users/123") .. request(2, "/api/v2/users/123")
      .. request(3, "/api/orders/7?x=1") .. request(4, "/api/orders/a%22b") .. request(5, "/api/orders/"))
    local bodies = {}
    for i = 2, #lines do bodies[i - 1] = json.decode(lines[i]).body end
    assert.same({ '{"id": 123, "name": "Alice"}', '{"id": 123, "name": "Alice", "email": "alice@example.com"}',
      '{"id": 7}', '{"id": "a\\"b"}', "[]" }, bodies)
  end)

  it("answers 404 where no route is, and 400 to what is no path", function()
    local lines = run(INIT .. request(1, "/api/usersX/1") .. request(2, "/../x") .. '{"type":"api_request","msg_id":3}')
    assert.same({
      '{"type": "api_response", "in_reply_to": 1, "status": 404}',
      '{"type": "api_response", "in_reply_to": 2, "status": 400}',
      '{"type": "api_response", "in_reply_to": 3, "status": 400}',
    }, { table.unpack(lines, 2) })
    assert.same({ '{"type": "api_response", "in_reply_to": 1, "status": 404}' }, run(request(1, "/api/users/1")))
  end)

  it("takes new routes in place of the old ones, and keeps these when the new ones are wrong", function()
    local wrong = '{"type":"init","msg_id":2,"routes":[{"path_pattern":"/x*","service":"x","backends":["x"]}]}\n'
    local moved = '{"type":"init","msg_id":4,"routes":[{"path_pattern":"/api/users/*","service":"u","backends":["n"]}]}'
    local lines = run(INIT .. wrong .. request(3, "/api/users/1") .. moved .. request(5, "/api/users/1"))
    assert.equal('{"type": "error", "in_reply_to": 2, "text": '
      .. '"init.json:1:28: routes[0].path_pattern: \'x*\': \'*\' must be a whole segment"}', lines[2])
    assert.equal([[{"type": "error", "in_reply_to": 5, "text": "'routes' must be a list"}]],
      run('{"type":"init","msg_id":5,"routes":"x"}')[1])
    assert.equal("users-1", json.decode(lines[3]).backend)
    assert.same({ "u", "n" }, { json.decode(lines[5]).service, json.decode(lines[5]).backend })
  end)

  it("survives what is no message", function()
    local types = {}
    for i, line in ipairs(run('garbage\n{"type":\n{"type":"api_request","msg_id":1\n{"a":1,,}\n[]\n{"type":"x"}\n'
      .. request(2, "/api/v1/users/1") .. '{"type"')) do
      local reply = json.decode(line)
      types[i] = reply.status or reply.text
    end
    assert.same({ "this is no JSON object", "this is no JSON object", "line 1 column 8: expected a key in quotes",
      "expected an object", "unknown type of message", 200, "this is no JSON object" }, types)
  end)

  it("serves the routes of any config, with their hosts, methods and headers", function()
    local folder = process.folder()
    process.write(folder .. "/gateway.yaml", [[
services: { a: { backends: ["127.0.0.1:1"] }, b: { backends: ["127.0.0.1:2"], label: Bee } }
routes:
  - { match: { path: /x, host: b.example, methods: [POST], headers: { x-key: "1" } }, service: b }
  - { match: { path: /x, methods: [GET] }, service: a }
  - { match: /step, policies: [respond: { body: hi }] }
default_response: { status_code: 418, body: nothing here }
]])
    local headers = { Host = "B.example:80", ["X-Key"] = "1" }
    local lines = run(request(1, "/x") .. request(2, "/x", { method = "POST", headers = headers })
      .. request(3, "/x", { method = "PUT" }) .. request(4, "/step") .. request(5, "/y"),
      { "-c", folder .. "/gateway.yaml" })
    process.remove_folder(folder)
    local seen = {}
    for i, line in ipairs(lines) do
      local reply = json.decode(line)
      seen[i] = { reply.status, reply.service, reply.body }
    end
    assert.same({ { 200, "a", "[]" }, { 200, "Bee", "[]" }, { 405 }, { 501 }, { 418, nil, "nothing here" } }, seen)
  end)

  it("does not wait for the next message with a reply", function()
    local folder = process.folder()
    assert(os.execute(("mkfifo '%s/in'"):format(folder)))
    local pipe = assert(io.open(folder .. "/in", "r+")) -- for reading too, or it would wait for a reader
    local p = process.start(folder, "sh", { "-c", 'exec "$0" ndjson <"$1"', gateway.program, folder .. "/in" })
    for id = 1, 2 do
      pipe:write(request(id, "/api/v1/users/1")):flush()
      local want = ('"in_reply_to": %d, "status": 200, "service": "users-service", "version": "v1"}\n'):format(id)
      E.until_true(function() return p:stdout():find(want, 1, true) end)
      assert.matches(want, p:stdout(), 1, true)
    end
    pipe:close()
    assert.equal(0, p:wait())
    p:kill()
    process.remove_folder(folder)
  end)

  it("tells what is wrong with a config", function()
    local res = E.run { args = { "ndjson", "-c", "CONFIG" }, config = "routes: [{ match: / }]\n" }
    assert.equal(1, res.status)
    assert.matches("moongate.yaml:1:10: routes%[0%]: nothing answers", res.stderr)
  end)
end)
