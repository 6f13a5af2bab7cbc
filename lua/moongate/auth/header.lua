-- Names of header fields that backends believe because the gateway wrote them. A client that sends them itself could
-- pretend to be anybody: its own copies go with `req:del_header`, in every spelling that some server takes for them.

local M = {}

-- CGI, WSGI and their kin pass `X-User-Id` on as HTTP_X_USER_ID, and some make an underscore of every other character
-- as well: they cannot tell `X_User_Id`, `x.user-id` and `X-User-Id` apart.
local function normal(name)
  return (name:lower():gsub("[^%w]", "-"))
end

local RESERVED = {
  connection = true, ["content-length"] = true, host = true, ["http2-settings"] = true, ["keep-alive"] = true,
  ["proxy-connection"] = true, te = true, ["transfer-encoding"] = true, upgrade = true,
}

-- Whether it belongs to the connection or says where the request goes, in any spelling: not for identities.
function M.is_reserved(name)
  return RESERVED[normal(name)] == true
end

-- Whether two names are the same to some server.
function M.is_same(a, b)
  return normal(a) == normal(b)
end

return M
