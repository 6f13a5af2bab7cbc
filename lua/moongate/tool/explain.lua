-- What `moongate explain` does in its Lua state: the way of one request through a config, told before it is sent. The
-- chunk's arguments are those of the command line after `explain`; it gives the exit status: 0 when something answers
-- the request, 1 when nothing does or the config is wrong, 2 for wrong use.

local inspect = require "moongate.inspect"
local text = require "moongate.tool.text"
local commands = require "moongate.tool.command"

local USAGE = [[
usage: moongate explain METHOD URL [-H 'NAME: VALUE']... [-c FILE] [--json]

  tells what a config does with a request: which routes were tried and why not, the steps in their order, who holds
  bodies in memory, and what would be sent to which backend. Nothing is sent, no step runs. URL is
  https://api.example.com/a?b=1, or begins with the path

  -H 'NAME: VALUE'   a header of the request; a Host counts instead of that of the URL
  -c FILE            the config; default moongate.yaml
  --listener NAME    where it comes in; default: the first listener for the scheme of the URL
  --from ADDRESS     the client's address; default 127.0.0.1
  --all              all routes whose path does not match, not only some
  --json, -o json    the same as data

  exit status: 0 when a route answers, 1 when none does (404, 405), 2 for wrong use
]]

local VALUES = { ["-c"] = "config", ["--config"] = "config", ["--listener"] = "listener", ["--from"] = "client" }
local OTHERS_SHOWN = 10

local command = commands.new("explain", USAGE)

-- ------------------------------------------------------------------------------------------------ arguments

