-- Writes the C table of embedded files (see embedded.h) to standard output.
-- Usage: lua5.4 embed.lua FILE...    FILE's path becomes its name in the table.

local names = { ... }
table.sort(names)

-- A C string literal, one line of source for each line of the file. Octal escapes always have three
-- digits, so a digit that follows is not taken in.
local function literal(text)
  local lines = {}
  for line in text:gmatch("[^\n]*\n?") do
    if line ~= "" then
      lines[#lines + 1] = '"' .. line:gsub('[%c"\\\128-\255]', function(c)
        if c == "\n" then return "\\n" end
        return ("\\%03o"):format(c:byte())
      end) .. '"'
    end
  end
  return #lines > 0 and table.concat(lines, "\n") or '""'
end

io.write('/* Made by src/script/embed.lua. */\n#include "script/embedded.h"\n\n',
  "const struct mg_embedded_file mg_embedded_files[] = {\n")
for _, name in ipairs(names) do
  local file = assert(io.open(name, "rb"))
  local text = assert(file:read("a"))
  file:close()
  io.write(("{%s,\n%s,\n%d},\n"):format(literal(name), literal(text), #text))
end
-- A last empty entry keeps the table from being empty, which C does not allow.
io.write("{NULL, NULL, 0},\n};\n\nconst size_t mg_embedded_file_count = ", #names, ";\n")
