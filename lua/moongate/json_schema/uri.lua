-- References between schemas: RFC 3986 section 5.2. Pure.

local M = {}

local function split(uri)
  local rest, fragment = uri:match "^([^#]*)#?(.*)$"
  if not uri:find("#", 1, true) then fragment = nil end
  local scheme, after = rest:match "^(%a[%w+.-]*):(.*)$"
  rest = after or rest
  local authority, path = rest:match "^//([^/?]*)(.*)$"
  path = path or rest
  local plain, query = path:match "^([^?]*)%?(.*)$"
  return { scheme = scheme, authority = authority, path = plain or path, query = query, fragment = fragment }
end

local function remove_dots(path)
  local out = {}
  for slash, segment in path:gmatch "(/?)([^/]*)" do
    if segment == ".." then
      if #out > 0 then out[#out] = nil end
    elseif segment ~= "." and (slash ~= "" or segment ~= "") then
      out[#out + 1] = slash .. segment
    end
  end
  local text = table.concat(out)
  if path:find "/%.%.?$" then text = text .. "/" end
  return text
end

-- The reference as seen from `base`: what it names, and its fragment or nil.
function M.resolve(base, reference)
  local r, b = split(reference), split(base)
  if not r.scheme then
    r.scheme = b.scheme
    if not r.authority then
      r.authority = b.authority
      if r.path == "" then
        r.path, r.query = b.path, r.query or b.query
      elseif r.path:sub(1, 1) ~= "/" then
        r.path = remove_dots((b.path:match "^.*/" or (b.authority and "/") or "") .. r.path)
      else
        r.path = remove_dots(r.path)
      end
    end
  end
  local uri = (r.scheme and r.scheme .. ":" or "") .. (r.authority and "//" .. r.authority or "") .. r.path
    .. (r.query and "?" .. r.query or "")
  return uri, r.fragment
end

function M.unescape(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- The segments of a JSON pointer (RFC 6901), which begins with "/" or is empty.
function M.segments(pointer)
  local out = {}
  for segment in pointer:gmatch "/([^/]*)" do
    out[#out + 1] = segment:gsub("~1", "/"):gsub("~0", "~")
  end
  return out
end

-- A key as a segment of a JSON pointer.
function M.escape_segment(key)
  return (tostring(key):gsub("~", "~0"):gsub("/", "~1"))
end

return M
