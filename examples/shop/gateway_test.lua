-- What the shop promises, shown without any service: `moongate test examples/shop`.

local ann = { user = { sub = "ann", plan = "free" }, headers = { ["x-tenant"] = "bikes" } }
local eve = { user = { sub = "eve", plan = "gold" }, headers = { ["x-tenant"] = "bikes" } }
local partner = { headers = { ["x-tenant"] = "bikes", ["x-api-key"] = "bikes-inc-partner-key" } }
local someone = { headers = { ["x-tenant"] = "bikes" } }
local id = "018f4e9e-5f3a-7c4b-9d0e-2f6a1b3c4d5e"

-- The same caller, asking something else.
local function with(caller, more)
  local all = table.clone(caller)
  for name, value in more do all[name] = value end
  return all
end

local function order(caller, json) return with(caller, { json = json }) end

test("nothing is told without a tenant", function(gw)
  local res = gw:get "/v1/products"
  expect(res.status).is(400)
  expect(res.code).is("shop.no_tenant")
end)

test("the catalogue is asked once a minute, or again after a change", function(gw)
  local catalogue = gw:mock("catalogue", { json = { "p1", "p2" } })
  expect(gw:get("/v1/products?page=2", someone):json()).is { "p1", "p2" }
  expect(gw:get("/v1/products?page=2", someone).from).is("cache")
  expect(#catalogue.calls).is(1)
  expect(catalogue.calls[1].path).is("/products")

  gw:advance "61s"
  gw:get("/v1/products?page=2", someone)
  expect(#catalogue.calls).is(2)

  local ops = { user = { sub = "ops" }, ip = "10.1.2.3" }
  expect(gw:post("/admin/products/changed", ops):json()).is { purged = 1 }
  gw:get("/v1/products?page=2", someone)
  gw:advance "1s"
  expect(#catalogue.calls).is(3)
end)

test("a page that is none never reaches the catalogue", function(gw)
  local catalogue = gw:mock("catalogue", 200)
  expect(gw:get("/v1/products?page=0", someone).code).is("validate.params")
  expect(#catalogue.calls).is(0)
end)

test("browsers of the shop may read, others may not", function(gw)
  local function preflight(origin)
    return gw:options("/v1/orders", { headers = { origin = origin, ["access-control-request-method"] = "POST" } })
  end
  expect(preflight("https://shop.example").headers["access-control-allow-origin"]).is("https://shop.example")
  expect(preflight("https://evil.example").headers["access-control-allow-origin"]).is_nil()
end)

test("single products are answered here", function(gw)
  expect(gw:get("/v1/products/p2", someone):json().price).is(990)
  expect(gw:get("/v1/products/p9", someone).code).is("shop.no_product")
end)

test("orders are for customers and partners", function(gw)
  gw:mock("orders", { json = { id = id } })
  expect(gw:get("/v1/orders/" .. id, someone).status).is(401)
  expect(gw:get("/v1/orders/" .. id, ann).status).is(200)
  expect(gw:get("/v1/orders/" .. id, partner).status).is(200)
  expect(gw:get("/v1/orders/not-a-uuid", ann).code).is("route.none")

  local token = gw:token { sub = "zoe", plan = "gold" }
  local zoe = with(someone, { headers = { ["x-tenant"] = "bikes", authorization = "Bearer " .. token } })
  expect(gw:get("/v1/orders/" .. id, zoe).status).is(200)
  gw:advance "2h"
  expect(gw:get("/v1/orders/" .. id, zoe).status).is(401)
end)

test("the free plan is used up, and is there again a minute later", function(gw)
  gw:mock("orders", 200)
  for _ = 1, 3 do expect(gw:get("/v1/orders/" .. id, ann).status).is(200) end
  local res = gw:get("/v1/orders/" .. id, ann)
  expect(res.status).is(429)
  expect(res.code).is("rate_limit.exceeded")
  expect(gw:get("/v1/orders/" .. id, eve).status).is(200)
  gw:advance "1m"
  expect(gw:get("/v1/orders/" .. id, ann).status).is(200)
end)

test("an order carries what the gateway knows", function(gw)
  local orders, other = gw:mock("orders", { status = 201 }), gw:mock("orders-next", { status = 201 })
  local res = gw:post("/v1/orders", order(eve, { product = "p1", count = 2 }))
  expect(res.status).is(201)
  expect(res.headers["x-release"]).exists()
  local sent = (orders.calls[1] or other.calls[1]):json()
  expect(sent).is { product = "p1", count = 2, tenant = "bikes", customer = "eve", sold = 2 }

  local ops = { user = { sub = "ops" }, ip = "10.1.2.3" }
  expect(gw:get("/admin/stock", ops):json()).is { p1 = 2, p2 = 0 }
end)

test("what is no order never reaches the service, and costs nothing of the quota", function(gw)
  local orders = gw:mock("orders", 201)
  local res = gw:post("/v1/orders", order(eve, { product = "bicycle", count = 0 }))
  expect(res.code).is("validate.body")
  expect(res.body).has("/product")
  expect(res.body).has("/count")
  expect(gw:post("/v1/orders", with(eve, { body = "hello", headers = { ["x-tenant"] = "b", ["content-type"] = "text/plain" } })).status).is(415)
  expect(gw:post("/v1/orders", order(eve, { product = "p1", count = 1, note = string.rep("x", 5000) })).status).is(413)
  expect(gw:post("/v1/orders", order(eve, { product = "p1", count = 1, reference = { { { { { {} } } } } } })).status).is(400)
  expect(#orders.calls).is(0)
end)

test("only partners may cancel", function(gw)
  gw:mock("orders", 204)
  expect(gw:delete("/v1/orders/" .. id, partner).status).is(204)
  expect(gw:delete("/v1/orders/" .. id, eve).code).is("authorize.denied")
end)

test("a service that is down is told kindly", function(gw)
  gw:mock("orders", 200)
  gw:down "orders"
  local res = gw:get("/v1/orders/" .. id, eve)
  expect(res.status).is(503)
  expect(res:json().error).is("the shop is closed for a moment")
end)

test("the admin pages are for people inside who know the password", function(gw)
  expect(gw:get("/admin/stock", { ip = "198.51.100.7" }).status).is(403)
  expect(gw:get("/admin/stock").status).is(401)
  local password = { headers = { authorization = "Basic " .. base64.encode "ops:try-me" } }
  expect(gw:get("/admin/stock", password).status).is(200)
end)

test("some addresses are not wanted", function(gw)
  expect(gw:get("/health", { ip = "203.0.113.9" }).code).is("ip_filter.denied")
end)

test("the rest", function(gw)
  expect(gw:get("/health").status).is(204)
  expect(gw:get("/orders/42").headers.location).is("/v1/orders/42")
  expect(gw:get("/nowhere"):json()).is { error = "nothing here", path = "/nowhere" }
end)
