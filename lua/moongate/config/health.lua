-- Active health checks of a service's backends.

local s = require "moongate.schema"

local M = {}

local status = s.any_of {
  s.integer { ge = 100, le = 599 },
  s.string { match = "^[1-5]%d%d%-[1-5]%d%d$" },
}

-- `headers` and `host` are kinds of the shape.
function M.new(headers, host)
  return s.record {
    type = s.enum { "http", "tcp", default = "http", help = "tcp: a connection is enough" },
    path = s.string { default = "/", match = "^/[!-~]*$", len = { 1, 4096 } },
    every = s.duration { default = "5s", ge = 0.1, le = 86400 },
    timeout = s.duration { default = "2s", gt = 0, le = 3600, help = "of one check" },
    healthy = s.integer { default = 2, ge = 1, le = 1000, help = "so many good answers in a row bring it up" },
    unhealthy = s.integer { default = 3, ge = 1, le = 1000, help = "so many bad ones bring it down" },
    expect = s.list(status, { single = true, len = { 1, 50 }, default = { "200-299" },
      help = "statuses that are good: 204, or 200-299" }),
    body = s.string { len = { 1, 1024 }, help = "what is in the first 64 KiB of the answer" },
    host = host,
    headers = headers,
  }:check(function(value)
    for name in pairs(value.headers or {}) do
      if name:lower() == "host" then return "is said by 'host'", "headers" end
    end
    for _, text in ipairs(value.expect) do
      local from, to = tostring(text):match "^(%d+)%-(%d+)$"
      if from and from > to then return ("'%s' begins after its end"):format(text), "expect" end
    end
    if value.type == "http" then return end
    for _, name in ipairs { "body", "host", "headers" } do
      if value[name] then return "does nothing with 'type: tcp'", name end
    end
  end)
end

return M
