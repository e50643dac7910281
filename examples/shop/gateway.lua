-- A small shop in front of one service: tenants, an order limit, stock in a shared store, friendly errors.
-- Run it with `moongate run examples/shop/gateway.lua`, then:
--   curl localhost:8080/products -H 'x-tenant: bikes'
--   curl localhost:8080/orders -H 'x-tenant: bikes' -d '{"product":"p1","count":2}'

local tenant = require "./tenant"

gateway {
  errors = {
    ["route.none"] = { status = 404, json = { error = "nothing here", path = "{path}" } },
    ["upstream.*"] = { status = 503, json = { error = "the shop is closed for a moment" } },
  },
}

upstream "orders" { "echo:" }

local stock = store "stock" {}
local orders_left = limiter "orders" { "3/min", burst = 3 }

group "/" {
  tenant {},

  include "routes/*.lua",

  route "POST /orders" {
    body_limit "4KB",
    function(req)
      local ok, left = orders_left:check(req.ctx.tenant)
      if not ok then
        reject(429, "three orders a minute", { code = "shop.too_many" })
      end
      local order = req:json()
      if type(order.count) ~= "number" or order.count < 1 then
        reject(422, "how many?", { code = "shop.bad_count" })
      end
      order.tenant = req.ctx.tenant
      order.sold = stock:incr(order.product, order.count)
      req:set_json(order)
      req.headers["x-orders-left"] = tostring(left.left)
    end,
    to = "orders",
  },
}

route "GET /health" { function() return 204 end }
