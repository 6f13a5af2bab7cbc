-- Files and their names, for the options of `moongate test`.

local lfs = require "lfs"

local M = {}

-- The shortest name of a file: from the present folder where it lies in it, without `.` and `..`, where that is known.
function M.tidy(path)
  local folder = lfs.currentdir() .. "/"
  if path:sub(1, #folder) == folder then path = path:sub(#folder + 1) end
  local parts = {}
  for part in path:gmatch "[^/]+" do
    if part == ".." and #parts > 0 and parts[#parts] ~= ".." then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return (path:find "^/" and "/" or "") .. table.concat(parts, "/")
end

-- The whole file, or nil and why.
function M.read(path)
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local text
  text, why = file:read "a"
  file:close()
  return text, why
end

function M.exists(path)
  return lfs.attributes(path, "mode") == "file"
end

-- What lies in a folder, in order, but for hidden names.
function M.names_in(folder)
  local names = {}
  local ok, next_name, state = pcall(lfs.dir, folder)
  if not ok then return names end -- it went meanwhile, or is nobody's business
  for name in next_name, state do
    if not name:find "^%." then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- Calls fn(path) for the file, or for each one in the folder and below, in order; but for hidden ones, and folders that
-- are only linked there.
function M.each(path, fn)
  local mode = lfs.attributes(path, "mode")
  if mode == "file" then return fn(path) end
  if mode ~= "directory" then return end
  for _, name in ipairs(M.names_in(path)) do
    local inner = path .. "/" .. name
    if lfs.attributes(inner, "mode") ~= "directory" or lfs.symlinkattributes(inner, "mode") == "directory" then
      M.each(inner, fn)
    end
  end
end

return M
