-- Answers with what several services say: asks them at the same time, or one after the other where one needs what
-- another said, and puts one JSON together.
--
-- What does not change is compiled in `new`. A part that the template does not look into is never decoded: its text
-- goes from the service's answer into ours.

local again = require("moongate.aggregate.part").again
local kinds = require "moongate.template.kinds"
local mg, s = require "moongate", require "moongate.schema"
local plans = require "moongate.aggregate.plan"
local runs = require "moongate.aggregate.run"
local stores = require "moongate.aggregate.store"
local try = require("moongate.template.compile").try

local M = {
  name = "aggregate", version = "1.0.0", summary = "Answer with the answers of several services, put together",
  body = { response = "stream" },
}

local NAME = s.string { match = "^[%a_][%w_]*$", len = { 1, 64 } }
local STATUSES = s.any_of { s.status(), s.string { match = "^[1-5]%d%d%-[1-5]%d%d$" } }

local function texts(help, keys) return s.map(kinds.text(), { keys = keys, help = help }) end

local function counter(first, help)
  return s.record({
    arg = s.string { required = true, len = { 1, 128 }, help = "the argument that tells it" },
    first = s.integer { default = first, ge = 0, help = "its value for the first page" },
    size = s.integer { ge = 1, help = "how many items a page has; one with fewer is the last" },
  }, { help = help })
end

local PAGES = s.record({
  items = s.string { match = "^[^.]", len = { 1, 256 }, help = "where the list is in a page, such as result.items" },
  next = kinds.expression { help = "the next page's address, such as page.links.next; `link`: that of the field Link" },
  cursor = s.record({
    arg = s.string { required = true, len = { 1, 128 }, help = "the argument that takes it" },
    value = kinds.expression { required = true, help = "where it is, such as page.meta.next" },
  }, { help = "what tells the next page" }),
  page = counter(1, "pages by their number, until one is empty"),
  offset = counter(0, "pages by the number of items before them, until one is empty"),
  max = s.integer { default = 20, ge = 1, le = 1000, help = "how many pages" },
  max_bytes = s.size { default = "4MiB", ge = 1, help = "of all items" },
  partial = s.boolean { default = false, help = "where a bound is met what came so far will do" },
}, { help = "the list comes in pages, which are made one" }):check(function(conf)
  local ways = 0
  for _, way in ipairs { "next", "cursor", "page", "offset" } do ways = ways + (conf[way] and 1 or 0) end
  if ways > 1 then return "needs one of 'next', 'cursor', 'page' and 'offset'" end
end)

local PART = s.record {
  service = s.service { required = true, help = "whom to ask" },
  path = kinds.text { required = true, help = "what to ask for, such as /products/${params.id}; values are encoded" },
  query = texts "arguments; one without a value is left out",
  method = s.method { help = "GET when left out, and POST with a `body`" },
  headers = texts("of the part's request", s.header_name()),
  body = kinds.json { help = "of the part's request: JSON, or one text that goes out as it is" },
  pass = s.list(s.header_name(), { single = true, help = "headers of the client that the service sees as well" }),
  optional = s.boolean { default = false, help = "the answer can do without it: it is null when it fails" },
  default = s.any { help = "what stands in the answer when it fails; makes it optional" },
  accept = s.list(STATUSES, { single = true, default = { "200-299" }, len = { 1, 50 },
    help = "statuses that are no failure, such as 200-299 or 404" }),
  timeout = s.duration { gt = 0, le = 3600, help = "for this part, the steps of its `use` included" },
  retries = s.integer { ge = 0, le = 15, help = "how often to try again after a failure" },
  cache = s.duration { gt = 0, le = 86400 * 365,
    help = "keep what it says for so long, for the same request alone; in the dictionary `aggregate`" },
  pages = PAGES,
  needs = s.list(NAME, { single = true, help = "parts to wait for, beside those that its expressions name" }),
  when = kinds.expression { help = "the part is only asked for when this is true; else it is as if it were missing" },
  each = kinds.expression { help = "a list: asks once for each item, which expressions call `it`; gives a list" },
  parallel = s.integer { default = 8, ge = 1, le = 256, help = "with `each`: how many requests at a time" },
  max_items = s.integer { default = 100, ge = 1, le = 256, help = "with `each`: a longer list fails" },
  use = s.steps { single = true, help = "steps for this part's request and answer" },
}:check(function(conf)
  if conf.each and conf.use then return "cannot stand with 'each'", "use" end
  if conf.each and conf.pages then return "cannot stand with 'each'", "pages" end
  if conf.cache and (conf.body or conf.method and conf.method ~= "GET") then return "is for GET alone", "cache" end
  for _, item in ipairs(conf.accept) do
    local first, last = tostring(item):match "^(%d+)%-(%d+)$"
    if first and tonumber(first) > tonumber(last) then return "has a range that ends before it begins", "accept" end
  end
end)

