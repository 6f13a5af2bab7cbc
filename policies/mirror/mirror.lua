-- Sends a copy of some requests to another service, and drops what it answers. The client and the backend notice
-- nothing of it: the copy goes out in the background, and what cannot be copied is not.

local mg, s = require "moongate", require "moongate.schema"
local share = require "moongate.limits.share"

local M = {
  name = "mirror", version = "1.0.0", summary = "Sends a copy of some requests to another service",
  body = { request = "stream" },
}

M.schema = s.record {
  service = s.service { required = true, help = "what gets the copies" },
  sample = share.option { default = 1, help = "the share of requests that are copied, `5%` or 0 to 1" },
  max_body = s.size { default = "64KiB", le = 1 << 24, help = "requests with a larger body are not copied" },
  timeout = s.duration { default = "10s", gt = 0, le = 600, help = "for the answer that is dropped" },
}:check(function(conf)
  local _, fault = share.number(conf.sample)
  if fault then return fault, "sample" end
end)

-- Of the connection, or written anew.
local NOT_COPIED = {
  connection = true, ["content-length"] = true, expect = true, host = true, ["keep-alive"] = true,
  ["proxy-connection"] = true, te = true, ["transfer-encoding"] = true, upgrade = true,
}

local function headers_of(copy)
  local headers = {}
  for name in copy:headers() do
    if not NOT_COPIED[name:lower()] then headers[name] = copy:header_values(name) end
  end
  return headers
end

function M.new(conf)
  local chosen, dropped = share.lot(conf.sample), false

  local function send(copy, body)
    local res, err = mg.fetch(conf.service, {
      method = copy.method, path = copy.raw_path:match "^[^?#]*", query = copy.query, headers = headers_of(copy),
      body = body, timeout = conf.timeout, stream = true,
    })
    if not res then return mg.log.debug("a copy was not answered", { service = conf.service, why = err.code }) end
    for _ in res:chunks() do end -- so that the connection can be used again
  end

  -- What goes wrong here must not become an error of a request.
  local function start(copy, body)
    local task, err = mg.background(function()
      local ok, fault = pcall(send, copy, body)
      if not ok then mg.log.info("a copy failed", { service = conf.service, why = tostring(fault) }) end
    end)
    if not task and not dropped then
      dropped = true -- once is enough: the next ones are dropped for the same reason
      mg.log.warn("copies are dropped", { service = conf.service, why = err.code })
    end
  end

  -- A body of unknown length is taken down while it streams.
  local function collect(req, copy)
    local parts, bytes = {}, 0
    req:transform(function(piece, eof)
      bytes = bytes + #piece
      if bytes > conf.max_body then parts = nil end
      if parts then parts[#parts + 1] = piece end
      if parts and eof then start(copy, table.concat(parts)) end
      return piece
    end)
  end

  return { request = function(req)
    if req:header "Upgrade" or not chosen() then return end
    local length = tonumber(req:header "Content-Length")
    if length and length > conf.max_body then return end
    if length and length > 0 then
      -- Small enough to be read here: so it goes on with the length that it came with.
      local body = req:text(conf.max_body)
      if body then start(req:copy(), body) end
    elseif length or req:text(0) == "" then
      start(req:copy())
    else
      collect(req, req:copy())
    end
  end }
end

return M
