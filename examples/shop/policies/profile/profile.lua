-- One answer of two services: a user and the user's orders, {"orders": [...], "user": {...}}.
--
-- What happens when one of them fails is a rule for each: a part named in `optional` becomes null, any other makes
-- the answer 502. A user that does not exist is 404.

local mg, s = require "moongate", require "moongate.schema"
local reply = require "shop.reply"

local M = { name = "profile", version = "1.0.0", summary = "A user with their orders" }

M.schema = s.record {
  users = s.service { default = "users" },
  orders = s.service { default = "orders" },
  optional = s.list(s.enum { "user", "orders" }, { default = {}, help = "parts that may be missing" }),
  timeout = s.duration { default = 2, gt = 0, help = "for both" },
}

local PARTS = { "user", "orders" }

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

local function fail(part, reason)
  mg.log.error("cannot put a profile together", { part = part, reason = reason })
  return mg.problem(502, "upstream-failed", "The " .. part .. " could not be fetched")
end

-- What a response holds, or nil and why it is no use. An optional part has no response when it failed.
local function value_of(res)
  if not res then return nil, "no response" end
  if res.status < 200 or res.status > 299 then return nil, "status " .. res.status end
  return res:json()
end

function M.new(conf)
  local optional = set_of(conf.optional)

  return {
    request = function(req)
      local id = req.params.id
      local got, failed = mg.fetch_all({
        user = { conf.users, path = mg.url("/users/{id}", { id = id }), optional = optional.user },
        orders = { conf.orders, path = "/orders", query = { user = id }, optional = optional.orders },
      }, { timeout = conf.timeout })
      if not got then return fail(failed.name, failed.reason) end
      if got.user and got.user.status == 404 then
        return mg.problem(404, "no-such-user", "There is no user with this id")
      end

      local profile = {}
      for _, part in ipairs(PARTS) do
        local value, reason = value_of(got[part])
        if reason and not optional[part] then return fail(part, reason) end
        profile[part] = reason and mg.json.null or value
      end
      return reply(200, profile)
    end,
  }
end

return M
