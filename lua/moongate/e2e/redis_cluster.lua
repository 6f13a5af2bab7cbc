-- A Redis Cluster for a spec: real servers, made one by commands.
--
--     local c = E.redis_cluster { nodes = 3, replicas = 1 }
--     c.addresses                     of the masters: what a gateway's config names
--     c.nodes[1]:command(...)         one server, as E.redis gives it; masters first, then their replicas
--     c:command("GET", "key")         on the master that has the key
--     c:move(slot, to, between?)      moves a slot with its keys to a node; `between` is called while it is on its way
--
-- Options: nodes (masters), replicas (of each), and those of E.redis.

local loop = require "moongate.e2e.loop"
local redis = require "moongate.e2e.redis"
local socket = require "moongate.e2e.socket"

local M = {}

local Cluster = {}
Cluster.__index = Cluster

local SLOTS = 16384

local function start_node(options)
  local own = {}
  for key, value in pairs(options) do own[key] = value end
  -- The usual port of the bus, 10000 above the other, may not exist.
  own.args = { "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "1000",
    "--cluster-port", tostring(socket.free_port()), "--repl-diskless-sync-delay", "0" }
  table.move(options.args or {}, 1, #(options.args or {}), #own.args + 1, own.args)
  local node = redis.start(own)
  node.bus = own.args[8]
  node.id = node:command("CLUSTER", "MYID")
  return node
end

local function wait_until_whole(nodes, masters)
  loop.eventually(function()
    for _, node in ipairs(nodes) do
      local info = node:command("CLUSTER", "INFO")
      assert(info:find "cluster_state:ok", "not whole yet")
      assert(info:find("cluster_known_nodes:" .. #nodes .. "\r", 1, true), "not all have met")
      assert(info:find("cluster_size:" .. masters .. "\r", 1, true), "not all masters are known")
    end
  end, 30)
end

local function add_replicas(self, masters, replicas)
  for i = masters + 1, masters * (1 + replicas) do
    local node, master = self.nodes[i], self.nodes[(i - 1) % masters + 1]
    loop.eventually(function() node:command("CLUSTER", "REPLICATE", master.id) end)
    loop.eventually(function()
      assert(node:command("INFO", "replication"):find "master_link_status:up", "not up to date yet")
    end, 30)
  end
end

-- From now on a node may be slow before others take it for dead: for long, where none can take its place.
local function be_patient(nodes, replicas)
  for _, node in ipairs(nodes) do
    node:command("CONFIG", "SET", "cluster-node-timeout", replicas > 0 and 2000 or 600000)
  end
end

-- Which of the masters has a slot, as `node` sees it, or the first one.
function Cluster:owner(slot, node)
  for _, range in ipairs((node or self.nodes[1]):command("CLUSTER", "SLOTS")) do
    if range[1] <= slot and slot <= range[2] then
      for _, master in ipairs(self.nodes) do
        if master.port == range[3][2] then return master end
      end
    end
  end
end

function Cluster:slot(key)
  return self.nodes[1]:command("CLUSTER", "KEYSLOT", key)
end

function Cluster:command(name, key, ...)
  return self:owner(self:slot(key)):command(name, key, ...)
end

function Cluster:move(slot, to, between)
  local from = self:owner(slot)
  to:command("CLUSTER", "SETSLOT", slot, "IMPORTING", from.id)
  from:command("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id)
  if between then between("before", from) end
  while true do
    local keys = from:command("CLUSTER", "GETKEYSINSLOT", slot, 10)
    if #keys == 0 then break end
    from:command("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", table.unpack(keys))
  end
  if between then between("after", from) end
  for _, node in ipairs { to, from } do node:command("CLUSTER", "SETSLOT", slot, "NODE", to.id) end
  -- The others hear of it, and of its epoch: who has not would take the slot with an older one at the next move, and
  -- two servers then name each other for ever.
  loop.eventually(function()
    for _, node in ipairs(self.nodes) do assert(self:owner(slot, node) == to, "not known yet") end
  end, 60)
end

function M.start(options)
  options = options or {}
  local masters, replicas = options.nodes or 3, options.replicas or 0
  local self = setmetatable({ nodes = {}, addresses = {} }, Cluster)
  for i = 1, masters * (1 + replicas) do self.nodes[i] = start_node(options) end
  for i = 1, masters do
    local first, last = (i - 1) * SLOTS // masters, i * SLOTS // masters - 1
    self.addresses[i] = self.nodes[i].address
    self.nodes[i]:command("CLUSTER", "ADDSLOTSRANGE", first, last)
    self.nodes[i]:command("CLUSTER", "SET-CONFIG-EPOCH", i)
  end
  for i = 2, #self.nodes do
    self.nodes[1]:command("CLUSTER", "MEET", "127.0.0.1", self.nodes[i].port, self.nodes[i].bus)
  end
  wait_until_whole(self.nodes, masters)
  add_replicas(self, masters, replicas)
  be_patient(self.nodes, replicas)
  return self
end

return M
