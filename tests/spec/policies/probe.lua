-- For specs: says what `new` was given, and what its config makes it do.
local mg, s = require "moongate", require "moongate.schema"

local M = { name = "probe", version = "1.0.0" }

M.schema = s.record {
  text = s.string { default = "none" },
  reads = s.enum { "text", "json", "chunks", "transform", "form", help = "a body that it does not declare" },
  side = s.enum { "request", "response", default = "request" },
  fetches = s.service { help = "and reads what comes, piece by piece" },
}

local READ = {
  text = function(message) message:text() end,
  json = function(message) message:json() end,
  form = function(message) message:form() end,
  chunks = function(message) for _ in message:chunks() do end end,
  transform = function(message) message:transform(function(piece) return piece end) end,
}

local function fetched(conf)
  local res, text = assert(mg.fetch(conf.fetches, { path = "/", stream = true })), ""
  for piece in res:chunks() do text = text .. piece end
  return text
end

function M.new(conf, env)
  if conf.text == "refuse" then error("this text is refused") end
  return {
    request = function(req)
      if conf.fetches then return mg.reply(200, fetched(conf)) end
      if conf.reads and conf.side == "request" then READ[conf.reads](req) end
      if req.path == "/env" then
        return mg.reply_json(200, { env = env, text = conf.text })
      end
    end,
    response = conf.reads and conf.side == "response" and function(_, res) READ[conf.reads](res) end or nil,
  }
end

return M