local function take_header(opts, value)
  local name, rest = (value or ""):match "^([^:]+):%s*(.-)%s*$"
  if not name then return nil, ("-H needs 'NAME: VALUE', not '%s'"):format(value or "") end
  opts.headers[#opts.headers + 1] = { name, rest }
  return true
end

local function take_option(opts, word, value)
  if word == "-H" or word == "--header" then return take_header(opts, value) end
  if word == "-o" or word == "--output" then
    if value ~= "json" and value ~= "text" then return nil, ("%s knows json and text"):format(word) end
    opts.json = value == "json"
    return true
  end
  if not VALUES[word] then return nil, ("unknown option '%s'"):format(word) end
  if (value or "") == "" then return nil, word .. " needs a value" end
  opts[VALUES[word]] = value
  return true
end

local function parse(args)
  local opts, i = { config = "moongate.yaml", headers = {} }, 1
  while i <= #args do
    local word = args[i]
    if word == "-h" or word == "--help" then
      opts.help = true
    elseif word == "--json" then
      opts.json = true
    elseif word == "--all" then
      opts.all = true
    elseif word:sub(1, 1) == "-" then
      i = i + 1
      local ok, fault = take_option(opts, word, args[i])
      if not ok then return nil, fault end
    elseif not opts.method then
      opts.method = word
    elseif not opts.url then
      opts.url = word
    else
      return nil, ("one request at a time, '%s' is one more"):format(word)
    end
    i = i + 1
  end
  if not opts.help and not opts.url then return nil, "needs a METHOD and a URL" end
  return opts
end

-- ------------------------------------------------------------------------------------------------ words

local function is(value)
  return value ~= nil and type(value) ~= "userdata" -- null
end

local function join(list)
  return table.concat(list, ", ")
end

local function place(item)
  if item.line == 0 then return item.file end
  return ("%s:%d:%d"):format(item.file, item.line, item.col)
end

local function size(bytes)
  for _, unit in ipairs { { 1 << 30, "GiB" }, { 1 << 20, "MiB" }, { 1 << 10, "KiB" } } do
    if bytes >= unit[1] then return (("%.1f"):format(bytes / unit[1]):gsub("%.0$", "")) .. " " .. unit[2] end
  end
  return ("%d bytes"):format(bytes)
end

local function duration(ms)
  if ms >= 1000 then return ("%gs"):format(ms / 1000) end
  return ("%gms"):format(ms)
end

local function print_rows(rows)
  for _, line in ipairs(text.columns(rows)) do print("  " .. line) end
end

-- ------------------------------------------------------------------------------------------------ the routes

local function print_request(r)
  local query = is(r.query) and "?" .. r.query or ""
  print(("%s %s://%s%s%s  from %s, on %s"):format(r.method, r.scheme, r.host, r.path, query, r.client_ip, r.listener))
end

local function print_tried(tried, all)
  local rows, others = {}, 0
  for _, t in ipairs(tried) do
    local path_only = t.outcome == "path"
    if path_only then others = others + 1 end
    if all or not path_only or others <= OTHERS_SHOWN then
      local host = is(t.host) and t.host or ""
      rows[#rows + 1] = { t.outcome == "taken" and ">" or " ", t.route, host .. t.pattern, t.why, place(t) }
    end
  end
  print("\nroutes, in the order in which they are tried:")
  print_rows(rows)
  if not all and others > OTHERS_SHOWN then
    print(("    and %d more whose path does not match (--all shows them)"):format(others - OTHERS_SHOWN))
  end
end

local function print_outcome(e)
  if is(e.page) then
    print(("\nanswered by: the page '%s' of admin.public"):format(e.page))
  elseif is(e.route) then
    print(("\nroute: %s (%s)"):format(e.route.name, place(e.route)))
    if is(e.route.version) then print("  version " .. e.route.version) end
    local rows = {}
    for name, value in pairs(e.route.params) do rows[#rows + 1] = { name, "= " .. value } end
    table.sort(rows, function(a, b) return a[1] < b[1] end)
    print_rows(rows)
  else
    local why = is(e.allow) and ("; allowed: %s"):format(e.allow) or ""
    print(("\nno route takes it: %d%s%s"):format(e.status, is(e.error) and " " .. e.error or "", why))
  end
end

-- ------------------------------------------------------------------------------------------------ the steps

local KINDS = { native = "C", lua = "Lua", inline = "inline Lua", ["function"] = "Lua function" }

local function origin(step)
  local from = is(step.pipeline) and ("pipeline %s"):format(step.pipeline) or ("the %s's policies"):format(step.from)
  return ("%s (%s)"):format(from, place(step))
end

local function condition(when)
  local verdict = { [true] = "holds", [false] = "does not hold: the step is skipped" }
  local says = is(when.holds) and verdict[when.holds] or ("cannot be told: %s"):format(when.why)
  return ("when %s  -- %s"):format(when.expression, says)
end

local function add_steps(rows, steps, depth)
  for i, step in ipairs(steps) do
    local indent = ("    "):rep(depth)
    local name = step.id == step.policy and step.policy or ("%s (%s)"):format(step.id, step.policy)
    rows[#rows + 1] = {
      indent .. ("%d. %s"):format(i, name), KINDS[step.kind],
      is(step.phases) and join(step.phases) or "(phases unknown: it cannot be built here)", origin(step),
    }
    if is(step.when) then rows[#rows + 1] = { indent .. "   " .. condition(step.when) } end
    if step.on_error == "continue" then rows[#rows + 1] = { indent .. "   goes on when it fails" } end
    for n, inner in ipairs(step.inner) do
      rows[#rows + 1] = { indent .. ("   holds%s:"):format(#step.inner > 1 and (" (%d)"):format(n) or "") }
      add_steps(rows, inner, depth + 1)
    end
  end
end

-- Rows with one cell are notes, which no column is made wide for.
local function print_steps(e)
  if #e.steps == 0 then
    print("\nsteps: none, no Lua")
    return
  end
  print(("\nsteps, in this order%s:"):format(e.lua and "" or ", no Lua"))
  local rows, cells = {}, {}
  add_steps(rows, e.steps, 0)
  for _, row in ipairs(rows) do
    if #row > 1 then cells[#cells + 1] = row end
  end
  local lines, at = text.columns(cells), 0
  for _, row in ipairs(rows) do
    if #row > 1 then at = at + 1 end
    print("  " .. (#row > 1 and lines[at] or row[1]))
  end
end

local USES = {
  { "buffered_by", "whole in memory for" }, { "streamed_by", "read on its way by" },
  { "decoded_by", "content decoded for" }, { "encoded_by", "compressed by" },
  { "may_be_read_by", "may be read by" },
}

local function print_bodies(bodies)
  local rows = {}
  print "\nbodies:"
  for _, side in ipairs { "request", "response" } do
    local parts = {}
    for _, use in ipairs(USES) do
      local who = bodies[side][use[1]]
      if #who > 0 then parts[#parts + 1] = ("%s %s"):format(use[2], join(who)) end
    end
    rows[#rows + 1] = { side, #parts > 0 and table.concat(parts, "; ") or "streamed, untouched" }
  end
  print_rows(rows)
end

-- ------------------------------------------------------------------------------------------------ the service

local function print_limits(l)
  print "\nlimits:"
  print_rows {
    { "whole request", duration(l.timeout_ms) },
    { "head", ("%s, %d fields, in %s"):format(size(l.header_bytes), l.headers, duration(l.header_time_ms)) },
    { "body", ("%s; in memory for steps %s"):format(size(l.body_bytes), size(l.buffered_body_bytes)) },
  }
end

local function backends_of(s)
  local out = {}
  for i, b in ipairs(s.backends) do
    local facts = {}
    if b.weight ~= 1 then facts[#facts + 1] = "weight " .. b.weight end
    if is(b.zone) then facts[#facts + 1] = "zone " .. b.zone end
    if b.priority ~= 0 then facts[#facts + 1] = "priority " .. b.priority end
    out[i] = b.address .. (#facts > 0 and (" (%s)"):format(join(facts)) or "")
  end
  if is(s.dns) then out[#out + 1] = "all addresses of " .. s.dns end
  return join(out)
end

local function retries_of(r, method)
  if not is(r) then return "none beyond what is safe: another backend where no connection could be made" end
  local causes = {}
  for i, cause in ipairs(r.on) do causes[i] = tostring(cause) end
  if not r.method_allows then return ("not for %s"):format(method) end
  return ("%d, on %s; at most %d%% of the requests"):format(r.attempts, join(causes), r.budget_percent)
end

local function breaker_of(b)
  local ways = {}
  if b.failures > 0 then ways[#ways + 1] = ("%d failures in a row"):format(b.failures) end
  if b.ratio_percent > 0 then ways[#ways + 1] = ("%d%% of failures"):format(b.ratio_percent) end
  return ("opens for %s at %s"):format(duration(b.open_for_ms), table.concat(ways, " or "))
end

local function print_service(s)
  local share = s.share < 1 and (" (%g%% of the requests)"):format(s.share * 100) or ""
  print(("\nservice: %s%s"):format(s.name, share))
  local t = s.timeouts
  local rows = {
    { "sends", ("%s %s, Host: %s"):format(s.upstream.method, s.upstream.url, s.upstream.host) },
    { "backends", backends_of(s) },
    { "balance", s.balance .. (is(s.hash) and " " .. s.hash or "")
      .. (is(s.sticky_cookie) and ", sticky by the cookie " .. s.sticky_cookie or "") },
    { "time-outs", ("connect %s, first byte %s, idle %s%s"):format(duration(t.connect_ms), duration(t.first_byte_ms),
      duration(t.idle_ms), is(t.per_try_ms) and ", each try " .. duration(t.per_try_ms) or "") },
    { "retries", retries_of(s.retries, s.upstream.method) },
  }
  if is(s.circuit_breaker) then rows[#rows + 1] = { "circuit breaker", breaker_of(s.circuit_breaker) } end
  if s.hedges > 0 then rows[#rows + 1] = { "hedges", tostring(s.hedges) } end
  if s.ejects_outliers then rows[#rows + 1] = { "outliers", "backends that fail often are put aside" } end
  if is(s.max_requests) then rows[#rows + 1] = { "requests at a time", tostring(s.max_requests) } end
  rows[#rows + 1] = { "health checks", s.health_checks and "yes" or "no" }
  rows[#rows + 1] = { "when down", tostring(s.status_when_down) }
  print_rows(rows)
end

-- ------------------------------------------------------------------------------------------------ main

local function print_explanation(e, opts)
  print_request(e.request)
  print_tried(e.tried, opts.all)
  print_outcome(e)
  if is(e.page) then return end
  print_steps(e)
  print_bodies(e.bodies)
  print_limits(e.limits)
  for _, s in ipairs(e.services) do print_service(s) end
  if is(e.route) and #e.services == 0 then print "\nservice: none; a step answers" end
end

local opts, status = command:options(parse, { ... })
if not opts then return status end
local config, diagnostics = inspect.load(opts.config)
if not config then
  io.stderr:write(diagnostics)
  command:complain(("%s cannot be used"):format(opts.config))
  return 1
end
local explanation, json, found = config:explain(opts)
if not explanation then
  command:complain(json)
  return 2
end
if opts.json then
  print(json)
else
  print_explanation(explanation, opts)
end
return found and 0 or 1
