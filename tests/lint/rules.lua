-- What the lint checks in one file. Pure: text in, findings out; lint.lua reads the files and prints.
--
-- check(path, text) returns a list of { line =, text = "what is wrong; what to do" }. A line whose comment says
-- `lint: allow NAME` may call the banned function NAME; the comment should say why.

local M = {}

-- Layers ----------------------------------------------------------------------------------------------------

local rows = {
  app = 7, script = 6, gateway = 5, upstream = 4,
  http = 3, tls = 3, redis = 3, net = 2, shared = 2, crypto = 2, base = 1,
}

-- Folder and row that a path of src/ belongs to.
local function row_of(path)
  local folder = path:match("^src/([^/]+)/")
  return folder, rows[folder]
end

local function check_layer(path, included)
  local folder, row = row_of(path)
  local other = included:match("^([^/]+)/")
  if not other then
    return ('"%s" is included without its folder; write "%s/%s"'):format(included, folder, included)
  end
  if other == folder then return end
  if not rows[other] then
    return ('"%s" lies in no known layer; see `rows` in tests/lint/rules.lua'):format(included)
  end
  if rows[other] > row then
    return ('%s (row %d) includes "%s" of row %d; call up through a table of functions that the upper row fills in')
      :format(folder, row, included, rows[other])
  end
  if rows[other] == row then
    return ('%s includes "%s" beside it in row %d; move what both need to a lower row'):format(folder, included, row)
  end
end

-- Library homes ---------------------------------------------------------------------------------------------

-- Header (a Lua pattern) and the files that may include it (patterns too).
local homes = {
  { "^event2/bufferevent", {}, "raw events (net/loop.h) are used instead of bufferevents" },
  { "^event2/http", {}, "evhttp is not used; the codecs are in src/http" },
  { "^event2/", { "^src/net/" } },
  { "^event%.h$", { "^src/net/" } },
  { "^mbedtls/", { "^src/tls/" } },
  { "^psa/", { "^src/tls/" } },
  { "^jwt%.h$", { "^src/crypto/" } },
  { "^openssl/", { "^src/crypto/", "^src/tls/" } },
  { "^nghttp2/", { "^src/http/h2_" } },
  { "^ares", { "^src/net/resolver%.c$" } },
  { "^hiredis/", { "^src/redis/" } },
  { "^yaml%.h$", { "^src/script/yaml%.c$" } },
  { "^pcre2", { "^src/base/regex%.c$" } },
  { "^zlib%.h$", { "^src/http/coding" } },
  { "^brotli/", { "^src/http/coding" } },
  { "^lua%.h$", { "^src/script/" } },
  { "^lauxlib%.h$", { "^src/script/" } },
  { "^lualib%.h$", { "^src/script/" } },
  { "^luaconf%.h$", { "^src/script/" } },
  { "^cmocka%.h$", {}, "tests are in tests/unit" },
}

local function check_home(path, included)
  for _, home in ipairs(homes) do
    local header, files, why = table.unpack(home)
    if included:find(header) then
      for _, file in ipairs(files) do
        if path:find(file) then return end
      end
      local places = table.concat(files, ", "):gsub("[%^$%%]", "")
      why = why or "its home is " .. places .. "; wrap there what is needed"
      return ("<%s> is included here; %s"):format(included, why)
    end
  end
end

-- Banned functions ------------------------------------------------------------------------------------------

local unbounded = "it does not know the room; use mg_buf, mg_arena_printf or snprintf"
local no_error = "it hides overflow and rubbish; parse with limits (mg_str) or strtol"
local shared_state = "its result is shared by all threads; use the _r function"
local sleeps = "it blocks the thread; use a timer, in tests the clock that the test moves"

local banned = {
  strcpy = unbounded, stpcpy = unbounded, strcat = unbounded, strncat = unbounded, sprintf = unbounded,
  vsprintf = unbounded, gets = unbounded,
  strncpy = "it may leave out the NUL and pads with more; copy mg_str or use memcpy",
  strtok = "it writes to its argument and keeps hidden state; cut with mg_str",
  atoi = no_error, atol = no_error, atoll = no_error, atof = no_error,
  alloca = "a peer's size must not reach the stack; use the arena",
  rand = "it is neither random nor safe with threads; use the crypto folder's generator",
  srand = "see rand; use the crypto folder's generator",
  system = "a shell must not see our strings; use posix_spawn",
  popen = "a shell must not see our strings; use posix_spawn",
  setjmp = "it skips clean-up; return an error", longjmp = "it skips clean-up; return an error",
  gmtime = shared_state, localtime = shared_state, ctime = shared_state, asctime = shared_state,
  inet_ntoa = shared_state, gethostbyname = "it blocks the worker; use net/resolver",
  sleep = sleeps, usleep = sleeps, nanosleep = sleeps,
}

