-- Has a running gateway read its config again.

local loop = require "moongate.e2e.loop"

local DONE, FAILED = '"msg":"config reloaded"', '"msg":"reload failed'
local PLAIN_DONE, PLAIN_FAILED = "Z info config reloaded", "Z error reload failed"

-- How many lines there are of each kind, and the last of the failures. None of them is unexpected from now on.
local function count(gateway)
  local done = #gateway:log(DONE) + #gateway:log(PLAIN_DONE)
  local failed = gateway:log(FAILED)
  for _, line in ipairs(gateway:log(PLAIN_FAILED)) do failed[#failed + 1] = line end
  return done, #failed, failed[#failed]
end

-- g:reload(config): the new config takes the place of its file (left out: what is in it), and is in force when this
-- returns. Gives true, or nil and the log line when the gateway keeps the config before it.
return function(gateway, config)
  local done, failed = count(gateway)
  if config then gateway.write_config(config) end
  gateway.process:signal("HUP")
  local now_done, now_failed, why
  loop.until_true(function()
    now_done, now_failed, why = count(gateway)
    return now_done > done or now_failed > failed or gateway.process:status()
  end)
  gateway.note_addresses()
  if now_done > done then return true end
  return nil, why or "the gateway has ended"
end
