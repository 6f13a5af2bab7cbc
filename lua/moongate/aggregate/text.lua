-- Whether a response is JSON, found out without making values of it: numbers may have any length.
--
--     text.check(res) -> true, or nil and an error object

local mg = require "moongate"

local M = {}

local WHOLE = mg.json.template { "", "" }

function M.check(res)
  local _, unread = res:text() -- takes content codings off
  if unread then return nil, unread end
  local ok, err = WHOLE:text(res)
  if ok then return true end
  return nil, { code = "bad_json", message = err.message }
end

return M
