-- What the demonstration shop knows.

local M = {}

M.users = {
  { id = 1, name = "Ann", email = "ann@shop.example" },
  { id = 2, name = "Bob", email = "bob@shop.example" },
}

-- For the auth service. Real ones keep no passwords, and make a new token for each login.
M.accounts = {
  { username = "ann", password = "moon", token = "demo-token-ann", user = "1", role = "CUSTOMER" },
  { username = "bob", password = "gate", token = "demo-token-bob", user = "2", role = "CUSTOMER" },
}

M.products = {
  { id = 1, name = "Telescope", category = "optics", price = 249.5 },
  { id = 2, name = "Star chart", category = "paper", price = 12 },
  { id = 3, name = "Moon globe", category = "globes", price = 39.9 },
}

M.inventory = {
  { id = 1, quantity = 7, warehouse = "north" },
  { id = 2, quantity = 120, warehouse = "south" },
  { id = 3, quantity = 0, warehouse = "north" },
}

M.reviews = {
  { id = 1, productId = 1, stars = 5, text = "I have seen the rings of Saturn." },
  { id = 2, productId = 1, stars = 4, text = "Sharp, but heavy." },
  { id = 3, productId = 3, stars = 3, text = "The far side is plain." },
}

M.orders = {
  { id = 1, user = 1, product = 1, status = "shipped" },
  { id = 2, user = 1, product = 3, status = "open" },
  { id = 3, user = 2, product = 2, status = "shipped" },
}

return M
