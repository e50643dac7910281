-- The gateway of a shop: who may come in, how often, with what, where it goes and what comes back. Read it from top to
-- bottom: that is the order in which it runs. `moongate run examples/shop/gateway.lua`, then try transcript.txt.

local tenant = require "./tenant"

gateway {
  limits = { body = "1MB" },
  log = { access = { fields = { tenant = "{ctx.tenant}", customer = "{user.sub}" } } },

  request_id {},
  security_headers {},
  cors { origins = { "https://shop.example", "https://*.shop.example" }, credentials = true, expose = { "x-request-id" } },
  ip_filter { deny = { "203.0.113.0/24" } },

  errors = {
    ["route.none"] = { status = 404, json = { error = "nothing here", path = "{path}" } },
    ["upstream.*"] = { status = 503, json = { error = "the shop is closed for a moment" } },
  },
}

upstream "catalogue" { "echo:" }
upstream "orders" { "echo:", timeout = { connect = "1s", response = "5s" } }
upstream "orders-next" { "echo:" }

-- Customers come with a token of the identity provider, partners with a key. Keys are kept as hashes only.
local customers = jwt {
  secret = env.SHOP_TOKEN_SECRET or "only-for-trying-out-never-in-production",
  issuer = "https://id.shop.example",
  audience = "shop",
  require = { "sub", plan = { "free", "gold" } },
}
local partners = api_key {
  keys = {
    ["sha256:878238af3ebf737b17f0f497cd26972264e82c71561263dc3f7d96e717eb02a4"] = { sub = "bikes-inc", plan = "gold", roles = { "partner" } },
  },
}
local signed_in = any_of { customers, partners }

-- What a plan allows, counted for each customer wherever it stands.
local rates = { free = "3/min", gold = "100/min" }
local by_plan = rate_limit { function(req) return rates[req.user.plan] end, by = "user", name = "plan" }

local stock = store "stock" {}
local new_order = is.object {
  product = is.string { pattern = "^p[0-9]+$" },
  count = is.int { min = 1, max = 100 },
  note = is.string { max = 200, optional = true },
  reference = is.any { optional = true },
}

group "/v1" {
  tenant {},

  -- The catalogue is for everybody, and asked for once a minute.
  route "GET /products" {
    validate { query = { page = is.int { min = 1, default = 1 }, tag = is.string { optional = true } } },
    cache { "1m", tags = "products" },
    compress {},
    to = "catalogue",
    strip_prefix = "/v1",
  },
  include "routes/*.lua",

  group "/orders" {
    signed_in,
    by_plan,

    route "GET /{id:uuid}" { to = "orders", strip_prefix = "/v1" },

    route "POST /" {
      body_limit "4KB",
      json_limit { depth = 5 },
      validate { body = new_order, content_type = "application/json" },
      quota { "1000/day", by = "user" }, -- after validate: only sound orders count
      function(req)
        local order = req:json()
        order.tenant, order.customer = req.ctx.tenant, req.user.sub
        order.sold = stock:incr(order.product, order.count)
        req:set_json(order)
      end,
      split "release" { stable = 90, next = 10, by = "{user.sub}" },
      function(req, next)
        local res = next()
        res.headers["x-release"] = req.ctx.release
      end,
      to = function(req) return if req.ctx.release == "next" then "orders-next" else "orders" end,
      strip_prefix = "/v1",
    },

    route "DELETE /{id:uuid}" { authorize { role = "partner" }, to = "orders", strip_prefix = "/v1" },
  },
}

-- The shop's own people: from inside only, by name and password.
group "/admin" {
  ip_filter { allow = { "127.0.0.0/8", "::1", "10.0.0.0/8" } },
  basic_auth { users = { ops = env.SHOP_OPS_PASSWORD or "try-me" }, realm = "shop" },
  concurrency { 5 },

  route "GET /stock" {
    function() return { json = { p1 = stock:get "p1" or 0, p2 = stock:get "p2" or 0 } } end,
  },
  route "POST /products/changed" {
    function() return { json = { purged = cache.purge "products" } } end,
  },
}

route "GET /orders/{rest*}" { redirect "/v1/orders/{rest*}" }
route "GET /health" { mock { status = 204 } }
