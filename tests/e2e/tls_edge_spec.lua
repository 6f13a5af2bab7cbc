-- examples/tls-edge with real certificates: what its README shows, and what its parts promise.

local E = require "moongate.e2e"
local json = require "moongate".json
local stubs = require "lint.stubs"

local EXAMPLE = "examples/tls-edge/"

-- Everything that a shell command says, and its exit status.
local function shell(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local said = pipe:read "a"
  local _, _, status = pipe:close()
  return said, status
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

-- What steps see of the client's certificate.
local SHOWN = [[
  - match: { path: /tls, host: api.localhost }
    policies:
      - lua: |
          return { request = function(req) return mg.reply_json(200, req.tls) end }
]]

local missing = shell "command -v curl && command -v openssl" == "" and "needs curl and openssl"

describe("examples/tls-edge", function()
  if missing then
    pending(missing)
    return
  end

  local folder, ports

  setup(function()
    folder = shell("mktemp -d"):match "%S+"
    local said, status = shell(EXAMPLE .. "certs.sh " .. folder .. "/certs")
    assert.equal(0, status, said)
    ports = { HTTP_PORT = E.free_port(), HTTPS_PORT = E.free_port(), BACKEND_PORT = E.free_port() }
    E.start {
      config = read(EXAMPLE .. "moongate.yaml"):gsub("certs/", folder .. "/certs/") .. SHOWN,
      env = ports,
      args = { "--workers", "1" },
    }
  end)

  teardown(function() os.execute("rm -rf " .. folder) end)

  -- A command of the README, here.
  local function here(command)
    command = command:gsub(":8080", ":" .. ports.HTTP_PORT):gsub(":8443", ":" .. ports.HTTPS_PORT)
    command = command:gsub(":9443", ":" .. ports.BACKEND_PORT):gsub("curl ", "curl --no-progress-meter --max-time 60 ")
    return ("cd %s && { %s; }"):format(folder, command)
  end

  local function as_written(said)
    return (said:gsub("\r", ""):gsub(":" .. ports.HTTP_PORT, ":8080"):gsub(":" .. ports.HTTPS_PORT, ":8443")
      :gsub('"request_id":"%x+"', '"request_id":"…"'):gsub("\n$", ""))
  end

  local shown = {}
  for block in (read(EXAMPLE .. "README.md") .. "\n"):gsub("\n\n+", "\0"):gmatch "[^\0]+" do
    local command, answer = block:match "^    %$ (curl [^\n]*)(\n.*)$"
    if command then
      command = command:gsub("%s+#[^'\"]*$", "") -- a remark
      shown[#shown + 1] = { command = command, answer = answer:gsub("\n    ", "\n"):sub(2) }
    end
  end

  it("shows something", function() assert.equal(8, #shown) end)

  for _, example in ipairs(shown) do
    it("$ " .. example.command, function()
      local answer = as_written((shell(here(example.command))))
      if answer:find("TLSv1.3", 1, true) then
        answer = answer:gsub("TLSv1.3 / [%w_]+", "TLSv1.2 / ECDHE-RSA-AES128-GCM-SHA256")
      end
      assert.equal(example.answer, answer)
    end)
  end

  local function curl(arguments)
    return as_written((shell(here("curl --cacert certs/ca.pem " .. arguments))))
  end

  it("sends the client through to HTTPS", function()
    assert.equal(200, json.decode(curl "-s -o /dev/null -w '%{http_code}' -L http://shop.localhost:8080/a"))
  end)

  it("shows the first certificate for names that it does not know", function()
    assert.matches("subject: CN=shop.localhost", curl "-sv -k https://127.0.0.1:8443/", 1, true)
  end)

  it("ends the handshake for certificates of somebody else", function()
    local said = curl "--cert certs/gateway.pem --key certs/gateway.key https://api.localhost:8443/"
    assert.matches("alert", said, 1, true)
  end)

  it("gives steps what the stubs say", function()
    local tls = json.decode(curl "--cert certs/ann.pem --key certs/ann.key https://api.localhost:8443/tls")
    local classes = {}
    stubs.read(read "lua/stubs/moongate.lua", classes)
    assert.same({}, stubs.compare(classes, "moongate.Tls", stubs.sample(tls)))
    assert.same({}, stubs.compare(classes, "moongate.Certificate", stubs.sample(tls.client_cert)))
    assert.same({ "api.localhost", "http/1.1", "CN=ann", "CN=Moongate example clients", { "ann@shop.example" } },
      { tls.sni, tls.alpn, tls.client_cert.subject, tls.client_cert.issuer, tls.client_cert.sans.email })
    assert.matches("^TLSv1.[23]$", tls.version)
    assert.equal(64, #tls.client_cert.fingerprint)
  end)

  describe("certs.sh", function()
    it("leaves good certificates alone", function()
      local before = read(folder .. "/certs/shop.pem")
      assert.equal("", (shell(EXAMPLE .. "certs.sh " .. folder .. "/certs")))
      assert.equal(before, read(folder .. "/certs/shop.pem"))
    end)

    it("makes new ones when one is missing", function()
      local other = folder .. "/other"
      shell(("cp -r %s/certs %s && rm %s/eve.key"):format(folder, other, other))
      assert.matches("certificates are in", shell(EXAMPLE .. "certs.sh " .. other), 1, true)
      assert.not_equal(read(folder .. "/certs/shop.pem"), read(other .. "/shop.pem"))
      local said, status = shell(("cd %s && openssl verify -CAfile ca.pem shop.pem api.pem backend.pem"):format(other))
      assert.equal(0, status, said)
    end)

    it("keeps keys to their owner", function()
      assert.equal("", (shell("find " .. folder .. "/certs -perm /077 -name '*.key'")))
    end)
  end)
end)
