-- What each kind of client sees of the same services, and does not.

local T = require "moongate.test"

local FOLDER = debug.getinfo(1, "S").source:match "^@(.*/)"

local TITLES = {
  { id = 1, name = "The Far Side", year = 1968, genre = "space", minutes = 142, art = "1.jpg", cost = 5,
    streams = { sd = "1/sd", uhd = "1/uhd" } },
  { id = 3, name = "Sea of Rains", year = 1959, genre = "space", minutes = 88, art = "3.jpg", cost = 6,
    streams = { sd = "3/sd", uhd = "3/uhd" } },
}

local function titles(req)
  local id = tonumber(req.path:match "^/titles/(%d+)$")
  for _, title in ipairs(TITLES) do
    if title.id == id then return { json = title } end
  end
  return id and { status = 404 } or { json = TITLES }
end

local function gateway(other)
  local upstreams = {
    titles = titles, reviews = { json = { { stars = 5 }, { stars = 4 }, { stars = 4 } } },
    history = { json = { { title = 3, minute = 41 } } },
    accounts = { json = { id = "ann", name = "Ann", plan = "family", card = "4111" } },
  }
  for name, answer in pairs(other or {}) do upstreams[name] = answer end
  return T.load(FOLDER .. "moongate.yaml", { upstreams = upstreams })
end

local function ask(listener, path, other)
  return gateway(other):request { path = path, listener = listener }
end

describe("bff", function()
  it("shows TVs rows to browse, and streams to play", function()
    assert.json(ask("tv", "/browse/ann"), {
      resume = { { id = 3, art = "3.jpg", minute = 41 } },
      rows = { space = {
        { id = 1, name = "The Far Side", art = "1.jpg", genre = "space" },
        { id = 3, name = "Sea of Rains", art = "3.jpg", genre = "space" },
      } },
    })
    assert.json(ask("tv", "/play/ann/3"), { stream = "3/uhd", from = 41 })
    assert.json(ask("tv", "/play/ann/1"), { stream = "1/uhd", from = 0 })
    assert.json(ask("tv", "/play/ann/1", { history = { error = "refused" } }), { stream = "1/uhd", from = 0 })
  end)

  it("sends mobiles little, whatever is away", function()
    local res = ask("mobile", "/titles?limit=1")
    assert.json(res, { { id = 1, name = "The Far Side" } })
    assert.header(res, "Cache-Control", "max-age=300")
    local page = { id = 3, name = "Sea of Rains", minutes = 88, stream = "3/sd", stars = 4.3 }
    page.errors = {}
    assert.json(ask("mobile", "/titles/3"), page)
    res = ask("mobile", "/titles/3", { reviews = { json = {}, delay = 5 } })
    assert.status(res, 200)
    assert.equal("reviews", res:json().errors[1].part)
    assert.equal("Sea of Rains", res:json().name)
  end)

  it("shows the web all that there is, but what is for the house", function()
    local page = ask("web", "/titles/ann/3"):json()
    assert.same({ 88, 4.3, 41 }, { page.title.minutes, page.stars, page.minute })
    assert.is_nil(page.title.cost)
    assert.same({ { id = 1, name = "The Far Side", art = "1.jpg" } }, page.similar)
    assert.equal(3, #page.reviews)
    assert.json(ask("web", "/account/ann"), { account = { id = "ann", name = "Ann", plan = "family" }, seen = 1 })
    local lost = ask("web", "/titles/ann/9")
    assert.status(lost, 404)
    assert.json(lost, { error = "There is no such title" })
  end)

  it("lets partners find titles, five times a minute", function()
    local t = gateway()
    local function find() return t:request { path = "/titles", listener = "partner" } end
    assert.json(find(), { titles = {
      { id = 1, name = "The Far Side", year = 1968, genre = "space" },
      { id = 3, name = "Sea of Rains", year = 1959, genre = "space" },
    } })
    for _ = 2, 5 do assert.status(find(), 200) end
    assert.status(find(), 429)
    t:advance(60)
    assert.status(find(), 200)
  end)

  it("opens to each what is its own, and no more", function()
    local t = gateway()
    for listener, paths in pairs {
      tv = { "/titles", "/titles/1", "/account/ann", "/accounts/ann" },
      mobile = { "/browse/ann", "/account/ann", "/history/ann" },
      web = { "/titles", "/browse/ann", "/accounts/ann" },
      partner = { "/titles/1", "/play/ann/1", "/account/ann", "/reviews" },
    } do
      for _, path in ipairs(paths) do
        assert.status(t:request { path = path, listener = listener }, 404)
      end
    end
    for _, service in ipairs { "titles", "reviews", "history", "accounts" } do assert.called(t, service, 0) end
  end)
end)
