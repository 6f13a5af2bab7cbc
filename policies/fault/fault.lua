-- Makes some requests slow or fail, to see what becomes of those who depend on them.

local mg, s = require "moongate", require "moongate.schema"
local share = require "moongate.limits.share"

local M = { name = "fault", version = "1.0.0", summary = "Makes some requests slow, or answers them with an error" }

M.schema = s.record {
  delay = s.duration { gt = 0, le = 3600, help = "before the request goes on, or is answered" },
  abort = s.status { ge = 400, help = "the answer; without it the request goes on" },
  share = share.option { default = 1, help = "of the requests, `10%` or 0 to 1" },
  header = s.header_name { help = "only requests with this header" },
  body = s.string { len = { 1, 65536 }, help = "of the answer; a problem when left out" },
}:check(function(conf)
  if not conf.delay and not conf.abort then return "needs 'delay', 'abort' or both" end
  if conf.body and not conf.abort then return "needs 'abort'", "body" end
  local _, fault = share.number(conf.share)
  if fault then return fault, "share" end
end)

function M.new(conf)
  local chosen = share.lot(conf.share)
  return { request = function(req)
    if conf.header and not req:header(conf.header) then return end
    if not chosen() then return end
    if conf.delay then mg.sleep(conf.delay) end
    if not conf.abort then return end
    mg.log.info("a fault, as the config wants it", { status = conf.abort })
    if conf.body then return mg.reply(conf.abort, conf.body) end
    return mg.problem(conf.abort, "fault-injected", "This failure is deliberate")
  end }
end

return M