M.schema = s.record {
  parts = s.map(PART, { required = true, keys = NAME, len = { 1, 64 }, help = "what to ask for, by name" }),
  body = kinds.json { help = "the answer, with ${...} for what the parts said; all parts by name when left out" },
  status = s.status { ge = 200, default = 200, help = "of the answer" },
  headers = texts("of the answer", s.header_name()),
  mode = s.enum { "first-failure", "all-or-nothing", "partial", default = "first-failure",
    help = "what a failure does: ends it unless the part is `optional`, ends it always, or is told in the answer" },
  partial = s.record({
    status = s.status { ge = 200, default = 200, help = "of an answer with parts missing" },
    field = s.string { len = { 1, 128 }, default = "errors", help = "where the answer tells what failed" },
  }, { default = {}, help = "for `mode: partial`" }),
  on_failure = s.record({
    status = kinds.text { help = "502 when left out, 504 when it was too late, 503 when nobody could be reached" },
    body = kinds.json { help = "with ${failed.message} and the like; a problem when left out" },
    headers = texts("of this answer", s.header_name()),
    log = s.string { len = { 1, 1024 }, default = "a part of an answer failed", help = "what the log line says" },
  }, { help = "what is answered when a part that is needed fails" }),
  timeout = s.duration { default = "10s", gt = 0, le = 3600, help = "for all parts together" },
  stream = s.boolean { default = false, help = "send the answer while parts are on their way" },
}:check(function(conf)
  if conf.on_failure and conf.on_failure.headers and not conf.on_failure.body then
    return "'headers' needs 'body'", "on_failure"
  end
  for name, part in pairs(conf.stream and conf.parts or {}) do
    if part.use then return ("parts.%s: 'use' cannot stand with 'stream'"):format(name), "parts" end
  end
  local _, fault = try(plans.of, conf)
  return fault
end)

-- ------------------------------------------------------------------------------------------------ failure

local LATE = { timeout = true, first_byte_timeout = true, connect_timeout = true, idle_timeout = true }
local AWAY = { connect_failed = true, no_backend = true, circuit_open = true }

local function status_of(failure)
  return LATE[failure.code] and 504 or AWAY[failure.code] and 503 or 502
end

local function own_status(rule, run)
  local status = rule.status and math.tointeger(tonumber(rule.status(run.v, run.raw, run.req)))
  if status and status >= 200 and status <= 599 then return status end
  return status_of(run.failed)
end

local function answer_failure(plan, run)
  local rule, failed = plan.failure, run.failed
  mg.log.error(rule.log, { part = failed.part, reason = failed.reason, code = failed.code })
  run.v.failed, run.v.failures = failed, mg.json.array(run.failures)
  local status = own_status(rule, run)
  if not rule.make then return mg.problem(status, "upstream-failed", failed.part .. " could not be fetched") end
  return assert(rule.make(run.v, run.raw, run.req, status))
end

-- ------------------------------------------------------------------------------------------------ the answer

-- A part whose text turned out to be no JSON when it went into the answer.
local function blame(plan, run, err)
  local gap = plan.answer.gaps[err.index]
  if not gap or not gap.name then error(err, 0) end
  local usable, raw = again(run.raw[gap.name])
  if usable then
    run.raw[gap.name] = raw
    return
  end
  for _, part in ipairs(plan.parts) do
    if part.name == gap.name then run:fail(part, { code = "bad_json", message = err.message }) end
  end
end

local function answer(plan, run)
  while true do
    if plan.mode == "partial" and #run.failures == #plan.parts then run.failed = run.failures[1] end
    if run.failed then return answer_failure(plan, run) end
    local missing = #run.failures > 0
    if plan.answer.tells_failures then run.v.failures = mg.json.array(run.failures) end
    local res, err = plan.answer.make(run.v, run.raw, run.req, missing and plan.partial_status or plan.status)
    if res then return res end
    blame(plan, run, err)
  end
end

-- ------------------------------------------------------------------------------------------------ streams

local function text_of(gap, run, template)
  local text, err = template:text((gap.value(run.v, run.raw, run.req)))
  if not text then error("the answer breaks off: " .. tostring(err), 0) end
  return text
end

local function break_off(plan, failed)
  mg.log.error(plan.failure.log, { part = failed.part, reason = failed.reason, code = failed.code })
  error("the answer breaks off: " .. failed.message, 0)
end

-- Sends what is there, up to the part that is waited for. When one that is needed fails the answer breaks off: its
-- status has left already.
local function stream(plan, run)
  local texts_between, gaps, value = plan.answer.texts, plan.answer.gaps, plan.answer.value
  local headers = { ["Content-Type"] = "application/json" }
  for name, text in pairs(plan.answer.headers(run.v, run.raw, run.req) or {}) do headers[name] = text end
  return mg.stream(plan.status, headers, function(write)
    local pending = texts_between[1]
    for i, gap in ipairs(gaps) do
      if not run:is_done(gap.uses) then
        write(pending)
        pending = ""
        run:wait_for(gap.uses)
      end
      if run.failed then break_off(plan, run.failed) end
      run.v.failures = mg.json.array(run.failures)
      pending = pending .. text_of(gap, run, value)
      pending = pending .. texts_between[i + 1]
    end
    write(pending)
  end)
end

function M.new(conf)
  local plan = plans.of(conf)
  for _, part in ipairs(plan.parts) do
    part.kept = part.ttl and stores.new(part.ttl, part.accepts)
  end
  return { request = function(req)
    local run = runs.new(plan, req)
    if plan.stream then
      run:start()
      return run.failed and answer_failure(plan, run) or stream(plan, run)
    end
    run:all()
    return answer(plan, run)
  end }
end

return M
