-- What systemd sees of the gateway: messages to its notify socket, sockets that it opened before.

local E = require "moongate.e2e"
local process = require "moongate.e2e.process"
local scope = require "moongate.e2e.scope"
local unix = require "socket.unix"

local HELLO = { { match = "/*", policies = { { respond = { body = "hello" } } } } }

-- Plays systemd's end of the notify socket.
local function manager()
  local folder = process.folder()
  local raw = assert(unix.dgram())
  assert(raw:bind(folder .. "/notify"))
  raw:settimeout(0)
  local heard = {}
  local M = { path = folder .. "/notify" }
  -- All messages so far, each as { NAME = value }.
  local function messages()
    for text in function() return raw:receive(4096) end do
      local message = {}
      for name, value in text:gmatch "([%u_]+)=([^\n]*)\n" do message[name] = value end
      heard[#heard + 1] = message
    end
    return heard
  end
  local function find(name, value)
    for _, message in ipairs(messages()) do
      if message[name] == value and not message.seen then return message end
    end
  end
  -- Waits for one with this line that has not been waited for.
  function M.wait(name, value)
    local message = E.until_true(function() return find(name, value) end)
    if not message then error(("no message %s=%s"):format(name, value), 2) end
    message.seen = true
    return message
  end
  function M.count(name)
    local n = 0
    for _, message in ipairs(messages()) do n = n + (message[name] and 1 or 0) end
    return n
  end
  function M.close()
    raw:close()
    process.remove_folder(folder)
  end
  return scope.add(M)
end

describe("systemd's notify socket", function()
  it("hears of the start, of reloads and of the end", function()
    local m = manager()
    local g = E.start { config = { routes = HELLO }, env = { NOTIFY_SOCKET = m.path } }
    local ready = m.wait("READY", "1")
    assert.equal(tostring(g.pid), ready.MAINPID)
    assert.matches("serving on 127.0.0.1:" .. g.port, ready.STATUS, 1, true)

    assert.is_true(g:reload())
    local reloading = m.wait("RELOADING", "1")
    assert.is_true(math.tointeger(tonumber(reloading.MONOTONIC_USEC)) > 0)
    m.wait("READY", "1")

    assert.is_nil((g:reload { rutes = {} }))
    m.wait("RELOADING", "1")
    local refused = m.wait("READY", "1") -- by the config that it had
    assert.matches("the new config was refused: .*rutes", refused.STATUS)

    assert.equal(0, g:stop())
    m.wait("STOPPING", "1")
  end)

  it("hears of falls", function()
    local m = manager()
    local g = E.start { config = { routes = HELLO }, env = { NOTIFY_SOCKET = m.path } }
    m.wait("READY", "1")
    process.signal(g:serving_pid(), "KILL")
    assert.matches("crashes: 1", m.wait("READY", "1").STATUS)
    g:log "the gateway process fell"
  end)

  it("hears that the gateway lives while its control thread answers", function()
    local m = manager()
    local g = E.start { config = { routes = HELLO }, env = { NOTIFY_SOCKET = m.path, WATCHDOG_USEC = "100000" } }
    m.wait("WATCHDOG", "1")
    m.wait("WATCHDOG", "1")
    process.signal(g:serving_pid(), "STOP")
    local count
    repeat -- one may have been on its way
      count = m.count "WATCHDOG"
      E.sleep(0.3)
    until m.count "WATCHDOG" == count
    process.signal(g:serving_pid(), "CONT")
    E.eventually(function() assert.is_true(m.count "WATCHDOG" > count) end)
    assert.equal(0, g:stop())
  end)

  it("is not for the process that serves, and still heard after an upgrade", function()
    local m = manager()
    local g = E.start { config = { routes = HELLO }, env = { NOTIFY_SOCKET = m.path } }
    m.wait("READY", "1")
    assert.is_nil(process.read(("/proc/%d/environ"):format(g:serving_pid())):find("NOTIFY_SOCKET", 1, true))
    g.process:signal "USR2"
    m.wait("READY", "1")
    g:wait_log "a retired process ended"
    assert.is_true(g:reload())
    assert.equal(tostring(g.pid), m.wait("READY", "1").MAINPID)
  end)
end)

-- Opens sockets as systemd does, numbers them from 3 on, and becomes what follows.
local ACTIVATE = [[
use Socket;
$^F = 9;
my @names;
for (split / /, shift) {
  my ($name, $address) = split /=/;
  socket(my $s, PF_INET, SOCK_STREAM, 0) or die;
  setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
  bind($s, sockaddr_in($address, INADDR_LOOPBACK)) or die "bind: $!";
  listen($s, 16) or die;
  push @names, $name;
  push @sockets, $s;
}
my $fds = join(",", map { fileno($_) } @sockets);
die "descriptors $fds" unless $fds eq join(",", 3 .. 2 + @names);
$ENV{LISTEN_FDS} = @names;
$ENV{LISTEN_PID} = $$;
$ENV{LISTEN_FDNAMES} = join ":", @names;
exec @ARGV or die;
]]

describe("sockets that systemd opened", function()
  it("are listened on, by address or by name, over falls and upgrades", function()
    local by_address, by_name = E.free_port(), E.free_port()
    local g = E.start { under = { "perl", "-e", ACTIVATE, ("a.socket=%d inside=%d"):format(by_address, by_name) },
      config = { workers = 2, listen = { "127.0.0.1:" .. by_address, { name = "inside", address = "127.0.0.1:0" } },
        routes = HELLO } }
    assert.same({ by_address, by_name }, g.ports)
    local function answers()
      for _, port in ipairs(g.ports) do assert.equal("hello", g:get("/", { port = port }).body) end
    end
    answers()
    process.signal(g:serving_pid(), "KILL")
    g:wait_log "the gateway process fell"
    answers()
    g.process:signal "USR2"
    g:wait_log "a retired process ended"
    answers()
    assert.is_true(g:reload())
    answers()
    local environment = process.read(("/proc/%d/environ"):format(g:serving_pid()))
    assert.is_nil(environment:find("LISTEN_", 1, true))
  end)

  it("do not need the supervisor", function()
    local port = E.free_port()
    local g = E.start { under = { "perl", "-e", ACTIVATE, "a=" .. port }, args = { "--no-supervisor" },
      config = { listen = "127.0.0.1:" .. port, routes = HELLO } }
    assert.equal("hello", g:get("/").body)
  end)

  it("that no listener is for are told", function()
    local port = E.free_port()
    local g = E.start { under = { "perl", "-e", ACTIVATE, "a=" .. port }, config = { routes = HELLO } }
    assert.equal(1, #g:wait_log("no listener of the config is for a socket.*127.0.0.1:" .. port))
    E.eventually(function() assert.is_nil((g:connect { port = port })) end)
  end)
end)