-- The text with the insides of comments and literals blanked; line breaks stay. Second result: the comments of
-- each line, for `lint: allow`.
local function code_only(text)
  local out, comments, at, line = {}, {}, 1, 1
  local function pass(upto, blank)
    local piece = text:sub(at, upto)
    out[#out + 1] = blank and piece:gsub("[^\n]", " ") or piece
    for _ in piece:gmatch("\n") do line = line + 1 end
    at = upto + 1
  end
  while at <= #text do
    local start = text:find("[/\"']", at)
    if not start then break end
    if start > at then pass(start - 1) end
    local two, stop = text:sub(at, at + 1), nil
    if two == "/*" then
      stop = select(2, text:find("*/", at + 2, true)) or #text
    elseif two == "//" then
      stop = (text:find("\n", at, true) or #text + 1) - 1
    elseif text:sub(at, at) == "/" then
      pass(at)
    else
      local quote = text:sub(at, at)
      stop = at + 1
      while stop <= #text and text:sub(stop, stop) ~= quote and text:sub(stop, stop) ~= "\n" do
        stop = stop + (text:sub(stop, stop) == "\\" and 2 or 1)
      end
    end
    if stop then
      if two:sub(1, 1) == "/" then comments[line] = (comments[line] or "") .. text:sub(at, stop) end
      pass(stop, true)
    end
  end
  pass(#text)
  return table.concat(out), comments
end

local function check_calls(text, found)
  local code, comments = code_only(text)
  local line = 0
  for code_line in (code .. "\n"):gmatch("(.-)\n") do
    line = line + 1
    for before, name in code_line:gmatch("([^%s]?[^%s]?%s*)%f[%w_]([%a_][%w_]*)%s*%(") do
      local member = before:find("%.%s*$") or before:find("->%s*$")
      local allowed = (comments[line] or ""):find("lint: allow " .. name, 1, true)
      if banned[name] and not member and not allowed then
        found(line, ("%s() is banned: %s"):format(name, banned[name]))
      end
    end
  end
end

-- C files of src/: layers and homes. All C files: calls. -----------------------------------------------------

local function check_includes(path, text, found)
  local folder, row = row_of(path)
  if not row then
    found(1, ("folder 'src/%s' is in no layer; see `rows` in tests/lint/rules.lua"):format(folder or ""))
    return
  end
  local line = 0
  for source in (text .. "\n"):gmatch("(.-)\n") do
    line = line + 1
    local open, included = source:match('^%s*#%s*include%s*(["<])([^">]+)[">]')
    local wrong = included and (open == '"' and check_layer(path, included) or check_home(path, included))
    if wrong then found(line, wrong) end
  end
end

-- Words that must not stay, and places of one machine. -------------------------------------------------------

local words = { "TODO", "FIXME", "XXX" }

function M.new(here)
  -- Where this checkout lies; a short path such as /app could be anybody's URL.
  local places = { "/home/%w", "/root/", "/Users/%w" }
  if here and here:find("^/[^/]+/.") then places[#places + 1] = (here:gsub("%p", "%%%0")) end

  local function check_words(text, found)
    local line = 0
    for source in (text .. "\n"):gmatch("(.-)\n") do
      line = line + 1
      for _, word in ipairs(words) do
        if source:find("%f[%w]" .. word .. "%f[%W]") then
          found(line, ("%s left in the code; do it now, or open an issue"):format(word))
        end
      end
      for _, place in ipairs(places) do
        if source:find("%f[/%w]" .. place) then
          found(line, "a path of one machine; make it relative to the project or an option")
        end
      end
    end
  end

  return function(path, text)
    local findings = {}
    local function found(line, what)
      findings[#findings + 1] = { line = line, text = what }
    end
    if path:find("^src/.*%.[ch]$") then check_includes(path, text, found) end
    if path:find("%.[ch]$") then check_calls(text, found) end
    if path:find("_spec%.lua$") then
      local line = 0
      for source in (text .. "\n"):gmatch("(.-)\n") do
        line = line + 1
        if source:find("socket%.sleep") or source:find("os%.execute.*sleep") then
          found(line, "a spec sleeps; move the clock (t:advance) or use E.eventually")
        end
      end
    end
    if not path:find("^tests/lint/") then check_words(text, found) end
    table.sort(findings, function(a, b) return a.line < b.line end)
    return findings
  end
end

return M
