-- What is wrong with certificates and keys is said when the config is read: by `check` and by `run`, with the place.
local E = require "moongate.e2e"

local DAY = 86400

describe("certificates that are not good", function()
  local ca, leaf, other, rsa
  local folder

  local function write(name, text)
    local file = assert(io.open(folder .. "/" .. name, "wb"))
    file:write(text)
    file:close()
    return folder .. "/" .. name
  end

  local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read "a"
    file:close()
    return text
  end

  setup(function()
    ca = E.authority()
    folder = ca.folder
    leaf, other, rsa = ca:issue { names = { "a.test" } }, ca:issue { names = { "b.test" } }, ca:issue { key = "rsa" }
  end)

  -- A listener's tls, or a service's, in YAML; { x = { y = 1 } } and lists in flow style.
  local function flow(value)
    if type(value) ~= "table" then return type(value) == "string" and ("%q"):format(value) or tostring(value) end
    local parts = {}
    for i, item in ipairs(value) do parts[i] = flow(item) end
    if #parts > 0 then return "[" .. table.concat(parts, ", ") .. "]" end
    for key, item in pairs(value) do parts[#parts + 1] = ("%s: %s"):format(key, flow(item)) end
    table.sort(parts)
    return "{ " .. table.concat(parts, ", ") .. " }"
  end

  local function listen(tls)
    return ("listen: [{ address: 127.0.0.1:0, tls: %s }]\nroutes: []\n"):format(flow(tls))
  end

  local function certificate(cert, key, more)
    local entry = { cert = cert, key = key }
    for name, value in pairs(more or {}) do entry[name] = value end
    return listen { certificates = { entry } }
  end

  local function service(tls)
    return ("services: { api: { url: \"https://a.test\", tls: %s } }\nroutes: [{ match: /*, service: api }]\n"):format(
      flow(tls))
  end

  -- The message, without the file and the line of the config.
  local function message(args, config, env)
    local res = E.run { args = args, config = config, env = env }
    assert.equal(1, res.status, res.stdout .. res.stderr)
    local line = (res.stdout .. res.stderr):match "moongate%.yaml:[%d:]* ([^\n]*)\n"
    return (line:gsub(folder:gsub("%p", "%%%0") .. "/", ""))
  end

  -- The same for both commands.
  local function fault(config)
    local of_check = message({ "check", "CONFIG" }, config)
    assert.equal(of_check, message({ "run", "-c", "CONFIG" }, config))
    return of_check
  end

  it("are told, with what is wrong and where", function()
    local at = "listen[0].tls.certificates"
    local below = ca:authority { name = "Below" }
    local deep = below:issue { names = { "deep.test" } }
    local locked, weak = ca:issue { password = "open sesame" }, ca:issue { key = "rsa:1024" }
    local odd = ca:issue { key = "secp256k1" }
    local function name(of) return of.cert:match "[^/]*$" end
    for _, case in ipairs {
      { certificate(folder .. "/none.pem", leaf.key), at .. "[0].cert: none.pem: No such file or directory" },
      { certificate(leaf.cert, folder .. "/none.key"), at .. "[0].key: none.key: No such file or directory" },
      { certificate(folder, leaf.key), at .. "[0].cert: " .. folder .. ": Is a directory" },
      { certificate(write("empty", ""), leaf.key), at .. "[0].cert: the file is empty" },
      { certificate(write("text", "hello\n"), leaf.key),
        at .. ": text: certificate: there is none in PEM form in it" },
      { certificate(leaf.key, leaf.key), at .. ": leaf1.key: certificate: there is a key in it, but no certificate" },
      { certificate(leaf.cert, leaf.cert),
        at .. ": leaf1.pem: key: there is a certificate in it, but no private key" },
      { certificate(leaf.cert, folder .. "/text"),
        at .. ": leaf1.pem: key: there is no private key in PEM form in it" },
      { certificate(leaf.cert, other.key), at .. ": leaf1.pem: key: it belongs to another certificate" },
      { certificate(rsa.cert, leaf.key), at .. ": leaf3.pem: key: it belongs to another certificate" },
      { certificate(write("cut", read(leaf.cert):sub(1, 300)), leaf.key),
        at .. ": cut: certificate: number 1 of the chain cannot be read: " },
      { certificate(write("damaged", (read(leaf.cert):gsub("\nMII", "\nMIX", 1))), leaf.key),
        at .. ": damaged: certificate: number 1 of the chain cannot be read: " },
      { certificate(write("order", below and read(below.cert) .. read(deep.alone)), deep.key),
        at .. ": order: certificate: the one that the key belongs to is number 2 of the chain; it must be the first" },
      { certificate(write("stranger", read(leaf.cert) .. read(rsa.cert)), leaf.key),
        at .. ": stranger: certificate: number 2 of the chain has issued none of those before it; the order is the "
        .. "certificate, its issuer, the issuer's issuer" },
      { certificate(weak.cert, weak.key),
        at .. (": %s: key: RSA with 1024 bits is too weak; 2048 is the least"):format(name(weak)) },
      { certificate(odd.cert, odd.key),
        at .. (": %s: key: its curve is none of P-256, P-384 and P-521"):format(name(odd)) },
      { certificate(locked.cert, locked.key),
        at .. (": %s: key: it is encrypted, and there is no password for it"):format(name(locked)) },
      { listen { certificates = { { cert = leaf.cert, key = leaf.key } }, client_auth = "require" },
        "listen[0].tls.client_auth: 'client_auth' needs 'client_ca'" },
      { listen { certificates = { { cert = leaf.cert, key = leaf.key } }, client_ca = ca.cert },
        "listen[0].tls.client_ca: does nothing without 'client_auth'" },
      { listen { certificates = { { cert = leaf.cert, key = leaf.key } }, client_auth = "request",
        client_ca = folder .. "/text" },
        "listen[0].tls.client_ca: there is no readable CA certificate in PEM form in it" },
      { listen { certificates = { { cert = leaf.cert, key = leaf.key } }, client_auth = "request",
        client_ca = ca.cert, client_crl = ca.cert }, "listen[0].tls.client_ca: there is no CRL in PEM form in it" },
      { listen { certificates = { { cert = leaf.cert, key = leaf.key } }, min_version = "1.3" },
        "listen[0].tls.min_version: this build's TLS library ends at TLS 1.2" },
      { service { ca = folder .. "/none.pem" }, "services.api.tls.ca: none.pem: No such file or directory" },
      { service { ca = folder .. "/text" },
        "services.api.tls.ca: there is no readable CA certificate in PEM form in it" },
      { service { cert = leaf.cert }, "services.api.tls.cert: 'cert' and 'key' go together" },
      { service { cert = leaf.cert, key = other.key },
        "services.api.tls.cert: leaf1.pem: key: it belongs to another certificate" },
      { service { verify = false, ca = ca.cert }, "services.api.tls.ca: does nothing without 'verify'" },
    } do
      local said = fault(case[1])
      assert.equal(case[2]:gsub(folder:gsub("%p", "%%%0") .. "/", ""), said:sub(1, #case[2]))
    end
  end)

  it("are all told at once", function()
    local config = ([[
listen:
  - { address: 127.0.0.1:0, tls: { certificates: [{ cert: %s, key: %s }, { cert: none.pem, key: %s }] } }
  - { address: 127.0.0.1:0, tls: { certificates: [{ cert: %s, key: %s }] } }
services:
  api: { url: "https://a.test", tls: { ca: none.pem } }
routes: []
]]):format(leaf.cert, leaf.key, leaf.key, leaf.cert, other.key)
    local res = E.run { args = { "check", "CONFIG" }, config = config }
    assert.matches("listen[0].tls.certificates[1].cert: none.pem: No such file or directory", res.stdout, 1, true)
    assert.matches("listen%[1%]%.tls%.certificates: %S*leaf1.pem: key: it belongs to another certificate", res.stdout)
    assert.matches("services.api.tls.ca: none.pem: No such file or directory", res.stdout, 1, true)
    assert.matches("3 errors", res.stdout, 1, true)
  end)

  describe("with a password", function()
    local config, locked

    setup(function()
      locked = ca:issue { names = { "a.test" }, password = "open sesame" }
      config = "secrets: { key: { env: MG_E2E_KEY } }\n"
        .. certificate(locked.cert, locked.key, { password = "key" })
    end)

    it("are opened with a secret", function()
      local g = E.start { name = "moongate.yaml", config = config, env = { MG_E2E_KEY = "open sesame" }, tls = true }
      assert.status(g:get "/", 404)
    end)

    it("are told when it is wrong", function()
      assert.matches("leaf%d+.pem: key: the password is wrong, or the key is damaged$",
        message({ "run", "-c", "CONFIG" }, config, { MG_E2E_KEY = "close sesame" }))
    end)

    it("are told when there is none of that name", function()
      local bare = config:gsub("^.-\n", "")
      assert.equal("listen[0].tls.certificates[0].password: unknown secret 'key'", fault(bare))
    end)

    it("cannot be tried by check alone", function()
      assert.equal(0, E.run({ args = { "check", "CONFIG" }, config = config }).status)
    end)

    for kind, arguments in pairs {
      ["PKCS #1 with AES"] = "rsa -traditional -aes256", ["PKCS #8 with AES"] = "pkcs8 -topk8 -v2 aes-256-cbc",
      ["PKCS #8 with 3DES"] = "pkcs8 -topk8 -v2 des3", ["PKCS #8 with scrypt"] = "pkcs8 -topk8 -scrypt",
    } do
      it("may be " .. kind, function()
        local path = folder .. "/" .. arguments:gsub("%W", "")
        local words = { "openssl" }
        for word in arguments:gmatch "%S+" do words[#words + 1] = word end
        for _, word in ipairs { "-in", rsa.key, "-out", path, "-passout", "pass:open sesame" } do
          words[#words + 1] = word
        end
        assert.equal(0, E.command(words).status)
        local text = "secrets: { key: { env: MG_E2E_KEY } }\n" .. certificate(rsa.cert, path, { password = "key" })
        local g = E.start { name = "moongate.yaml", config = text, env = { MG_E2E_KEY = "open sesame" }, tls = true }
        assert.status(g:get "/", 404)
      end)
    end
  end)

  describe("that end", function()
    local function warning(options)
      options.names = { "a.test" }
      local short = ca:issue(options)
      local res = E.run { args = { "check", "CONFIG" }, config = certificate(short.cert, short.key) }
      assert.equal(0, res.status)
      return (res.stdout .. res.stderr):match "moongate.yaml:1:%d+: ([^\n]*certificate of[^\n]*)"
    end

    it("soon are warned of", function()
      local at = "listen[0].tls.certificates[0].cert: warning: the certificate of 'a.test' "
      assert.equal(at .. "expires in 10 days", warning { to = 10 * DAY })
      assert.equal(at .. "expires in 29 days", warning { to = 29 * DAY })
      assert.is_nil(warning { to = 31 * DAY })
      assert.equal(at .. "has expired", warning { from = -2 * DAY, to = -DAY })
    end)

    it("serve all the same", function()
      local old = ca:issue { names = { "a.test" }, from = -2 * DAY, to = -DAY }
      local g = E.start { name = "moongate.yaml", config = certificate(old.cert, old.key), tls = true }
      assert.status(g:get "/", 404)
      assert.equal("certificate verify failed", select(2, g:connect { tls = { ca = ca.cert } }))
    end)
  end)
end)
