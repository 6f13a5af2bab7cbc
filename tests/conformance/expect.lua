-- What a case demands of a response:
--
--     expect(res, 200, { body = "ok", ["X-A"] = "1", ["X-B"] = expect.none, json = { ... } })
--     expect.problem(res, 404, "no-route", "no route matches")

local assert = require "luassert"

local M = {}

M.none = {} -- in place of a header's value: it is not there

local function show(res)
  local lines = { ("%d %s"):format(res.status, res.reason) }
  for _, field in ipairs(res.headers) do lines[#lines + 1] = ("%s: %s"):format(field[1], field[2]) end
  return table.concat(lines, "\n") .. "\n\n" .. res.body
end

local function demand(res, status, wanted)
  assert.is_table(res, "no response")
  assert.equal(status, res.status, show(res))
  for name, value in pairs(wanted or {}) do
    if name == "body" then
      assert.equal(value, res.body)
    elseif name == "json" then
      assert.same(value, (res:json()), show(res))
    elseif value == M.none then
      assert.is_nil(res:header(name), name)
    else
      assert.equal(value, res:header(name), name .. " in\n" .. show(res))
    end
  end
end

-- RFC 9457, with our members. detail may be left out.
function M.problem(res, status, slug, detail)
  demand(res, status, { ["Content-Type"] = "application/problem+json" })
  local body = res:json()
  assert.equal(status, body.status)
  assert.equal(slug, body.error)
  assert.equal("about:blank", body.type)
  assert.equal(res.reason, body.title)
  assert.matches("^%x+$", body.request_id)
  assert.equal(32, #body.request_id)
  if detail then assert.equal(detail, body.detail) end
end

return setmetatable(M, { __call = function(_, ...) return demand(...) end })
