-- Refuses requests that another site made a browser send along with the user's cookies.
--
-- A browser says where a request comes from, and pages cannot make it say anything else: Sec-Fetch-Site (W3C Fetch
-- Metadata), and Origin or Referer in older ones. On top of that a token can be asked for, which only a page of ours
-- can read: it comes in a cookie and has to come back in a header.

local mg, s = require "moongate", require "moongate.schema"

local M = { name = "csrf", version = "1.0.0", summary = "Refuse requests that other sites forge in a browser" }

local COOKIE, LENGTH = "^[!#$%%&'*+%-.^_`|~%w]+$", { 1, 128 } -- mutate: equal, the pattern wants a character as well

M.schema = s.record {
  cookies = s.list(s.string { match = COOKIE, len = LENGTH }, { single = true, len = { 1, 100 },
    help = "that log a user in; requests without them pass; default: any cookie" }),
  always = s.boolean { default = false,
    help = "ask of requests without cookies too: for Basic and client certificates" },
  -- mutate: equal, the pattern wants more than one character
  origins = s.list(s.string { match = "^https?://[^/%s?#]+$", len = { 1, 300 } }, { single = true, len = { 1, 1000 },
    help = "other sites that may send requests: https://app.example.com" }),
  same_site = s.boolean { default = true, help = "false: other hosts below the same domain must be in 'origins'" },
  token = s.record({
    secret = s.secret { required = true, help = "that signs the tokens" },
    session = s.string { required = true, match = COOKIE, len = LENGTH,
      help = "the cookie with the user's session: a token is good for one alone" },
    cookie = s.string { default = "csrf-token", match = COOKIE, len = LENGTH, help = "that holds the token" },
    header = s.header_name { default = "X-CSRF-Token", help = "that repeats it" },
    ttl = s.duration { default = "12h", ge = 60, le = 30 * 86400, help = "how long a token is good" },
  }, { help = "a signed token, in a cookie and again in a header, as well" }),
}

-- ------------------------------------------------------------------------------------------------ where from

-- Methods that change nothing (RFC 9110 9.2.1).
local SAFE = { GET = true, HEAD = true, OPTIONS = true, TRACE = true }

-- WebSockets begin as a GET, and are as good as any other request afterwards.
local function is_safe(req)
  return SAFE[req.method] and not req:header "Sec-WebSocket-Key"
end

-- scheme://host:port of a URL, as two of the same origin are the same text (RFC 6454 4); nil when it is none.
local function origin_of(url)
  local parts = mg.url.parse(url)
  return parts and ("%s://%s:%d"):format(parts.scheme, parts.host:lower(), parts.port)
end

local function own_origin(req)
  return ("%s://%s:%d"):format(req.scheme, req.host:lower(), req.port)
end

local function origin_set(list)
  local set = {}
  for _, text in ipairs(list or {}) do set[assert(origin_of(text), text .. " is no origin")] = true end
  return set
end

-- Whether the request was made by a page that may. What does not say where it comes from may not.
local function compile_source(conf)
  local trusted = origin_set(conf.origins)
  local sites = { ["same-origin"] = true, none = true, ["same-site"] = conf.same_site or nil }
  return function(req)
    local site = req:header "Sec-Fetch-Site"
    if site and sites[site] then return true end
    local from = req:header "Origin" or not site and req:header "Referer"
    local origin = from and origin_of(from)
    return origin and (trusted[origin] or not site and origin == own_origin(req))
  end
end

-- ------------------------------------------------------------------------------------------------ the token

-- A token is NONCE.END.SIGNATURE. It is signed for one session, so that a neighbour who can set cookies for this domain
-- cannot give a user one of his own.
local function compile_token(conf)
  local secret = mg.secret(conf.secret)

  local function signature(nonce, ends, session)
    return mg.crypto.base64url(mg.crypto.hmac_sha256(secret, mg.key("csrf", nonce, ends, session), "raw"))
  end

  local function make(session)
    local nonce = mg.crypto.base64url(mg.crypto.random(16)) -- mutate: equal, one byte more or less
    local ends = ("%d"):format(math.floor(mg.now() + conf.ttl))
    return nonce .. "." .. ends .. "." .. signature(nonce, ends, session)
  end

  -- The seconds that a token is still good for; nil when it is not.
  local function life(text, session)
    local nonce, ends, signed = text:match "^([%w_-]+)%.(%d+)%.([%w_-]+)$"
    if not nonce or not mg.crypto.equal(signed, signature(nonce, ends, session)) then return nil end
    local left = tonumber(ends) - mg.now()
    return left > 0 and left or nil
  end

  return make, life
end

local function set_cookie(res, req, conf, value)
  res:add_header("Set-Cookie", ("%s=%s; Path=/; Max-Age=%d; SameSite=Lax%s"):format(
    conf.cookie, value, math.floor(conf.ttl), req.scheme == "https" and "; Secure" or ""))
end

-- Two functions: whether an unsafe request has the token, and what gives a response to a safe one a new token, when
-- there is none or half of its time is over.
local function compile_tokens(conf)
  local make, life = compile_token(conf)

  local function has(req)
    local sent, kept = req:header(conf.header), req:cookie(conf.cookie)
    if not sent or not kept or not mg.crypto.equal(sent, kept) then return false end -- mutate: equal, nil is no either
    return life(sent, req:cookie(conf.session) or "") ~= nil
  end

  local function refresh(req)
    local session, kept = req:cookie(conf.session) or "", req:cookie(conf.cookie)
    local left = kept and life(kept, session)
    if left and left > conf.ttl / 2 then return nil end -- mutate: equal, a moment more or less
    return function(res) set_cookie(res, req, conf, make(session)) end
  end

  return has, refresh
end

-- ------------------------------------------------------------------------------------------------ the step

-- Whether a browser could have added something to the request that tells whose it is.
local function compile_concerned(conf)
  if conf.always then return function() return true end end
  if not conf.cookies then return function(req) return req:header "Cookie" ~= nil end end
  return function(req)
    for _, name in ipairs(conf.cookies) do
      if req:cookie(name) then return true end
    end
    return false -- mutate: equal, nil is no either
  end
end

local function refuse(req, slug, detail)
  mg.log.info("forged request refused", {
    reason = slug, site = req:header "Sec-Fetch-Site", origin = req:header "Origin", referer = req:header "Referer",
  })
  return mg.problem(403, slug, detail)
end

function M.new(conf)
  local is_concerned, is_ours = compile_concerned(conf), compile_source(conf)
  local has_token, refresh
  if conf.token then has_token, refresh = compile_tokens(conf.token) end

  return { request = function(req)
    if is_safe(req) then return refresh and refresh(req) end
    if not is_concerned(req) then return end
    if not is_ours(req) then return refuse(req, "cross-site", "The request comes from another site") end
    if has_token and not req:header "Sec-WebSocket-Key" and not has_token(req) then
      return refuse(req, "csrf-token", "The CSRF token is missing or wrong")
    end
  end }
end

return M
