-- Lets clients repeat a request without its being done twice. They send a key of their own with it; a second request
-- with that key gets the answer of the first, and the backend does not see it.
--
-- As draft-ietf-httpapi-idempotency-key-header has it: no key is 400, a key whose first request is still under way is
-- 409, a key that was used for another request is 422.

local mg, s = require "moongate", require "moongate.schema"

local M = {
  name = "idempotency",
  version = "1.0.0",
  summary = "Does a repeated request once, by its Idempotency-Key",
  body = { request = "buffer", response = "buffer" }, -- the one is compared, the other kept
}

M.schema = s.record {
  header = s.header_name { default = "Idempotency-Key", help = "where clients send their key" },
  required = s.boolean { default = true, help = "400 without a key; false: such requests pass as they are" },
  keep = s.duration { default = "24h", gt = 0, help = "how long an answer is given again" },
  by = s.expr { default = "${header.authorization}", help = "whose key it is: nobody gets another one's answer" },
}

local KEY_MAX = 255
local UNDER_WAY = 60 -- seconds: what never came back does not block its key for ever
local KEPT_HEADERS = { "Content-Type", "Location", "ETag" }

-- What is remembered of a request and its answer is JSON; a body may be any bytes.
local function write(print, res)
  local headers = {}
  for _, name in ipairs(KEPT_HEADERS) do headers[name] = res:header(name) end
  return mg.json.encode { print = print, status = res.status, headers = headers, body = mg.crypto.base64(res:text()) }
end

local function read(text)
  local answer = mg.json.decode(text)
  answer.body = answer.body and mg.crypto.base64.decode(answer.body)
  return answer
end

-- The answer to a request whose key is known.
local function again(known, print)
  if known.print ~= print then
    return mg.problem(422, "key-reused", "This key was used for another request")
  end
  if not known.status then
    return mg.problem(409, "under-way", "The first request with this key is not done yet", {
      headers = { ["Retry-After"] = 1 },
    })
  end
  local res = mg.reply(known.status, known.body, known.headers)
  res:set_header("Idempotency-Replayed", "true")
  return res
end

function M.new(conf)
  local answers = mg.shared "idempotency" -- one for all workers

  -- Failures are not kept: the client is to try again.
  local function keep(slot, print, res)
    local text = res.status < 500 and write(print, res)
    if not text then
      answers:delete(slot)
      return
    end
    local ok, err = answers:set(slot, text, conf.keep)
    if not ok then mg.log.warn("cannot keep an answer", { reason = tostring(err) }) end
  end

  return {
    request = function(req)
      local key = req:header(conf.header)
      if not key and not conf.required then return end
      if not key or key == "" or #key > KEY_MAX then
        return mg.problem(400, "key-missing", "Send a key of your own in " .. conf.header)
      end

      local slot = mg.crypto.sha256(mg.key(req.route.name, req:expr(conf.by), key))
      local print = mg.crypto.sha256(mg.key(req.method, req.path, req.query or "", req:text()))

      -- `add` is one step for all workers: of requests that come at the same time it lets one pass.
      local first = answers:add(slot, mg.json.encode { print = print }, UNDER_WAY)
      if not first then
        local known = answers:get(slot)
        if known then return again(read(known), print) end
        -- It went just now, or nothing could be stored. Better not done than done twice.
        return mg.problem(503, "try-again", nil, { headers = { ["Retry-After"] = 1 } })
      end
      return function(res) keep(slot, print, res) end
    end,
  }
end

return M
