-- Gives every request an id that the backend, the client and the log all see.

local mg, s = require "moongate", require "moongate.schema"

local M = { name = "request-id", version = "1.0.0", summary = "An id for every request, passed on and sent back" }

local MAX_CHARS = 128

M.schema = s.record {
  header = s.header_name { default = "X-Request-ID", help = "where the id is passed on and sent back" },
  trust = s.enum { "peers", "always", "never", default = "peers", help = "whose ids are kept" },
}

local function is_id(text)
  return text ~= nil and text ~= "" and #text <= MAX_CHARS and not text:find("[^%w._-]")
end

local function keep_theirs(req, header)
  local theirs = req:header(header)
  if is_id(theirs) and theirs ~= req.id then req.id = theirs end
end

-- Of trusted peers the gateway itself keeps the X-Request-ID as req.id; another header is kept here.
local CHOOSE = {
  peers = function(req, header)
    if req.peer_trusted then keep_theirs(req, header) end
  end,
  always = keep_theirs,
  never = function(req)
    if req.id == req:header "X-Request-ID" then req.id = mg.crypto.hex(mg.crypto.random(16)) end
  end,
}

function M.new(conf)
  local header, choose = conf.header, CHOOSE[conf.trust]
  return {
    request = function(req)
      choose(req, header)
      req:set_header(header, req.id)
    end,
    response = function(req, res) res:set_header(header, req.id) end,
  }
end

return M
